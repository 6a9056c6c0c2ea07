#include "services/sqs/policy.h"

#include <algorithm>
#include <array>

#include "aws/gen/sqs.h"
#include "base/json.h"

namespace lambdad::sqs {

namespace {

using json::Array;
using json::Object;
using json::Value;

std::unexpected<aws::Error> bad_policy() {
  return std::unexpected(aws::sqs::invalid_attribute_value("Invalid value for the parameter Policy."));
}
std::unexpected<aws::Error> bad_value(std::string_view value, std::string_view parameter, std::string_view reason) {
  return std::unexpected(aws::sqs::invalid_parameter_value(
      fmt::format("Value {} for parameter {} is invalid. Reason: {}", value, parameter, reason)));
}

/// A text or a list of texts, none of them empty; `each` sees every one.
template <class F>
bool is_texts(const Value& value, F each) {
  if (const std::string* one = value.if_string()) return !one->empty() && each(*one);
  const Array* many = value.if_array();
  return many != nullptr && !many->empty() && std::ranges::all_of(*many, [&](const Value& one) {
           return one.if_string() != nullptr && !one.if_string()->empty() && each(*one.if_string());
         });
}

bool is_action(std::string_view action) {
  return action == "*" || action.starts_with("sqs:") || action.starts_with("SQS:") || action.starts_with("Sqs:");
}

/// "*", or kinds of principals with their names, which are counted.
bool is_principal(const Value& value, std::size_t& count) {
  if (const std::string* all = value.if_string()) {
    ++count;
    return *all == "*";
  }
  const Object* kinds = value.if_object();
  if (kinds == nullptr || kinds->empty()) return false;
  return std::ranges::all_of(*kinds, [&count](const auto& kind) {
    const auto& [name, names] = kind;
    const bool known = name == "AWS" || name == "Service" || name == "Federated" || name == "CanonicalUser";
    return known && is_texts(names, [&count](std::string_view) { return ++count > 0; });
  });
}

bool is_statement(const Value& value, std::size_t& principals) {
  const Object* statement = value.if_object();
  if (statement == nullptr) return false;
  int principal_members = 0;
  int action_members = 0;
  int resource_members = 0;
  bool has_effect = false;
  for (const auto& [name, member] : *statement) {
    if (name == "Sid") {
      if (member.if_string() == nullptr) return false;
    } else if (name == "Effect") {
      const std::string* effect = member.if_string();
      if (effect == nullptr || (*effect != "Allow" && *effect != "Deny")) return false;
      has_effect = true;
    } else if (name == "Principal" || name == "NotPrincipal") {
      if (!is_principal(member, principals)) return false;
      ++principal_members;
    } else if (name == "Action" || name == "NotAction") {
      if (!is_texts(member, is_action)) return false;
      ++action_members;
    } else if (name == "Resource" || name == "NotResource") {
      if (!is_texts(member, [](std::string_view) { return true; })) return false;
      ++resource_members;
    } else if (name == "Condition") {
      if (member.if_object() == nullptr) return false;
    } else {
      return false;
    }
  }
  return has_effect && principal_members == 1 && action_members == 1 && resource_members == 1;
}

/// The statements of a checked policy.
Array statements_of(const Value& document) {
  const Value* statements = document.find("Statement");
  if (const Array* many = statements->if_array()) return *many;
  return Array{*statements};
}

bool has_label(const Value& statement, std::string_view label) {
  const Value* sid = statement.find("Sid");
  return sid != nullptr && sid->if_string() != nullptr && *sid->if_string() == label;
}

/// A list of one is written as the one, as AWS does.
Value one_or_many(std::vector<std::string> texts) {
  if (texts.size() == 1) return texts.front();
  Array many;
  for (std::string& text : texts) many.emplace_back(std::move(text));
  return many;
}

/// Source: SQS API reference, AddPermission, and Developer Guide, "Basic examples of Amazon SQS policies".
constexpr std::array<std::string_view, 9> kSharedActions = {
    "*",          "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes",        "GetQueueUrl",
    "PurgeQueue", "ReceiveMessage",          "SendMessage",   "ListDeadLetterSourceQueues"};

}  // namespace

aws::Outcome<void> check_policy(std::string_view text) {
  if (text.size() > kPolicySizeMax) return bad_policy();
  const auto document = json::parse(text);
  if (!document || document->if_object() == nullptr) return bad_policy();
  bool has_statements = false;
  for (const auto& [name, member] : *document->if_object()) {
    if (name == "Version") {
      const std::string* version = member.if_string();
      if (version == nullptr || (*version != "2008-10-17" && *version != "2012-10-17")) return bad_policy();
    } else if (name == "Id") {
      if (member.if_string() == nullptr) return bad_policy();
    } else if (name == "Statement") {
      const Array* many = member.if_array();
      if (many == nullptr && member.if_object() == nullptr) return bad_policy();
      if (many != nullptr && (many->empty() || many->size() > kPolicyStatementsMax)) return bad_policy();
      has_statements = true;
    } else {
      return bad_policy();
    }
  }
  if (!has_statements) return bad_policy();
  std::size_t principals = 0;
  const Array statements = statements_of(*document);
  const bool all = std::ranges::all_of(statements, [&](const Value& each) { return is_statement(each, principals); });
  if (!all || principals > kPolicyPrincipalsMax) return bad_policy();
  return {};
}

aws::Outcome<std::string> with_permission(const std::string& policy, const std::string& queue_arn,
                                          const Permission& permission) {
  const bool is_label =
      !permission.label.empty() && permission.label.size() <= kPermissionLabelLengthMax &&
      std::ranges::all_of(permission.label, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      });
  if (!is_label) {
    return bad_value(permission.label, "Label",
                     "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.");
  }
  if (permission.actions.empty()) {
    return std::unexpected(aws::sqs::missing_required_parameter("The request must contain the parameter Actions."));
  }
  if (permission.accounts.empty()) {
    return bad_value("[]", "PrincipalId", "Unable to verify.");
  }
  if (permission.actions.size() > kPolicyActionsMax) {
    return std::unexpected(aws::sqs::over_limit(
        fmt::format("{} Actions were found, maximum allowed is {}.", permission.actions.size(), kPolicyActionsMax)));
  }
  std::vector<std::string> actions;
  for (const std::string& action : permission.actions) {
    if (std::ranges::find(kSharedActions, action) == kSharedActions.end()) {
      return bad_value("SQS:" + action, "ActionName", "Only the queue owner is allowed to invoke this action.");
    }
    actions.push_back("SQS:" + action);
  }
  std::vector<std::string> principals;
  for (const std::string& account : permission.accounts) {
    const bool is_account =
        account.size() == 12 && std::ranges::all_of(account, [](char c) { return c >= '0' && c <= '9'; });
    if (!is_account) return bad_value(fmt::format("[{}]", account), "PrincipalId", "Unable to verify.");
    principals.push_back(fmt::format("arn:aws:iam::{}:root", account));
  }

  Object document{{"Version", "2008-10-17"}, {"Id", queue_arn + "/SQSDefaultPolicy"}};
  Array statements;
  if (!policy.empty()) {
    const auto parsed = json::parse(policy);
    LD_CHECK(parsed.has_value(), "a policy that was not checked: {}", policy);
    document = *parsed->if_object();
    statements = statements_of(*parsed);
  }
  if (std::ranges::any_of(statements, [&](const Value& each) { return has_label(each, permission.label); })) {
    return bad_value(permission.label, "Label", "Already exists.");
  }
  statements.emplace_back(Object{{"Sid", permission.label},
                                 {"Effect", "Allow"},
                                 {"Principal", Object{{"AWS", one_or_many(std::move(principals))}}},
                                 {"Action", one_or_many(std::move(actions))},
                                 {"Resource", queue_arn}});
  document.set("Statement", std::move(statements));
  std::string text = json::serialize(document);
  if (!check_policy(text)) {
    return std::unexpected(aws::sqs::over_limit("The policy of the queue would exceed its quotas."));
  }
  return text;
}

aws::Outcome<std::string> without_permission(const std::string& policy, const std::string& label) {
  const auto document = policy.empty() ? Result<Value>(Object{{"Statement", Array{}}}) : json::parse(policy);
  LD_CHECK(document.has_value(), "a policy that was not checked: {}", policy);
  Array statements = statements_of(*document);
  const auto count = statements.size();
  std::erase_if(statements, [&label](const Value& each) { return has_label(each, label); });
  if (statements.size() == count) return bad_value(label, "Label", "can't find label.");
  if (statements.empty()) return std::string();
  Object changed = *document->if_object();
  changed.set("Statement", std::move(statements));
  return json::serialize(changed);
}

}  // namespace lambdad::sqs
