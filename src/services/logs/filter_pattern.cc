#include "services/logs/filter_pattern.h"

#include <algorithm>

#include "aws/gen/logs.h"

namespace lambdad::logs {

namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

std::unexpected<aws::Error> refused(std::string_view what) {
  return std::unexpected(aws::not_served("logs", "FilterLogEvents", fmt::format("filterPattern with {}", what)));
}

}  // namespace

aws::Outcome<FilterPattern> FilterPattern::parse(std::string_view text) {
  FilterPattern pattern;
  const auto skip_space = [&text] { text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size())); };
  skip_space();
  if (text.starts_with('{') || text.starts_with('[')) {
    auto structured = StructuredPattern::parse(text);
    if (!structured) return std::unexpected(std::move(structured).error());
    pattern.structured_ = std::move(*structured);
    return pattern;
  }
  for (; !text.empty(); skip_space()) {
    std::vector<std::string>* terms = &pattern.all_;
    if (text.front() == '?' || text.front() == '-') {
      terms = text.front() == '?' ? &pattern.any_ : &pattern.none_;
      text.remove_prefix(1);
    }
    if (text.starts_with('%')) return refused("a regular expression % %");
    std::string term;
    if (text.starts_with('"')) {
      std::size_t i = 1;
      for (; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
        term.push_back(text[i]);
      }
      if (i >= text.size()) return std::unexpected(aws::logs::invalid_parameter("Invalid filter pattern"));
      text.remove_prefix(i + 1);
    } else {
      term = text.substr(0, text.find_first_of(kSpace));
      text.remove_prefix(term.size());
      if (!std::ranges::all_of(term, is_word)) {
        return std::unexpected(aws::logs::invalid_parameter(fmt::format("Invalid character(s) in term '{}'", term)));
      }
    }
    if (term.empty()) return std::unexpected(aws::logs::invalid_parameter("Invalid filter pattern"));
    terms->push_back(std::move(term));
  }
  if (!pattern.any_.empty() && !(pattern.all_.empty() && pattern.none_.empty())) return refused("? beside other terms");
  return pattern;
}

bool FilterPattern::matches(std::string_view message) const {
  if (structured_) return structured_->matches(message);
  const auto holds = [message](const std::string& term) { return message.find(term) != std::string_view::npos; };
  return std::ranges::all_of(all_, holds) && std::ranges::none_of(none_, holds) &&
         (any_.empty() || std::ranges::any_of(any_, holds));
}

}  // namespace lambdad::logs
