/// Temporary credentials.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "policy/decision.h"
#include "system/files.h"
#include "system/random.h"

namespace lambdad::access {

struct Session {
  policy::Principal principal;  ///< kRoot, kUser or kRoleSession
  std::string user_id;
  std::string user_name;                                  ///< of a user
  std::string role_name, role_id;                         ///< of a role session; an empty id: the role was not there
  std::vector<std::string> policies;                      ///< session policies, as JSON
  std::vector<std::pair<std::string, std::string>> tags;  ///< session tags
  std::string source_identity;
  WallTime issued{};
  WallTime expires{};  ///< on AWS's clock
};

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  WallTime expiration{};
};

struct OpenedSession {
  std::string access_key_id;
  std::string secret_access_key;
  Session session;
};

/// Gives out temporary credentials and knows them again. A session token holds the whole session, sealed with this
/// daemon's key: nothing is kept per session, so that they survive a restart and their number has no limit.
/// Threading: the loop only.
class Sessions {
 public:
  /// `key`: kSealKeyBytes random bytes, the same after every start.
  Sessions(Random& random, std::string key);
  /// The key in `path`, made when the file is not there. Readable by its owner only.
  static Result<std::string> load_key(Files& files, Random& random, const std::string& path);

  Credentials issue(Session session);
  /// What a token holds, expired or not; nullopt when it is none of ours.
  std::optional<OpenedSession> open(std::string_view token) const;

 private:
  Random& random_;
  std::string key_;
};

/// Characters as in AWS's ids: A-Z, 2-7.
std::string random_id(Random& random, std::string_view prefix, std::size_t size);

}  // namespace lambdad::access
