#include "policy/document.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/arn.h"
#include "base/encoding.h"

namespace lambdad::policy {
namespace {

template <class T>
using Read = std::expected<T, Malformed>;

std::unexpected<Malformed> malformed(std::string message) { return std::unexpected(Malformed{std::move(message)}); }
std::unexpected<Malformed> syntax() { return malformed("Syntax errors in policy."); }

bool is_account(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_alphanumeric(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

/// A string or a list of strings; `scalars` also takes numbers and booleans, as conditions do.
Read<std::vector<std::string>> texts(const json::Value& value, bool scalars = false) {
  std::vector<std::string> out;
  const auto add = [&](const json::Value& each) {
    if (const std::string* text = each.if_string()) {
      out.push_back(*text);
    } else if (scalars && each.is_number()) {
      out.push_back(each.if_number()->text);
    } else if (scalars && each.is_bool()) {
      out.emplace_back(*each.if_bool() ? "true" : "false");
    } else {
      return false;
    }
    return true;
  };
  if (const json::Array* array = value.if_array()) {
    for (const json::Value& each : *array) {
      if (!add(each)) return syntax();
    }
  } else if (!add(value)) {
    return syntax();
  }
  return out;
}

Read<void> check_action(const std::string& action, Kind kind) {
  if (action == "*") {
    if (kind == Kind::kTrust) return malformed("AssumeRole policy may only specify STS AssumeRole actions.");
    return {};
  }
  const std::size_t colon = action.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == action.size()) {
    return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
  }
  const std::string_view vendor = std::string_view(action).substr(0, colon);
  if (!std::ranges::all_of(vendor, [](char c) { return c == '-' || is_alphanumeric(std::string_view(&c, 1)); })) {
    return malformed(fmt::format("Vendor {} is not valid", escape_control(vendor)));
  }
  if (kind == Kind::kTrust && !equals_ignoring_case(vendor, "sts")) {
    return malformed("AssumeRole policy may only specify STS AssumeRole actions.");
  }
  return {};
}

Read<void> check_resource(const std::string& resource) {
  // A resource may begin with a wildcard or a variable instead of "arn".
  if (resource == "*" || resource.starts_with("arn:") || resource.starts_with("*:") || resource.starts_with("${")) {
    return {};
  }
  return malformed(fmt::format("Resource {} must be in ARN format or \"*\".", escape_control(resource)));
}

Read<void> add_principals(PrincipalElement& out, const std::string& kind, std::vector<std::string> values) {
  const auto invalid = [&](const std::string& value) {
    std::string name = kind;
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return malformed(fmt::format("Invalid principal in policy: \"{}\":\"{}\"", name, escape_control(value)));
  };
  for (std::string& value : values) {
    if (kind == "AWS") {
      if (value == "*") {
        out.anyone = true;
        continue;
      }
      const auto arn = Arn::parse(value);
      const bool known = arn && (arn->service == "iam" || arn->service == "sts") && is_account(arn->account);
      if (!known && !is_account(value)) return invalid(value);
      out.aws.push_back(std::move(value));
    } else if (kind == "Service") {
      if (value.find('.') == std::string::npos) return invalid(value);
      out.service.push_back(std::move(value));
    } else if (kind == "Federated") {
      if (value == "*") {
        out.anyone_federated = true;
        continue;
      }
      if (value.empty()) return invalid(value);
      out.federated.push_back(std::move(value));
    } else {
      return syntax();
    }
  }
  return {};
}

Read<PrincipalElement> read_principal(const json::Value& value) {
  PrincipalElement out;
  if (const std::string* text = value.if_string()) {
    if (*text != "*") return syntax();
    out.anyone = true;
    return out;
  }
  const json::Object* object = value.if_object();
  if (object == nullptr || object->empty()) return syntax();
  for (const auto& [kind, list] : *object) {
    auto values = texts(list);
    if (!values) return std::unexpected(std::move(values.error()));
    if (auto added = add_principals(out, kind, std::move(*values)); !added) {
      return std::unexpected(std::move(added.error()));
    }
  }
  return out;
}

Read<std::vector<Condition>> read_conditions(const json::Value& value) {
  const json::Object* operators = value.if_object();
  if (operators == nullptr) return syntax();
  std::vector<Condition> out;
  for (const auto& [name, keys] : *operators) {
    const auto read = read_operator(name);
    if (!read) return malformed(fmt::format("Invalid Condition type : {}.", escape_control(name)));
    const json::Object* lines = keys.if_object();
    if (lines == nullptr) return syntax();
    for (const auto& [key, values] : *lines) {
      Condition condition = *read;
      // aws:PrincipalTag/NAME and its like: the vendor's prefix stands before the first colon.
      if (key.find(':') == std::string::npos || key.starts_with(':')) {
        return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
      }
      condition.key = to_lower(key);
      auto list = texts(values, /*scalars=*/true);
      if (!list) return std::unexpected(std::move(list.error()));
      condition.values = std::move(*list);
      out.push_back(std::move(condition));
    }
  }
  return out;
}

/// The element or its negation, never both.
Read<const json::Value*> either(const json::Object& object, std::string_view name, std::string_view negation,
                                bool& negated) {
  const json::Value* plain = object.find(name);
  const json::Value* inverse = object.find(negation);
  if (plain != nullptr && inverse != nullptr) return syntax();
  negated = inverse != nullptr;
  return negated ? inverse : plain;
}

Read<void> read_actions(const json::Object& object, Kind kind, Statement& out) {
  auto element = either(object, "Action", "NotAction", out.not_action);
  if (!element) return std::unexpected(std::move(element.error()));
  if (*element == nullptr) return malformed("Policy statement must contain actions.");
  auto list = texts(**element);
  if (!list) return std::unexpected(std::move(list.error()));
  if (list->empty()) return malformed("Policy statement must contain actions.");
  for (const std::string& action : *list) {
    if (auto good = check_action(action, kind); !good) return good;
  }
  out.actions = std::move(*list);
  return {};
}

Read<void> read_resources(const json::Object& object, Kind kind, Statement& out) {
  auto element = either(object, "Resource", "NotResource", out.not_resource);
  if (!element) return std::unexpected(std::move(element.error()));
  if (kind == Kind::kTrust) {
    if (*element != nullptr) return malformed("Has prohibited field Resource");
    return {};
  }
  if (*element == nullptr) return malformed("Policy statement must contain resources.");
  auto list = texts(**element);
  if (!list) return std::unexpected(std::move(list.error()));
  if (list->empty()) return malformed("Policy statement must contain resources.");
  for (const std::string& resource : *list) {
    if (auto good = check_resource(resource); !good) return good;
  }
  out.resources = std::move(*list);
  return {};
}

Read<void> read_principals(const json::Object& object, Kind kind, Statement& out) {
  auto element = either(object, "Principal", "NotPrincipal", out.not_principal);
  if (!element) return std::unexpected(std::move(element.error()));
  if (kind == Kind::kIdentity) {
    if (*element != nullptr) return malformed("Policy document should not specify a principal.");
    return {};
  }
  if (*element == nullptr) return malformed("Missing required field Principal");
  auto principal = read_principal(**element);
  if (!principal) return std::unexpected(std::move(principal.error()));
  out.principal = std::move(*principal);
  return {};
}

Read<Statement> read_statement(const json::Value& value, Kind kind) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return syntax();
  constexpr std::string_view kElements[] = {"Sid",      "Effect",      "Action",    "NotAction",   "Principal",
                                            "Resource", "NotResource", "Condition", "NotPrincipal"};
  for (const auto& [name, element] : *object) {
    if (std::ranges::find(kElements, name) == std::end(kElements)) return syntax();
  }
  Statement out;
  if (const json::Value* sid = object->find("Sid")) {
    if (sid->if_string() == nullptr) return syntax();
    out.sid = *sid->if_string();
    // Services choose their own rule for their resources' policies.
    if (kind != Kind::kResource && !is_alphanumeric(out.sid)) {
      return malformed(
          "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
          "[0-9A-Za-z]*");
    }
  }
  const json::Value* effect = object->find("Effect");
  const std::string* text = effect == nullptr ? nullptr : effect->if_string();
  if (text == nullptr || (*text != "Allow" && *text != "Deny")) return syntax();
  out.allow = *text == "Allow";
  if (auto good = read_actions(*object, kind, out); !good) return std::unexpected(std::move(good.error()));
  if (auto good = read_resources(*object, kind, out); !good) return std::unexpected(std::move(good.error()));
  if (auto good = read_principals(*object, kind, out); !good) return std::unexpected(std::move(good.error()));
  if (const json::Value* condition = object->find("Condition")) {
    auto conditions = read_conditions(*condition);
    if (!conditions) return std::unexpected(std::move(conditions.error()));
    out.conditions = std::move(*conditions);
  }
  return out;
}

}  // namespace

std::expected<Document, Malformed> parse(std::string_view text, Kind kind) {
  auto document = json::parse(text);
  if (!document) return malformed("This policy contains invalid Json");
  return read(*document, kind);
}

std::expected<Document, Malformed> read(const json::Value& document, Kind kind) {
  const json::Object* object = document.if_object();
  if (object == nullptr) return syntax();
  Document out;
  for (const auto& [name, value] : *object) {
    if (name == "Version") {
      const std::string* version = value.if_string();
      if (version == nullptr || (*version != "2012-10-17" && *version != "2008-10-17")) return syntax();
      out.variables = *version == "2012-10-17";
    } else if (name == "Id") {
      if (value.if_string() == nullptr) return syntax();
    } else if (name != "Statement") {
      return syntax();
    }
  }
  const json::Value* statements = object->find("Statement");
  if (statements == nullptr) return syntax();
  std::set<std::string> sids;
  const auto add = [&](const json::Value& each) -> Read<void> {
    auto statement = read_statement(each, kind);
    if (!statement) return std::unexpected(std::move(statement.error()));
    if (!statement->sid.empty() && !sids.insert(statement->sid).second) {
      return malformed("Statement IDs (SID) in a single policy must be unique.");
    }
    out.statements.push_back(std::move(*statement));
    return {};
  };
  if (const json::Array* array = statements->if_array()) {
    if (array->empty()) return syntax();
    for (const json::Value& each : *array) {
      if (auto added = add(each); !added) return std::unexpected(std::move(added.error()));
    }
  } else if (auto added = add(*statements); !added) {
    return std::unexpected(std::move(added.error()));
  }
  return out;
}

}  // namespace lambdad::policy
