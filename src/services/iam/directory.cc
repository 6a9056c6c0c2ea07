#include "services/iam/directory.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::iam {
namespace {

constexpr std::string_view kPolicyRow = "policy";

/// Stored documents were checked when they were given. One that an older version let in grants nothing.
policy::DocumentPtr parse(const std::string& text, policy::Kind kind) {
  auto read = policy::parse(text, kind);
  return read ? std::make_shared<const policy::Document>(std::move(*read)) : nullptr;
}

Row row_of(std::string_view kind, const std::string& account, const std::string& name, std::string document) {
  return {.kind = std::string(kind), .account = account, .key = to_lower(name), .document = std::move(document)};
}

}  // namespace

Directory::Directory(System& system, Logger& log, store::Database& database)
    : system_(system), log_(log), store_(database) {
  for (const auto& [arn, policy] : aws_policies()) {
    policies_[arn] = {std::make_shared<const ManagedPolicy>(policy),
                      parse(policy.current().document, policy::Kind::kIdentity)};
    LD_CHECK(policies_[arn].document != nullptr, "{} cannot be read", arn);
  }
}

Async<Result<void>> Directory::load() {
  auto rows = co_await store_.load();
  if (!rows) co_return fail_with(rows.error(), "loading IAM");
  for (const Row& row : *rows) {
    auto document = json::parse(row.document);
    if (!document) co_return fail_with(document.error(), fmt::format("reading {} {}", row.kind, row.key));
    if (row.kind == kPolicyRow) {
      auto policy = policy_from_document(*document);
      if (!policy) co_return std::unexpected(policy.error());
      show(std::move(*policy));
      continue;
    }
    const Kind kind = row.kind == "user" ? Kind::kUser : row.kind == "group" ? Kind::kGroup : Kind::kRole;
    auto entity = entity_from_document(kind, *document);
    if (!entity) co_return std::unexpected(entity.error());
    show(std::move(*entity));
  }
  co_return Result<void>();
}

Directory::Key Directory::key_of(const std::string& account, const std::string& name) {
  return {account, to_lower(name)};
}

const Directory::Held* Directory::held(Kind kind, const std::string& account, const std::string& name) const {
  const auto all = entities_.find(kind);
  if (all == entities_.end()) return nullptr;
  const auto place = all->second.find(key_of(account, name));
  return place == all->second.end() ? nullptr : &place->second;
}

Directory::EntityPtr Directory::find(Kind kind, const std::string& account, const std::string& name) const {
  const Held* found = held(kind, account, name);
  return found == nullptr ? nullptr : found->entity;
}

std::vector<Directory::EntityPtr> Directory::list(Kind kind, const std::string& account) const {
  std::vector<EntityPtr> out;
  const auto all = entities_.find(kind);
  if (all == entities_.end()) return out;
  for (auto place = all->second.lower_bound({account, ""}); place != all->second.end() && place->first.first == account;
       ++place) {
    out.push_back(place->second.entity);
  }
  return out;
}

Directory::PolicyPtr Directory::find_policy(const std::string& account, const std::string& arn) const {
  const auto place = policies_.find(arn);
  if (place == policies_.end()) return nullptr;
  const PolicyPtr& policy = place->second.policy;
  return policy->account == account || policy->account == "aws" ? policy : nullptr;
}

std::vector<Directory::PolicyPtr> Directory::list_policies(const std::string& account) const {
  std::vector<PolicyPtr> out;
  for (const auto& [arn, held] : policies_) {
    if (held.policy->account == account || held.policy->account == "aws") out.push_back(held.policy);
  }
  std::ranges::sort(out, {}, [](const PolicyPtr& policy) { return to_lower(policy->name); });
  return out;
}

Directory::EntityPtr Directory::owner_of(const std::string& access_key_id) const {
  const auto place = key_owners_.find(access_key_id);
  return place == key_owners_.end() ? nullptr : find(Kind::kUser, place->second.first, place->second.second);
}

std::optional<Directory::LastUse> Directory::last_use(const std::string& access_key_id) const {
  const auto place = last_uses_.find(access_key_id);
  return place == last_uses_.end() ? std::nullopt : std::optional(place->second);
}

void Directory::show(Entity entity) {
  if (const EntityPtr before = find(entity.kind, entity.account, entity.name)) forget(*before);
  Held held;
  for (const auto& [name, text] : entity.inline_policies) {
    if (auto document = parse(text, policy::Kind::kIdentity)) {
      held.inline_policies.push_back(std::move(document));
    } else {
      log_.warn("iam_policy_unreadable", {{"of", entity.arn()}, {"policy", name}});
    }
  }
  if (entity.kind == Kind::kRole) {
    held.trust = parse(entity.trust_policy, policy::Kind::kTrust);
    if (!held.trust) log_.warn("iam_trust_policy_unreadable", {{"of", entity.arn()}});
  }
  Key key = key_of(entity.account, entity.name);
  for (const AccessKey& access_key : entity.keys) key_owners_[access_key.id] = key;
  const Kind kind = entity.kind;
  held.entity = std::make_shared<const Entity>(std::move(entity));
  entities_[kind].insert_or_assign(std::move(key), std::move(held));
}

void Directory::show(ManagedPolicy policy) {
  HeldPolicy held{nullptr, parse(policy.current().document, policy::Kind::kIdentity)};
  std::string arn = policy.arn();
  held.policy = std::make_shared<const ManagedPolicy>(std::move(policy));
  policies_.insert_or_assign(std::move(arn), std::move(held));
}

void Directory::forget(const Entity& entity) {
  for (const AccessKey& key : entity.keys) key_owners_.erase(key.id);
  entities_[entity.kind].erase(key_of(entity.account, entity.name));
}

Async<Result<void>> Directory::commit(Change change) {
  std::vector<Row> rows;
  for (const EntityPtr& entity : change.removed) {
    rows.push_back(row_of(to_string(entity->kind), entity->account, entity->name, {}));
  }
  for (const PolicyPtr& policy : change.removed_policies) {
    rows.push_back(row_of(kPolicyRow, policy->account, policy->name, {}));
  }
  for (const Entity& entity : change.entities) {
    rows.push_back(row_of(to_string(entity.kind), entity.account, entity.name, json::serialize(to_document(entity))));
  }
  for (const ManagedPolicy& policy : change.policies) {
    rows.push_back(row_of(kPolicyRow, policy.account, policy.name, json::serialize(to_document(policy))));
  }
  LD_CO_TRY_VOID(co_await store_.write(std::move(rows)));
  for (const EntityPtr& entity : change.removed) forget(*entity);
  for (const PolicyPtr& policy : change.removed_policies) policies_.erase(policy->arn());
  for (Entity& entity : change.entities) show(std::move(entity));
  for (ManagedPolicy& policy : change.policies) show(std::move(policy));
  co_return Result<void>();
}

// --- access::Identities ---------------------------------------------------------------------------------------------

std::optional<access::UserKey> Directory::find_key(const std::string& access_key_id) const {
  const EntityPtr user = owner_of(access_key_id);
  if (!user) return std::nullopt;
  const auto key = std::ranges::find(user->keys, access_key_id, &AccessKey::id);
  LD_CHECK(key != user->keys.end(), "{} is indexed and not of {}", access_key_id, user->arn());
  return access::UserKey{.secret = key->secret,
                         .active = key->active,
                         .account = user->account,
                         .user_name = user->name,
                         .user_id = user->id,
                         .user_arn = user->arn()};
}

void Directory::add_grants(const Held& of, access::Grants& grants) const {
  grants.identity.insert(grants.identity.end(), of.inline_policies.begin(), of.inline_policies.end());
  for (const std::string& arn : of.entity->attached_policies) {
    if (auto document = managed_document(of.entity->account, arn)) grants.identity.push_back(std::move(document));
  }
}

access::Grants Directory::with_boundary(const Held& of, access::Grants grants) const {
  if (!of.entity->boundary.empty()) {
    grants.boundary = managed_document(of.entity->account, of.entity->boundary);
    // A boundary that has gone allows nothing.
    if (!grants.boundary) grants.boundary = std::make_shared<const policy::Document>();
  }
  for (const auto& tag : of.entity->tags) grants.tags.emplace_back(tag.key, tag.value);
  return grants;
}

std::optional<access::Grants> Directory::user_grants(const std::string& account, const std::string& name) const {
  const Held* user = held(Kind::kUser, account, name);
  if (user == nullptr) return std::nullopt;
  access::Grants grants;
  add_grants(*user, grants);
  for (const std::string& group : user->entity->groups) {
    if (const Held* found = held(Kind::kGroup, account, group)) add_grants(*found, grants);
  }
  return with_boundary(*user, std::move(grants));
}

std::optional<access::Grants> Directory::role_grants(const std::string& account, const std::string& name,
                                                     const std::string& id) const {
  const Held* role = held(Kind::kRole, account, name);
  if (role == nullptr || role->entity->id != id) return std::nullopt;
  access::Grants grants;
  add_grants(*role, grants);
  return with_boundary(*role, std::move(grants));
}

std::optional<access::RoleFacts> Directory::find_role(const std::string& account, const std::string& name) const {
  const Held* role = held(Kind::kRole, account, name);
  if (role == nullptr) return std::nullopt;
  return access::RoleFacts{.arn = role->entity->arn(),
                           .id = role->entity->id,
                           .trust = role->trust,
                           .max_session = std::chrono::seconds(role->entity->max_session_seconds)};
}

policy::DocumentPtr Directory::managed_document(const std::string& account, const std::string& arn) const {
  const auto place = policies_.find(arn);
  if (place == policies_.end()) return nullptr;
  const std::string& owner = place->second.policy->account;
  return owner == account || owner == "aws" ? place->second.document : nullptr;
}

std::optional<std::string> Directory::managed_policy_text(const std::string& account, const std::string& arn) const {
  const PolicyPtr policy = find_policy(account, arn);
  return policy ? std::optional(policy->current().document) : std::nullopt;
}

std::string Directory::arn_of(std::string_view kind, const std::string& account, const std::string& name) const {
  const EntityPtr entity = find(kind == "user"    ? Kind::kUser
                                : kind == "group" ? Kind::kGroup
                                                  : Kind::kRole,
                                account, name);
  return entity ? entity->arn() : fmt::format("arn:aws:iam::{}:{}/{}", account, kind, name);
}

void Directory::key_used(const std::string& access_key_id, std::string_view service, std::string_view region) {
  LastUse& use = last_uses_[access_key_id];
  use.when = system_.clock.wall();
  use.service = service;
  use.region = region;
}

}  // namespace lambdad::iam
