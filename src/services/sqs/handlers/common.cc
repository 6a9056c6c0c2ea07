#include "services/sqs/handlers/common.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::sqs {

namespace {

/// "eu-west-1", "us-gov-west-1": what may stand for a Region in a URL.
bool is_region(std::string_view text) {
  if (std::ranges::count(text, '-') < 2 || text.empty()) return false;
  const bool has_form =
      std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  return has_form && text.back() >= '0' && text.back() <= '9';
}

std::string_view region_of_host(std::string_view host) {
  const auto first = host.find('.');
  if (first == host.npos) return {};
  const std::string_view rest = host.substr(first + 1);
  const std::string_view head = host.substr(0, first);
  const std::string_view second = rest.substr(0, rest.find('.'));
  if (head == "sqs" && is_region(second)) return second;
  if (second == "queue" && is_region(head)) return head;
  return {};
}

}  // namespace

std::optional<QueueAddress> parse_queue_url(std::string_view url) {
  QueueAddress address;
  if (const auto scheme = url.find("://"); scheme != url.npos) {
    url.remove_prefix(scheme + 3);
    const auto path = url.find('/');
    if (path == url.npos) return std::nullopt;
    address.region = region_of_host(url.substr(0, path));
    url.remove_prefix(path);
  }
  if (!url.starts_with('/')) return std::nullopt;
  if (url.ends_with('/')) url.remove_suffix(1);
  const auto name_at = url.rfind('/');
  if (name_at == url.npos || name_at == 0) return std::nullopt;
  const auto account_at = url.rfind('/', name_at - 1);
  if (account_at == url.npos) return std::nullopt;
  address.account = url.substr(account_at + 1, name_at - account_at - 1);
  address.name = url.substr(name_at + 1);
  if (address.account.empty() || address.name.empty()) return std::nullopt;
  constexpr std::string_view kPathForm = "/queue/";
  const std::string_view before = url.substr(0, account_at);
  if (before.starts_with(kPathForm) && is_region(before.substr(kPathForm.size()))) {
    address.region = before.substr(kPathForm.size());
  }
  return address;
}

std::string queue_url(const aws::RequestContext& context, const LiveQueue& queue) {
  return fmt::format("{}/{}/{}", context.base_url, queue.row.account, queue.row.name);
}

aws::Error no_such_queue(const aws::RequestContext& context) {
  // Requests in process have no headers and are answered like the JSON protocol.
  const bool is_query = context.headers.size() > 0 && !context.headers.contains("X-Amz-Target");
  return aws::sqs::queue_does_not_exist(is_query ? "The specified queue does not exist for this wsdl version."
                                                 : "The specified queue does not exist.");
}

Outcome<LiveQueuePtr> find_queue(const Call& call, std::string_view url) {
  const auto address = parse_queue_url(url);
  if (!address) {
    return std::unexpected(
        aws::sqs::invalid_address(fmt::format("The address {} is not valid for this endpoint.", url)));
  }
  const std::string& region = address->region.empty() ? call.context->region : address->region;
  auto queue = call.broker->find(address->account, region, address->name);
  if (!queue) return std::unexpected(no_such_queue(*call.context));
  return queue;
}

aws::Error to_aws_error(const Call& call, const Error& error) {
  switch (error.code) {
    case Errc::kNotFound: return no_such_queue(*call.context);
    case Errc::kThrottled: return aws::sqs::over_limit("Too many messages in flight.");
    case Errc::kUnavailable:
    case Errc::kClosed: {
      call.broker->log().warn("sqs_unavailable", {{"request_id", call.context->request_id}, {"error", error.detail}});
      return Broker::unavailable();
    }
    case Errc::kInvalid:
    case Errc::kConflict:
    case Errc::kTooLarge:
    case Errc::kDenied:
    case Errc::kTimedOut:
    case Errc::kCorrupt:
    case Errc::kInternal: break;
  }
  call.broker->log().error("sqs_failure", {{"request_id", call.context->request_id}, {"error", error.detail}});
  return aws::internal_failure();
}

aws::Error bad_value(std::string_view value, std::string_view parameter, std::string_view reason) {
  return aws::sqs::invalid_parameter_value(
      fmt::format("Value {} for parameter {} is invalid. Reason: {}", value, parameter, reason));
}

Outcome<int> checked_int(std::optional<std::int32_t> value, int fallback, int min, int max, std::string_view parameter,
                         std::string_view reason) {
  if (!value) return fallback;
  if (*value < min || *value > max) return std::unexpected(bad_value(std::to_string(*value), parameter, reason));
  return *value;
}

Outcome<ReceiptHandle> open_receipt_handle(const Call& call, const LiveQueue& queue, const std::string& text) {
  const auto handle = call.broker->handles().open(text);
  if (!handle || handle->queue != queue.row.id) {
    return std::unexpected(aws::sqs::receipt_handle_is_invalid(
        fmt::format("The input receipt handle \"{}\" is not a valid receipt handle.", text)));
  }
  return *handle;
}

aws::sqs::BatchResultErrorEntry failed_entry(std::string id, const aws::Error& error) {
  return {.id = std::move(id),
          .sender_fault = error.fault == aws::Fault::kClient,
          .code = error.query_code.empty() ? error.type : error.query_code,
          .message = error.message};
}

Outcome<void> check_batch_ids(const std::vector<std::string_view>& ids, std::string_view entry_shape) {
  if (ids.empty()) {
    return std::unexpected(
        aws::sqs::empty_batch_request(fmt::format("There should be at least one {} in the request.", entry_shape)));
  }
  if (ids.size() > kBatchEntriesMax) {
    return std::unexpected(aws::sqs::too_many_entries_in_batch_request(
        fmt::format("Maximum number of entries per request are {}. You have sent {}.", kBatchEntriesMax, ids.size())));
  }
  std::set<std::string_view> seen;
  for (const std::string_view id : ids) {
    const bool well_formed = !id.empty() && id.size() <= kBatchEntryIdLengthMax && std::ranges::all_of(id, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!well_formed) {
      return std::unexpected(aws::sqs::invalid_batch_entry_id(
          "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
          "It can be at most 80 letters long."));
    }
    if (!seen.insert(id).second) {
      return std::unexpected(aws::sqs::batch_entry_ids_not_distinct(fmt::format("Id {} repeated.", id)));
    }
  }
  return {};
}

Outcome<Page> list_page(const Call& call, const std::string& account, const std::optional<std::string>& next_token,
                        std::optional<std::int32_t> max_results, const std::function<bool(const LiveQueue&)>& keep) {
  const auto count = checked_int(max_results, kListResultsMax, 1, kListResultsMax, "MaxResults",
                                 "MaxResults must be an integer between 1 and 1000.");
  if (!count) return std::unexpected(count.error());
  std::string after;
  if (next_token && !next_token->empty()) {
    const auto name = base64_decode(*next_token);
    if (!name) return std::unexpected(bad_value(*next_token, "NextToken", "Invalid or expired NextToken."));
    after = *name;
  }
  Page page;
  for (LiveQueuePtr& queue : call.broker->list(account, call.context->region, after)) {
    if (!keep(*queue)) continue;
    if (std::ssize(page.queues) == *count) {
      if (max_results) page.next_token = base64_encode(page.queues.back()->row.name);
      break;
    }
    page.queues.push_back(std::move(queue));
  }
  return page;
}

}  // namespace lambdad::sqs
