/// Any request makes an event that is one JSON document.
#include <cstddef>
#include <cstdint>

#include "services/function_urls/url_event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t third = size / 3;
  http::Request request;
  request.method = "POST";
  request.target = "/" + std::string(bytes.substr(0, third));
  request.headers.add("Host", "a.lambda-url.b.c");
  request.headers.add("Cookie", bytes.substr(third, third));
  request.headers.add("Content-Type", size % 2 == 0 ? "text/plain" : "image/png");
  request.headers.add(std::string(bytes.substr(third, 5)), bytes.substr(third, third));
  request.body = bytes.substr(2 * third);
  function_urls::EventFacts facts{.host = *function_urls::parse_url_host("a.lambda-url.b.c")};
  const std::string event = json::serialize(function_urls::make_event(request, facts));
  LD_CHECK(json::validate(event).has_value(), "no JSON: {}", event);
  static_cast<void>(function_urls::parse_url_host(bytes));
  return 0;
}
