#include "system/fault.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace lambdad::fault {
namespace internal {
std::atomic<bool> armed = false;
}

namespace {

enum class Action { kKill, kFail };

struct Rule {
  std::string point;
  std::uint64_t count = 0;  // from 1
  bool and_after = false;
  Action action = Action::kKill;
};

struct Table {
  std::mutex mutex;
  std::vector<Rule> rules;
  std::map<std::string, std::uint64_t, std::less<>> passed;
  void (*before_kill)() = nullptr;
};

// Never destroyed: threads may pass points while static objects are being destroyed.
Table& table() {
  static auto* instance = new Table;
  return *instance;
}

Result<Rule> parse_rule(std::string_view text) {
  auto first = text.find(':');
  auto last = text.rfind(':');
  if (first == std::string_view::npos || first == last || first == 0) {
    return fail(Errc::kInvalid, "fault '{}' is not POINT:COUNT:ACTION", text);
  }
  Rule rule;
  rule.point = text.substr(0, first);
  std::string_view count = text.substr(first + 1, last - first - 1);
  if (count.ends_with('+')) {
    rule.and_after = true;
    count.remove_suffix(1);
  }
  if (count.empty() || count.size() > 9) return fail(Errc::kInvalid, "fault '{}': the count must be 1 or more", text);
  for (char digit : count) {
    if (digit < '0' || digit > '9') return fail(Errc::kInvalid, "fault '{}': '{}' is no count", text, count);
    rule.count = rule.count * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  if (rule.count == 0) return fail(Errc::kInvalid, "fault '{}': the count must be 1 or more", text);
  std::string_view action = text.substr(last + 1);
  if (action == "kill") {
    rule.action = Action::kKill;
  } else if (action == "fail") {
    rule.action = Action::kFail;
  } else {
    return fail(Errc::kInvalid, "fault '{}': '{}' is neither kill nor fail", text, action);
  }
  return rule;
}

Result<std::vector<Rule>> parse(std::string_view spec) {
  std::vector<Rule> rules;
  while (!spec.empty()) {
    auto comma = spec.find(',');
    std::string_view item = spec.substr(0, comma);
    spec = comma == std::string_view::npos ? std::string_view{} : spec.substr(comma + 1);
    if (item == "count") continue;
    LD_TRY(auto rule, parse_rule(item));
    rules.push_back(std::move(rule));
  }
  return rules;
}

void arm(std::vector<Rule> rules) {
  std::lock_guard lock(table().mutex);
  table().rules = std::move(rules);
  table().passed.clear();
  internal::armed = true;
}

// Reads the environment before main().
const bool from_environment = [] {
  const char* spec = std::getenv("LAMBDAD_FAULT");
  if (spec == nullptr || *spec == '\0') return false;
  auto rules = parse(spec);
  if (!rules) {
    std::fprintf(stderr, "lambdad: LAMBDAD_FAULT: %s\n", rules.error().detail.c_str());
    std::_Exit(2);
  }
  arm(std::move(*rules));
  return true;
}();

}  // namespace

bool internal::reached(std::string_view name) {
  Table& all = table();
  std::lock_guard lock(all.mutex);
  auto found = all.passed.find(name);
  if (found == all.passed.end()) found = all.passed.emplace(std::string(name), 0).first;
  std::uint64_t count = ++found->second;
  bool must_fail = false;
  for (const Rule& rule : all.rules) {
    if (rule.point != name) continue;
    if (count != rule.count && !(rule.and_after && count > rule.count)) continue;
    if (rule.action == Action::kFail) {
      must_fail = true;
      continue;
    }
    if (all.before_kill != nullptr) all.before_kill();
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  return must_fail;
}

Armed::Armed(std::string_view spec) {
  auto rules = parse(spec);
  LD_CHECK(rules.has_value(), "{}", rules.error().detail);
  LD_CHECK(!internal::armed.load(), "faults are armed already");
  arm(std::move(*rules));
}

Armed::~Armed() {
  internal::armed = false;
  std::lock_guard lock(table().mutex);
  table().rules.clear();
}

Result<void> validate(std::string_view spec) {
  auto rules = parse(spec);
  if (!rules) return std::unexpected(std::move(rules).error());
  return {};
}

std::map<std::string, std::uint64_t> counts() {
  std::lock_guard lock(table().mutex);
  return {table().passed.begin(), table().passed.end()};
}

void before_kill(void (*hook)()) {
  std::lock_guard lock(table().mutex);
  table().before_kill = hook;
}

}  // namespace lambdad::fault
