#include "services/iam/iam_service.h"

#include <algorithm>

#include "base/arn.h"
#include "base/encoding.h"

namespace lambdad::iam {
namespace {

namespace api = aws::iam;

constexpr int kPageDefault = 100;  // source: IAM API reference, MaxItems
constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

aws::Outcome<void> check_policy(const std::string& document) {
  auto parsed = json::parse(document);
  if (parsed && parsed->is_object()) return {};
  return std::unexpected(
      api::malformed_policy_document(parsed ? "Syntax errors in policy." : "This policy contains invalid Json"));
}

/// Page of a sorted sequence. Markers are the last name of the page before, in base64.
template <class Item, class Name, class Out>
aws::Outcome<std::pair<std::vector<Out>, std::optional<std::string>>> page(
    const std::vector<Item>& items, const std::optional<std::string>& marker, std::optional<std::int32_t> max_items,
    Name name, std::type_identity_t<std::function<Out(const Item&)>> show) {
  std::string after;
  if (marker) {
    auto text = base64_decode(*marker);
    if (!text || text->empty()) return std::unexpected(api::validation_error("Invalid Marker."));
    after = *text;
  }
  std::pair<std::vector<Out>, std::optional<std::string>> out;
  const auto count = static_cast<std::size_t>(max_items.value_or(kPageDefault));
  const Item* last = nullptr;
  for (const Item& item : items) {
    if (!after.empty() && name(item) <= after) continue;
    if (out.first.size() == count) {
      out.second = base64_encode(name(*last));
      break;
    }
    out.first.push_back(show(item));
    last = &item;
  }
  return out;
}

}  // namespace

IamService::IamService(System& system, Logger& log, store::Database& database)
    : system_(system), log_(log), store_(database), busy_(system.loop) {}

IamService::Key IamService::key_of(const std::string& account, const std::string& name) {
  return {account, to_lower(name)};
}

Async<Result<void>> IamService::start() {
  auto stored = co_await store_.load();
  if (!stored) co_return fail_with(stored.error(), "loading roles");
  for (StoredRole& role : *stored) {
    Key key = key_of(role.account, role.name);
    roles_.emplace(std::move(key), std::move(role));
  }
  co_return Result<void>();
}

void IamService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  auto add = [&]<class Op>(std::type_identity<Op>, auto member) {
    dispatcher.serve<Op>([this, member](aws::RequestContext& context, typename Op::Input in) {
      return (this->*member)(&context, std::move(in));
    });
  };
  add(std::type_identity<api::CreateRole>(), &IamService::create_role);
  add(std::type_identity<api::GetRole>(), &IamService::get_role);
  add(std::type_identity<api::ListRoles>(), &IamService::list_roles);
  add(std::type_identity<api::DeleteRole>(), &IamService::delete_role);
  add(std::type_identity<api::PutRolePolicy>(), &IamService::put_role_policy);
  add(std::type_identity<api::GetRolePolicy>(), &IamService::get_role_policy);
  add(std::type_identity<api::DeleteRolePolicy>(), &IamService::delete_role_policy);
  add(std::type_identity<api::ListRolePolicies>(), &IamService::list_role_policies);
  add(std::type_identity<api::AttachRolePolicy>(), &IamService::attach_role_policy);
  add(std::type_identity<api::DetachRolePolicy>(), &IamService::detach_role_policy);
  add(std::type_identity<api::ListAttachedRolePolicies>(), &IamService::list_attached_role_policies);
}

aws::Outcome<const StoredRole*> IamService::find(Context context, const std::string& name) const {
  auto place = roles_.find(key_of(context->account, name));
  if (place != roles_.end()) return &place->second;
  return std::unexpected(api::no_such_entity(fmt::format("The role with name {} cannot be found.", name)));
}

Async<KeyedMutex::Guard> IamService::lock(Context context, const std::string& name) {
  return busy_.acquire(fmt::format("{}/{}", context->account, to_lower(name)));
}

aws::Error IamService::failure(Context context, const Error& cause) {
  log_.error("iam_request_failed", {{"operation", context->operation},
                                    {"request_id", context->request_id},
                                    {"code", to_string(cause.code)},
                                    {"error", cause.detail}});
  return api::service_failure("The request processing has failed because of an unknown error.");
}

IamService::Reply<aws::Unit> IamService::commit(Context context, StoredRole role) {
  auto saved = co_await store_.save(role);
  if (!saved) co_return std::unexpected(failure(context, saved.error()));
  Key key = key_of(role.account, role.name);
  roles_.insert_or_assign(std::move(key), std::move(role));
  co_return aws::Unit{};
}

IamService::Reply<api::CreateRoleResponse> IamService::create_role(Context context, api::CreateRoleRequest in) {
  if (auto policy = check_policy(in.assume_role_policy_document); !policy) {
    co_return std::unexpected(std::move(policy.error()));
  }
  auto guard = co_await lock(context, in.role_name);
  if (find(context, in.role_name)) {
    co_return std::unexpected(
        api::entity_already_exists(fmt::format("Role with name {} already exists.", in.role_name)));
  }
  StoredRole role{.account = context->account,
                  .path = in.path.value_or("/"),
                  .name = std::move(in.role_name),
                  .id = "AROA",
                  .trust_policy = std::move(in.assume_role_policy_document),
                  .description = in.description.value_or(""),
                  .max_session_seconds = in.max_session_duration.value_or(3600),
                  .created = std::chrono::floor<std::chrono::seconds>(system_.clock.wall()),
                  .tags = std::move(in.tags).value_or(std::vector<api::Tag>())};
  for (int i = 0; i < 17; ++i) role.id += kBase32[system_.random.below(kBase32.size())];
  api::CreateRoleResponse out{.role = to_role(role)};
  auto committed = co_await commit(context, std::move(role));
  if (!committed) co_return std::unexpected(std::move(committed.error()));
  co_return out;
}

IamService::Reply<api::GetRoleResponse> IamService::get_role(Context context, api::GetRoleRequest in) {
  auto role = find(context, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  co_return api::GetRoleResponse{.role = to_role(**role)};
}

IamService::Reply<api::ListRolesResponse> IamService::list_roles(Context context, api::ListRolesRequest in) {
  std::vector<const StoredRole*> roles;
  for (auto place = roles_.lower_bound({context->account, ""});
       place != roles_.end() && place->first.first == context->account; ++place) {
    if (place->second.path.starts_with(in.path_prefix.value_or("/"))) roles.push_back(&place->second);
  }
  auto listed = page<const StoredRole*, std::string (*)(const StoredRole* const&), api::Role>(
      roles, in.marker, in.max_items, [](const StoredRole* const& role) { return to_lower(role->name); },
      [](const StoredRole* const& role) {
        api::Role shown = to_role(*role);
        shown.tags.reset();  // source: IAM API reference, ListRoles: tags are not returned
        return shown;
      });
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  api::ListRolesResponse out;
  out.roles = std::move(listed->first);
  out.is_truncated = listed->second.has_value();
  out.marker = std::move(listed->second);
  co_return out;
}

IamService::Reply<aws::Unit> IamService::delete_role(Context context, api::DeleteRoleRequest in) {
  auto guard = co_await lock(context, in.role_name);
  auto role = find(context, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  if (!(*role)->attached_policies.empty()) {
    co_return std::unexpected(api::delete_conflict("Cannot delete entity, must detach all policies first."));
  }
  if (!(*role)->inline_policies.empty()) {
    co_return std::unexpected(api::delete_conflict("Cannot delete entity, must delete policies first."));
  }
  auto removed = co_await store_.remove((*role)->account, (*role)->name);
  if (!removed) co_return std::unexpected(failure(context, removed.error()));
  roles_.erase(key_of(context->account, in.role_name));
  co_return aws::Unit{};
}

IamService::Reply<aws::Unit> IamService::put_role_policy(Context context, api::PutRolePolicyRequest in) {
  if (auto policy = check_policy(in.policy_document); !policy) co_return std::unexpected(std::move(policy.error()));
  auto guard = co_await lock(context, in.role_name);
  auto found = find(context, in.role_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  StoredRole role = **found;
  role.inline_policies.insert_or_assign(std::move(in.policy_name), std::move(in.policy_document));
  co_return co_await commit(context, std::move(role));
}

IamService::Reply<api::GetRolePolicyResponse> IamService::get_role_policy(Context context,
                                                                          api::GetRolePolicyRequest in) {
  auto role = find(context, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  auto place = (*role)->inline_policies.find(in.policy_name);
  if (place == (*role)->inline_policies.end()) {
    co_return std::unexpected(
        api::no_such_entity(fmt::format("The role policy with name {} cannot be found.", in.policy_name)));
  }
  co_return api::GetRolePolicyResponse{
      .role_name = (*role)->name, .policy_name = place->first, .policy_document = percent_encode(place->second)};
}

IamService::Reply<aws::Unit> IamService::delete_role_policy(Context context, api::DeleteRolePolicyRequest in) {
  auto guard = co_await lock(context, in.role_name);
  auto found = find(context, in.role_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  StoredRole role = **found;
  if (role.inline_policies.erase(in.policy_name) == 0) {
    co_return std::unexpected(
        api::no_such_entity(fmt::format("The role policy with name {} cannot be found.", in.policy_name)));
  }
  co_return co_await commit(context, std::move(role));
}

IamService::Reply<api::ListRolePoliciesResponse> IamService::list_role_policies(Context context,
                                                                                api::ListRolePoliciesRequest in) {
  auto role = find(context, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  std::vector<std::string> names;
  for (const auto& [name, document] : (*role)->inline_policies) names.push_back(name);
  auto listed = page<std::string, std::string (*)(const std::string&), std::string>(
      names, in.marker, in.max_items, [](const std::string& name) { return name; },
      [](const std::string& name) { return name; });
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  api::ListRolePoliciesResponse out;
  out.policy_names = std::move(listed->first);
  out.is_truncated = listed->second.has_value();
  out.marker = std::move(listed->second);
  co_return out;
}

IamService::Reply<aws::Unit> IamService::attach_role_policy(Context context, api::AttachRolePolicyRequest in) {
  const auto arn = Arn::parse(in.policy_arn);
  if (!arn || arn->service != "iam" || !arn->resource.starts_with("policy/")) {
    co_return std::unexpected(api::invalid_input(fmt::format("ARN {} is not valid.", in.policy_arn)));
  }
  auto guard = co_await lock(context, in.role_name);
  auto found = find(context, in.role_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  StoredRole role = **found;
  if (std::ranges::find(role.attached_policies, in.policy_arn) != role.attached_policies.end()) co_return aws::Unit{};
  role.attached_policies.push_back(std::move(in.policy_arn));
  co_return co_await commit(context, std::move(role));
}

IamService::Reply<aws::Unit> IamService::detach_role_policy(Context context, api::DetachRolePolicyRequest in) {
  auto guard = co_await lock(context, in.role_name);
  auto found = find(context, in.role_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  StoredRole role = **found;
  if (std::erase(role.attached_policies, in.policy_arn) == 0) {
    co_return std::unexpected(api::no_such_entity(fmt::format("Policy {} was not found.", in.policy_arn)));
  }
  co_return co_await commit(context, std::move(role));
}

IamService::Reply<api::ListAttachedRolePoliciesResponse> IamService::list_attached_role_policies(
    Context context, api::ListAttachedRolePoliciesRequest in) {
  auto role = find(context, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  std::vector<std::string> arns = (*role)->attached_policies;
  std::ranges::sort(arns);
  auto listed = page<std::string, std::string (*)(const std::string&), api::AttachedPolicy>(
      arns, in.marker, in.max_items, [](const std::string& arn) { return arn; },
      [](const std::string& arn) {
        return api::AttachedPolicy{.policy_name = arn.substr(arn.rfind('/') + 1), .policy_arn = arn};
      });
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  api::ListAttachedRolePoliciesResponse out;
  out.attached_policies = std::move(listed->first);
  out.is_truncated = listed->second.has_value();
  out.marker = std::move(listed->second);
  co_return out;
}

}  // namespace lambdad::iam
