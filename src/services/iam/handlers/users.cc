#include <algorithm>

#include "services/iam/handlers/shared.h"

namespace lambdad::iam {
namespace {

std::string_view status_of(const AccessKey& key) { return key.active ? "Active" : "Inactive"; }

aws::Error no_key(const std::string& id) {
  return api::no_such_entity(fmt::format("The Access Key with id {} cannot be found.", id));
}

/// Makes `change` (Outcome<void>(Entity&)) to the user that the request names or that asks.
template <class Change>
Reply<aws::Unit> change_user(Iam* iam, Context context, std::optional<std::string> name, Change change) {
  auto guard = co_await lock(iam, context);
  auto named = user_name(context, name);
  if (!named) co_return std::unexpected(std::move(named.error()));
  auto found = find(*iam, context, Kind::kUser, *named);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity user = **found;
  aws::Outcome<void> changed = change(user);
  if (!changed) co_return std::unexpected(std::move(changed.error()));
  co_return co_await commit(iam, context, std::move(user));
}

}  // namespace

Reply<api::CreateUserResponse> create_user(Iam* iam, Context context, api::CreateUserRequest in) {
  if (in.permissions_boundary) {
    if (auto good = check_attachable(*iam, context, *in.permissions_boundary); !good) {
      co_return std::unexpected(std::move(good.error()));
    }
  }
  auto guard = co_await lock(iam, context);
  if (auto good = check_new(*iam, context, Kind::kUser, in.user_name); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  Entity user{.kind = Kind::kUser,
              .account = context->account,
              .path = in.path.value_or("/"),
              .name = std::move(in.user_name),
              .id = access::random_id(iam->system.random, "AIDA", 21),
              .created = now(*iam),
              .boundary = in.permissions_boundary.value_or("")};
  if (auto tagged = add_tags(user.tags, std::move(in.tags).value_or(std::vector<api::Tag>())); !tagged) {
    co_return std::unexpected(std::move(tagged.error()));
  }
  api::CreateUserResponse out{.user = to_user(user)};
  if (auto done = co_await commit(iam, context, std::move(user)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetUserResponse> get_user(Iam* iam, Context context, api::GetUserRequest in) {
  auto name = user_name(context, in.user_name);
  if (!name) co_return std::unexpected(std::move(name.error()));
  auto user = find(*iam, context, Kind::kUser, *name);
  if (!user) co_return std::unexpected(std::move(user.error()));
  co_return api::GetUserResponse{.user = to_user(**user)};
}

Reply<api::ListUsersResponse> list_users(Iam* iam, Context context, api::ListUsersRequest in) {
  api::ListUsersResponse out;
  auto listed = list_entities(
      *iam, context, Kind::kUser, in,
      [](const Entity& user) {
        api::User shown = to_user(user);
        // Source: IAM API reference, ListUsers.
        shown.tags.reset();
        shown.permissions_boundary.reset();
        return shown;
      },
      out.users, out);
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  co_return out;
}

Reply<aws::Unit> update_user(Iam* iam, Context context, api::UpdateUserRequest in) {
  auto guard = co_await lock(iam, context);
  auto found = find(*iam, context, Kind::kUser, in.user_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity user = **found;
  if (in.new_path) user.path = std::move(*in.new_path);
  Directory::Change change;
  if (in.new_user_name && *in.new_user_name != user.name) {
    if (!equals_ignoring_case(*in.new_user_name, user.name)) {
      if (auto good = check_new(*iam, context, Kind::kUser, *in.new_user_name); !good) {
        co_return std::unexpected(std::move(good.error()));
      }
    }
    user.name = std::move(*in.new_user_name);
    change.removed.push_back(std::move(*found));
  }
  change.entities.push_back(std::move(user));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<aws::Unit> delete_user(Iam* iam, Context context, api::DeleteUserRequest in) {
  auto guard = co_await lock(iam, context);
  auto user = find(*iam, context, Kind::kUser, in.user_name);
  if (!user) co_return std::unexpected(std::move(user.error()));
  if (!(*user)->groups.empty()) {
    co_return std::unexpected(api::delete_conflict("Cannot delete entity, must remove users from group first."));
  }
  if (auto bare = check_no_policies(**user); !bare) co_return std::unexpected(std::move(bare.error()));
  if (!(*user)->keys.empty()) {
    co_return std::unexpected(api::delete_conflict("Cannot delete entity, must delete access keys first."));
  }
  Directory::Change change;
  change.removed.push_back(std::move(*user));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<api::CreateAccessKeyResponse> create_access_key(Iam* iam, Context context, api::CreateAccessKeyRequest in) {
  api::CreateAccessKeyResponse out;
  auto done = co_await change_user(iam, context, std::move(in.user_name), [&](Entity& user) -> aws::Outcome<void> {
    if (user.keys.size() >= kAccessKeysMax) {
      return std::unexpected(
          api::limit_exceeded(fmt::format("Cannot exceed quota for AccessKeysPerUser: {}", kAccessKeysMax)));
    }
    AccessKey key{.id = access::random_id(iam->system.random, "AKIA", 20),
                  .secret = base64_encode(iam->system.random.bytes(30)),
                  .active = true,
                  .created = now(*iam)};
    out.access_key.user_name = user.name;
    out.access_key.access_key_id = key.id;
    out.access_key.status = status_of(key);
    out.access_key.secret_access_key = key.secret;
    out.access_key.create_date = key.created;
    user.keys.push_back(std::move(key));
    return {};
  });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return out;
}

Reply<api::ListAccessKeysResponse> list_access_keys(Iam* iam, Context context, api::ListAccessKeysRequest in) {
  auto name = user_name(context, in.user_name);
  if (!name) co_return std::unexpected(std::move(name.error()));
  auto user = find(*iam, context, Kind::kUser, *name);
  if (!user) co_return std::unexpected(std::move(user.error()));
  std::vector<AccessKey> keys = (*user)->keys;
  std::ranges::sort(keys, {}, &AccessKey::id);
  api::ListAccessKeysResponse out;
  auto paged = page(
      keys, in, [](const AccessKey& key) { return key.id; },
      [&](const AccessKey& key) {
        return api::AccessKeyMetadata{.user_name = (*user)->name,
                                      .access_key_id = key.id,
                                      .status = std::string(status_of(key)),
                                      .create_date = key.created};
      },
      out.access_key_metadata, out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

Reply<aws::Unit> update_access_key(Iam* iam, Context context, api::UpdateAccessKeyRequest in) {
  if (in.status == "Expired") {
    co_return std::unexpected(api::validation_error("Status Expired cannot be set."));
  }
  co_return co_await change_user(iam, context, std::move(in.user_name), [&](Entity& user) -> aws::Outcome<void> {
    const auto key = std::ranges::find(user.keys, in.access_key_id, &AccessKey::id);
    if (key == user.keys.end()) return std::unexpected(no_key(in.access_key_id));
    key->active = in.status == "Active";
    return {};
  });
}

Reply<aws::Unit> delete_access_key(Iam* iam, Context context, api::DeleteAccessKeyRequest in) {
  co_return co_await change_user(iam, context, std::move(in.user_name), [&](Entity& user) -> aws::Outcome<void> {
    if (std::erase_if(user.keys, [&](const AccessKey& key) { return key.id == in.access_key_id; }) == 0) {
      return std::unexpected(no_key(in.access_key_id));
    }
    return {};
  });
}

Reply<api::GetAccessKeyLastUsedResponse> get_access_key_last_used(Iam* iam, Context context,
                                                                  api::GetAccessKeyLastUsedRequest in) {
  const Directory::EntityPtr user = iam->directory.owner_of(in.access_key_id);
  if (!user || user->account != context->account) co_return std::unexpected(no_key(in.access_key_id));
  api::GetAccessKeyLastUsedResponse out;
  out.user_name = user->name;
  api::AccessKeyLastUsed& last = out.access_key_last_used.emplace();
  last.service_name = last.region = "N/A";
  if (const auto use = iam->directory.last_use(in.access_key_id)) {
    last.last_used_date = std::chrono::floor<std::chrono::seconds>(use->when);
    last.service_name = use->service;
    last.region = use->region;
  }
  co_return out;
}

Reply<api::ListGroupsForUserResponse> list_groups_for_user(Iam* iam, Context context,
                                                           api::ListGroupsForUserRequest in) {
  auto user = find(*iam, context, Kind::kUser, in.user_name);
  if (!user) co_return std::unexpected(std::move(user.error()));
  std::vector<Directory::EntityPtr> groups;
  for (const std::string& name : (*user)->groups) {
    if (auto group = iam->directory.find(Kind::kGroup, context->account, name)) groups.push_back(std::move(group));
  }
  const auto name_of = [](const Directory::EntityPtr& group) { return to_lower(group->name); };
  std::ranges::sort(groups, {}, name_of);
  api::ListGroupsForUserResponse out;
  auto paged =
      page(groups, in, name_of, [](const Directory::EntityPtr& group) { return to_group(*group); }, out.groups, out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

}  // namespace lambdad::iam
