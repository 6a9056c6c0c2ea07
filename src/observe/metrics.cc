#include "observe/metrics.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"

namespace lambdad {

namespace {

constexpr std::size_t kLabelSetsMax = 1000;
constexpr std::string_view kRefusedName = "lambdad_metrics_label_sets_refused_total";
constexpr std::string_view kRefusedHelp =
    "Label sets that were counted under \"other\" because their metric had too many.";

// Prometheus text format 0.0.4: in label values backslash, quote and newline are escaped; in help texts the quote is
// not.
void append_escaped(std::string& out, std::string_view text, bool quote) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quote) {
      out += "\\\"";
    } else {
      out.push_back(c);
    }
  }
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

/// `{a="1",b="2"}`, or nothing without labels. `le` is the upper bound of a histogram's bucket.
void append_labels(std::string& out, const Labels& labels, std::string_view le = {}) {
  if (labels.empty() && le.empty()) return;
  char before = '{';
  const auto append = [&](std::string_view name, std::string_view value) {
    out.push_back(std::exchange(before, ','));
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out.push_back('"');
  };
  for (const auto& [name, value] : labels) append(name, value);
  if (!le.empty()) append("le", le);
  out.push_back('}');
}

void append_head(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  fmt::format_to(std::back_inserter(out), "# HELP {} ", name);
  append_escaped(out, help, false);
  fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", name, type);
}

void append_sample(std::string& out, std::string_view name, const Labels& labels, std::uint64_t value,
                   std::string_view le = {}) {
  out += name;
  append_labels(out, labels, le);
  fmt::format_to(std::back_inserter(out), " {}\n", value);
}

void append_sample(std::string& out, std::string_view name, const Labels& labels, double value) {
  out += name;
  append_labels(out, labels);
  out.push_back(' ');
  append_number(out, value);
  out.push_back('\n');
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_name(std::string_view name) {
  return !name.empty() && (name[0] < '0' || name[0] > '9') && std::ranges::all_of(name, is_name_character);
}

}  // namespace

// --- Histogram ------------------------------------------------------------------------------------------------------

const std::vector<double>& Histogram::bounds() {
  static const std::vector<double> bounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                             0.025,  0.05,    0.1,    0.25,  0.5,    1,     2.5,
                                             5,      10,      30,     60,    120,    300,   900};
  return bounds;
}

void Histogram::observe(double seconds) {
  if (std::isnan(seconds)) return;
  const auto& upper = bounds();
  const auto bucket = std::ranges::lower_bound(upper, seconds) - upper.begin();
  if (counts_.empty()) counts_.resize(upper.size() + 1);
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += seconds;
  ++count_;
}

// --- Metrics --------------------------------------------------------------------------------------------------------

template <class T>
T& Metrics::get(std::map<std::string, Family<T>, std::less<>>& families, std::string_view name, std::string_view help,
                Labels labels) {
  auto family = families.find(name);
  if (family == families.end()) {
    LD_CHECK(is_name(name), "'{}' is no metric name", name);
    const int kinds = int{counters_.contains(name)} + int{gauges_.contains(name)} + int{histograms_.contains(name)};
    LD_CHECK(kinds == 0, "metric '{}' exists as another kind", name);
    family = families.emplace(std::string(name), Family<T>{std::string(help), {}}).first;
  }
  auto& series = family->second.series;
  auto found = series.find(labels);
  if (found == series.end()) {
    for (const auto& label : labels) LD_CHECK(is_name(label.first), "'{}' is no label name", label.first);
    if (series.size() >= kLabelSetsMax) {
      // Without labels there is one series at most, so this cannot come back here for its own counter.
      counter(kRefusedName, kRefusedHelp).add();
      for (auto& label : labels) label.second = "other";
      found = series.find(labels);
    }
    if (found == series.end()) found = series.emplace(std::move(labels), std::make_unique<T>()).first;
  }
  return *found->second;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
  return get(counters_, name, help, std::move(labels));
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
  return get(gauges_, name, help, std::move(labels));
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, Labels labels) {
  return get(histograms_, name, help, std::move(labels));
}

void Metrics::on_scrape(std::function<void()> update) { updates_.push_back(std::move(update)); }

std::string Metrics::expose() const {
  for (const auto& update : updates_) update();
  std::string out;
  for (const auto& [name, family] : counters_) {
    append_head(out, name, family.help, "counter");
    for (const auto& [labels, series] : family.series) append_sample(out, name, labels, series->value());
  }
  for (const auto& [name, family] : gauges_) {
    append_head(out, name, family.help, "gauge");
    for (const auto& [labels, series] : family.series) append_sample(out, name, labels, series->value());
  }
  static const std::vector<std::string> bound_texts = [] {
    std::vector<std::string> texts;
    for (const double bound : Histogram::bounds()) texts.push_back(fmt::format("{}", bound));
    texts.emplace_back("+Inf");
    return texts;
  }();
  for (const auto& [name, family] : histograms_) {
    append_head(out, name, family.help, "histogram");
    for (const auto& [labels, series] : family.series) {
      std::uint64_t so_far = 0;
      for (std::size_t i = 0; i < bound_texts.size(); ++i) {
        if (!series->counts().empty()) so_far += series->counts()[i];
        append_sample(out, name + "_bucket", labels, so_far, bound_texts[i]);
      }
      append_sample(out, name + "_sum", labels, series->sum());
      append_sample(out, name + "_count", labels, series->count());
    }
  }
  return out;
}

}  // namespace lambdad
