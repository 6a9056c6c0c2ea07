#include "services/iam/entity.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::iam {
namespace {

/// Reads a stored document; remembers the first member that is missing or wrong.
class Reader {
 public:
  explicit Reader(std::string what) : what_(std::move(what)) {}
  std::string text(const json::Value& in, std::string_view key) { return text_or(in, key, std::nullopt); }
  std::string text_or(const json::Value& in, std::string_view key, std::optional<std::string> fallback) {
    const json::Value* value = in.find(key);
    if (value != nullptr && value->if_string() != nullptr) return *value->if_string();
    if (value == nullptr && fallback) return *fallback;
    note(key);
    return {};
  }
  std::int64_t integer(const json::Value& in, std::string_view key) {
    const json::Value* value = in.find(key);
    if (auto number = value != nullptr ? value->as_int64() : std::nullopt) return *number;
    note(key);
    return 0;
  }
  /// Absent: empty.
  const json::Array& array(const json::Value& in, std::string_view key) {
    static const json::Array kEmpty;
    const json::Value* value = in.find(key);
    if (value == nullptr) return kEmpty;
    if (value->if_array() != nullptr) return *value->if_array();
    note(key);
    return kEmpty;
  }
  std::vector<std::string> texts(const json::Value& in, std::string_view key) {
    std::vector<std::string> out;
    for (const json::Value& each : array(in, key)) {
      if (each.if_string() == nullptr) note(key);
      if (each.if_string() != nullptr) out.push_back(*each.if_string());
    }
    return out;
  }
  std::vector<aws::iam::Tag> tags(const json::Value& in) {
    std::vector<aws::iam::Tag> out;
    for (const json::Value& tag : array(in, "tags")) {
      out.push_back(aws::iam::Tag{.key = text(tag, "key"), .value = text(tag, "value")});
    }
    return out;
  }
  std::map<std::string, std::string> map(const json::Value& in, std::string_view key) {
    std::map<std::string, std::string> out;
    const json::Value* value = in.find(key);
    if (value == nullptr || value->if_object() == nullptr) {
      note(key);
      return out;
    }
    for (const auto& [name, each] : *value->if_object()) {
      if (each.if_string() == nullptr) note(key);
      if (each.if_string() != nullptr) out.emplace(name, *each.if_string());
    }
    return out;
  }
  void note(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }
  Result<void> done() const {
    if (wrong_.empty()) return {};
    return fail(Errc::kCorrupt, "stored {}: member '{}' is missing or wrong", what_, wrong_);
  }

 private:
  std::string what_;
  std::string wrong_;
};

json::Array tags_document(const std::vector<aws::iam::Tag>& tags) {
  json::Array out;
  for (const auto& tag : tags) out.push_back(json::Object{{"key", tag.key}, {"value", tag.value}});
  return out;
}

json::Array texts_document(const std::vector<std::string>& texts) {
  json::Array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

std::optional<aws::iam::AttachedPermissionsBoundary> to_boundary(const Entity& entity) {
  if (entity.boundary.empty()) return std::nullopt;
  return aws::iam::AttachedPermissionsBoundary{.permissions_boundary_type = "Policy",
                                               .permissions_boundary_arn = entity.boundary};
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kUser: return "user";
    case Kind::kGroup: return "group";
    case Kind::kRole: return "role";
  }
  LD_CHECK(false);
}

std::string Entity::arn() const { return fmt::format("arn:aws:iam::{}:{}{}{}", account, to_string(kind), path, name); }

std::string ManagedPolicy::arn() const { return fmt::format("arn:aws:iam::{}:policy{}{}", account, path, name); }

const PolicyVersion* ManagedPolicy::find(int number) const {
  const auto place = std::ranges::find(versions, number, &PolicyVersion::number);
  return place == versions.end() ? nullptr : &*place;
}

const PolicyVersion& ManagedPolicy::current() const {
  const PolicyVersion* version = find(default_version);
  LD_CHECK(version != nullptr, "{} has no version v{}", arn(), default_version);
  return *version;
}

aws::iam::Role to_role(const Entity& role) {
  aws::iam::Role out;
  out.path = role.path;
  out.role_name = role.name;
  out.role_id = role.id;
  out.arn = role.arn();
  out.create_date = role.created;
  out.assume_role_policy_document = percent_encode(role.trust_policy);
  if (!role.description.empty()) out.description = role.description;
  out.max_session_duration = role.max_session_seconds;
  out.permissions_boundary = to_boundary(role);
  if (!role.tags.empty()) out.tags = role.tags;
  return out;
}

aws::iam::User to_user(const Entity& user) {
  aws::iam::User out;
  out.path = user.path;
  out.user_name = user.name;
  out.user_id = user.id;
  out.arn = user.arn();
  out.create_date = user.created;
  out.permissions_boundary = to_boundary(user);
  if (!user.tags.empty()) out.tags = user.tags;
  return out;
}

aws::iam::Group to_group(const Entity& group) {
  aws::iam::Group out;
  out.path = group.path;
  out.group_name = group.name;
  out.group_id = group.id;
  out.arn = group.arn();
  out.create_date = group.created;
  return out;
}

json::Value to_document(const Entity& entity) {
  json::Object inline_policies;
  for (const auto& [name, text] : entity.inline_policies) inline_policies.append(name, text);
  json::Object out{{"account", entity.account},
                   {"path", entity.path},
                   {"name", entity.name},
                   {"id", entity.id},
                   {"created_ms", to_epoch_ms(entity.created)},
                   {"tags", tags_document(entity.tags)},
                   {"inline_policies", std::move(inline_policies)},
                   {"attached_policies", texts_document(entity.attached_policies)},
                   {"boundary", entity.boundary}};
  if (entity.kind == Kind::kRole) {
    out.append("trust_policy", entity.trust_policy);
    out.append("description", entity.description);
    out.append("max_session_seconds", entity.max_session_seconds);
  } else if (entity.kind == Kind::kUser) {
    json::Array keys;
    for (const AccessKey& key : entity.keys) {
      keys.push_back(json::Object{
          {"id", key.id}, {"secret", key.secret}, {"active", key.active}, {"created_ms", to_epoch_ms(key.created)}});
    }
    out.append("groups", texts_document(entity.groups));
    out.append("keys", std::move(keys));
  }
  return out;
}

Result<Entity> entity_from_document(Kind kind, const json::Value& document) {
  Reader read{std::string(to_string(kind))};
  Entity out{.kind = kind,
             .account = read.text(document, "account"),
             .path = read.text(document, "path"),
             .name = read.text(document, "name"),
             .id = read.text(document, "id"),
             .created = from_epoch_ms(read.integer(document, "created_ms")),
             .tags = read.tags(document),
             .inline_policies = read.map(document, "inline_policies"),
             .attached_policies = read.texts(document, "attached_policies"),
             .boundary = read.text_or(document, "boundary", "")};
  if (kind == Kind::kRole) {
    out.trust_policy = read.text(document, "trust_policy");
    out.description = read.text(document, "description");
    out.max_session_seconds = static_cast<int>(read.integer(document, "max_session_seconds"));
  } else if (kind == Kind::kUser) {
    out.groups = read.texts(document, "groups");
    for (const json::Value& key : read.array(document, "keys")) {
      const json::Value* active = key.find("active");
      if (active == nullptr || active->if_bool() == nullptr) read.note("keys.active");
      out.keys.push_back({.id = read.text(key, "id"),
                          .secret = read.text(key, "secret"),
                          .active = active != nullptr && active->if_bool() != nullptr && *active->if_bool(),
                          .created = from_epoch_ms(read.integer(key, "created_ms"))});
    }
  }
  LD_TRY_VOID(read.done());
  return out;
}

json::Value to_document(const ManagedPolicy& policy) {
  json::Array versions;
  for (const PolicyVersion& version : policy.versions) {
    versions.push_back(json::Object{
        {"number", version.number}, {"document", version.document}, {"created_ms", to_epoch_ms(version.created)}});
  }
  return json::Object{{"account", policy.account},
                      {"path", policy.path},
                      {"name", policy.name},
                      {"id", policy.id},
                      {"description", policy.description},
                      {"created_ms", to_epoch_ms(policy.created)},
                      {"updated_ms", to_epoch_ms(policy.updated)},
                      {"tags", tags_document(policy.tags)},
                      {"versions", std::move(versions)},
                      {"default_version", policy.default_version},
                      {"next_version", policy.next_version}};
}

Result<ManagedPolicy> policy_from_document(const json::Value& document) {
  Reader read("policy");
  ManagedPolicy out{.account = read.text(document, "account"),
                    .path = read.text(document, "path"),
                    .name = read.text(document, "name"),
                    .id = read.text(document, "id"),
                    .description = read.text(document, "description"),
                    .created = from_epoch_ms(read.integer(document, "created_ms")),
                    .updated = from_epoch_ms(read.integer(document, "updated_ms")),
                    .tags = read.tags(document),
                    .default_version = static_cast<int>(read.integer(document, "default_version")),
                    .next_version = static_cast<int>(read.integer(document, "next_version"))};
  for (const json::Value& version : read.array(document, "versions")) {
    out.versions.push_back({.number = static_cast<int>(read.integer(version, "number")),
                            .document = read.text(version, "document"),
                            .created = from_epoch_ms(read.integer(version, "created_ms"))});
  }
  if (out.find(out.default_version) == nullptr) read.note("default_version");
  LD_TRY_VOID(read.done());
  return out;
}

}  // namespace lambdad::iam
