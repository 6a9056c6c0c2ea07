/// Who a request comes from and whether it may: what the dispatcher asks before it runs an operation.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/error.h"
#include "aws/model.h"
#include "aws/sigv4.h"
#include "base/json.h"
#include "base/time.h"
#include "http/message.h"
#include "policy/decision.h"

namespace lambdad::aws {

struct RequestContext;

/// Whoever signed a request. Immutable once made.
struct Caller {
  policy::Principal principal;  ///< kRoot, kUser or kRoleSession
  std::string user_id;          ///< the account, "AIDA...", "AROA...:session"
  std::string user_name;        ///< of a user; empty otherwise
  std::string access_key_id;
  std::string role_name, role_id;                                 ///< of a role session
  std::vector<policy::DocumentPtr> session_policies;              ///< given when the session was made
  std::vector<std::pair<std::string, std::string>> session_tags;  ///< over those of the role
  std::string source_identity;
  bool temporary = false;  ///< the credentials have a session token
  WallTime issued{};       ///< of temporary credentials
};
using CallerPtr = std::shared_ptr<const Caller>;

/// Threading: the loop only. Outlives the dispatcher.
struct AccessControl {
  virtual ~AccessControl() = default;
  /// Who signed `request`. `signature` is null when it is not signed; `service` and `operation` are what it asks for,
  /// null when that is not known. Null: nobody, and that is allowed. Errors: those of sigv4::verify, and
  /// MissingAuthenticationToken, UnrecognizedClient, ExpiredToken, all 403.
  virtual Outcome<CallerPtr> authenticate(const http::Request& request, const sigv4::Signature* signature,
                                          const ServiceModel* service, const OperationModel* operation) = 0;
  /// Whether the caller in `context` may run `operation` with `input`, whose constraints hold. AccessDeniedException,
  /// 403, with AWS's text.
  virtual Outcome<void> authorize(const RequestContext& context, const OperationModel& operation,
                                  const json::Value& input) = 0;
};

}  // namespace lambdad::aws
