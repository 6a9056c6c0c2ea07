#include "access/gate.h"

#include <algorithm>

#include "base/encoding.h"
#include "ports/function_name.h"

namespace lambdad::access {
namespace {

using aws::sigv4::Signature;
using policy::Principal;

// Each cache is emptied when it is full: what is in use comes back within a request each.
constexpr std::size_t kCacheMax = 10'000;

template <class Map>
void make_room(Map& map) {
  if (map.size() >= kCacheMax) map.clear();
}

std::unexpected<aws::Error> refused(std::string type, std::string query_code, std::string message) {
  aws::Error error = aws::access_denied(std::move(type), std::move(message));
  error.query_code = std::move(query_code);
  return std::unexpected(std::move(error));
}

std::unexpected<aws::Error> unknown_key() {
  return refused("UnrecognizedClientException", "InvalidClientTokenId",
                 "The security token included in the request is invalid.");
}

/// AWS's authorisation layer writes "Message", unlike its authentication layer.
std::unexpected<aws::Error> denied(std::string message) {
  aws::Error error = aws::access_denied("AccessDeniedException", std::move(message));
  error.message_member = "Message";
  return std::unexpected(std::move(error));
}

aws::CallerPtr root_caller(const std::string& account, std::string access_key_id) {
  aws::Caller caller;
  caller.principal = {.type = Principal::Type::kRoot,
                      .account = account,
                      .arn = fmt::format("arn:aws:iam::{}:root", account),
                      .role_arn = {},
                      .name = {}};
  caller.user_id = account;
  caller.access_key_id = std::move(access_key_id);
  return std::make_shared<const aws::Caller>(std::move(caller));
}

aws::CallerPtr user_caller(const UserKey& key, std::string access_key_id) {
  aws::Caller caller;
  caller.principal = {
      .type = Principal::Type::kUser, .account = key.account, .arn = key.user_arn, .role_arn = {}, .name = {}};
  caller.user_id = key.user_id;
  caller.user_name = key.user_name;
  caller.access_key_id = std::move(access_key_id);
  return std::make_shared<const aws::Caller>(std::move(caller));
}

struct RoleName {
  std::string account, name;
};
std::optional<RoleName> role_of(const std::string& role_arn) {
  const auto arn = Arn::parse(role_arn);
  if (!arn || arn->service != "iam" || !arn->resource.starts_with("role/")) return std::nullopt;
  return RoleName{arn->account, arn->resource.substr(arn->resource.rfind('/') + 1)};
}

/// Tags in a request: a map, or a list of Key and Value.
void add_request_tags(policy::Context& keys, const json::Value& input) {
  const json::Value* tags = input.find("Tags");
  if (tags == nullptr) tags = input.find("tags");
  if (tags == nullptr) return;
  policy::Context::Values names;
  const auto add = [&](const std::string& name, const json::Value& value) {
    names.push_back(name);
    if (value.if_string() != nullptr) keys.set("aws:RequestTag/" + name, *value.if_string());
  };
  if (const json::Object* map = tags->if_object()) {
    for (const auto& [name, value] : *map) add(name, value);
  } else if (const json::Array* list = tags->if_array()) {
    for (const json::Value& each : *list) {
      const json::Value* name = each.find("Key");
      const json::Value* value = each.find("Value");
      if (name != nullptr && name->if_string() != nullptr && value != nullptr) add(*name->if_string(), *value);
    }
  }
  if (!names.empty()) keys.set("aws:TagKeys", std::move(names));
}

}  // namespace

Gate::Gate(System& system, Logger& log, Sessions& sessions, Options options)
    : system_(system), log_(log), sessions_(sessions), options_(std::move(options)) {
  LD_CHECK(options_.mode == Mode::kOff || options_.root, "nobody could sign the first request");
}

// --- who asks -------------------------------------------------------------------------------------------------------

std::shared_ptr<const Gate::Known> Gate::open(std::string_view token) {
  const auto place = opened_.find(std::string(token));
  if (place != opened_.end()) return place->second;
  auto opened = sessions_.open(token);
  if (!opened) return nullptr;
  Session& session = opened->session;
  aws::Caller caller;
  caller.principal = std::move(session.principal);
  caller.user_id = std::move(session.user_id);
  caller.user_name = std::move(session.user_name);
  caller.role_name = std::move(session.role_name);
  caller.role_id = std::move(session.role_id);
  caller.access_key_id = std::move(opened->access_key_id);
  caller.session_tags = std::move(session.tags);
  caller.source_identity = std::move(session.source_identity);
  caller.temporary = true;
  caller.issued = session.issued;
  for (const std::string& text : session.policies) {
    if (auto document = parsed(text, policy::Kind::kIdentity)) caller.session_policies.push_back(std::move(document));
  }
  auto known = std::make_shared<const Known>(Known{.caller = std::make_shared<const aws::Caller>(std::move(caller)),
                                                   .secret = std::move(opened->secret_access_key),
                                                   .expires = session.expires});
  make_room(opened_);
  return opened_.emplace(token, std::move(known)).first->second;
}

Gate::Known Gate::lenient(const Signature* signature, std::string_view token) {
  const std::string key = signature == nullptr ? std::string() : signature->access_key_id;
  if (!token.empty()) {
    if (auto known = open(token); known && known->caller->access_key_id == key) return *known;
  }
  if (const auto place = accounts_.find(key); place != accounts_.end()) return {.caller = place->second};
  auto account = aws::sigv4::account_of(key);
  if (!account) {
    if (auto user = identities_->find_key(key)) return {.caller = user_caller(*user, key)};
  }
  make_room(accounts_);
  auto caller = root_caller(account.value_or(options_.default_account), key);
  // Keys of this form may become a user's.
  if (account || !key.starts_with("AKIA")) accounts_.emplace(key, caller);
  return {.caller = std::move(caller)};
}

aws::Outcome<Gate::Known> Gate::look_up(const Signature& signature, std::string_view token) {
  const std::string& key = signature.access_key_id;
  if (!token.empty()) {
    auto known = open(token);
    if (!known || known->caller->access_key_id != key) return unknown_key();
    // Sessions end when they say, on the clock that users see.
    if (known->expires && system_.clock.wall() >= *known->expires) {
      return refused("ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired");
    }
    return *known;
  }
  if (options_.root && key == options_.root->access_key_id) {
    return Known{.caller = root_caller(options_.default_account, key), .secret = options_.root->secret_access_key};
  }
  auto user = identities_->find_key(key);
  if (!user || !user->active) return unknown_key();
  return Known{.caller = user_caller(*user, key), .secret = std::move(user->secret)};
}

const std::string& Gate::signing_key(const Signature& signature, const std::string& secret) {
  const std::string scope =
      fmt::format("{}/{}/{}/{}", signature.access_key_id, signature.date, signature.region, signature.service);
  if (!keys_.contains(scope)) make_room(keys_);
  auto& [held_secret, key] = keys_[scope];
  if (key.empty() || held_secret != secret) {
    held_secret = secret;
    key = aws::sigv4::derive_key(secret, signature.date, signature.region, signature.service);
  }
  return key;
}

aws::Outcome<aws::CallerPtr> Gate::authenticate(const http::Request& request, const Signature* signature,
                                                const aws::ServiceModel* service,
                                                const aws::OperationModel* operation) {
  LD_CHECK(identities_ != nullptr);
  const std::string token = signature == nullptr ? std::string() : session_token_of(request, *signature);
  if (options_.mode == Mode::kOff) return lenient(signature, token).caller;
  if (signature == nullptr) {
    if (operation != nullptr && is_open(service->name, operation->name)) return aws::CallerPtr();
    return refused("MissingAuthenticationTokenException", "MissingAuthenticationToken", "Missing Authentication Token");
  }
  if (service != nullptr && signature->service != service->signing_name) {
    return refused("InvalidSignatureException", "SignatureDoesNotMatch",
                   fmt::format("Credential should be scoped to correct service: '{}'. ", service->signing_name));
  }
  auto known = look_up(*signature, token);
  if (!known) return std::unexpected(std::move(known.error()));
  if (auto verified =
          verify_with_key(request, *signature, signing_key(*signature, known->secret), system_.host_clock.wall());
      !verified) {
    return std::unexpected(std::move(verified.error()));
  }
  const aws::Caller& caller = *known->caller;
  if (caller.principal.type == Principal::Type::kUser) {
    // A session of a user who has gone is worth nothing.
    if (caller.temporary && !identities_->user_grants(caller.principal.account, caller.user_name)) return unknown_key();
    if (!caller.temporary) identities_->key_used(caller.access_key_id, signature->service, signature->region);
  }
  if (options_.mode == Mode::kEnforce && caller.principal.type == Principal::Type::kRoleSession &&
      !identities_->role_grants(caller.principal.account, caller.role_name, caller.role_id)) {
    return unknown_key();
  }
  return std::move(known->caller);
}

// --- may they -------------------------------------------------------------------------------------------------------

policy::DocumentPtr Gate::parsed(const std::string& text, policy::Kind kind) {
  std::string name = fmt::format("{}{}", static_cast<int>(kind), text);
  if (const auto place = documents_.find(name); place != documents_.end()) return place->second;
  auto read = policy::parse(text, kind);
  if (!read) log_.warn("policy_unreadable", {{"reason", read.error().message}});
  make_room(documents_);
  auto document = read ? std::make_shared<const policy::Document>(std::move(*read)) : policy::DocumentPtr();
  documents_.emplace(std::move(name), document);
  return document;
}

std::optional<Grants> Gate::grants_of(const aws::Caller& caller) const {
  switch (caller.principal.type) {
    case Principal::Type::kUser: return identities_->user_grants(caller.principal.account, caller.user_name);
    case Principal::Type::kRoleSession:
      return identities_->role_grants(caller.principal.account, caller.role_name, caller.role_id);
    default: return Grants{};
  }
}

/// Source: IAM User Guide, "AWS global condition context keys".
policy::Context Gate::keys_of(const aws::Caller* caller, const http::Headers& headers, std::string_view source_ip,
                              std::string_view region) const {
  policy::Context keys;
  const WallTime now = system_.clock.wall();
  keys.set("aws:CurrentTime", format_iso8601(now));
  keys.set("aws:EpochTime", fmt::to_string(to_epoch_seconds(now)));
  if (!source_ip.empty()) keys.set("aws:SourceIp", std::string(source_ip));
  keys.set("aws:SecureTransport", "false");
  if (const auto agent = headers.get("user-agent")) keys.set("aws:UserAgent", std::string(*agent));
  if (const auto referer = headers.get("referer")) keys.set("aws:Referer", std::string(*referer));
  if (!region.empty()) keys.set("aws:RequestedRegion", std::string(region));
  keys.set("aws:ViaAWSService", "false");
  keys.set("aws:PrincipalIsAWSService", "false");
  if (caller == nullptr) {
    keys.set("aws:PrincipalType", "Anonymous");
    return keys;
  }
  const Principal& principal = caller->principal;
  const bool role = principal.type == Principal::Type::kRoleSession;
  keys.set("aws:PrincipalArn", role ? principal.role_arn : principal.arn);
  keys.set("aws:PrincipalAccount", principal.account);
  keys.set("aws:PrincipalType", principal.type == Principal::Type::kRoot ? "Account" : role ? "AssumedRole" : "User");
  keys.set("aws:userid", caller->user_id);
  if (!caller->user_name.empty()) keys.set("aws:username", caller->user_name);
  if (!caller->source_identity.empty()) keys.set("aws:SourceIdentity", caller->source_identity);
  if (caller->temporary) {
    keys.set("aws:TokenIssueTime", format_iso8601(caller->issued));
    keys.set("aws:MultiFactorAuthPresent", "false");
  }
  return keys;
}

policy::Reason Gate::decide(const aws::Caller* caller, const Asked& asked, policy::Context& keys,
                            policy::DocumentPtr trust) {
  static const Principal kAnonymous;
  policy::Policies policies;
  if (caller != nullptr) {
    auto grants = grants_of(*caller);
    if (!grants) return policy::Reason::kNotAllowedByIdentity;
    for (const auto& [name, value] : grants->tags) keys.set("aws:PrincipalTag/" + name, value);
    for (const auto& [name, value] : caller->session_tags) keys.set("aws:PrincipalTag/" + name, value);
    policies.identity = std::move(grants->identity);
    policies.boundary = std::move(grants->boundary);
    policies.session = caller->session_policies;
  }
  for (const auto& [key, value] : asked.keys) keys.set(key, value);
  if (!asked.resource_account.empty()) keys.set("aws:ResourceAccount", asked.resource_account);
  policies.resource_account = asked.resource_account;
  if (trust) {
    policies.resource = std::move(trust);
    policies.resource_must_allow = true;
  } else if (const auto arn = Arn::parse(asked.resource); arn && options_.resource_policy) {
    if (const std::string text = options_.resource_policy(*arn); !text.empty()) {
      policies.resource = parsed(text, policy::Kind::kResource);
    }
  }
  return policy::decide({caller == nullptr ? kAnonymous : caller->principal, asked.action, asked.resource, keys},
                        policies)
      .reason;
}

aws::Outcome<void> Gate::authorize(const aws::RequestContext& context, const aws::OperationModel& operation,
                                   const json::Value& input) {
  if (options_.mode != Mode::kEnforce) return {};
  if (auto allowed = decide_all(context, meaning_of(context, operation.name, input, *identities_), input); !allowed) {
    return allowed;
  }
  return context.service == "lambda" ? check_execution_role(context, operation.name, input) : aws::Outcome<void>();
}

aws::Outcome<void> Gate::check_execution_role(const aws::RequestContext& context, std::string_view operation,
                                              const json::Value& input) {
  const auto text = [](const json::Value* in, std::string_view name) {
    const json::Value* value = in == nullptr ? nullptr : in->find(name);
    return value != nullptr && value->if_string() != nullptr ? *value->if_string() : std::string();
  };
  std::string resource;
  std::vector<std::string_view> actions;
  if (operation == "CreateEventSourceMapping") {
    resource = text(&input, "EventSourceArn");
    actions = {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"};
  } else if (operation == "CreateFunction" || operation == "UpdateFunctionConfiguration") {
    resource = text(input.find("DeadLetterConfig"), "TargetArn");
    actions = {"SendMessage"};
  }
  const auto arn = Arn::parse(resource);
  if (!arn || arn->service != "sqs") return {};
  std::string role = text(&input, "Role");
  if (role.empty() && options_.role_of_function) {
    const auto function = ports::parse_function_name(text(&input, "FunctionName"), context.account, context.region);
    if (function) role = options_.role_of_function(*function);
  }
  if (role.empty()) return {};  // the operation itself says that there is no such function
  for (const std::string_view action : actions) {
    if (role_may(role, fmt::format("sqs:{}", action), resource)) continue;
    aws::Error error = aws::validation_error(
        fmt::format("The provided execution role does not have permissions to call {} on SQS", action));
    error.type = "InvalidParameterValueException";
    error.query_code.clear();
    error.has_type_member = true;
    return std::unexpected(std::move(error));
  }
  return {};
}

aws::Outcome<void> Gate::decide_all(const aws::RequestContext& context, const Meaning& meaning,
                                    const json::Value& input) {
  LD_CHECK(context.caller != nullptr);
  const aws::Caller& caller = *context.caller;
  if (meaning.kind == Meaning::Kind::kFree) return {};
  if (meaning.kind == Meaning::Kind::kUnknown) {
    return denied(
        fmt::format("User: {} is not authorized to perform: {}:{} because lambdad does not know which "
                    "permission that needs",
                    caller.principal.arn, context.service, context.operation));
  }
  for (const Asked& asked : meaning.asked) {
    policy::Context keys = keys_of(&caller, context.headers, context.source_ip, context.region);
    add_request_tags(keys, input);
    policy::DocumentPtr trust;
    const bool assume = asked.action.starts_with("sts:");
    if (assume) {
      const auto role = role_of(asked.resource);
      const auto facts = role ? identities_->find_role(role->account, role->name) : std::nullopt;
      if (facts && facts->arn == asked.resource) trust = facts->trust;
    } else if (asked.action == "iam:PassRole" && asked.resource_account.empty()) {
      if (const auto arn = Arn::parse(asked.resource); arn && arn->account != caller.principal.account) {
        return denied("Cross-account pass role is not allowed.");
      }
    }
    // Who may assume a role that is not there is not said: the answer is the same as for one that trusts others.
    const policy::Reason reason =
        assume && !trust ? policy::Reason::kNotAllowedByResource : decide(&caller, asked, keys, std::move(trust));
    if (reason == policy::Reason::kAllowed) continue;
    // SQS writes its actions in lower case.
    const std::string action = asked.action.starts_with("sqs:") ? to_lower(asked.action) : asked.action;
    const std::string who =
        fmt::format("User: {} is not authorized to perform: {} on resource: {}", caller.principal.arn, action,
                    asked.shown.empty() ? asked.resource : asked.shown);
    return denied(assume ? who : fmt::format("{} {}", who, policy::explain(reason, action)));
  }
  return {};
}

aws::Outcome<aws::CallerPtr> Gate::admit_url(const http::Request& request, const Signature* signature,
                                             const ports::FunctionRef& function) {
  aws::CallerPtr caller;
  if (signature != nullptr) {
    auto known = authenticate(request, signature, nullptr, nullptr);
    if (!known) return std::unexpected(std::move(known.error()));
    caller = std::move(*known);
  }
  if (options_.mode != Mode::kEnforce) return caller;
  policy::Context keys = keys_of(caller.get(), request.headers, request.peer_address, function.region);
  keys.set("lambda:FunctionUrlAuthType", signature == nullptr ? "NONE" : "AWS_IAM");
  Asked asked{.action = "lambda:InvokeFunctionUrl",
              .resource = function.arn().str(),
              .shown = {},
              .resource_account = function.account,
              .keys = {}};
  policy::Reason reason = decide(caller.get(), asked, keys, nullptr);
  if (reason == policy::Reason::kAllowed) {
    asked.action = "lambda:InvokeFunction";
    asked.keys = {{"lambda:InvokedViaFunctionUrl", "true"}};
    reason = decide(caller.get(), asked, keys, nullptr);
  }
  if (reason != policy::Reason::kAllowed) {
    return denied(fmt::format("User: {} is not authorized to perform: {} on resource: {} {}",
                              caller ? caller->principal.arn : "anonymous", asked.action, asked.resource,
                              policy::explain(reason, asked.action)));
  }
  return caller;
}

bool Gate::service_may_assume(const std::string& role_arn, const std::string& service) const {
  if (options_.mode != Mode::kEnforce) return true;
  const auto role = role_of(role_arn);
  const auto facts = role ? identities_->find_role(role->account, role->name) : std::nullopt;
  if (!facts || facts->arn != role_arn || !facts->trust) return false;
  const Principal principal{
      .type = Principal::Type::kService, .account = {}, .arn = {}, .role_arn = {}, .name = service};
  policy::Policies policies;
  policies.resource = facts->trust;
  const policy::Context keys;
  return policy::decide({principal, "sts:AssumeRole", role_arn, keys}, policies).allowed();
}

bool Gate::role_may(const std::string& role_arn, const std::string& action, const std::string& resource) {
  if (options_.mode != Mode::kEnforce) return true;
  const auto role = role_of(role_arn);
  const auto facts = role ? identities_->find_role(role->account, role->name) : std::nullopt;
  if (!facts || facts->arn != role_arn) return false;
  aws::Caller caller;
  caller.principal = {.type = Principal::Type::kRoleSession,
                      .account = role->account,
                      .arn = fmt::format("arn:aws:sts::{}:assumed-role/{}/lambdad", role->account, role->name),
                      .role_arn = role_arn,
                      .name = {}};
  caller.role_name = role->name;
  caller.role_id = facts->id;
  const auto arn = Arn::parse(resource);
  const Asked asked{.action = action,
                    .resource = resource,
                    .shown = {},
                    .resource_account = arn ? arn->account : std::string(),
                    .keys = {}};
  policy::Context keys = keys_of(&caller, {}, {}, arn ? arn->region : std::string());
  return decide(&caller, asked, keys, nullptr) == policy::Reason::kAllowed;
}

Credentials Gate::issue_for_role(const std::string& role_arn, const std::string& account,
                                 const std::string& session_name, Duration valid) {
  const auto role = role_of(role_arn);
  const std::string name = role ? role->name : "unknown";
  const auto facts = role && identities_ != nullptr ? identities_->find_role(account, name) : std::nullopt;
  const WallTime now = std::chrono::floor<std::chrono::seconds>(system_.clock.wall());
  Session session;
  session.principal = {.type = Principal::Type::kRoleSession,
                       .account = account,
                       .arn = fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", account, name, session_name),
                       .role_arn = role_arn,
                       .name = {}};
  session.role_name = name;
  session.role_id = facts ? facts->id : std::string();
  session.user_id = fmt::format("{}:{}", facts ? facts->id : role_arn, session_name);
  session.issued = now;
  session.expires = now + valid;
  return sessions_.issue(std::move(session));
}

}  // namespace lambdad::access
