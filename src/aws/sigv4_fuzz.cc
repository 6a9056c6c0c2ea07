/// Arbitrary Authorization fields and query strings; whatever parses can be verified without crashing.
#include <cstddef>
#include <cstdint>

#include "aws/sigv4.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t split = text.find('\n');
  http::Request request;
  request.method = "GET";
  request.target = "/" + std::string(text.substr(0, split));
  request.headers.add("Host", "localhost");
  request.headers.add("X-Amz-Date", "20150830T123600Z");
  if (split != std::string_view::npos) request.headers.add("Authorization", text.substr(split + 1));
  const auto signature = aws::sigv4::parse(request);
  if (!signature || !*signature) return 0;
  const auto verified = aws::sigv4::verify(request, **signature, "secret", from_epoch_ms(1440938160000));
  LD_CHECK(!verified || (*signature)->signature.size() == 64, "verified a signature of the wrong size");
  static_cast<void>(aws::sigv4::account_of((*signature)->access_key_id));
  return 0;
}
