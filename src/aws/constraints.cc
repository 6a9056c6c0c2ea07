#include "aws/constraints.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>

namespace lambdad::aws {

namespace {

constexpr std::size_t kShownBytesMax = 4096;  // of a value in a message
constexpr std::size_t kFindingsMax = 100;     // of a request; more say nothing new
constexpr std::size_t kMessageBytesMax = 65536;

/// "FunctionName" -> "functionName", as the front end names members.
std::string lower_first(std::string_view name) {
  std::string out(name);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
}

std::int64_t count_characters(std::string_view utf8) {
  return std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

/// What Java's toString makes of a value: [a, b], {k=v}, Shape(member=v, other=null).
void append_shown(std::string& out, const json::Value& value, const ShapeModel& shape) {
  if (out.size() > kShownBytesMax) return;
  if (const std::string* string = value.if_string()) {
    out += *string;
  } else if (const json::Array* array = value.if_array()) {
    out += '[';
    for (std::size_t i = 0; i < array->size() && out.size() <= kShownBytesMax; ++i) {
      if (i != 0) out += ", ";
      append_shown(out, (*array)[i], *shape.element);
    }
    out += ']';
  } else if (const json::Object* object = value.if_object(); object != nullptr && shape.kind == Kind::kMap) {
    out += '{';
    bool first = true;
    for (const auto& [key, element] : *object) {
      if (!std::exchange(first, false)) out += ", ";
      out += key;
      out += '=';
      append_shown(out, element, *shape.element);
      if (out.size() > kShownBytesMax) break;
    }
    out += '}';
  } else if (object != nullptr) {
    out += shape.name;
    out += '(';
    bool first = true;
    for (const MemberModel& member : shape.members) {
      if (!std::exchange(first, false)) out += ", ";
      out += lower_first(member.name);
      out += '=';
      const json::Value* of = object->find(member.name);
      if (of == nullptr) {
        out += "null";
      } else {
        append_shown(out, *of, *member.shape);
      }
    }
    out += ')';
  } else {
    out += json::serialize(value);
  }
}

std::string shown(const json::Value& value, const ShapeModel& shape) {
  std::string out;
  append_shown(out, value, shape);
  if (out.size() > kShownBytesMax) {
    std::size_t end = kShownBytesMax;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;  // not inside a character
    out.resize(end);
    out += "...";
  }
  return out;
}

std::string bound_text(double bound) {
  return bound == static_cast<double>(static_cast<std::int64_t>(bound))
             ? fmt::format("{}", static_cast<std::int64_t>(bound))
             : fmt::format("{}", bound);
}

std::string pattern_phrase(const ShapeModel& shape) {
  return fmt::format("Member must satisfy regular expression pattern: {}", shape.pattern_text);
}
std::string enum_phrase(const ShapeModel& shape) {
  return fmt::format("Member must satisfy enum value set: [{}]", fmt::join(shape.enum_values, ", "));
}
std::string length_max_phrase(std::int64_t bound) {
  return fmt::format("Member must have length less than or equal to {}", bound);
}
std::string length_min_phrase(std::int64_t bound) {
  return fmt::format("Member must have length greater than or equal to {}", bound);
}

/// Every constraint of a list element, map key or map value: the front end names them all when one is broken.
std::string element_phrases(const ShapeModel& shape) {
  std::vector<std::string> phrases;
  if (shape.length_max) phrases.push_back(length_max_phrase(*shape.length_max));
  if (shape.length_min) phrases.push_back(length_min_phrase(*shape.length_min));
  if (shape.value_max)
    phrases.push_back(fmt::format("Member must have value less than or equal to {}", bound_text(*shape.value_max)));
  if (shape.value_min)
    phrases.push_back(fmt::format("Member must have value greater than or equal to {}", bound_text(*shape.value_min)));
  if (!shape.pattern.empty()) phrases.push_back(pattern_phrase(shape));
  if (!shape.enum_values.empty()) phrases.push_back(enum_phrase(shape));
  phrases.emplace_back("Member must not be null");
  return fmt::format("[{}]", fmt::join(phrases, ", "));
}

/// Whether a value says anything: null, false, "", [], {} and objects of only such values do not.
bool carries_something(const json::Value& value) {
  if (value.is_null()) return false;
  if (const bool* boolean = value.if_bool()) return *boolean;
  if (const std::string* string = value.if_string()) return !string->empty();
  if (const json::Array* array = value.if_array()) return !array->empty();
  if (const json::Object* object = value.if_object()) {
    return std::ranges::any_of(*object, [](const auto& member) { return carries_something(member.second); });
  }
  return true;
}

/// Whether something stands at `path` ("Code.S3Bucket"); lists on the way are looked through.
bool carries(const json::Value& value, std::string_view path) {
  if (const json::Array* array = value.if_array()) {
    return std::ranges::any_of(*array, [&](const json::Value& element) { return carries(element, path); });
  }
  if (path.empty()) return carries_something(value);
  const std::size_t dot = path.find('.');
  const json::Value* member = value.find(path.substr(0, dot));
  return member != nullptr &&
         carries(*member, dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1));
}

int place_of(const MemberModel& member) {
  if (member.location == Location::kQueryString) return 0;
  return member.location == Location::kHeader || member.location == Location::kHeaders ? 1 : 2;
}

}  // namespace

struct Constraints::Pattern {
  explicit Pattern(const ShapeModel& shape) : regex(std::string(shape.pattern), options()) {
    LD_CHECK(regex.ok(), "pattern of {}: {}", shape.name, regex.error());
  }
  static re2::RE2::Options options() {
    re2::RE2::Options out;
    out.set_log_errors(false);
    return out;
  }
  re2::RE2 regex;
};

/// One walk over a document.
class Constraints::Checker {
 public:
  explicit Checker(Constraints& owner) : owner_(owner) {}

  void check_members(const json::Value& value, const ShapeModel& shape, const std::string& path) {
    for (int place = 0; place <= 2; ++place) {
      for (const MemberModel& member : shape.members) {
        if (place_of(member) != place) continue;
        const std::string name =
            path.empty() ? lower_first(member.name) : fmt::format("{}.{}", path, lower_first(member.name));
        const json::Value* of = value.find(member.name);
        if (of != nullptr) {
          check(*of, *member.shape, name);
        } else if (member.required && !(member.name == shape.payload_member && member.shape->kind == Kind::kBlob)) {
          add(fmt::format("Value null at '{}' failed to satisfy constraint: Member must not be null", name));
        }
      }
    }
  }

  Outcome<void> result() const {
    if (count_ == 0) return {};
    return std::unexpected(validation_error(
        fmt::format("{} validation error{} detected: {}", count_, count_ == 1 ? "" : "s", fmt::join(findings_, "; "))));
  }

 private:
  void check(const json::Value& value, const ShapeModel& shape, const std::string& path) {
    if (shape.kind == Kind::kStructure) return check_members(value, shape, path);
    check_scalar(value, shape, path);
    if (const json::Array* array = value.if_array()) {
      const ShapeModel& element = *shape.element;
      if (is_container(element)) {
        for (std::size_t i = 0; i < array->size(); ++i) {
          check((*array)[i], element, fmt::format("{}.{}.member", path, i + 1));
        }
      } else if (std::ranges::any_of(*array, [&](const json::Value& of) { return breaks(of, element); })) {
        refuse(value, shape, path, "Member must satisfy constraint: " + element_phrases(element));
      }
    } else if (const json::Object* object = value.if_object()) {
      const ShapeModel& element = *shape.element;
      if (std::ranges::any_of(*object,
                              [&](const auto& member) { return breaks(json::Value(member.first), *shape.key); })) {
        refuse(value, shape, path, "Map keys must satisfy constraint: " + element_phrases(*shape.key));
      }
      if (is_container(element)) {
        for (const auto& [key, of] : *object) check(of, element, fmt::format("{}.{}.member", path, key));
      } else if (std::ranges::any_of(*object, [&](const auto& member) { return breaks(member.second, element); })) {
        refuse(value, shape, path, "Map value must satisfy constraint: " + element_phrases(element));
      }
    }
  }

  static bool is_container(const ShapeModel& shape) {
    return shape.kind == Kind::kStructure || shape.kind == Kind::kList || shape.kind == Kind::kMap;
  }

  static std::optional<std::int64_t> length_of(const json::Value& value, const ShapeModel& shape) {
    if (const json::Array* array = value.if_array()) return static_cast<std::int64_t>(array->size());
    if (const json::Object* object = value.if_object()) return static_cast<std::int64_t>(object->size());
    const std::string* string = value.if_string();
    if (string == nullptr) return std::nullopt;
    if (shape.kind != Kind::kBlob) return count_characters(*string);
    // Bytes of base64 text, without decoding it.
    const std::size_t padding = string->ends_with("==") ? 2 : string->ends_with("=") ? 1 : 0;
    return static_cast<std::int64_t>((string->size() - padding) * 3 / 4);
  }

  void check_scalar(const json::Value& value, const ShapeModel& shape, const std::string& path) {
    if (const std::string* string = value.if_string(); string != nullptr && shape.kind == Kind::kString) {
      if (!owner_.matches(shape, *string)) refuse(value, shape, path, pattern_phrase(shape));
      if (!in_enum(*string, shape)) refuse(value, shape, path, enum_phrase(shape));
    }
    if (shape.length_min || shape.length_max) {
      const std::optional<std::int64_t> length = length_of(value, shape);
      if (length && shape.length_max && *length > *shape.length_max) {
        refuse(value, shape, path, length_max_phrase(*shape.length_max));
      }
      if (length && shape.length_min && *length < *shape.length_min) {
        refuse(value, shape, path, length_min_phrase(*shape.length_min));
      }
    }
    if (shape.value_min || shape.value_max) {
      const std::optional<double> number = value.as_double();
      if (number && shape.value_max && *number > *shape.value_max) {
        refuse(value, shape, path,
               fmt::format("Member must have value less than or equal to {}", bound_text(*shape.value_max)));
      }
      if (number && shape.value_min && *number < *shape.value_min) {
        refuse(value, shape, path,
               fmt::format("Member must have value greater than or equal to {}", bound_text(*shape.value_min)));
      }
    }
  }

  bool breaks(const json::Value& value, const ShapeModel& shape) {
    Checker inner(owner_);
    inner.check_scalar(value, shape, {});
    return inner.count_ != 0;
  }

  static bool in_enum(std::string_view text, const ShapeModel& shape) {
    return shape.enum_values.empty() || std::ranges::find(shape.enum_values, text) != shape.enum_values.end();
  }

  void refuse(const json::Value& value, const ShapeModel& shape, const std::string& path, const std::string& phrase) {
    if (full()) {
      ++count_;
      return;
    }
    add(fmt::format("Value '{}' at '{}' failed to satisfy constraint: {}", shown(value, shape), path, phrase));
  }

  bool full() const { return findings_.size() >= kFindingsMax || bytes_ > kMessageBytesMax; }

  void add(std::string finding) {
    ++count_;
    if (full()) return;
    bytes_ += finding.size();
    findings_.push_back(std::move(finding));
  }

  Constraints& owner_;
  std::vector<std::string> findings_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

namespace {

/// Fills required strings below the top level with "", and finds other required members that are missing.
Outcome<void> complete(json::Value& value, const ShapeModel& shape, bool top) {
  if (json::Array* array = value.if_array()) {
    for (json::Value& element : *array) {
      if (auto completed = complete(element, *shape.element, false); !completed) return completed;
    }
    return {};
  }
  json::Object* object = value.if_object();
  if (object == nullptr) return {};
  if (shape.kind == Kind::kMap) {
    for (auto& [key, element] : *object) {
      if (auto completed = complete(element, *shape.element, false); !completed) return completed;
    }
    return {};
  }
  for (const MemberModel& member : shape.members) {
    json::Value* of = object->find(member.name);
    if (of != nullptr) {
      if (auto completed = complete(*of, *member.shape, false); !completed) return completed;
    } else if (member.required) {
      if (top || member.shape->kind != Kind::kString) {
        Error error = validation_error(fmt::format("The request must contain the parameter {}.", member.name));
        error.type = "MissingRequiredParameterException";
        error.query_code = "MissingParameter";
        return std::unexpected(std::move(error));
      }
      object->append(std::string(member.name), json::Value(""));
    }
  }
  return {};
}

}  // namespace

Constraints::Constraints() = default;
Constraints::~Constraints() = default;

bool Constraints::matches(const ShapeModel& shape, std::string_view text) {
  if (shape.pattern.empty()) return true;
  std::unique_ptr<Pattern>& pattern = patterns_[&shape];
  if (!pattern) pattern = std::make_unique<Pattern>(shape);
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern->regex);
}

Outcome<void> Constraints::check(const ServiceModel& service, const OperationModel& operation, json::Value& document) {
  for (const std::string_view path : operation.refused_members) {
    if (carries(document, path)) return std::unexpected(not_served(service.name, operation.name, path));
  }
  if (operation.input == nullptr) return {};
  if (service.constraint_style == ConstraintStyle::kMissingParameter) return complete(document, *operation.input, true);
  Checker checker(*this);
  checker.check_members(document, *operation.input, {});
  return checker.result();
}

}  // namespace lambdad::aws
