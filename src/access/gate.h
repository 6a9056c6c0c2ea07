/// Every request passes here: who asks, and may they.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "access/identities.h"
#include "access/operations.h"
#include "access/root_key.h"
#include "access/sessions.h"
#include "aws/access.h"
#include "aws/dispatcher.h"
#include "base/arn.h"
#include "observe/log.h"
#include "ports/functions.h"
#include "system/system.h"

namespace lambdad::access {

enum class Mode {
  kOff,      ///< any signature, or none: an access key of 12 digits selects its account, any other the default one
  kVerify,   ///< every request is signed by a key that lambdad gave out; who signed may do everything
  kEnforce,  ///< and may do what policies allow
};

/// One per daemon. Signatures are judged on the machine's clock, which clients sign with; what expires, and
/// aws:CurrentTime, on AWS's clock, which users may move.
///
/// Within one account: see policy::decide(). Roles, users and queues of other accounts on this daemon count as such.
/// Ownership: borrows everything. Threading: the loop only.
class Gate final : public aws::AccessControl {
 public:
  struct Options {
    Mode mode = Mode::kOff;
    std::string default_account = "000000000000";
    /// With kVerify and kEnforce: the default account's root.
    std::optional<RootKey> root;
    /// The policy of a resource as JSON; empty: it has none.
    std::function<std::string(const Arn& resource)> resource_policy;
    /// The execution role of a function; empty: there is no such function.
    std::function<std::string(const ports::FunctionRef& function)> role_of_function;
  };
  Gate(System& system, Logger& log, Sessions& sessions, Options options);
  /// Before the first request.
  void set_identities(Identities& identities) { identities_ = &identities; }
  Mode mode() const { return options_.mode; }

  // aws::AccessControl. authorize() also makes sure, as AWS does, that a function's role may use the queue of a mapping
  // or the dead-letter queue that it is given: InvalidParameterValueException.
  aws::Outcome<aws::CallerPtr> authenticate(const http::Request& request, const aws::sigv4::Signature* signature,
                                            const aws::ServiceModel* service,
                                            const aws::OperationModel* operation) override;
  aws::Outcome<void> authorize(const aws::RequestContext& context, const aws::OperationModel& operation,
                               const json::Value& input) override;

  /// Whether `request` may run `function` through its URL; the caller, null when anonymous. `signature`: of the service
  /// lambda and the URL's Region; null for a URL with AuthType NONE, whose callers are anonymous. With kEnforce
  /// lambda:InvokeFunctionUrl, and lambda:InvokeFunction with lambda:InvokedViaFunctionUrl, are needed, as AWS wants
  /// since October 2025.
  aws::Outcome<aws::CallerPtr> admit_url(const http::Request& request, const aws::sigv4::Signature* signature,
                                         const ports::FunctionRef& function);

  /// Whether the service may assume the role: it exists and trusts the service. With kOff and kVerify always.
  bool service_may_assume(const std::string& role_arn, const std::string& service) const;
  /// Whether the role's own policies let it do `action` on `resource`. With kOff and kVerify always.
  bool role_may(const std::string& role_arn, const std::string& action, const std::string& resource);

  /// Credentials of the role for one execution environment of a function in `account`, for `valid`. Issued in every
  /// mode, also for a role that is not there: with kEnforce such a session may do nothing. They act in `account`
  /// whatever account the role's ARN names: with kOff people give functions roles of made-up accounts.
  Credentials issue_for_role(const std::string& role_arn, const std::string& account, const std::string& session_name,
                             Duration valid);

 private:
  struct Known {
    aws::CallerPtr caller;
    std::string secret;
    std::optional<WallTime> expires;
  };
  Known lenient(const aws::sigv4::Signature* signature, std::string_view token);
  aws::Outcome<Known> look_up(const aws::sigv4::Signature& signature, std::string_view token);
  std::shared_ptr<const Known> open(std::string_view token);
  std::optional<Grants> grants_of(const aws::Caller& caller) const;
  const std::string& signing_key(const aws::sigv4::Signature& signature, const std::string& secret);
  policy::DocumentPtr parsed(const std::string& text, policy::Kind kind);
  policy::Context keys_of(const aws::Caller* caller, const http::Headers& headers, std::string_view source_ip,
                          std::string_view region) const;
  policy::Reason decide(const aws::Caller* caller, const Asked& asked, policy::Context& keys,
                        policy::DocumentPtr trust);
  aws::Outcome<void> check_execution_role(const aws::RequestContext& context, std::string_view operation,
                                          const json::Value& input);
  aws::Outcome<void> decide_all(const aws::RequestContext& context, const Meaning& meaning, const json::Value& input);

  System& system_;
  Logger& log_;
  Sessions& sessions_;
  Options options_;
  Identities* identities_ = nullptr;
  std::unordered_map<std::string, aws::CallerPtr> accounts_;                   ///< kOff: callers by access key
  std::unordered_map<std::string, std::shared_ptr<const Known>> opened_;       ///< by token
  std::unordered_map<std::string, std::pair<std::string, std::string>> keys_;  ///< by scope: secret, derived key
  std::unordered_map<std::string, policy::DocumentPtr> documents_;             ///< by kind and text; null: malformed
};

}  // namespace lambdad::access
