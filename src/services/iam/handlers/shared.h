/// Operations that users, groups and roles share: inline and attached policies, boundaries, tags. Templates over the
/// generated shapes, whose members differ only in the name of the entity's.
#pragma once

#include <algorithm>

#include "services/iam/handlers/handlers.h"

namespace lambdad::iam {

// The entity's name in a request, whatever its member is called.
template <class T>
std::string& name_in(T& shape) {
  if constexpr (requires { shape.user_name; }) {
    return shape.user_name;
  } else if constexpr (requires { shape.group_name; }) {
    return shape.group_name;
  } else {
    return shape.role_name;
  }
}

inline aws::Error no_inline_policy(Kind kind, const std::string& name) {
  return api::no_such_entity(fmt::format("The {} policy with name {} cannot be found.", to_string(kind), name));
}

/// Makes `change` (Outcome<bool>(Entity&): whether there is something to store) to the named entity and stores it.
template <Kind kKind, class In, class Change>
Reply<aws::Unit> change_entity(Iam* iam, Context context, In in, Change change) {
  auto guard = co_await lock(iam, context);
  auto found = find(*iam, context, kKind, name_in(in));
  if (!found) co_return std::unexpected(std::move(found.error()));
  Entity entity = **found;
  aws::Outcome<bool> changed = change(entity, in);
  if (!changed) co_return std::unexpected(std::move(changed.error()));
  if (!*changed) co_return aws::Unit{};
  co_return co_await commit(iam, context, std::move(entity));
}

template <Kind kKind, class In>
Reply<aws::Unit> put_policy(Iam* iam, Context context, In in) {
  if (auto good = check_policy(in.policy_document, policy::Kind::kIdentity); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  co_return co_await change_entity<kKind>(
      iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
        entity.inline_policies.insert_or_assign(std::move(given.policy_name), std::move(given.policy_document));
        std::size_t characters = 0;
        for (const auto& [name, document] : entity.inline_policies) characters += policy_characters(document);
        const std::size_t limit = kInlineCharactersMax[static_cast<int>(kKind)];
        if (characters > limit) {
          return std::unexpected(api::limit_exceeded(
              fmt::format("Maximum policy size of {} bytes exceeded for {} {}", limit, to_string(kKind), entity.name)));
        }
        return true;
      });
}

template <Kind kKind, class Out, class In>
Reply<Out> get_policy_of(Iam* iam, Context context, In in) {
  auto found = find(*iam, context, kKind, name_in(in));
  if (!found) co_return std::unexpected(std::move(found.error()));
  const auto place = (*found)->inline_policies.find(in.policy_name);
  if (place == (*found)->inline_policies.end()) co_return std::unexpected(no_inline_policy(kKind, in.policy_name));
  Out out;
  name_in(out) = (*found)->name;
  out.policy_name = place->first;
  out.policy_document = percent_encode(place->second);
  co_return out;
}

template <Kind kKind, class In>
Reply<aws::Unit> delete_policy_of(Iam* iam, Context context, In in) {
  return change_entity<kKind>(iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
    if (entity.inline_policies.erase(given.policy_name) == 0) {
      return std::unexpected(no_inline_policy(kKind, given.policy_name));
    }
    return true;
  });
}

template <Kind kKind, class Out, class In>
Reply<Out> list_policies_of(Iam* iam, Context context, In in) {
  auto found = find(*iam, context, kKind, name_in(in));
  if (!found) co_return std::unexpected(std::move(found.error()));
  std::vector<std::string> names;
  for (const auto& [name, document] : (*found)->inline_policies) names.push_back(name);
  Out out;
  const auto same = [](const std::string& name) { return name; };
  if (auto paged = page(names, in, same, same, out.policy_names, out); !paged) {
    co_return std::unexpected(std::move(paged.error()));
  }
  co_return out;
}

template <Kind kKind, class In>
Reply<aws::Unit> attach_policy(Iam* iam, Context context, In in) {
  if (auto good = check_attachable(*iam, context, in.policy_arn); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  co_return co_await change_entity<kKind>(
      iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
        auto& attached = entity.attached_policies;
        if (std::ranges::find(attached, given.policy_arn) != attached.end()) return false;
        if (attached.size() >= kAttachedMax) {
          constexpr std::string_view kQuota = kKind == Kind::kUser    ? "PoliciesPerUser"
                                              : kKind == Kind::kGroup ? "PoliciesPerGroup"
                                                                      : "PoliciesPerRole";
          return std::unexpected(
              api::limit_exceeded(fmt::format("Cannot exceed quota for {}: {}", kQuota, kAttachedMax)));
        }
        attached.push_back(std::move(given.policy_arn));
        return true;
      });
}

template <Kind kKind, class In>
Reply<aws::Unit> detach_policy(Iam* iam, Context context, In in) {
  return change_entity<kKind>(iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
    if (std::erase(entity.attached_policies, given.policy_arn) == 0) {
      return std::unexpected(api::no_such_entity(fmt::format("Policy {} was not found.", given.policy_arn)));
    }
    return true;
  });
}

/// "/service-role/" of arn:aws:iam::aws:policy/service-role/NAME
inline std::string path_of_policy(const std::string& arn) {
  const std::size_t begin = arn.find('/'), end = arn.rfind('/');
  return arn.substr(begin, end - begin + 1);
}

template <Kind kKind, class Out, class In>
Reply<Out> list_attached_policies(Iam* iam, Context context, In in) {
  auto found = find(*iam, context, kKind, name_in(in));
  if (!found) co_return std::unexpected(std::move(found.error()));
  std::vector<std::string> arns = (*found)->attached_policies;
  if (in.path_prefix) {
    std::erase_if(arns, [&](const std::string& arn) { return !path_of_policy(arn).starts_with(*in.path_prefix); });
  }
  std::ranges::sort(arns);
  Out out;
  if (auto paged = page(
          arns, in, [](const std::string& arn) { return arn; },
          [](const std::string& arn) {
            return api::AttachedPolicy{.policy_name = arn.substr(arn.rfind('/') + 1), .policy_arn = arn};
          },
          out.attached_policies.emplace(), out);
      !paged) {
    co_return std::unexpected(std::move(paged.error()));
  }
  co_return out;
}

template <Kind kKind, class In>
Reply<aws::Unit> put_boundary(Iam* iam, Context context, In in) {
  if (auto good = check_attachable(*iam, context, in.permissions_boundary); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  co_return co_await change_entity<kKind>(iam, context, std::move(in),
                                          [](Entity& entity, In& given) -> aws::Outcome<bool> {
                                            entity.boundary = std::move(given.permissions_boundary);
                                            return true;
                                          });
}

template <Kind kKind, class In>
Reply<aws::Unit> delete_boundary(Iam* iam, Context context, In in) {
  return change_entity<kKind>(iam, context, std::move(in), [](Entity& entity, In&) -> aws::Outcome<bool> {
    if (entity.boundary.empty()) {
      return std::unexpected(api::no_such_entity(
          fmt::format("The {} with name {} does not have a permissions boundary.", to_string(kKind), entity.name)));
    }
    entity.boundary.clear();
    return true;
  });
}

template <Kind kKind, class In>
Reply<aws::Unit> tag_entity(Iam* iam, Context context, In in) {
  return change_entity<kKind>(iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
    if (auto added = add_tags(entity.tags, std::move(given.tags)); !added) {
      return std::unexpected(std::move(added.error()));
    }
    return true;
  });
}

template <Kind kKind, class In>
Reply<aws::Unit> untag_entity(Iam* iam, Context context, In in) {
  return change_entity<kKind>(iam, context, std::move(in), [](Entity& entity, In& given) -> aws::Outcome<bool> {
    remove_tags(entity.tags, given.tag_keys);
    return true;
  });
}

template <Kind kKind, class Out, class In>
Reply<Out> list_tags_of(Iam* iam, Context context, In in) {
  auto found = find(*iam, context, kKind, name_in(in));
  if (!found) co_return std::unexpected(std::move(found.error()));
  std::vector<api::Tag> tags = (*found)->tags;
  std::ranges::sort(tags, {}, &api::Tag::key);
  Out out;
  if (auto paged = page(
          tags, in, [](const api::Tag& tag) { return tag.key; }, [](const api::Tag& tag) { return tag; }, out.tags,
          out);
      !paged) {
    co_return std::unexpected(std::move(paged.error()));
  }
  co_return out;
}

/// DeleteConflict while policies hang on the entity.
inline aws::Outcome<void> check_no_policies(const Entity& entity) {
  if (!entity.attached_policies.empty()) {
    return std::unexpected(api::delete_conflict("Cannot delete entity, must detach all policies first."));
  }
  if (!entity.inline_policies.empty()) {
    return std::unexpected(api::delete_conflict("Cannot delete entity, must delete policies first."));
  }
  return {};
}

/// Those of `kind` below a path, as a page.
template <class Out, class In, class Response, class Show>
aws::Outcome<void> list_entities(const Iam& iam, Context context, Kind kind, const In& in, Show show,
                                 std::vector<Out>& out, Response& response) {
  std::vector<Directory::EntityPtr> entities = iam.directory.list(kind, context->account);
  std::erase_if(entities, [&](const Directory::EntityPtr& entity) {
    return !entity->path.starts_with(in.path_prefix.value_or("/"));
  });
  return page(
      entities, in, [](const Directory::EntityPtr& entity) { return to_lower(entity->name); },
      [&](const Directory::EntityPtr& entity) { return show(*entity); }, out, response);
}

}  // namespace lambdad::iam
