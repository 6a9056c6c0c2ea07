#include "access/operations.h"

#include <algorithm>
#include <optional>
#include <span>

#include "base/arn.h"
#include "base/encoding.h"
#include "ports/function_name.h"

namespace lambdad::access {
namespace {

/// How the resource is found in the input. `member` and `second` are names of members.
enum class On {
  kFree,      ///< needs no permission
  kAll,       ///< "*"
  kArn,       ///< member, or `second`, is an ARN
  kFunction,  ///< member names a function, `second` a qualifier
  kLayer,     ///< member names a layer, `second` a version
  kMapping,   ///< member is the UUID of an event source mapping
  kQueueUrl,
  kQueueName,
  kQueues,    ///< all queues of account and region
  kLogGroup,  ///< member names a group, `second` a stream
  kLogGroups,
  kTopicName,
  kRepository,  ///< member names one; absent: all of account and region
  kUser,        ///< member names a user; absent: the caller
  kNewUser,     ///< the same; `second` is a path
  kRole,
  kNewRole,
  kGroup,
  kNewGroup,
  kNewPolicy,
};

struct Rule {
  std::string_view operation;
  On on;
  std::string_view member = {};
  std::string_view second = {};
  std::string_view action = {};  ///< when it is not named as the operation
  bool open = false;             ///< see is_open()
};

constexpr Rule kLambda[] = {
    {"AddLayerVersionPermission", On::kLayer, "LayerName", "VersionNumber"},
    {"AddPermission", On::kFunction, "FunctionName", "Qualifier"},
    {"CreateAlias", On::kFunction, "FunctionName"},
    {"CreateCodeSigningConfig", On::kAll},
    {"CreateEventSourceMapping", On::kAll},
    {"CreateFunction", On::kFunction, "FunctionName"},
    {"CreateFunctionUrlConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"DeleteAlias", On::kFunction, "FunctionName"},
    {"DeleteCodeSigningConfig", On::kArn, "CodeSigningConfigArn"},
    {"DeleteEventSourceMapping", On::kMapping, "UUID"},
    {"DeleteFunction", On::kFunction, "FunctionName", "Qualifier"},
    {"DeleteFunctionCodeSigningConfig", On::kFunction, "FunctionName"},
    {"DeleteFunctionConcurrency", On::kFunction, "FunctionName"},
    {"DeleteFunctionEventInvokeConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"DeleteFunctionUrlConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"DeleteLayerVersion", On::kLayer, "LayerName", "VersionNumber"},
    {"DeleteProvisionedConcurrencyConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"GetAccountSettings", On::kAll},
    {"GetAlias", On::kFunction, "FunctionName"},
    {"GetCodeSigningConfig", On::kArn, "CodeSigningConfigArn"},
    {"GetEventSourceMapping", On::kMapping, "UUID"},
    {"GetFunction", On::kFunction, "FunctionName", "Qualifier"},
    {"GetFunctionCodeSigningConfig", On::kFunction, "FunctionName"},
    {"GetFunctionConcurrency", On::kFunction, "FunctionName"},
    {"GetFunctionConfiguration", On::kFunction, "FunctionName", "Qualifier"},
    {"GetFunctionEventInvokeConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"GetFunctionRecursionConfig", On::kFunction, "FunctionName"},
    {"GetFunctionUrlConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"GetLayerVersion", On::kLayer, "LayerName", "VersionNumber"},
    {"GetLayerVersionByArn", On::kArn, "Arn", {}, "lambda:GetLayerVersion"},
    {"GetLayerVersionPolicy", On::kLayer, "LayerName", "VersionNumber"},
    {"GetPolicy", On::kFunction, "FunctionName", "Qualifier"},
    {"GetProvisionedConcurrencyConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"GetRuntimeManagementConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"Invoke", On::kFunction, "FunctionName", "Qualifier", "lambda:InvokeFunction"},
    {"InvokeAsync", On::kFunction, "FunctionName", {}, "lambda:InvokeFunction"},
    {"InvokeWithResponseStream", On::kFunction, "FunctionName", "Qualifier", "lambda:InvokeFunction"},
    {"ListAliases", On::kFunction, "FunctionName"},
    {"ListCodeSigningConfigs", On::kAll},
    {"ListEventSourceMappings", On::kAll},
    {"ListFunctionEventInvokeConfigs", On::kFunction, "FunctionName"},
    {"ListFunctionUrlConfigs", On::kFunction, "FunctionName"},
    {"ListFunctions", On::kAll},
    {"ListFunctionsByCodeSigningConfig", On::kArn, "CodeSigningConfigArn"},
    {"ListLayerVersions", On::kAll},
    {"ListLayers", On::kAll},
    {"ListProvisionedConcurrencyConfigs", On::kFunction, "FunctionName"},
    {"ListTags", On::kArn, "Resource"},
    {"ListVersionsByFunction", On::kFunction, "FunctionName"},
    {"PublishLayerVersion", On::kLayer, "LayerName"},
    {"PublishVersion", On::kFunction, "FunctionName"},
    {"PutFunctionCodeSigningConfig", On::kFunction, "FunctionName"},
    {"PutFunctionConcurrency", On::kFunction, "FunctionName"},
    {"PutFunctionEventInvokeConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"PutFunctionRecursionConfig", On::kFunction, "FunctionName"},
    {"PutProvisionedConcurrencyConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"PutRuntimeManagementConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"RemoveLayerVersionPermission", On::kLayer, "LayerName", "VersionNumber"},
    {"RemovePermission", On::kFunction, "FunctionName", "Qualifier"},
    {"TagResource", On::kArn, "Resource"},
    {"UntagResource", On::kArn, "Resource"},
    {"UpdateAlias", On::kFunction, "FunctionName"},
    {"UpdateCodeSigningConfig", On::kArn, "CodeSigningConfigArn"},
    {"UpdateEventSourceMapping", On::kMapping, "UUID"},
    {"UpdateFunctionCode", On::kFunction, "FunctionName"},
    {"UpdateFunctionConfiguration", On::kFunction, "FunctionName"},
    {"UpdateFunctionEventInvokeConfig", On::kFunction, "FunctionName", "Qualifier"},
    {"UpdateFunctionUrlConfig", On::kFunction, "FunctionName", "Qualifier"},
};

constexpr Rule kSqs[] = {
    {"AddPermission", On::kQueueUrl, "QueueUrl"},
    {"CancelMessageMoveTask", On::kQueues},
    {"ChangeMessageVisibility", On::kQueueUrl, "QueueUrl"},
    {"ChangeMessageVisibilityBatch", On::kQueueUrl, "QueueUrl", {}, "sqs:ChangeMessageVisibility"},
    {"CreateQueue", On::kQueueName, "QueueName"},
    {"DeleteMessage", On::kQueueUrl, "QueueUrl"},
    {"DeleteMessageBatch", On::kQueueUrl, "QueueUrl", {}, "sqs:DeleteMessage"},
    {"DeleteQueue", On::kQueueUrl, "QueueUrl"},
    {"GetQueueAttributes", On::kQueueUrl, "QueueUrl"},
    {"GetQueueUrl", On::kQueueName, "QueueName", "QueueOwnerAWSAccountId"},
    {"ListDeadLetterSourceQueues", On::kQueueUrl, "QueueUrl"},
    {"ListMessageMoveTasks", On::kArn, "SourceArn"},
    {"ListQueueTags", On::kQueueUrl, "QueueUrl"},
    {"ListQueues", On::kQueues},
    {"PurgeQueue", On::kQueueUrl, "QueueUrl"},
    {"ReceiveMessage", On::kQueueUrl, "QueueUrl"},
    {"RemovePermission", On::kQueueUrl, "QueueUrl"},
    {"SendMessage", On::kQueueUrl, "QueueUrl"},
    {"SendMessageBatch", On::kQueueUrl, "QueueUrl", {}, "sqs:SendMessage"},
    {"SetQueueAttributes", On::kQueueUrl, "QueueUrl"},
    {"StartMessageMoveTask", On::kArn, "SourceArn"},
    {"TagQueue", On::kQueueUrl, "QueueUrl"},
    {"UntagQueue", On::kQueueUrl, "QueueUrl"},
};

constexpr Rule kLogs[] = {
    {"CreateLogGroup", On::kLogGroup, "logGroupName"},
    {"CreateLogStream", On::kLogGroup, "logGroupName"},
    {"DeleteLogGroup", On::kLogGroup, "logGroupName"},
    {"DeleteLogStream", On::kLogGroup, "logGroupName", "logStreamName"},
    {"DeleteRetentionPolicy", On::kLogGroup, "logGroupName"},
    {"DescribeLogGroups", On::kLogGroups},
    {"DescribeLogStreams", On::kLogGroup, "logGroupName"},
    {"FilterLogEvents", On::kLogGroup, "logGroupName"},
    {"GetLogEvents", On::kLogGroup, "logGroupName", "logStreamName"},
    {"ListTagsForResource", On::kArn, "resourceArn"},
    {"ListTagsLogGroup", On::kLogGroup, "logGroupName"},
    {"PutLogEvents", On::kLogGroup, "logGroupName", "logStreamName"},
    {"PutRetentionPolicy", On::kLogGroup, "logGroupName"},
    {"StartLiveTail", On::kLogGroups},
    {"TagLogGroup", On::kLogGroup, "logGroupName"},
    {"TagResource", On::kArn, "resourceArn"},
    {"UntagLogGroup", On::kLogGroup, "logGroupName"},
    {"UntagResource", On::kArn, "resourceArn"},
};

constexpr Rule kSns[] = {
    {"AddPermission", On::kArn, "TopicArn"},
    {"ConfirmSubscription", On::kArn, "TopicArn", {}, {}, true},
    {"CreateTopic", On::kTopicName, "Name"},
    {"DeleteTopic", On::kArn, "TopicArn"},
    {"GetSubscriptionAttributes", On::kAll},
    {"GetTopicAttributes", On::kArn, "TopicArn"},
    {"ListSubscriptions", On::kAll},
    {"ListSubscriptionsByTopic", On::kArn, "TopicArn"},
    {"ListTagsForResource", On::kArn, "ResourceArn"},
    {"ListTopics", On::kAll},
    {"Publish", On::kArn, "TopicArn", "TargetArn"},
    {"PublishBatch", On::kArn, "TopicArn", {}, "sns:Publish"},
    {"RemovePermission", On::kArn, "TopicArn"},
    {"SetSubscriptionAttributes", On::kAll},
    {"SetTopicAttributes", On::kArn, "TopicArn"},
    {"Subscribe", On::kArn, "TopicArn"},
    {"TagResource", On::kArn, "ResourceArn"},
    {"Unsubscribe", On::kAll, {}, {}, {}, true},
    {"UntagResource", On::kArn, "ResourceArn"},
};

constexpr Rule kEcr[] = {
    {"BatchCheckLayerAvailability", On::kRepository, "repositoryName"},
    {"BatchDeleteImage", On::kRepository, "repositoryName"},
    {"BatchGetImage", On::kRepository, "repositoryName"},
    {"CreateRepository", On::kRepository, "repositoryName"},
    {"DeleteRepository", On::kRepository, "repositoryName"},
    {"DescribeImages", On::kRepository, "repositoryName"},
    {"DescribeRepositories", On::kRepository},
    {"GetAuthorizationToken", On::kAll},
    {"ListImages", On::kRepository, "repositoryName"},
    {"ListTagsForResource", On::kArn, "resourceArn"},
    {"PutImage", On::kRepository, "repositoryName"},
    {"TagResource", On::kArn, "resourceArn"},
    {"UntagResource", On::kArn, "resourceArn"},
};

constexpr Rule kSts[] = {
    {"AssumeRole", On::kArn, "RoleArn"},
    {"GetCallerIdentity", On::kFree},
    {"GetSessionToken", On::kFree},
};

constexpr Rule kIam[] = {
    {"AddUserToGroup", On::kGroup, "GroupName"},
    {"AttachGroupPolicy", On::kGroup, "GroupName"},
    {"AttachRolePolicy", On::kRole, "RoleName"},
    {"AttachUserPolicy", On::kUser, "UserName"},
    {"CreateAccessKey", On::kUser, "UserName"},
    {"CreateGroup", On::kNewGroup, "GroupName", "Path"},
    {"CreatePolicy", On::kNewPolicy, "PolicyName", "Path"},
    {"CreatePolicyVersion", On::kArn, "PolicyArn"},
    {"CreateRole", On::kNewRole, "RoleName", "Path"},
    {"CreateUser", On::kNewUser, "UserName", "Path"},
    {"DeleteAccessKey", On::kUser, "UserName"},
    {"DeleteGroup", On::kGroup, "GroupName"},
    {"DeleteGroupPolicy", On::kGroup, "GroupName"},
    {"DeletePolicy", On::kArn, "PolicyArn"},
    {"DeletePolicyVersion", On::kArn, "PolicyArn"},
    {"DeleteRole", On::kRole, "RoleName"},
    {"DeleteRolePermissionsBoundary", On::kRole, "RoleName"},
    {"DeleteRolePolicy", On::kRole, "RoleName"},
    {"DeleteUser", On::kUser, "UserName"},
    {"DeleteUserPermissionsBoundary", On::kUser, "UserName"},
    {"DeleteUserPolicy", On::kUser, "UserName"},
    {"DetachGroupPolicy", On::kGroup, "GroupName"},
    {"DetachRolePolicy", On::kRole, "RoleName"},
    {"DetachUserPolicy", On::kUser, "UserName"},
    {"GetAccessKeyLastUsed", On::kAll},
    {"GetGroup", On::kGroup, "GroupName"},
    {"GetGroupPolicy", On::kGroup, "GroupName"},
    {"GetPolicy", On::kArn, "PolicyArn"},
    {"GetPolicyVersion", On::kArn, "PolicyArn"},
    {"GetRole", On::kRole, "RoleName"},
    {"GetRolePolicy", On::kRole, "RoleName"},
    {"GetUser", On::kUser, "UserName"},
    {"GetUserPolicy", On::kUser, "UserName"},
    {"ListAccessKeys", On::kUser, "UserName"},
    {"ListAttachedGroupPolicies", On::kGroup, "GroupName"},
    {"ListAttachedRolePolicies", On::kRole, "RoleName"},
    {"ListAttachedUserPolicies", On::kUser, "UserName"},
    {"ListEntitiesForPolicy", On::kArn, "PolicyArn"},
    {"ListGroupPolicies", On::kGroup, "GroupName"},
    {"ListGroups", On::kAll},
    {"ListGroupsForUser", On::kUser, "UserName"},
    {"ListInstanceProfilesForRole", On::kRole, "RoleName"},
    {"ListPolicies", On::kAll},
    {"ListPolicyTags", On::kArn, "PolicyArn"},
    {"ListPolicyVersions", On::kArn, "PolicyArn"},
    {"ListRolePolicies", On::kRole, "RoleName"},
    {"ListRoleTags", On::kRole, "RoleName"},
    {"ListRoles", On::kAll},
    {"ListUserPolicies", On::kUser, "UserName"},
    {"ListUserTags", On::kUser, "UserName"},
    {"ListUsers", On::kAll},
    {"PutGroupPolicy", On::kGroup, "GroupName"},
    {"PutRolePermissionsBoundary", On::kRole, "RoleName"},
    {"PutRolePolicy", On::kRole, "RoleName"},
    {"PutUserPermissionsBoundary", On::kUser, "UserName"},
    {"PutUserPolicy", On::kUser, "UserName"},
    {"RemoveUserFromGroup", On::kGroup, "GroupName"},
    {"SetDefaultPolicyVersion", On::kArn, "PolicyArn"},
    {"TagPolicy", On::kArn, "PolicyArn"},
    {"TagRole", On::kRole, "RoleName"},
    {"TagUser", On::kUser, "UserName"},
    {"UntagPolicy", On::kArn, "PolicyArn"},
    {"UntagRole", On::kRole, "RoleName"},
    {"UntagUser", On::kUser, "UserName"},
    {"UpdateAccessKey", On::kUser, "UserName"},
    {"UpdateAssumeRolePolicy", On::kRole, "RoleName"},
    {"UpdateGroup", On::kGroup, "GroupName"},
    {"UpdateRole", On::kRole, "RoleName"},
    {"UpdateRoleDescription", On::kRole, "RoleName"},
    {"UpdateUser", On::kUser, "UserName"},
};

constexpr bool sorted(std::span<const Rule> rules) { return std::ranges::is_sorted(rules, {}, &Rule::operation); }
static_assert(sorted(kLambda) && sorted(kSqs) && sorted(kLogs) && sorted(kSns) && sorted(kEcr) && sorted(kSts) &&
              sorted(kIam));

std::span<const Rule> rules_of(std::string_view service) {
  if (service == "lambda") return kLambda;
  if (service == "sqs") return kSqs;
  if (service == "logs") return kLogs;
  if (service == "sns") return kSns;
  if (service == "ecr") return kEcr;
  if (service == "sts") return kSts;
  if (service == "iam") return kIam;
  return {};
}

const Rule* find_rule(std::string_view service, std::string_view operation) {
  const auto rules = rules_of(service);
  const auto place = std::ranges::lower_bound(rules, operation, {}, &Rule::operation);
  return place != rules.end() && place->operation == operation ? &*place : nullptr;
}

/// The input's members as text; empty when absent.
struct Members {
  const json::Value& input;
  std::string operator()(std::string_view name) const {
    const json::Value* value = name.empty() ? nullptr : input.find(name);
    if (value == nullptr) return {};
    if (const std::string* text = value->if_string()) return *text;
    if (const json::Number* number = value->if_number()) return number->text;
    return {};
  }
};

std::string function_arn(const aws::RequestContext& context, const std::string& name, const std::string& qualifier) {
  auto ref = ports::parse_function_name(name, context.account, context.region);
  if (!ref) return "*";
  if (ref->qualifier.empty()) ref->qualifier = qualifier;
  return ref->arn().str();
}

std::string layer_arn(const aws::RequestContext& context, const std::string& name, const std::string& version) {
  std::string arn = name.starts_with("arn:")
                        ? name
                        : fmt::format("arn:aws:lambda:{}:{}:layer:{}", context.region, context.account, name);
  if (!version.empty()) arn += ":" + version;
  return arn;
}

/// http://host/ACCOUNT/NAME; in any other form the caller's account and the last part of the path.
std::string queue_arn(const aws::RequestContext& context, std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  const std::size_t slash = url.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? url : url.substr(slash + 1);
  std::string account = context.account;
  if (slash != std::string_view::npos) {
    const std::string_view before = url.substr(0, slash);
    const std::string_view candidate = before.substr(before.rfind('/') + 1);
    if (candidate.size() == 12 && std::ranges::all_of(candidate, [](char c) { return c >= '0' && c <= '9'; })) {
      account = candidate;
    }
  }
  return fmt::format("arn:aws:sqs:{}:{}:{}", context.region, account, name);
}

std::string new_iam_arn(const aws::RequestContext& context, std::string_view kind, std::string path,
                        const std::string& name) {
  if (path.empty()) path = "/";
  return fmt::format("arn:aws:iam::{}:{}{}{}", context.account, kind, path, name);
}

void on_iam(Asked& asked, const aws::RequestContext& context, const Identities& identities, std::string_view kind,
            const std::string& name) {
  asked.resource = identities.arn_of(kind, context.account, name);
  asked.shown = fmt::format("{} {}", kind, name);
}

void find_resource(Asked& asked, const Rule& rule, const aws::RequestContext& context, const Members& member,
                   const Identities& identities) {
  const std::string first = member(rule.member), second = member(rule.second);
  switch (rule.on) {
    case On::kFree:
    case On::kAll: return;
    case On::kArn: asked.resource = first.empty() ? second : first; return;
    case On::kTopicName:
      asked.resource = fmt::format("arn:aws:sns:{}:{}:{}", context.region, context.account, first);
      return;
    case On::kRepository:
      asked.resource =
          fmt::format("arn:aws:ecr:{}:{}:repository/{}", context.region, context.account, first.empty() ? "*" : first);
      return;
    case On::kFunction: asked.resource = function_arn(context, first, second); return;
    case On::kLayer: asked.resource = layer_arn(context, first, second); return;
    case On::kMapping:
      asked.resource =
          fmt::format("arn:aws:lambda:{}:{}:event-source-mapping:{}", context.region, context.account, first);
      return;
    case On::kQueueUrl: asked.resource = queue_arn(context, first); return;
    case On::kQueueName:
      asked.resource =
          fmt::format("arn:aws:sqs:{}:{}:{}", context.region, second.empty() ? context.account : second, first);
      return;
    case On::kQueues: asked.resource = fmt::format("arn:aws:sqs:{}:{}:*", context.region, context.account); return;
    case On::kLogGroup: {
      std::string group = first.empty() ? member("logGroupIdentifier") : first;
      constexpr std::string_view kPrefix = "log-group:";
      if (const auto arn = Arn::parse(group); arn && arn->resource.starts_with(kPrefix)) {
        group = arn->resource.substr(kPrefix.size());
      }
      asked.resource =
          fmt::format("arn:aws:logs:{}:{}:log-group:{}:log-stream:{}", context.region, context.account, group, second);
      return;
    }
    case On::kLogGroups:
      asked.resource = fmt::format("arn:aws:logs:{}:{}:log-group::log-stream:", context.region, context.account);
      return;
    case On::kUser: {
      const std::string name = !first.empty() ? first : context.caller ? context.caller->user_name : std::string();
      if (!name.empty()) on_iam(asked, context, identities, "user", name);
      return;
    }
    case On::kRole: on_iam(asked, context, identities, "role", first); return;
    case On::kGroup:
      on_iam(asked, context, identities, "group", first);
      asked.shown = fmt::format("group {}", first);
      return;
    case On::kNewUser: asked.resource = new_iam_arn(context, "user", second, first); return;
    case On::kNewRole: asked.resource = new_iam_arn(context, "role", second, first); return;
    case On::kNewGroup: asked.resource = new_iam_arn(context, "group", second, first); return;
    case On::kNewPolicy: asked.resource = new_iam_arn(context, "policy", second, first); return;
  }
}

/// Giving a function a role needs iam:PassRole on that role.
void add_pass_role(std::vector<Asked>& asked, std::string_view service, std::string_view operation,
                   const Members& member) {
  const bool passes =
      service == "lambda" && (operation == "CreateFunction" || operation == "UpdateFunctionConfiguration");
  const std::string role = passes ? member("Role") : std::string();
  if (role.empty()) return;
  asked.push_back({.action = "iam:PassRole",
                   .resource = role,
                   .shown = {},
                   .resource_account = {},
                   .keys = {{"iam:PassedToService", "lambda.amazonaws.com"}}});
}

/// Session tags and a source identity are permissions of their own on the role.
void add_session_permissions(std::vector<Asked>& asked, std::string_view service, std::string_view operation,
                             const json::Value& input, const Members& member) {
  if (service != "sts" || operation != "AssumeRole") return;
  const json::Value* tags = input.find("Tags");
  const Asked role = asked.front();
  const auto add = [&](std::string_view action) {
    asked.push_back(role);
    asked.back().action = action;
  };
  if (tags != nullptr && tags->if_array() != nullptr && !tags->if_array()->empty()) add("sts:TagSession");
  if (!member("SourceIdentity").empty()) add("sts:SetSourceIdentity");
}

/// Keys of single operations. Source: Service Authorization Reference, condition keys.
void add_keys(Asked& asked, const aws::RequestContext& context, std::string_view operation, const Members& member) {
  const auto add = [&](std::string_view key, std::string value) {
    if (!value.empty()) asked.keys.emplace_back(key, std::move(value));
  };
  if (context.service == "sts" && operation == "AssumeRole") {
    add("sts:ExternalId", member("ExternalId"));
    add("sts:RoleSessionName", member("RoleSessionName"));
    add("sts:SourceIdentity", member("SourceIdentity"));
  } else if (context.service == "lambda") {
    if (operation == "AddPermission") add("lambda:Principal", member("Principal"));
    if (operation == "CreateEventSourceMapping" || operation == "UpdateEventSourceMapping") {
      const std::string function = member("FunctionName");
      if (!function.empty()) add("lambda:FunctionArn", function_arn(context, function, {}));
    }
    if (operation.ends_with("FunctionUrlConfig")) add("lambda:FunctionUrlAuthType", member("AuthType"));
  } else if (context.service == "iam") {
    add("iam:PermissionsBoundary", member("PermissionsBoundary"));
    if (operation.starts_with("Attach") || operation.starts_with("Detach")) add("iam:PolicyARN", member("PolicyArn"));
  }
}

}  // namespace

bool has_meaning(std::string_view service, std::string_view operation) {
  return find_rule(service, operation) != nullptr;
}

bool is_open(std::string_view service, std::string_view operation) {
  const Rule* rule = find_rule(service, operation);
  return rule != nullptr && rule->open;
}

Meaning meaning_of(const aws::RequestContext& context, std::string_view operation, const json::Value& input,
                   const Identities& identities) {
  const Rule* rule = find_rule(context.service, operation);
  if (rule == nullptr) return {};
  if (rule->on == On::kFree) return {.kind = Meaning::Kind::kFree, .asked = {}};
  const Members member{input};
  Asked asked;
  asked.action = rule->action.empty() ? fmt::format("{}:{}", context.service, operation) : std::string(rule->action);
  find_resource(asked, *rule, context, member, identities);
  add_keys(asked, context, operation, member);
  if (const auto arn = Arn::parse(asked.resource)) asked.resource_account = arn->account;
  Meaning meaning{.kind = Meaning::Kind::kAsked, .asked = {}};
  meaning.asked.push_back(std::move(asked));
  add_pass_role(meaning.asked, context.service, operation, member);
  add_session_permissions(meaning.asked, context.service, operation, input, member);
  return meaning;
}

}  // namespace lambdad::access
