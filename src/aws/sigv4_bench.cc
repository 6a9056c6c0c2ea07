// Verifying a signature, as each request pays for it: the key was derived before.
#include <benchmark/benchmark.h>

#include "aws/sigv4.h"

namespace lambdad::aws::sigv4 {
namespace {

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

http::Request invocation(std::size_t body_bytes) {
  http::Request request{.method = "POST", .target = "/2015-03-31/functions/hello/invocations"};
  request.headers.add("Host", "127.0.0.1:4566");
  request.headers.add("User-Agent", "Boto3/1.35.0 md/Botocore#1.35.0 ua/2.0 os/linux#6.1.0 lang/python#3.11.2");
  request.headers.add("Content-Type", "application/json");
  request.headers.add("X-Amz-Invocation-Type", "RequestResponse");
  request.body = std::string(body_bytes, 'x');
  sign(request, {"AKIDEXAMPLE", std::string(kSecret), {}}, "us-east-1", "lambda", *parse_iso8601("20150830T123600Z"));
  return request;
}

void verify_request(benchmark::State& state) {
  const http::Request request = invocation(static_cast<std::size_t>(state.range(0)));
  const WallTime now = *parse_iso8601("20150830T123600Z");
  const std::string key = derive_key(kSecret, "20150830", "us-east-1", "lambda");
  for (auto _ : state) {
    const auto signature = parse(request);
    const bool good = verify_with_key(request, **signature, key, now).has_value();
    if (!good) state.SkipWithError("refused");
  }
}
BENCHMARK(verify_request)->Arg(100)->Arg(10'000)->Arg(1'000'000);

void derive(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(derive_key(kSecret, "20150830", "us-east-1", "lambda"));
}
BENCHMARK(derive);

}  // namespace
}  // namespace lambdad::aws::sigv4
