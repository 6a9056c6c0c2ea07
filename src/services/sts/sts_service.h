#pragma once

#include <map>
#include <string>

#include "aws/dispatcher.h"
#include "aws/gen/sts.h"
#include "observe/log.h"
#include "system/system.h"

namespace lambdad::sts {

/// GetCallerIdentity, AssumeRole, GetSessionToken. The README says what is not enforced.
///
/// Temporary credentials are kept in memory until they expire (on AWS's clock), at most kSessionsMax of them.
/// Ownership: borrows System. Threading: the loop only.
class StsService {
 public:
  static constexpr std::size_t kSessionsMax = 100'000;
  StsService(System& system, Logger& log) : system_(system), log_(log) {}

  void serve(aws::Dispatcher& dispatcher);

  /// The account that temporary credentials belong to; nullopt when the key is none of ours or has expired.
  std::optional<std::string> account_of(const std::string& access_key_id);

 private:
  struct Session {
    std::string account;
    std::string arn;
    std::string user_id;
    WallTime expiration{};
  };
  Async<aws::Outcome<aws::sts::GetCallerIdentityResponse>> get_caller_identity(const aws::RequestContext* context);
  Async<aws::Outcome<aws::sts::AssumeRoleResponse>> assume_role(aws::sts::AssumeRoleRequest in);
  Async<aws::Outcome<aws::sts::GetSessionTokenResponse>> get_session_token(const aws::RequestContext* context,
                                                                           aws::sts::GetSessionTokenRequest in);
  const Session* find(const std::string& access_key_id);
  aws::Outcome<aws::sts::Credentials> issue(Session session);
  std::string unique_id(std::string_view prefix, std::string_view of);

  System& system_;
  Logger& log_;
  std::map<std::string, Session> sessions_;  // by access key id
};

}  // namespace lambdad::sts
