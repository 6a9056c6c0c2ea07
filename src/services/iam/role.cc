#include "services/iam/role.h"

#include "base/encoding.h"

namespace lambdad::iam {

std::string StoredRole::arn() const { return fmt::format("arn:aws:iam::{}:role{}{}", account, path, name); }

aws::iam::Role to_role(const StoredRole& role) {
  aws::iam::Role out;
  out.path = role.path;
  out.role_name = role.name;
  out.role_id = role.id;
  out.arn = role.arn();
  out.create_date = role.created;
  out.assume_role_policy_document = percent_encode(role.trust_policy);
  if (!role.description.empty()) out.description = role.description;
  out.max_session_duration = role.max_session_seconds;
  if (!role.tags.empty()) out.tags = role.tags;
  return out;
}

json::Value to_document(const StoredRole& role) {
  json::Array tags;
  for (const auto& tag : role.tags) tags.push_back(json::Object{{"key", tag.key}, {"value", tag.value}});
  json::Object inline_policies;
  for (const auto& [name, text] : role.inline_policies) inline_policies.append(name, text);
  json::Array attached;
  for (const auto& arn : role.attached_policies) attached.push_back(arn);
  return json::Object{{"account", role.account},
                      {"path", role.path},
                      {"name", role.name},
                      {"id", role.id},
                      {"trust_policy", role.trust_policy},
                      {"description", role.description},
                      {"max_session_seconds", role.max_session_seconds},
                      {"created_ms", to_epoch_ms(role.created)},
                      {"tags", std::move(tags)},
                      {"inline_policies", std::move(inline_policies)},
                      {"attached_policies", std::move(attached)}};
}

Result<StoredRole> role_from_document(const json::Value& document) {
  std::string wrong;
  auto text = [&](const json::Value& in, std::string_view key) -> std::string {
    const json::Value* value = in.find(key);
    if (value != nullptr && value->if_string() != nullptr) return *value->if_string();
    wrong = key;
    return {};
  };
  auto integer = [&](std::string_view key) -> std::int64_t {
    const json::Value* value = document.find(key);
    if (auto number = value != nullptr ? value->as_int64() : std::nullopt) return *number;
    wrong = key;
    return 0;
  };
  StoredRole role{.account = text(document, "account"),
                  .path = text(document, "path"),
                  .name = text(document, "name"),
                  .id = text(document, "id"),
                  .trust_policy = text(document, "trust_policy"),
                  .description = text(document, "description"),
                  .max_session_seconds = static_cast<int>(integer("max_session_seconds")),
                  .created = from_epoch_ms(integer("created_ms"))};
  const json::Value* tags = document.find("tags");
  const json::Value* policies = document.find("inline_policies");
  const json::Value* attached = document.find("attached_policies");
  if (tags == nullptr || tags->if_array() == nullptr || policies == nullptr || policies->if_object() == nullptr ||
      attached == nullptr || attached->if_array() == nullptr) {
    return fail(Errc::kCorrupt, "stored role: tags or policies are missing");
  }
  for (const json::Value& tag : *tags->if_array()) {
    role.tags.push_back(aws::iam::Tag{.key = text(tag, "key"), .value = text(tag, "value")});
  }
  for (const auto& [name, policy] : *policies->if_object()) {
    if (policy.if_string() == nullptr) wrong = "inline_policies";
    if (policy.if_string() != nullptr) role.inline_policies.emplace(name, *policy.if_string());
  }
  for (const json::Value& arn : *attached->if_array()) {
    if (arn.if_string() == nullptr) wrong = "attached_policies";
    if (arn.if_string() != nullptr) role.attached_policies.push_back(*arn.if_string());
  }
  if (!wrong.empty()) return fail(Errc::kCorrupt, "stored role: member '{}' is missing or wrong", wrong);
  return role;
}

}  // namespace lambdad::iam
