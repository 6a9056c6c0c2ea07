#include "access/sessions.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/seal.h"

namespace lambdad::access {
namespace {

using Type = policy::Principal::Type;

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::size_t kKeyIdSize = 20;
constexpr std::size_t kSecretBytes = 30;  // 40 characters in base64, as AWS's

std::string_view type_name(Type type) {
  LD_CHECK(type == Type::kRoot || type == Type::kUser || type == Type::kRoleSession);
  return type == Type::kRoot ? "root" : type == Type::kUser ? "user" : "role";
}

}  // namespace

std::string random_id(Random& random, std::string_view prefix, std::size_t size) {
  std::string id(prefix);
  for (const char c : random.bytes(size - prefix.size())) id += kBase32[static_cast<unsigned char>(c) % 32];
  return id;
}

Sessions::Sessions(Random& random, std::string key) : random_(random), key_(std::move(key)) {
  LD_CHECK(key_.size() == kSealKeyBytes);
}

Result<std::string> Sessions::load_key(Files& files, Random& random, const std::string& path) {
  auto key = files.read(path);
  if (key && key->size() == kSealKeyBytes) return key;
  if (key) return fail(Errc::kCorrupt, "{} does not hold {} bytes", path, kSealKeyBytes);
  if (key.error().code != Errc::kNotFound) return fail_with(key.error(), "reading " + path);
  std::string made = random.bytes(kSealKeyBytes);
  LD_TRY_VOID(files.write_durably(path, made));
  return made;
}

Credentials Sessions::issue(Session session) {
  Credentials out{.access_key_id = random_id(random_, "ASIA", kKeyIdSize),
                  .secret_access_key = base64_encode(random_.bytes(kSecretBytes)),
                  .session_token = {},
                  .expiration = session.expires};
  json::Array policies;
  for (std::string& text : session.policies) policies.emplace_back(std::move(text));
  json::Object tags;
  for (auto& [name, value] : session.tags) tags.set(name, json::Value(std::move(value)));
  const json::Object document{{"key", out.access_key_id},
                              {"secret", out.secret_access_key},
                              {"type", type_name(session.principal.type)},
                              {"account", session.principal.account},
                              {"arn", session.principal.arn},
                              {"role_arn", session.principal.role_arn},
                              {"user_id", session.user_id},
                              {"user", session.user_name},
                              {"role", session.role_name},
                              {"role_id", session.role_id},
                              {"policies", std::move(policies)},
                              {"tags", std::move(tags)},
                              {"source", session.source_identity},
                              {"issued", to_epoch_ms(session.issued)},
                              {"expires", to_epoch_ms(session.expires)}};
  out.session_token = base64_encode(seal(key_, random_.bytes(kSealNonceBytes), json::serialize(document)));
  return out;
}

std::optional<OpenedSession> Sessions::open(std::string_view token) const {
  const auto sealed = base64_decode(token);
  const auto text = sealed ? unseal(key_, *sealed) : std::nullopt;
  if (!text) return std::nullopt;
  const auto document = json::parse(*text);
  LD_CHECK(document.has_value(), "a sealed session is not JSON");
  const auto get = [&](std::string_view name) {
    const json::Value* value = document->find(name);
    return value != nullptr && value->if_string() != nullptr ? *value->if_string() : std::string();
  };
  const auto time = [&](std::string_view name) {
    const json::Value* value = document->find(name);
    return from_epoch_ms(value == nullptr ? 0 : value->as_int64().value_or(0));
  };
  OpenedSession out{.access_key_id = get("key"), .secret_access_key = get("secret"), .session = {}};
  Session& session = out.session;
  const std::string type = get("type");
  session.principal = {.type = type == "root"   ? Type::kRoot
                               : type == "user" ? Type::kUser
                                                : Type::kRoleSession,
                       .account = get("account"),
                       .arn = get("arn"),
                       .role_arn = get("role_arn"),
                       .name = {}};
  session.user_id = get("user_id");
  session.user_name = get("user");
  session.role_name = get("role");
  session.role_id = get("role_id");
  session.source_identity = get("source");
  session.issued = time("issued");
  session.expires = time("expires");
  if (const json::Value* policies = document->find("policies");
      policies != nullptr && policies->if_array() != nullptr) {
    for (const json::Value& each : *policies->if_array()) {
      if (each.if_string() != nullptr) session.policies.push_back(*each.if_string());
    }
  }
  if (const json::Value* tags = document->find("tags"); tags != nullptr && tags->if_object() != nullptr) {
    for (const auto& [name, value] : *tags->if_object()) {
      if (value.if_string() != nullptr) session.tags.emplace_back(name, *value.if_string());
    }
  }
  return out;
}

}  // namespace lambdad::access
