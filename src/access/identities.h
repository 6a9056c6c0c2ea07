/// What IAM knows, as far as judging requests needs it. Implemented by services/iam.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "policy/document.h"

namespace lambdad::access {

/// The policies of a user or a role.
struct Grants {
  std::vector<policy::DocumentPtr> identity;  ///< inline and attached, of the user's groups too
  policy::DocumentPtr boundary;
  std::vector<std::pair<std::string, std::string>> tags;
};

struct UserKey {
  std::string secret;
  bool active = false;
  std::string account, user_name, user_id, user_arn;
};

struct RoleFacts {
  std::string arn, id;
  policy::DocumentPtr trust;
  Duration max_session{};
};

/// Threading: the loop only. Answers come from memory.
struct Identities {
  virtual ~Identities() = default;
  virtual std::optional<UserKey> find_key(const std::string& access_key_id) const = 0;
  /// nullopt: there is no such user.
  virtual std::optional<Grants> user_grants(const std::string& account, const std::string& name) const = 0;
  /// nullopt: there is no such role, or it is another with the same name by now.
  virtual std::optional<Grants> role_grants(const std::string& account, const std::string& name,
                                            const std::string& id) const = 0;
  virtual std::optional<RoleFacts> find_role(const std::string& account, const std::string& name) const = 0;
  /// The default version of a managed policy that `account` can use; nullopt: there is none.
  virtual std::optional<std::string> managed_policy_text(const std::string& account, const std::string& arn) const = 0;
  /// ARN of what IAM calls `kind` ("user", "role", "group"), with its path; without one when there is no such thing.
  virtual std::string arn_of(std::string_view kind, const std::string& account, const std::string& name) const = 0;
  virtual void key_used(const std::string& access_key_id, std::string_view service, std::string_view region) = 0;
};

}  // namespace lambdad::access
