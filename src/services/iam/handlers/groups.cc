#include <algorithm>

#include "services/iam/handlers/shared.h"

namespace lambdad::iam {
namespace {

std::vector<Directory::EntityPtr> members(const Iam& iam, Context context, const std::string& group) {
  std::vector<Directory::EntityPtr> users = iam.directory.list(Kind::kUser, context->account);
  std::erase_if(users, [name = to_lower(group)](const Directory::EntityPtr& user) {
    return std::ranges::find(user->groups, name) == user->groups.end();
  });
  return users;
}

}  // namespace

Reply<api::CreateGroupResponse> create_group(Iam* iam, Context context, api::CreateGroupRequest in) {
  auto guard = co_await lock(iam, context);
  if (auto good = check_new(*iam, context, Kind::kGroup, in.group_name); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  Entity group{.kind = Kind::kGroup,
               .account = context->account,
               .path = in.path.value_or("/"),
               .name = std::move(in.group_name),
               .id = access::random_id(iam->system.random, "AGPA", 21),
               .created = now(*iam)};
  api::CreateGroupResponse out{.group = to_group(group)};
  if (auto done = co_await commit(iam, context, std::move(group)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetGroupResponse> get_group(Iam* iam, Context context, api::GetGroupRequest in) {
  auto group = find(*iam, context, Kind::kGroup, in.group_name);
  if (!group) co_return std::unexpected(std::move(group.error()));
  api::GetGroupResponse out;
  out.group = to_group(**group);
  auto paged = page(
      members(*iam, context, in.group_name), in, [](const Directory::EntityPtr& user) { return to_lower(user->name); },
      [](const Directory::EntityPtr& user) { return to_user(*user); }, out.users, out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

Reply<api::ListGroupsResponse> list_groups(Iam* iam, Context context, api::ListGroupsRequest in) {
  api::ListGroupsResponse out;
  auto listed = list_entities(*iam, context, Kind::kGroup, in, to_group, out.groups, out);
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  co_return out;
}

// A new name goes to all its users in the same commit.
Reply<aws::Unit> update_group(Iam* iam, Context context, api::UpdateGroupRequest in) {
  auto guard = co_await lock(iam, context);
  auto found = find(*iam, context, Kind::kGroup, in.group_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity group = **found;
  if (in.new_path) group.path = std::move(*in.new_path);
  Directory::Change change;
  if (in.new_group_name && *in.new_group_name != group.name) {
    const std::string before = to_lower(group.name), after = to_lower(*in.new_group_name);
    if (before != after) {
      if (auto good = check_new(*iam, context, Kind::kGroup, *in.new_group_name); !good) {
        co_return std::unexpected(std::move(good.error()));
      }
      for (const Directory::EntityPtr& member : members(*iam, context, group.name)) {
        Entity user = *member;
        std::ranges::replace(user.groups, before, after);
        change.entities.push_back(std::move(user));
      }
    }
    group.name = std::move(*in.new_group_name);
    change.removed.push_back(std::move(*found));
  }
  change.entities.push_back(std::move(group));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<aws::Unit> delete_group(Iam* iam, Context context, api::DeleteGroupRequest in) {
  auto guard = co_await lock(iam, context);
  auto group = find(*iam, context, Kind::kGroup, in.group_name);
  if (!group) co_return std::unexpected(std::move(group.error()));
  if (!members(*iam, context, in.group_name).empty()) {
    co_return std::unexpected(api::delete_conflict("Cannot delete entity, must remove users from group first."));
  }
  if (auto bare = check_no_policies(**group); !bare) co_return std::unexpected(std::move(bare.error()));
  Directory::Change change;
  change.removed.push_back(std::move(*group));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<aws::Unit> add_user_to_group(Iam* iam, Context context, api::AddUserToGroupRequest in) {
  auto guard = co_await lock(iam, context);
  auto group = find(*iam, context, Kind::kGroup, in.group_name);
  if (!group) co_return std::unexpected(std::move(group.error()));
  auto found = find(*iam, context, Kind::kUser, in.user_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity user = **found;
  const std::string name = to_lower(in.group_name);
  if (std::ranges::find(user.groups, name) != user.groups.end()) co_return aws::Unit{};
  if (user.groups.size() >= kGroupsMax) {
    co_return std::unexpected(
        api::limit_exceeded(fmt::format("Cannot exceed quota for GroupsPerUser: {}", kGroupsMax)));
  }
  user.groups.push_back(name);
  co_return co_await commit(iam, context, std::move(user));
}

Reply<aws::Unit> remove_user_from_group(Iam* iam, Context context, api::RemoveUserFromGroupRequest in) {
  auto guard = co_await lock(iam, context);
  auto group = find(*iam, context, Kind::kGroup, in.group_name);
  if (!group) co_return std::unexpected(std::move(group.error()));
  auto found = find(*iam, context, Kind::kUser, in.user_name);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity user = **found;
  if (std::erase(user.groups, to_lower(in.group_name)) == 0) {
    co_return std::unexpected(api::no_such_entity(fmt::format("User {} not in group {}", in.user_name, in.group_name)));
  }
  co_return co_await commit(iam, context, std::move(user));
}

}  // namespace lambdad::iam
