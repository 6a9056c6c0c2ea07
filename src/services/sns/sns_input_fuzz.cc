// What users write into attributes and endpoints: URLs, delivery policies, filter policies, and the messages they
// judge.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "services/sns/endpoints.h"
#include "services/sns/filter_policy.h"
#include "services/sns/retry_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  using namespace lambdad::sns;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto url = EndpointUrl::parse(input)) {
    LD_CHECK(!url->host.empty() && url->port != 0 && url->target.starts_with('/'), "{}", input);
  }
  for (const auto of : {DeliveryPolicy::Of::kTopic, DeliveryPolicy::Of::kSubscription}) {
    const auto policy = DeliveryPolicy::parse(input, of);
    if (!policy || !policy->retry) continue;
    for (int failed = 1; failed <= policy->retry->retries; ++failed) {
      const auto delay = policy->retry->delay_after(failed);
      LD_CHECK(delay && *delay >= Duration::zero() && *delay <= policy->retry->max_delay, "retry {}", failed);
    }
    LD_CHECK(!policy->retry->delay_after(policy->retry->retries + 1), "one too many");
  }
  const std::size_t middle = input.find('\n');
  Message message;
  message.text = input.substr(middle == input.npos ? input.size() : middle + 1);
  message.attributes.emplace("a", MessageAttribute{"String.Array", message.text});
  for (const auto scope : {FilterPolicy::Scope::kMessageAttributes, FilterPolicy::Scope::kMessageBody}) {
    const auto policy = FilterPolicy::parse(input.substr(0, middle), scope);
    if (policy) static_cast<void>(policy->judge(message, Protocol::kSqs));
  }
  return 0;
}
