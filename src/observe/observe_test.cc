#include <unistd.h>

#include <array>
#include <regex>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "system/files.h"

namespace lambdad {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

/// What a logger wrote into a pipe.
class LogPipe {
 public:
  LogPipe() {
    std::array<int, 2> ends{};
    LD_CHECK(::pipe(ends.data()) == 0);
    from_ = UniqueFd(ends[0]);
    to_ = UniqueFd(ends[1]);
  }
  int fd() const { return to_.get(); }
  std::string written() {
    to_.reset();
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t got; (got = ::read(from_.get(), buffer.data(), buffer.size())) > 0;) {
      text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  UniqueFd from_;
  UniqueFd to_;
};

TEST(Log, TextLinesHaveTimeLevelEventAndFields) {
  LogPipe pipe;
  Logger log(pipe.fd(), LogFormat::kText, LogLevel::kInfo);
  log.info("function_created", {{"function", "arn:aws:lambda"}, {"memory_mb", 128}, {"error", "no such file"}});
  EXPECT_TRUE(
      std::regex_match(pipe.written(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO function_created )"
                                                  R"(function=arn:aws:lambda memory_mb=128 error="no such file"\n)")));
}

TEST(Log, ValuesCannotForgeLinesOrFields) {
  LogPipe pipe;
  Logger log(pipe.fd(), LogFormat::kText, LogLevel::kInfo);
  log.info("event", {{"a", "x\n2026 INFO forged"}, {"b", "y c=z"}, {"d", "\x1b[0m"}, {"e", "q\" f=\"1"}, {"g", ""}});
  const std::string text = pipe.written();
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_THAT(text, HasSubstr(R"(a="x\x0a2026 INFO forged" b="y c=z" d="\x1b[0m" e="q\" f=\"1" g="")"));
}

TEST(Log, JsonLinesAreObjects) {
  LogPipe pipe;
  Logger log(pipe.fd(), LogFormat::kJson, LogLevel::kInfo);
  log.warn("slow_commit", {{"detail", "a \"b\"\n"}, {"ms", 12.5}});
  const std::string text = pipe.written();
  EXPECT_TRUE(text.ends_with("}\n"));
  const auto line = json::parse(text);
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(*line->find("level"), json::Value("WARN"));
  EXPECT_EQ(*line->find("event"), json::Value("slow_commit"));
  EXPECT_EQ(*line->find("detail"), json::Value("a \"b\"\n"));
  EXPECT_EQ(*line->find("ms"), json::Value("12.5"));
}

TEST(Log, DropsWhatIsBelowItsLevel) {
  LogPipe pipe;
  Logger log(pipe.fd(), LogFormat::kText, LogLevel::kWarn);
  log.debug("quiet");
  log.info("quiet");
  log.error("loud");
  EXPECT_THAT(pipe.written(), testing::AllOf(HasSubstr("ERROR loud\n"), Not(HasSubstr("quiet"))));
  null_logger().error("nowhere");
}

TEST(Metrics, ExposesCountersAndGaugesAsPrometheusText) {
  Metrics metrics;
  metrics.counter("requests_total", "Requests\nby kind \\o/ \"x\"", {{"kind", "a\"b\\c\nd"}}).add(3);
  metrics.gauge("temperature", "Now").set(-1.5);
  EXPECT_EQ(metrics.expose(),
            "# HELP requests_total Requests\\nby kind \\\\o/ \"x\"\n"
            "# TYPE requests_total counter\n"
            "requests_total{kind=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP temperature Now\n"
            "# TYPE temperature gauge\n"
            "temperature -1.5\n");
}

TEST(Metrics, TheSameLabelsAreTheSameSeries) {
  Metrics metrics;
  Counter& first = metrics.counter("c", "help", {{"a", "1"}});
  metrics.counter("c", "help", {{"a", "2"}}).add(5);
  metrics.counter("c", "help", {{"a", "1"}}).add(2);
  EXPECT_EQ(first.value(), 2u);
}

TEST(Metrics, HistogramBucketsAreCumulativeAndBoundsInclusive) {
  Metrics metrics;
  Histogram& latency = metrics.histogram("latency_seconds", "Latency", {{"op", "x"}});
  latency.observe(0.001);
  latency.observe(0.0011);
  latency.observe(10'000);
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{op=\"x\",le=\"0.0005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{op=\"x\",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{op=\"x\",le=\"0.0025\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{op=\"x\",le=\"900\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{op=\"x\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_count{op=\"x\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE latency_seconds histogram\n"));
}

TEST(Metrics, AnUnusedHistogramIsAllZero) {
  Metrics metrics;
  metrics.histogram("h", "help");
  EXPECT_THAT(metrics.expose(), HasSubstr("h_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"));
}

TEST(Metrics, ThousandLabelSetsThenOther) {
  Metrics metrics;
  for (int i = 0; i < 1000; ++i) metrics.counter("c", "help", {{"f", std::to_string(i)}}).add();
  metrics.counter("c", "help", {{"f", "one too many"}}).add();
  metrics.counter("c", "help", {{"f", "two too many"}}).add();
  metrics.counter("c", "help", {{"f", "7"}}).add();
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr("c{f=\"other\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("c{f=\"7\"} 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("too many\"} ")));
  EXPECT_THAT(text, HasSubstr("lambdad_metrics_label_sets_refused_total 2\n"));
}

TEST(Metrics, UpdatesRunAtEveryScrape) {
  Metrics metrics;
  int scrapes = 0;
  metrics.on_scrape([&] { metrics.gauge("scrapes", "help").set(++scrapes); });
  metrics.expose();
  EXPECT_THAT(metrics.expose(), HasSubstr("scrapes 2\n"));
}

TEST(Metrics, ANameHasOneKind) {
  Metrics metrics;
  metrics.counter("name", "help");
  EXPECT_DEATH(metrics.gauge("name", "help"), "another kind");
  EXPECT_DEATH(metrics.counter("no name", "help"), "no metric name");
}

}  // namespace
}  // namespace lambdad
