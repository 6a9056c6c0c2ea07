#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lambdad {

/// Label names and values of one time series, in order.
using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_ += n; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

class Gauge {
 public:
  void set(double v) { value_ = v; }
  void add(double v) { value_ += v; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

/// Durations in seconds in fixed buckets from 100 us to 900 s.
class Histogram {
 public:
  void observe(double seconds);
  static const std::vector<double>& bounds();
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  double sum() const { return sum_; }
  std::uint64_t count() const { return count_; }

 private:
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

/// The time series of the process, served at /metrics in Prometheus text format 0.0.4.
///
/// References stay valid for the life of the registry. A name belongs to one kind and one help text. A family keeps at
/// most 1,000 label sets; further ones share the series with every label "other", and
/// lambdad_metrics_label_sets_refused_total counts them. Threading: the loop only.
class Metrics {
 public:
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, Labels labels = {});
  /// Called at every scrape, before the text is made, to set a gauge. May add series.
  void on_scrape(std::function<void()> update);
  std::string expose() const;

 private:
  template <class T>
  struct Family {
    std::string help;
    std::map<Labels, std::unique_ptr<T>> series;
  };
  template <class T>
  T& get(std::map<std::string, Family<T>, std::less<>>& families, std::string_view name, std::string_view help,
         Labels labels);
  std::map<std::string, Family<Counter>, std::less<>> counters_;
  std::map<std::string, Family<Gauge>, std::less<>> gauges_;
  std::map<std::string, Family<Histogram>, std::less<>> histograms_;
  std::vector<std::function<void()>> updates_;
};

}  // namespace lambdad
