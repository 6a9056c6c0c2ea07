// What peers write and we take apart: receipt handles, queue URLs, queue attributes, policies, attributes of messages.
// The first byte says which.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "services/sqs/handlers/common.h"
#include "services/sqs/handlers/message_input.h"
#include "services/sqs/policy.h"
#include "services/sqs/queue_attributes.h"
#include "services/sqs/receipt_handle.h"

using namespace lambdad;
using namespace lambdad::sqs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0: {
      static const ReceiptHandles handles("0123456789abcdef");
      if (const auto handle = handles.open(text)) {
        LD_CHECK(handles.open(handles.seal(*handle)) == handle);
      }
      break;
    }
    case 1: {
      if (const auto address = parse_queue_url(text)) {
        LD_CHECK(address->region.find('/') == std::string::npos);
        LD_CHECK(!address->account.empty() && !address->name.empty() && !address->name.contains('/'));
      }
      break;
    }
    case 2:
    case 3: {
      const auto equals = text.find('=');
      if (equals == text.npos) break;
      const AttributeMap changes{{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))}};
      const auto occasion = data[0] % 7 == 2 ? QueueAttributes::Occasion::kCreate : QueueAttributes::Occasion::kSet;
      if (const auto attributes = QueueAttributes{}.with(changes, occasion)) {
        // What was accepted is accepted again when the service loads it.
        LD_CHECK(QueueAttributes{}.with(attributes->as_set(), QueueAttributes::Occasion::kCreate).has_value());
      }
      break;
    }
    case 4: {
      if (const auto attributes = decode_attributes(text)) {
        LD_CHECK(decode_attributes(encode_attributes(*attributes)) == *attributes);
      }
      break;
    }
    case 5: {
      std::map<std::string, aws::sqs::MessageAttributeValue> given;
      const auto first = text.find('\n');
      const auto second = first == text.npos ? text.npos : text.find('\n', first + 1);
      if (second == text.npos) break;
      aws::sqs::MessageAttributeValue value;
      value.data_type = text.substr(first + 1, second - first - 1);
      (value.data_type.starts_with("Binary") ? value.binary_value : value.string_value) = text.substr(second + 1);
      given.emplace(text.substr(0, first), std::move(value));
      if (const auto checked = check_attributes(std::move(given))) {
        LD_CHECK(checked->size() == 1);
        LD_CHECK(md5_of_attributes(*checked).size() == 32);
      }
      break;
    }
    case 6: {
      if (!check_policy(text)) break;
      const Permission permission{.label = "l", .accounts = {"111122223333"}, .actions = {"*"}};
      if (const auto more = with_permission(std::string(text), "arn", permission)) {
        LD_CHECK(check_policy(*more).has_value());
        LD_CHECK(without_permission(*more, "l").has_value());
      }
      break;
    }
  }
  return 0;
}
