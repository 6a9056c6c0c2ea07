#include <aws/lambda-runtime/runtime.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

// {"fail": "..."} fails with that text; anything else is answered with what the library tells of the invocation.
static aws::lambda_runtime::invocation_response handle(aws::lambda_runtime::invocation_request const& request) {
  using aws::lambda_runtime::invocation_response;
  std::string const& event = request.payload;
  if (auto const at = event.find("\"fail\": \""); at != std::string::npos) {
    auto const begin = at + 9;
    return invocation_response::failure(event.substr(begin, event.find('"', begin) - begin), "Failed", "");
  }
  std::fputs("seen\n", stderr);
  auto const left = request.get_time_remaining();
  return invocation_response::success("{\"n\":" + event.substr(6, event.size() - 7) + ",\"arn\":\"" + request.function_arn +
                                          "\",\"id\":\"" + request.request_id + "\",\"name\":\"" +
                                          std::getenv("AWS_LAMBDA_FUNCTION_NAME") + "\",\"deadline\":" +
                                          (left > std::chrono::seconds(1) ? "true" : "false") + "}",
                                      "application/json");
}

int main() {
  aws::lambda_runtime::run_handler(handle);
  return 0;
}
