/// Arbitrary JSON bodies through normalising, constraint checks and the typed decoders. The first byte chooses the
/// operation.
#include <cstddef>
#include <cstdint>

#include "aws/constraints.h"
#include "aws/gen/lambda.h"
#include "aws/gen/sqs.h"
#include "aws/protocol.h"

namespace {

using namespace lambdad;

template <class Op>
void run(std::string_view body, aws::Protocol protocol) {
  static aws::Constraints constraints;
  aws::Route route;
  route.service = &Op::service();
  route.operation = &Op::model();
  route.protocol = protocol;
  route.labels = {{"FunctionName", "f"}, {"UUID", "u"}};
  http::Request request;
  request.body = std::string(body);
  auto input = aws::decode_request(route, request, "http://localhost");
  if (!input || !constraints.check(*route.service, *route.operation, input->document)) return;
  typename Op::Input typed;
  if (!decode_input(std::move(input->document), input->payload, typed)) return;
  const json::Value document = to_document(typed);
  const auto again = aws::sqs::from_document<typename Op::Input>(document);
  LD_CHECK(again && *again == typed, "a decoded shape does not survive its own document");
  std::string wire;
  aws::append_json(wire, document, *Op::model().input);
  LD_CHECK(json::parse(wire).has_value(), "what is written is not JSON: {}", wire);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: run<aws::lambda::CreateFunction>(body, aws::Protocol::kRestJson); break;
    case 1: run<aws::lambda::CreateEventSourceMapping>(body, aws::Protocol::kRestJson); break;
    case 2: run<aws::sqs::SendMessageBatch>(body, aws::Protocol::kJson10); break;
    case 3: run<aws::sqs::CreateQueue>(body, aws::Protocol::kJson10); break;
    default: run<aws::lambda::PutFunctionEventInvokeConfig>(body, aws::Protocol::kRestJson); break;
  }
  return 0;
}
