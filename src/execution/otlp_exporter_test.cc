#include "execution/otlp_exporter.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "http/server.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using ::testing::ElementsAre;

class Otlp : public ::testing::Test {
 protected:
  InvocationTrace trace(bool active) {
    auto function = std::make_shared<ports::FunctionVersion>();
    function->account = "111122223333";
    function->region = "eu-west-1";
    function->name = "f";
    function->version = "7";
    function->log_group = "/aws/lambda/f";
    function->traces = active;
    const WallTime at = sim_.wall();
    return {.function = function,
            .request_id = "id-1",
            .trace_header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            .accepted = at,
            .begun = at + 2ms,
            .answered = at + 5ms,
            .ended = at + 6ms,
            .init = std::pair{at + 1ms, Duration(1ms)},
            .error_type = "Function.Unknown"};
  }
  static std::string text(const json::Value& value, std::string_view key) { return *value.find(key)->if_string(); }

  // Real sockets: the clock must not run away meanwhile.
  static Async<void> stop(SimSystem* sim, OtlpExporter* exporter) {
    const auto token = sim->activity().begin();
    co_await exporter->stop();
  }

  SimSystem sim_{test_seed()};
  Metrics metrics_;
};

TEST_F(Otlp, AnInvocationIsATreeOfSpans) {
  const auto body = json::parse(otlp_request({trace(true), trace(true)}, sim_.random()));
  ASSERT_TRUE(body);
  const auto& resources = *body->find("resourceSpans")->if_array();
  ASSERT_EQ(resources.size(), 2u);  // two snapshots, though alike
  const auto& spans = *(*resources[0].find("scopeSpans")->if_array())[0].find("spans")->if_array();
  std::vector<std::string> names;
  for (const auto& span : spans) {
    names.push_back(text(span, "name"));
    EXPECT_EQ(text(span, "traceId"), "5759e988bd862e3fe1be46a994272793");
    EXPECT_EQ(text(span, "spanId").size(), 16u);
    if (&span != &spans[0]) EXPECT_EQ(text(span, "parentSpanId"), "53995c3f42cd8ad8");
  }
  EXPECT_THAT(names, ElementsAre("f", "queue", "init", "invoke", "overhead"));
  EXPECT_EQ(text(spans[0], "spanId"), "53995c3f42cd8ad8");
  EXPECT_EQ(text(spans[0], "startTimeUnixNano"), "1767225600000000000");
  EXPECT_EQ(text(spans[0], "endTimeUnixNano"), "1767225600006000000");
  EXPECT_EQ(text(*spans[0].find("status"), "message"), "Function.Unknown");
}

TEST_F(Otlp, WithoutActiveTracingTheFirstSpanIsAChildOfTheCallers) {
  const auto body = json::parse(otlp_request({trace(false)}, sim_.random()));
  const auto& resource = (*body->find("resourceSpans")->if_array())[0];
  const auto& first = (*(*resource.find("scopeSpans")->if_array())[0].find("spans")->if_array())[0];
  EXPECT_EQ(text(first, "parentSpanId"), "53995c3f42cd8ad8");
  EXPECT_NE(text(first, "spanId"), "53995c3f42cd8ad8");
}

TEST_F(Otlp, OnlyAnHttpAddressIsAnEndpoint) {
  for (const char* bad : {"", "localhost:4318", "https://c:4318", "http://", "http://c:x", "http://c:0", "http://:1"}) {
    EXPECT_FALSE(OtlpExporter::make(sim_.system(), null_logger(), metrics_, bad)) << bad;
  }
}

TEST_F(Otlp, WhatACollectorTakesIsSentOnceAndTheRestWaits) {
  std::vector<std::string> paths;
  int status = 503;
  http::Server collector(sim_.loop(), sim_.clock(), {}, [&](http::Request request) {
    paths.push_back(std::string(request.path()));
    return [](int answer) -> Async<http::Response> { co_return http::Response::json(answer, "{}"); }(status);
  });
  ASSERT_TRUE(collector.listen("127.0.0.1:0"));
  auto made =
      OtlpExporter::make(sim_.system(), null_logger(), metrics_, fmt::format("http://127.0.0.1:{}/", collector.port()));
  ASSERT_TRUE(made) << made.error().detail;
  auto& sent = metrics_.counter("lambdad_traces_sent_total", "Invocations whose spans a collector has taken.");
  (*made)->record(trace(true));
  sim_.run(stop(&sim_, made->get()));
  EXPECT_EQ(sent.value(), 0u);
  status = 200;
  sim_.run(stop(&sim_, made->get()));
  EXPECT_EQ(sent.value(), 1u);
  EXPECT_THAT(paths, ElementsAre("/v1/traces", "/v1/traces"));
  sim_.run(stop(&sim_, made->get()));
  EXPECT_EQ(paths.size(), 2u);
  sim_.run(collector.stop(0s));
}

}  // namespace
}  // namespace lambdad::execution
