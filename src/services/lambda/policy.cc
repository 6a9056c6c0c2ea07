#include "services/lambda/policy.h"

#include <algorithm>

#include "aws/gen/lambda.h"
#include "base/arn.h"

namespace lambdad::lambda {
namespace {

namespace api = aws::lambda;

bool is_account(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// "s3.amazonaws.com", "events.amazonaws.com.cn", "alexa-appkit.amazon.com"
bool is_service(std::string_view text) {
  return text.find(".amazonaws.com") != std::string_view::npos || text.ends_with(".amazon.com") ||
         text.ends_with(".aws.internal");
}

std::optional<json::Value> render_principal(const std::string& principal) {
  if (principal == "*") return json::Value("*");
  if (is_account(principal)) return json::Object{{"AWS", fmt::format("arn:aws:iam::{}:root", principal)}};
  if (principal.starts_with("arn:")) {
    const auto arn = Arn::parse(principal);
    if (!arn || (arn->service != "iam" && arn->service != "sts") || !is_account(arn->account)) return std::nullopt;
    return json::Object{{"AWS", principal}};
  }
  if (is_service(principal)) return json::Object{{"Service", principal}};
  return std::nullopt;
}

const std::string* statement_id(const json::Value& statement) {
  const json::Value* sid = statement.find("Sid");
  return sid == nullptr ? nullptr : sid->if_string();
}

}  // namespace

aws::Outcome<json::Value> make_statement(const Grant& grant) {
  auto principal = render_principal(grant.principal);
  if (!principal) {
    return std::unexpected(
        api::invalid_parameter_value("The provided principal was invalid. Please check the principal and try again."));
  }
  json::Object statement{{"Sid", grant.statement_id},
                         {"Effect", "Allow"},
                         {"Principal", std::move(*principal)},
                         {"Action", grant.action},
                         {"Resource", grant.resource}};
  json::Object string_equals;
  if (grant.source_account) string_equals.append("AWS:SourceAccount", *grant.source_account);
  if (grant.function_url_auth_type) {
    string_equals.append("lambda:FunctionUrlAuthType", *grant.function_url_auth_type);
  }
  if (grant.principal_org_id) string_equals.append("aws:PrincipalOrgID", *grant.principal_org_id);
  if (grant.event_source_token) string_equals.append("lambda:EventSourceToken", *grant.event_source_token);
  json::Object condition;
  if (!string_equals.empty()) condition.append("StringEquals", std::move(string_equals));
  if (grant.source_arn) condition.append("ArnLike", json::Object{{"AWS:SourceArn", *grant.source_arn}});
  if (grant.invoked_via_function_url) {
    condition.append(
        "Bool", json::Object{{"lambda:InvokedViaFunctionUrl", *grant.invoked_via_function_url ? "true" : "false"}});
  }
  if (!condition.empty()) statement.append("Condition", std::move(condition));
  return statement;
}

aws::Outcome<void> add_statement(std::optional<Policy>& policy, json::Value statement, std::string revision_id) {
  Policy changed = policy.value_or(Policy());
  const std::string* sid = statement_id(statement);
  LD_CHECK(sid != nullptr);
  auto has_its_id = [&](const json::Value& each) {
    const std::string* other = statement_id(each);
    return other != nullptr && *other == *sid;
  };
  if (std::ranges::any_of(changed.statements, has_its_id)) {
    return std::unexpected(api::resource_conflict(
        fmt::format("The statement id ({}) provided already exists. Please provide a new statement id, or remove the "
                    "existing statement.",
                    *sid)));
  }
  changed.statements.push_back(std::move(statement));
  changed.revision_id = std::move(revision_id);
  if (const std::size_t size = policy_text(changed).size(); size > kPolicyBytesMax) {
    return std::unexpected(api::policy_length_exceeded(
        fmt::format("The final policy size ({}) is bigger than the limit ({}).", size, kPolicyBytesMax)));
  }
  policy = std::move(changed);
  return {};
}

aws::Outcome<void> remove_statement(std::optional<Policy>& policy, std::string_view statement,
                                    std::string revision_id) {
  const std::size_t removed = policy ? std::erase_if(policy->statements,
                                                     [&](const json::Value& each) {
                                                       const std::string* sid = statement_id(each);
                                                       return sid != nullptr && *sid == statement;
                                                     })
                                     : 0;
  if (removed == 0) {
    return std::unexpected(
        api::resource_not_found(fmt::format("Statement {} is not found in resource policy.", statement)));
  }
  policy->revision_id = std::move(revision_id);
  if (policy->statements.empty()) policy.reset();
  return {};
}

aws::Outcome<void> check_policy_revision(const std::optional<Policy>& policy,
                                         const std::optional<std::string>& revision_id, std::string_view get) {
  if (!revision_id || (policy && policy->revision_id == *revision_id)) return {};
  return std::unexpected(api::precondition_failed(
      fmt::format("The Revision Id provided does not match the latest Revision Id. Call the {} API to retrieve the "
                  "latest Revision Id",
                  get)));
}

std::string policy_text(const Policy& policy) {
  return json::serialize(json::Object{{"Version", "2012-10-17"}, {"Id", "default"}, {"Statement", policy.statements}});
}

}  // namespace lambdad::lambda
