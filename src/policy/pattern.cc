#include "policy/pattern.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace lambdad::policy {
namespace {

unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// Value of "key" or "key, 'default'".
std::optional<std::string> value_of(std::string_view variable, const Context& context) {
  const std::size_t comma = variable.find(',');
  if (const Context::Values* values = context.find(trim(variable.substr(0, comma)));
      values != nullptr && values->size() == 1) {
    return values->front();
  }
  if (comma == std::string_view::npos) return std::nullopt;
  const std::string_view fallback = trim(variable.substr(comma + 1));
  if (fallback.size() < 2 || fallback.front() != '\'' || fallback.back() != '\'') return std::nullopt;
  return std::string(fallback.substr(1, fallback.size() - 2));
}

}  // namespace

void Context::set(std::string_view key, Values values) {
  std::string name = to_lower(key);
  for (auto& [existing, held] : entries_) {
    if (existing == name) {
      held = std::move(values);
      return;
    }
  }
  entries_.emplace_back(std::move(name), std::move(values));
}

const Context::Values* Context::find(std::string_view key) const {
  for (const auto& [name, values] : entries_) {
    if (equals_ignoring_case(name, key)) return &values;
  }
  return nullptr;
}

Pattern Pattern::plain(std::string_view text, bool wildcards) {
  Pattern pattern;
  pattern.chars_.reserve(text.size());
  for (const char c : text) {
    pattern.chars_ += !wildcards ? static_cast<unsigned char>(c)
                      : c == '*' ? kAnyRun
                      : c == '?' ? kAnyOne
                                 : Char{static_cast<unsigned char>(c)};
  }
  return pattern;
}

std::optional<Pattern> Pattern::expand(std::string_view text, const Context& context, bool wildcards) {
  Pattern pattern;
  const auto literal = [&](std::string_view bytes) {
    for (const char c : bytes) pattern.chars_ += static_cast<unsigned char>(c);
  };
  while (!text.empty()) {
    const std::size_t begin = text.find("${");
    const std::size_t end = begin == std::string_view::npos ? begin : text.find('}', begin);
    if (end == std::string_view::npos) break;
    pattern.chars_ += plain(text.substr(0, begin), wildcards).chars_;
    const std::string_view variable = text.substr(begin + 2, end - begin - 2);
    text.remove_prefix(end + 1);
    if (variable == "*" || variable == "?" || variable == "$") {
      literal(variable);
      continue;
    }
    const auto value = value_of(variable, context);
    if (!value) return std::nullopt;
    literal(*value);
  }
  pattern.chars_ += plain(text, wildcards).chars_;
  return pattern;
}

// Goes back only to the last run: linear but for texts that nearly match many times.
bool Pattern::run(std::basic_string_view<Char> pattern, std::string_view text, bool ignore_case) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t p = 0, t = 0, run_at = kNone, resume = 0;
  const auto same = [&](Char wanted, char given) {
    if (wanted == kAnyOne) return true;
    if (wanted == kAnyRun) return false;
    const auto a = static_cast<unsigned char>(wanted), b = static_cast<unsigned char>(given);
    return ignore_case ? lower(a) == lower(b) : a == b;
  };
  while (t < text.size()) {
    if (p < pattern.size() && same(pattern[p], text[t])) {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == kAnyRun) {
      run_at = p++;
      resume = t;
    } else if (run_at != kNone) {
      p = run_at + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == kAnyRun) ++p;
  return p == pattern.size();
}

bool Pattern::matches(std::string_view text, bool ignore_case) const { return run(chars_, text, ignore_case); }

bool Pattern::matches_arn(std::string_view arn) const {
  constexpr int kColons = 5;
  if (std::ranges::count(chars_, Char{':'}) < kColons || std::ranges::count(arn, ':') < kColons) {
    return run(chars_, arn, false);
  }
  std::basic_string_view<Char> pattern = chars_;
  for (int i = 0; i < kColons; ++i) {
    const std::size_t p = pattern.find(Char{':'}), t = arn.find(':');
    if (!run(pattern.substr(0, p), arn.substr(0, t), false)) return false;
    pattern.remove_prefix(p + 1);
    arn.remove_prefix(t + 1);
  }
  return run(pattern, arn, false);
}

bool action_matches(std::string_view pattern, std::string_view action) {
  return Pattern::plain(pattern).matches(action, /*ignore_case=*/true);
}

}  // namespace lambdad::policy
