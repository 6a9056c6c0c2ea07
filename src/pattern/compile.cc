#include "pattern/compile.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <memory>

namespace lambdad::pattern {

namespace {

using Kind = Matcher::Kind;

constexpr std::string_view kOperators[] = {
    "exact", "prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "cidr", "anything-but", "exists"};
constexpr const char* kOneKeyOnly = "Only one key allowed in match expression";
constexpr const char* kTooComplex =
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard "
    "character";

struct Limits {
  double numeric_max;
  bool every_anything_but;
  bool nested;
  bool is_sns;
};

Limits limits_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::kEventBridge: return {std::numeric_limits<double>::infinity(), true, true, false};
    case Dialect::kMappingFilter: return {5e9, true, true, false};
    case Dialect::kSnsAttributes: return {1e9, false, false, true};
    case Dialect::kSnsBody: return {1e9, false, true, true};
  }
  return {};
}

std::unexpected<Error> wrong(std::string text) { return std::unexpected(Error{Errc::kInvalid, std::move(text)}); }

// As the texts of errors name a token.
std::string token_text(const json::Value& value) {
  if (const auto* text = value.if_string()) return *text;
  if (value.is_object()) return "{";
  if (value.is_array()) return "[";
  return json::serialize(value);
}

Matcher word(Kind kind) {
  Matcher matcher;
  matcher.kind = kind;
  return matcher;
}
Matcher text_matcher(Kind kind, std::string text) {
  Matcher matcher;
  matcher.kind = kind;
  matcher.text = std::move(text);
  return matcher;
}

/// Reads the members of one leaf's array.
class LeafReader {
 public:
  explicit LeafReader(const Limits& limits) : limits_(limits) {}

  struct Leaf {
    bool absent = false;
    std::vector<Matcher> matchers;
  };

  Result<Leaf> read(const json::Array& items) const {
    if (items.empty()) return wrong("Empty arrays are not allowed");
    Leaf leaf;
    for (const json::Value& item : items) {
      LD_TRY(auto matcher, member(item));
      if (matcher.kind == Kind::kAbsent) {
        leaf.absent = true;
      } else {
        leaf.matchers.push_back(std::move(matcher));
      }
    }
    return leaf;
  }

 private:
  Result<Matcher> member(const json::Value& item) const {
    if (const auto* text = item.if_string()) return text_matcher(Kind::kString, *text);
    if (const auto* number = item.if_number()) return text_matcher(Kind::kNumber, canonical_number(number->text));
    if (const auto* flag = item.if_bool()) return word(*flag ? Kind::kTrue : Kind::kFalse);
    if (item.is_null()) return word(Kind::kNull);
    const auto* object = item.if_object();
    if (object == nullptr) return wrong("Match value must be String, number, true, false, or null");
    return expression(*object);
  }

  Result<Matcher> expression(const json::Object& object) const {
    if (object.empty()) return wrong("Match expression name not found");
    const auto& [name, operand] = *object.begin();
    const auto only = [&](Result<Matcher> matcher, const char* otherwise = kOneKeyOnly) -> Result<Matcher> {
      if (matcher && object.size() != 1) return wrong(otherwise);
      return matcher;
    };
    if (name == "exact") return only(string_operand(Kind::kString, operand, "exact"));
    if (name == "prefix") return only(affix(Kind::kPrefix, Kind::kPrefixFold, operand, "prefix", "Prefix"));
    if (name == "suffix") return only(affix(Kind::kSuffix, Kind::kSuffixFold, operand, "suffix", "Suffix"));
    if (name == "equals-ignore-case") return only(folded(Kind::kFold, operand));
    if (name == "wildcard") return only(wildcard(operand));
    if (name == "numeric") return only(numeric(operand), "Too many elements in numeric expression");
    if (name == "anything-but") return only(anything_but(operand), "Too many elements in numeric expression");
    if (name == "cidr") return only(cidr(operand));
    if (name == "exists") {
      const bool* flag = operand.if_bool();
      if (flag == nullptr) return wrong("exists match pattern must be either true or false.");
      return only(word(*flag ? Kind::kExists : Kind::kAbsent));
    }
    return wrong(fmt::format("Unrecognized match type {}", name));
  }

  static Result<Matcher> string_operand(Kind kind, const json::Value& operand, std::string_view name) {
    const auto* text = operand.if_string();
    if (text == nullptr) return wrong(fmt::format("{} match pattern must be a string", name));
    return text_matcher(kind, *text);
  }

  static Result<Matcher> folded(Kind kind, const json::Value& operand) {
    LD_TRY(auto matcher, string_operand(kind, operand, "equals-ignore-case"));
    matcher.text = fold_case(matcher.text);
    return matcher;
  }

  static Result<Matcher> affix(Kind plain, Kind fold, const json::Value& operand, std::string_view name,
                               std::string_view title) {
    const auto* object = operand.if_object();
    if (object == nullptr) return string_operand(plain, operand, name);
    if (object->empty()) return wrong(fmt::format("{} expression name not found", title));
    const auto& [inner, text] = *object->begin();
    if (inner != "equals-ignore-case") return wrong(fmt::format("Unsupported {} pattern: {}", name, inner));
    LD_TRY(auto matcher, folded(fold, text));
    if (object->size() != 1) return wrong(kOneKeyOnly);
    return matcher;
  }

  static Result<Matcher> wildcard(const json::Value& operand) {
    LD_TRY(auto matcher, string_operand(Kind::kWildcard, operand, "wildcard"));
    const std::string& text = matcher.text;
    matcher.pieces.emplace_back();
    for (std::size_t at = 0; at < text.size(); ++at) {
      // Positions count from the quote before the text.
      if (text[at] == '*') {
        if (at + 1 < text.size() && text[at + 1] == '*') {
          return wrong(fmt::format("Consecutive wildcard characters at pos {}", at + 1));
        }
        matcher.pieces.emplace_back();
      } else if (text[at] == '\\') {
        if (at + 1 == text.size() || (text[at + 1] != '*' && text[at + 1] != '\\')) {
          return wrong(fmt::format("Invalid escape character at pos {}", at + 1));
        }
        matcher.pieces.back() += text[++at];
      } else {
        matcher.pieces.back() += text[at];
      }
    }
    if (matcher.pieces.size() > kStarsMax + 1) return wrong(kTooComplex);
    return matcher;
  }

  Result<double> number(const json::Value& value, std::string_view name) const {
    const auto number = value.is_number() ? value.as_double() : std::nullopt;
    if (!number) return wrong(fmt::format("Value of {} must be numeric", name));
    if (*number < -limits_.numeric_max || *number > limits_.numeric_max) {
      const int billions = static_cast<int>(limits_.numeric_max / 1e9);
      return wrong(fmt::format("Value must be between -{0}.0E9 and {0}.0E9, inclusive", billions));
    }
    return *number;
  }

  Result<Matcher> numeric(const json::Value& operand) const {
    const auto* items = operand.if_array();
    if (items == nullptr) return wrong("Value of numeric must be an array.");
    if (items->empty()) return wrong("Invalid member in numeric match: ]");
    const auto* sign = items->front().if_string();
    if (sign == nullptr) return wrong("Invalid member in numeric match: " + token_text(items->front()));
    const bool equal = *sign == "=";
    if (!equal && *sign != "<" && *sign != "<=" && *sign != ">" && *sign != ">=") {
      return wrong("Unrecognized numeric range operator: " + *sign);
    }
    const json::Value none;
    LD_TRY(const double first, number(items->size() > 1 ? (*items)[1] : none, equal ? "equals" : *sign));
    Matcher range = word(Kind::kRange);
    range.low = -std::numeric_limits<double>::infinity();
    range.high = std::numeric_limits<double>::infinity();
    const bool is_low = sign->starts_with('>');
    if (!is_low) {
      if (items->size() > 2) return wrong("Too many elements in numeric expression");
      if (equal) return text_matcher(Kind::kNumber, canonical_number((*items)[1].if_number()->text));
      range.high = first;
      range.high_open = *sign == "<";
      return range;
    }
    range.low = first;
    range.low_open = *sign == ">";
    if (items->size() == 2) return range;
    const auto* second_sign = (*items)[2].if_string();
    if (second_sign == nullptr) return wrong("Bad value in numeric range: " + token_text((*items)[2]));
    if (*second_sign != "<" && *second_sign != "<=") return wrong("Bad numeric range operator: " + *second_sign);
    LD_TRY(range.high, number(items->size() > 3 ? (*items)[3] : none, *second_sign));
    range.high_open = *second_sign == "<";
    if (items->size() > 4) return wrong("Too many terms in numeric range expression");
    if (range.low >= range.high) return wrong("Bottom must be less than top");
    return range;
  }

  static Result<Matcher> cidr(const json::Value& operand) {
    LD_TRY(auto matcher, string_operand(Kind::kCidr, operand, "prefix"));  // AWS's text names prefix
    const std::string& text = matcher.text;
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos || text.find('/', slash + 1) != std::string::npos || slash + 1 == text.size()) {
      return wrong("Malformed CIDR, one '/' required");
    }
    const std::string_view bits_text = std::string_view(text).substr(slash + 1);
    int bits = 0;
    const auto read = std::from_chars(bits_text.data(), bits_text.data() + bits_text.size(), bits);
    if (read.ec != std::errc{} || read.ptr != bits_text.data() + bits_text.size()) {
      return wrong("Malformed CIDR, mask bits must be an integer");
    }
    if (bits < 0) return wrong("Malformed CIDR, mask bits must not be negative");
    const auto address = parse_address(std::string_view(text).substr(0, slash));
    if (!address) return wrong("Nonstandard IP address: " + text.substr(0, slash));
    if (address->size() == 4 && bits > 31) return wrong("IPv4 mask bits must be < 32");
    if (address->size() == 16 && bits > 127) return wrong("IPv6 mask bits must be < 128");
    matcher.addresses.low = *address;
    matcher.addresses.high = *address;
    for (std::size_t i = 0; i < address->size(); ++i) {
      const int fixed = std::clamp(bits - static_cast<int>(i) * 8, 0, 8);
      matcher.addresses.high[i] = static_cast<char>(static_cast<unsigned char>((*address)[i]) | (0xFF >> fixed));
    }
    return matcher;
  }

  Result<Matcher> anything_but(const json::Value& operand) const {
    Matcher matcher = word(Kind::kAnythingBut);
    if (const auto* object = operand.if_object()) {
      if (object->empty()) return wrong("Anything-But expression name not found");
      const auto& [inner, values] = *object->begin();
      const bool known = inner == "prefix" || inner == "suffix" || inner == "equals-ignore-case" || inner == "wildcard";
      const bool allowed = limits_.every_anything_but || inner == "prefix" || inner == "wildcard";
      if (!known || !allowed) return wrong("Unsupported anything-but pattern: " + inner);
      LD_TRY(matcher.but, nested_values(inner, values));
      if (object->size() != 1) return wrong("Too many elements in numeric expression");
      return matcher;
    }
    if (const auto* text = operand.if_string()) {
      matcher.texts.push_back(*text);
      return matcher;
    }
    if (operand.is_number()) {
      LD_TRY(auto value, excluded_number(operand));
      matcher.but.push_back(std::move(value));
      return matcher;
    }
    const auto* items = operand.if_array();
    if (items == nullptr) return wrong("Value of anything-but must be an array or single string/number value.");
    for (const json::Value& item : *items) {
      if (const auto* text = item.if_string()) {
        matcher.texts.push_back(*text);
      } else if (item.is_number()) {
        LD_TRY(auto value, excluded_number(item));
        matcher.but.push_back(std::move(value));
      } else {
        return wrong("Inside anything but list, start|null|boolean is not supported.");
      }
    }
    if (matcher.texts.empty() == matcher.but.empty()) {
      return wrong("Inside anything but list, either all values are number or string, mixed type is not supported");
    }
    std::ranges::sort(matcher.texts);
    return matcher;
  }

  Result<Matcher> excluded_number(const json::Value& value) const {
    LD_TRY_VOID(number(value, "anything-but"));
    return text_matcher(Kind::kNumber, canonical_number(value.if_number()->text));
  }

  static Result<std::vector<Matcher>> nested_values(const std::string& name, const json::Value& values) {
    const json::Array one{values};
    const json::Array* items = values.if_array();
    if (items == nullptr) {
      if (!values.is_string() && !values.is_number()) {
        return wrong("Value of anything-but must be an array or single string/number value.");
      }
      items = &one;
    }
    if (items->empty()) return wrong("Empty arrays are not allowed");
    std::vector<Matcher> matchers;
    for (const json::Value& item : *items) {
      const auto* text = item.if_string();
      if (name == "wildcard") {
        LD_TRY(auto matcher, wildcard(item));
        matchers.push_back(std::move(matcher));
      } else if (name == "equals-ignore-case") {
        if (text == nullptr) {
          return wrong("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.");
        }
        matchers.push_back(text_matcher(Kind::kFold, fold_case(*text)));
      } else {
        if (text == nullptr) return wrong("prefix/suffix match pattern must be a string");
        if (text->empty()) return wrong("Null prefix/suffix not allowed");
        matchers.push_back(text_matcher(name == "prefix" ? Kind::kPrefix : Kind::kSuffix, *text));
      }
    }
    return matchers;
  }

  Limits limits_;
};

/// Turns nested objects and `$or` into alternatives of leaves by path.
class RuleReader {
 public:
  explicit RuleReader(Dialect dialect) : limits_(limits_of(dialect)), leaves_(limits_) {}

  Result<Rule> read(const json::Value& document) {
    const auto* object = document.if_object();
    if (object == nullptr) return wrong("Filter is not an object");
    Drafts drafts(1);
    LD_TRY_VOID(fields(drafts, {}, *object, 1));
    LD_TRY_VOID(check_policy(drafts));
    Rule rule;
    for (const Draft& draft : drafts) rule.alternatives.push_back(finish(draft, rule.fields));
    return rule;
  }

 private:
  using LeafPtr = std::shared_ptr<const LeafReader::Leaf>;
  using Draft = std::map<std::string, LeafPtr>;  // by path
  using Drafts = std::vector<Draft>;

  static bool is_or(const json::Value& value) {
    const auto* items = value.if_array();
    if (items == nullptr || items->size() < 2) return false;
    return std::ranges::all_of(*items, [](const json::Value& item) {
      const auto* object = item.if_object();
      return object != nullptr && std::ranges::none_of(*object, [](const json::Object::Member& member) {
               return std::ranges::find(kOperators, member.first) != std::end(kOperators);
             });
    });
  }

  /// `prefix` is the path with a dot behind it, empty at the top.
  Result<void> fields(Drafts& drafts, const std::string& prefix, const json::Object& object, std::size_t depth) {
    if (object.empty()) return wrong("Empty objects are not allowed");
    if (depth > kDepthMax) return wrong("Pattern is nested too deep");
    for (const auto& [key, value] : object) {
      if (key == "$or" && is_or(value)) {
        LD_TRY_VOID(either(drafts, prefix, *value.if_array(), depth));
        continue;
      }
      const std::string field = prefix + key;
      if (const auto* inner = value.if_object()) {
        if (!limits_.nested) {
          return wrong("Filter policy scope MessageAttributes does not support nested filter policy");
        }
        LD_TRY_VOID(fields(drafts, field + ".", *inner, depth + 1));
      } else if (const auto* items = value.if_array()) {
        LD_TRY(auto leaf, leaves_.read(*items));
        const auto shared = std::make_shared<const LeafReader::Leaf>(std::move(leaf));
        for (Draft& draft : drafts) draft.insert_or_assign(field, shared);
      } else {
        return wrong(fmt::format("\"{}\" must be an object or an array", key));
      }
    }
    return {};
  }

  Result<void> either(Drafts& drafts, const std::string& prefix, const json::Array& branches, std::size_t depth) {
    const Drafts before = std::move(drafts);
    drafts.clear();
    for (const json::Value& branch : branches) {
      Drafts with = before;
      LD_TRY_VOID(fields(with, prefix, *branch.if_object(), depth + 1));
      if (drafts.size() + with.size() > kAlternativesMax) return wrong(kTooComplex);
      std::ranges::move(with, std::back_inserter(drafts));
    }
    return {};
  }

  /// What SNS limits further.
  Result<void> check_policy(const Drafts& drafts) const {
    if (!limits_.is_sns) return {};
    double combinations = 0;
    std::map<std::string_view, int> keys;
    for (const Draft& draft : drafts) {
      double product = 1;
      for (const auto& [path, leaf] : draft) {
        keys[path] = 1;
        const auto levels = static_cast<double>(1 + std::ranges::count(path, '.'));
        product *= static_cast<double>(leaf->matchers.size() + (leaf->absent ? 1 : 0)) * (limits_.nested ? levels : 1);
      }
      combinations += product;
    }
    if (keys.size() > 5) return wrong("Filter policy can not have more than 5 keys");
    if (combinations > 150) return wrong("Filter policy is too complex");
    return {};
  }

  static std::uint32_t shared_segments(const std::string& a, const std::string& b) {
    const auto [at_a, at_b] = std::ranges::mismatch(a, b);
    const auto shared = std::count(a.begin(), at_a, '.');
    // Segments end at a dot or at the end of both.
    const bool whole = (at_a == a.end() || *at_a == '.') && (at_b == b.end() || *at_b == '.');
    return static_cast<std::uint32_t>(shared + (whole ? 1 : 0));
  }

  static Alternative finish(const Draft& draft, FieldIndex& index) {
    Alternative conditions;
    for (const auto& [path, leaf] : draft) {
      Condition& condition = conditions.emplace_back();
      condition.slot = index.add(path);
      condition.absent = leaf->absent;
      condition.matchers = leaf->matchers;
    }
    for (std::size_t i = 0; i < conditions.size(); ++i) {
      for (std::size_t j = 0; j < conditions.size(); ++j) {
        if (j == i || (j < i && !conditions[j].absent)) continue;
        conditions[i].shared_depth =
            std::max(conditions[i].shared_depth,
                     shared_segments(index.path(conditions[i].slot), index.path(conditions[j].slot)));
      }
    }
    return conditions;
  }

  Limits limits_;
  LeafReader leaves_;
};

/// Chooses a value for each condition so that all agree on the elements of arrays.
class Chooser {
 public:
  Chooser(const Alternative& alternative, const EventFields& fields) : alternative_(alternative), fields_(fields) {}

  bool choose(std::size_t at) {
    if (at == alternative_.size()) return std::ranges::all_of(absent_, [this](auto slot) { return is_absent(slot); });
    const Condition& condition = alternative_[at];
    // Elements of arrays that no condition still to be judged is in make no difference: one choice of them is enough.
    std::vector<std::uint32_t> tried;
    for (const Leaf& leaf : fields_.slots[condition.slot]) {
      const std::uint32_t counts = fields_.outward(leaf.element, condition.shared_depth);
      if (std::ranges::find(tried, counts) != tried.end() || !agrees(leaf.element) || !condition.matches(*leaf.value))
        continue;
      tried.push_back(counts);
      chosen_.push_back(leaf.element);
      const bool found = choose(at + 1);
      chosen_.pop_back();
      if (found) return true;
    }
    if (!condition.absent) return false;
    absent_.push_back(condition.slot);
    const bool found = choose(at + 1);
    absent_.pop_back();
    return found;
  }

 private:
  bool agrees(std::uint32_t element) const {
    return std::ranges::all_of(chosen_, [&](std::uint32_t other) { return fields_.agree(element, other); });
  }
  bool is_absent(std::uint32_t slot) const {
    return std::ranges::none_of(fields_.slots[slot], [this](const Leaf& leaf) { return agrees(leaf.element); });
  }

  const Alternative& alternative_;
  const EventFields& fields_;
  std::vector<std::uint32_t> chosen_;  // elements
  std::vector<std::uint32_t> absent_;  // slots
};

}  // namespace

bool Condition::matches(const json::Value& value) const {
  return std::ranges::any_of(matchers, [&](const Matcher& matcher) { return matcher.matches(value); });
}

Result<Rule> compile_rule(const json::Value& document, Dialect dialect) { return RuleReader(dialect).read(document); }

bool holds(const Alternative& alternative, const EventFields& fields) {
  bool in_arrays = false;
  for (const Condition& condition : alternative) {
    const auto& leaves = fields.slots[condition.slot];
    const bool present = std::ranges::any_of(leaves, [&](const Leaf& leaf) { return condition.matches(*leaf.value); });
    // Within arrays a value may be absent from the element that counts.
    const bool absent = condition.absent && (leaves.empty() || fields.has_elements());
    if (!present && !absent) return false;
    in_arrays = in_arrays || (!leaves.empty() && fields.has_elements());
  }
  return !in_arrays || Chooser(alternative, fields).choose(0);
}

}  // namespace lambdad::pattern
