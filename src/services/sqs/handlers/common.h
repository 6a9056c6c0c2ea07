/// What several operations check or say.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqs/handlers/handlers.h"

namespace lambdad::sqs {

/// What a queue URL says: account and name at the end of its path, and the Region where it has one:
///
///   http://HOST/ACCOUNT/NAME              any host; the Region is the request's
///   http://HOST/queue/REGION/ACCOUNT/NAME
///   http://sqs.REGION.DOMAIN/ACCOUNT/NAME, http://REGION.queue.DOMAIN/ACCOUNT/NAME
struct QueueAddress {
  std::string region;  ///< empty: the URL does not say
  std::string account;
  std::string name;
  bool operator==(const QueueAddress&) const = default;
};
std::optional<QueueAddress> parse_queue_url(std::string_view url);
std::string queue_url(const aws::RequestContext& context, const LiveQueue& queue);

/// QueueDoesNotExist in the words of the request's protocol.
aws::Error no_such_queue(const aws::RequestContext& context);
/// The queue of a QueueUrl, in the URL's Region or the request's; InvalidAddress when it is no such URL.
Outcome<LiveQueuePtr> find_queue(const Call& call, std::string_view url);

/// The gate from our errors to the caller's; the detail goes to the log.
aws::Error to_aws_error(const Call& call, const Error& error);

/// `Value V for parameter P is invalid. Reason: R`
aws::Error bad_value(std::string_view value, std::string_view parameter, std::string_view reason);
/// `value` or its default, refused outside [min, max] with `reason`.
Outcome<int> checked_int(std::optional<std::int32_t> value, int fallback, int min, int max, std::string_view parameter,
                         std::string_view reason);

/// The receipt handle of a request on `queue`; ReceiptHandleIsInvalid for any other text, another queue's included.
Outcome<ReceiptHandle> open_receipt_handle(const Call& call, const LiveQueue& queue, const std::string& text);

/// The entry of a batch answer that says why its entry failed.
aws::sqs::BatchResultErrorEntry failed_entry(std::string id, const aws::Error& error);

/// What holds for every batch request: 1..10 entries with distinct, well-formed ids.
Outcome<void> check_batch_ids(const std::vector<std::string_view>& ids, std::string_view entry_shape);
template <class Entry>
Outcome<void> check_batch(const std::vector<Entry>& entries, std::string_view entry_shape) {
  std::vector<std::string_view> ids;
  for (const Entry& entry : entries) ids.push_back(entry.id);
  return check_batch_ids(ids, entry_shape);
}

/// One page of names, for ListQueues and ListDeadLetterSourceQueues.
struct Page {
  std::vector<LiveQueuePtr> queues;
  std::optional<std::string> next_token;
};
/// `keep` says which of the account's queues belong to the list. With no `max_results` the list ends after 1,000 and
/// no token is given, as AWS has it.
Outcome<Page> list_page(const Call& call, const std::string& account, const std::optional<std::string>& next_token,
                        std::optional<std::int32_t> max_results, const std::function<bool(const LiveQueue&)>& keep);

/// Runs `step` as a step of the broker, to its end. The caller's context ends with its request, which may be before:
/// the step gets a copy.
template <class Output, class Input>
Async<Outcome<Output>> run_with_own_context(Broker* broker, aws::RequestContext context, Input input,
                                            Async<Outcome<Output>> (*step)(Call, Input)) {
  co_return co_await step(Call{broker, &context}, std::move(input));
}
template <class Output, class Input>
Async<Outcome<Output>> as_step(const Call& call, const char* name, Input input,
                               Async<Outcome<Output>> (*step)(Call, Input)) {
  return call.broker->finish(name, run_with_own_context(call.broker, *call.context, std::move(input), step));
}

}  // namespace lambdad::sqs
