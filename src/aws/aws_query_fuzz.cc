/// Arbitrary form bodies through routing, decoding, constraint checks and the typed decoders of a query service.
#include <cstddef>
#include <cstdint>

#include "aws/constraints.h"
#include "aws/gen/iam.h"
#include "aws/gen/sqs.h"
#include "aws/protocol.h"

namespace {

using namespace lambdad;

template <class Op>
void decode_as(aws::Input& input) {
  typename Op::Input typed;
  if (!decode_input(std::move(input.document), input.payload, typed)) return;
  // What was understood comes back the same.
  const auto again = aws::sqs::from_document<typename Op::Input>(to_document(typed));
  LD_CHECK(again && *again == typed, "a decoded shape does not survive its own document");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static aws::Router router;
  router.add(aws::sqs::service());  // once; later calls find it there
  router.add(aws::iam::service());
  static aws::Constraints constraints;
  http::Request request;
  request.method = "POST";
  request.target = "/000000000000/q";
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.body.assign(reinterpret_cast<const char*>(data), size);
  const aws::Route route = router.route(request, nullptr);
  if (route.refusal || !route.operation->served) return 0;
  auto input = aws::decode_request(route, request, "http://localhost");
  if (!input || !constraints.check(*route.service, *route.operation, input->document)) return 0;
  if (route.operation == &aws::sqs::SendMessageBatch::model()) decode_as<aws::sqs::SendMessageBatch>(*input);
  if (route.operation == &aws::sqs::CreateQueue::model()) decode_as<aws::sqs::CreateQueue>(*input);
  if (route.operation == &aws::sqs::SendMessage::model()) decode_as<aws::sqs::SendMessage>(*input);
  return 0;
}
