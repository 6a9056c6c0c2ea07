#include "services/logs/structured_pattern.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "aws/gen/logs.h"

namespace lambdad::logs {

namespace {

using Node = StructuredPattern::Node;
using Condition = StructuredPattern::Condition;
using Step = StructuredPattern::Step;
using Field = StructuredPattern::Field;

constexpr int kDepthMax = 32;
constexpr std::string_view kSpace = " \t\r\n";

std::optional<double> to_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '@';
}

// Recursive descent over the text; the first failure stays.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  bool take(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (rest_.size() < word.size() || !equals_upper(rest_.substr(0, word.size()), word)) return false;
    if (rest_.size() > word.size() && is_name(rest_[word.size()])) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }
  bool failed() const { return failed_; }
  bool regular_expression() const { return regular_expression_; }

  Node json_expression(int depth = 0) {
    return joined(depth, [this](int inner) { return json_primary(inner); });
  }

  Field field() {
    Field made;
    if (take("...")) {
      made.any_number = true;
      return made;
    }
    made.node = joined(0, [this](int inner) { return field_primary(inner); });
    return made;
  }

 private:
  static bool equals_upper(std::string_view text, std::string_view upper) {
    return std::ranges::equal(text, upper,
                              [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
  }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size())); }

  // a && b || c, with `primary` between the operators.
  template <class Primary>
  Node joined(int depth, Primary primary) {
    if (depth > kDepthMax) failed_ = true;
    Node any{.kind = Node::kOr, .condition = {}, .children = {}};
    do {
      Node all{.kind = Node::kAnd, .condition = {}, .children = {}};
      do {
        if (failed_) return any;
        all.children.push_back(primary(depth));
      } while (take("&&"));
      any.children.push_back(all.children.size() == 1 ? Node(std::move(all.children.front())) : std::move(all));
    } while (!failed_ && take("||"));
    return any.children.size() == 1 ? Node(std::move(any.children.front())) : any;
  }

  Node json_primary(int depth) {
    if (take("(")) {
      Node inner = json_expression(depth + 1);
      if (!take(")")) failed_ = true;
      return inner;
    }
    Node node;
    if (!take("$")) {
      failed_ = true;
      return node;
    }
    node.condition.path = path();
    if (take_word("IS")) {
      if (take_word("NULL")) {
        node.condition.test = Condition::kNull;
      } else if (take_word("TRUE")) {
        node.condition.test = Condition::kTrue;
      } else if (take_word("FALSE")) {
        node.condition.test = Condition::kFalse;
      } else {
        failed_ = true;
      }
    } else if (take_word("NOT")) {
      node.condition.test = Condition::kAbsent;
      if (!take_word("EXISTS")) failed_ = true;
    } else if (!comparison(node.condition)) {
      failed_ = true;
    }
    return node;
  }

  Node field_primary(int depth) {
    if (take("(")) {
      Node inner = joined(depth + 1, [this](int deeper) { return field_primary(deeper); });
      if (!take(")")) failed_ = true;
      return inner;
    }
    Node node;
    skip_space();
    const std::size_t length = static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_name) - rest_.begin());
    if (length == 0) failed_ = true;
    rest_.remove_prefix(length);
    comparison(node.condition);  // a name alone takes any field
    return node;
  }

  std::vector<Step> path() {
    std::vector<Step> steps;
    while (!failed_) {
      if (rest_.starts_with('.')) {
        rest_.remove_prefix(1);
        if (rest_.starts_with('[')) continue;
        const std::size_t length = static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_name) - rest_.begin());
        if (length == 0) failed_ = true;
        steps.push_back({.name = std::string(rest_.substr(0, length))});
        rest_.remove_prefix(length);
      } else if (rest_.starts_with('[')) {
        rest_.remove_prefix(1);
        const std::size_t close = rest_.find(']');
        if (close == std::string_view::npos) {
          failed_ = true;
          break;
        }
        const std::string_view inside = rest_.substr(0, close);
        rest_.remove_prefix(close + 1);
        Step step;
        if (inside == "*") {
          step.kind = Step::kAny;
        } else if (inside.size() > 2 && (inside[0] == '\'' || inside[0] == '"') && inside.back() == inside[0]) {
          step.name = std::string(inside.substr(1, inside.size() - 2));
        } else {
          step.kind = Step::kIndex;
          const auto [end, error] = std::from_chars(inside.data(), inside.data() + inside.size(), step.index);
          if (error != std::errc{} || end != inside.data() + inside.size()) failed_ = true;
        }
        steps.push_back(std::move(step));
      } else {
        break;
      }
    }
    return steps;
  }

  // False, with nothing taken, when there is no operator.
  bool comparison(Condition& condition) {
    static constexpr std::pair<std::string_view, Condition::Test> kOperators[] = {
        {"!=", Condition::kNotEqual}, {"<=", Condition::kLessOrEqual}, {">=", Condition::kGreaterOrEqual},
        {"==", Condition::kEqual},    {"=", Condition::kEqual},        {"<", Condition::kLess},
        {">", Condition::kGreater},
    };
    for (const auto& [token, test] : kOperators) {
      if (!take(token)) continue;
      condition.test = test;
      value(condition);
      const bool ordered = test != Condition::kEqual && test != Condition::kNotEqual;
      if (ordered && !condition.number) failed_ = true;
      return true;
    }
    return false;
  }

  void value(Condition& condition) {
    skip_space();
    if (rest_.starts_with('%')) {
      regular_expression_ = failed_ = true;
      return;
    }
    if (rest_.starts_with('"')) {
      std::size_t i = 1;
      for (; i < rest_.size() && rest_[i] != '"'; ++i) {
        if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
        condition.text.push_back(rest_[i]);
      }
      if (i >= rest_.size()) {
        failed_ = true;
        return;
      }
      rest_.remove_prefix(i + 1);
      return;
    }
    const std::size_t length = std::min(rest_.find_first_of(" \t\r\n&|(){},[]\"="), rest_.size());
    condition.text = rest_.substr(0, length);
    if (condition.text.empty()) failed_ = true;
    condition.number = to_number(condition.text);
    rest_.remove_prefix(length);
  }

  std::string_view rest_;
  bool failed_ = false;
  bool regular_expression_ = false;
};

bool compares(Condition::Test test, double left, double right) {
  switch (test) {
    case Condition::kEqual: return left == right;
    case Condition::kNotEqual: return left != right;
    case Condition::kLess: return left < right;
    case Condition::kGreater: return left > right;
    case Condition::kLessOrEqual: return left <= right;
    case Condition::kGreaterOrEqual: return left >= right;
    default: return false;
  }
}

bool text_matches(const Condition& condition, std::string_view text) {
  const bool same = glob_matches(condition.text, text);
  return condition.test == Condition::kEqual ? same : condition.test == Condition::kNotEqual && !same;
}

// Calls `use` for each value at the path; true as soon as one of the calls is.
template <class Use>
bool any_at(const json::Value& value, std::span<const Step> path, const Use& use) {
  if (path.empty()) return use(value);
  const Step& step = path.front();
  if (step.kind == Step::kMember) {
    const json::Value* member = value.find(step.name);
    return member != nullptr && any_at(*member, path.subspan(1), use);
  }
  const json::Array* array = value.if_array();
  if (array == nullptr) return false;
  if (step.kind == Step::kIndex)
    return step.index < array->size() && any_at((*array)[step.index], path.subspan(1), use);
  return std::ranges::any_of(*array, [&](const json::Value& each) { return any_at(each, path.subspan(1), use); });
}

bool json_matches(const Node& node, const json::Value& event) {
  if (node.kind != Node::kCondition) {
    const auto matches = [&](const Node& child) { return json_matches(child, event); };
    return node.kind == Node::kAnd ? std::ranges::all_of(node.children, matches)
                                   : std::ranges::any_of(node.children, matches);
  }
  const Condition& c = node.condition;
  if (c.test == Condition::kAbsent) return !any_at(event, c.path, [](const json::Value&) { return true; });
  return any_at(event, c.path, [&](const json::Value& value) {
    switch (c.test) {
      case Condition::kNull: return value.is_null();
      case Condition::kTrue: return value.if_bool() != nullptr && *value.if_bool();
      case Condition::kFalse: return value.if_bool() != nullptr && !*value.if_bool();
      default: break;
    }
    if (const auto number = value.as_double(); number && c.number) return compares(c.test, *number, *c.number);
    if (value.if_string() != nullptr) return !c.number && text_matches(c, *value.if_string());
    const bool wildcard = c.text.find('*') != std::string::npos;
    return wildcard && value.if_number() != nullptr && text_matches(c, value.if_number()->text);
  });
}

bool field_matches(const Node& node, std::string_view field) {
  if (node.kind != Node::kCondition) {
    const auto matches = [&](const Node& child) { return field_matches(child, field); };
    return node.kind == Node::kAnd ? std::ranges::all_of(node.children, matches)
                                   : std::ranges::any_of(node.children, matches);
  }
  const Condition& c = node.condition;
  if (c.test == Condition::kAlways) return true;
  if (c.number) {
    if (const auto number = to_number(field)) return compares(c.test, *number, *c.number);
    return c.test == Condition::kNotEqual;
  }
  return text_matches(c, field);
}

bool fields_match(std::span<const Field> wanted, std::span<const std::string_view> fields) {
  // "..." may stand for any number: as with '*' in a glob, only the last one met has to be tried again.
  std::size_t w = 0, f = 0;
  std::optional<std::pair<std::size_t, std::size_t>> retry;
  while (f < fields.size()) {
    if (w < wanted.size() && wanted[w].any_number) {
      retry = {++w, f};
    } else if (w < wanted.size() && field_matches(wanted[w].node, fields[f])) {
      ++w;
      ++f;
    } else if (retry) {
      w = retry->first;
      f = ++retry->second;
    } else {
      return false;
    }
  }
  while (w < wanted.size() && wanted[w].any_number) ++w;
  return w == wanted.size();
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::optional<std::pair<std::size_t, std::size_t>> retry;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      retry = {++p, t};
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (retry) {
      p = retry->first;
      t = ++retry->second;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string_view> split_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
    if (line.empty()) return fields;
    const char close = line[0] == '"' ? '"' : line[0] == '[' ? ']' : '\0';
    const std::size_t end = close == '\0' ? std::string_view::npos : line.find(close, 1);
    if (end != std::string_view::npos) {
      fields.push_back(line.substr(1, end - 1));
      line.remove_prefix(end + 1);
      continue;
    }
    fields.push_back(line.substr(0, line.find_first_of(kSpace)));
    line.remove_prefix(fields.back().size());
  }
}

aws::Outcome<std::shared_ptr<const StructuredPattern>> StructuredPattern::parse(std::string_view text) {
  auto pattern = std::make_shared<StructuredPattern>();
  Parser parser(text);
  bool good = true;
  if (parser.take("{")) {
    pattern->is_json_ = true;
    pattern->root_ = parser.json_expression();
    good = parser.take("}");
  } else if (parser.take("[")) {
    if (!parser.take("]")) {
      do {
        pattern->fields_.push_back(parser.field());
      } while (!parser.failed() && parser.take(","));
      good = parser.take("]");
    }
  }
  if (parser.regular_expression()) {
    return std::unexpected(aws::not_served("logs", "FilterLogEvents", "filterPattern with a regular expression % %"));
  }
  if (!good || parser.failed() || !parser.at_end()) {
    return std::unexpected(aws::logs::invalid_parameter("Invalid filter pattern"));
  }
  return pattern;
}

bool StructuredPattern::matches(std::string_view message) const {
  if (is_json_) {
    const auto event = json::parse(message);
    return event && event->is_object() && json_matches(root_, *event);
  }
  return fields_match(fields_, split_fields(message));
}

}  // namespace lambdad::logs
