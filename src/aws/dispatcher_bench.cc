/// What the front end costs per request, without sockets and with handlers that do nothing.
#include <benchmark/benchmark.h>

#include "aws/dispatcher.h"
#include "aws/gen/lambda.h"
#include "aws/gen/sqs.h"
#include "system/sim.h"

namespace lambdad::aws {
namespace {

Async<Outcome<sqs::SendMessageResult>> accept_message(sqs::SendMessageRequest request) {
  sqs::SendMessageResult result;
  result.message_id = "5fea7756-0ea4-451a-a703-a558b933e274";
  result.md5_of_message_body = request.message_body.substr(0, 32);
  co_return result;
}

Async<Outcome<lambda::InvocationResponse>> echo(lambda::InvocationRequest request) {
  lambda::InvocationResponse response;
  response.status_code = 200;
  response.payload = std::move(request.payload);
  co_return response;
}

void sign_as_test(http::Request& request, std::string_view service) {
  request.headers.add("Host", "127.0.0.1:4566");
  request.headers.add("X-Amz-Date", "20260101T000000Z");
  request.headers.add("Authorization",
                      fmt::format("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, "
                                  "SignedHeaders=host;x-amz-date, Signature={}",
                                  service, std::string(64, '0')));
}

/// Runs `request` over and over on a plain loop.
void run(benchmark::State& state, const http::Request& request) {
  SimSystem sim(1);
  Metrics metrics;
  Dispatcher dispatcher(sim.system(), null_logger(), metrics, {});
  dispatcher.serve<sqs::SendMessage>(
      [](RequestContext&, sqs::SendMessageRequest input) { return accept_message(std::move(input)); });
  dispatcher.serve<lambda::Invoke>(
      [](RequestContext&, lambda::InvocationRequest input) { return echo(std::move(input)); });
  for (auto _ : state) {
    int status = 0;
    asio::co_spawn(sim.loop(), dispatcher.handle(request),
                   [&status](std::exception_ptr, const http::Response& response) { status = response.status; });
    sim.loop().restart();
    sim.loop().run();
    if (status != 200) state.SkipWithError("request failed");
  }
  state.SetItemsProcessed(state.iterations());
}

void SqsSendMessageJson(benchmark::State& state) {
  http::Request request;
  request.method = "POST";
  request.target = "/";
  sign_as_test(request, "sqs");
  request.headers.add("X-Amz-Target", "AmazonSQS.SendMessage");
  request.headers.add("Content-Type", "application/x-amz-json-1.0");
  request.body = fmt::format(R"({{"QueueUrl":"http://127.0.0.1:4566/000000000000/q","MessageBody":"{}"}})",
                             std::string(1024, 'x'));
  run(state, request);
}
BENCHMARK(SqsSendMessageJson);

void SqsSendMessageQuery(benchmark::State& state) {
  http::Request request;
  request.method = "POST";
  request.target = "/";
  sign_as_test(request, "sqs");
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.body = "Action=SendMessage&QueueUrl=http%3A%2F%2F127.0.0.1%3A4566%2F000000000000%2Fq&MessageBody=" +
                 std::string(1024, 'x');
  run(state, request);
}
BENCHMARK(SqsSendMessageQuery);

void LambdaInvoke(benchmark::State& state) {
  http::Request request;
  request.method = "POST";
  request.target = "/2015-03-31/functions/my-function/invocations";
  sign_as_test(request, "lambda");
  request.body = std::string(static_cast<std::size_t>(state.range(0)), 'x');
  run(state, request);
}
BENCHMARK(LambdaInvoke)->Arg(1024)->Arg(6 << 20);

}  // namespace
}  // namespace lambdad::aws
