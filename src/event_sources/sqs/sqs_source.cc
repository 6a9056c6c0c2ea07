#include "event_sources/sqs/sqs_source.h"

#include <algorithm>

#include "event_sources/mappings/record_filter.h"

namespace lambdad::event_sources {

namespace api = aws::lambda;

namespace {

constexpr int kBatchSizeDefault = 10;
constexpr int kBatchSizeWithoutWindow = 10;
constexpr int kBatchSizeFifo = 10;
// Of provisioned mode. Source: Lambda Developer Guide, "Using provisioned mode with an Amazon SQS event source
// mapping"; the text of the error is recorded.
constexpr int kPollersMinDefault = 2;
constexpr int kPollersMinMax = 200;
constexpr int kPollersMaxDefault = 200;
constexpr int kPollersMaxMax = 10000;

std::unexpected<aws::Error> invalid(std::string message) {
  return std::unexpected(api::invalid_parameter_value(std::move(message)));
}

// Settings that Create and Update have in common and queues do not have.
template <class Request>
const char* foreign_setting(const Request& r) {
  if (r.destination_config) return "DestinationConfig";
  if (r.parallelization_factor) return "ParallelizationFactor";
  if (r.maximum_record_age_in_seconds) return "MaximumRecordAgeInSeconds";
  if (r.maximum_retry_attempts) return "MaximumRetryAttempts";
  if (r.bisect_batch_on_function_error) return "BisectBatchOnFunctionError";
  if (r.tumbling_window_in_seconds) return "TumblingWindowInSeconds";
  if (r.source_access_configurations) return "SourceAccessConfigurations";
  if (r.amazon_managed_kafka_event_source_config) return "AmazonManagedKafkaEventSourceConfig";
  if (r.self_managed_kafka_event_source_config) return "SelfManagedKafkaEventSourceConfig";
  if (r.document_db_event_source_config) return "DocumentDBEventSourceConfig";
  return nullptr;
}

aws::Outcome<void> refuse(const char* setting) {
  if (setting == nullptr) return {};
  return invalid(fmt::format("Unsupported {} parameter for given event source mapping type.", setting));
}

enum class RequestKind { kCreate, kUpdate };

aws::Outcome<void> take_over_pollers(api::EventSourceMappingConfiguration& c, const api::ProvisionedPollerConfig& asked,
                                     RequestKind kind) {
  if (!asked.minimum_pollers && !asked.maximum_pollers) {
    if (kind == RequestKind::kCreate) {
      return invalid("Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided.");
    }
    c.provisioned_poller_config.reset();  // back to pollers by demand
    return {};
  }
  // What an update leaves out stays.
  api::ProvisionedPollerConfig config = c.provisioned_poller_config.value_or(
      api::ProvisionedPollerConfig{.minimum_pollers = kPollersMinDefault, .maximum_pollers = kPollersMaxDefault});
  if (asked.minimum_pollers) config.minimum_pollers = asked.minimum_pollers;
  if (asked.maximum_pollers) config.maximum_pollers = asked.maximum_pollers;
  if (!asked.maximum_pollers && *config.maximum_pollers < *config.minimum_pollers) {
    config.maximum_pollers = config.minimum_pollers;
  }
  if (*config.minimum_pollers < kPollersMinDefault || *config.minimum_pollers > kPollersMinMax ||
      *config.maximum_pollers < *config.minimum_pollers || *config.maximum_pollers > kPollersMaxMax) {
    return invalid(
        fmt::format("MinimumPollers should be between [{}, {}] and MaximumPollers should be between "
                    "[MinimumPollers, {}]",
                    kPollersMinDefault, kPollersMinMax, kPollersMaxMax));
  }
  c.provisioned_poller_config = config;
  return {};
}

template <class Request>
aws::Outcome<void> take_over(Mapping& mapping, const Request& request, RequestKind kind) {
  auto& c = mapping.configuration;
  if (request.batch_size) c.batch_size = request.batch_size;
  if (request.maximum_batching_window_in_seconds) {
    c.maximum_batching_window_in_seconds = request.maximum_batching_window_in_seconds;
  }
  if (request.function_response_types) c.function_response_types = request.function_response_types;
  if (request.scaling_config) {
    c.scaling_config = request.scaling_config->maximum_concurrency ? request.scaling_config : std::nullopt;
  }
  if (request.filter_criteria) {
    auto filter = RecordFilter::compile(*request.filter_criteria, kSqsPayloadKey);
    if (!filter) return std::unexpected(std::move(filter).error());
    c.filter_criteria = *filter ? request.filter_criteria : std::nullopt;
  }
  if (request.metrics_config) {
    const auto& metrics = request.metrics_config->metrics;
    if (metrics && std::ranges::any_of(*metrics, [](const std::string& group) { return group != "EventCount"; })) {
      return refuse("MetricsConfig");
    }
    c.metrics_config = metrics && !metrics->empty() ? request.metrics_config : std::nullopt;
  }
  if (request.provisioned_poller_config) {
    if (auto valid = take_over_pollers(c, *request.provisioned_poller_config, kind); !valid) return valid;
  }
  if (c.provisioned_poller_config && c.scaling_config) {
    return invalid(
        "Provisioned mode for SQS ESM does not support maximum concurrency feature. Use MaximumPollers as the control "
        "mechanism and remove maximum concurrency.");
  }
  const bool fifo = mapping.source.resource.ends_with(".fifo");
  if (fifo && *c.batch_size > kBatchSizeFifo) {
    return invalid(
        fmt::format("Batch size {} is greater than the maximum of {} for FIFO queues", *c.batch_size, kBatchSizeFifo));
  }
  if (fifo && *c.maximum_batching_window_in_seconds > 0)
    return invalid("Batching window is not supported for FIFO queues");
  if (*c.batch_size > kBatchSizeWithoutWindow && *c.maximum_batching_window_in_seconds == 0) {
    return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
  }
  return {};
}

std::string name_and_qualifier(const ports::FunctionRef& function) {
  return function.qualifier.empty() ? function.name : fmt::format("{}:{}", function.name, function.qualifier);
}

}  // namespace

aws::Outcome<void> SqsSource::refuse_foreign(const api::CreateEventSourceMappingRequest& request) const {
  if (request.self_managed_event_source) {
    return invalid("Unsupported 'selfManagedEventSource' parameter for given event source mapping type.");
  }
  if (request.starting_position) return refuse("StartingPosition");
  if (request.starting_position_timestamp) return refuse("StartingPositionTimestamp");
  if (request.topics) return refuse("Topics");
  if (request.queues) return refuse("Queues");
  return refuse(foreign_setting(request));
}

aws::Outcome<void> SqsSource::refuse_foreign(const api::UpdateEventSourceMappingRequest& request) const {
  return refuse(foreign_setting(request));
}

aws::Outcome<void> SqsSource::configure(Mapping& mapping, const api::CreateEventSourceMappingRequest& request) const {
  mapping.configuration.batch_size = kBatchSizeDefault;
  mapping.configuration.maximum_batching_window_in_seconds = 0;
  mapping.configuration.function_response_types.emplace();
  return take_over(mapping, request, RequestKind::kCreate);
}

aws::Outcome<void> SqsSource::reconfigure(Mapping& mapping, const api::UpdateEventSourceMappingRequest& request) const {
  return take_over(mapping, request, RequestKind::kUpdate);
}

Async<aws::Outcome<void>> SqsSource::check_source(Mapping mapping) {
  SqsQueue queue(context_.api, context_.system.clock, mapping.source);
  if (auto there = co_await queue.refresh(); !there) {
    const aws::Error& error = there.error();
    const std::string& code = error.query_code.empty() ? error.type : error.query_code;
    co_return invalid(fmt::format("Error occurred while ReceiveMessage. SQS Error Code: {}. SQS Error Message: {}",
                                  code, error.message));
  }
  if (const auto function = context_.catalog.resolve(mapping.function);
      function && queue.visibility_timeout() < (*function)->timeout) {
    co_return invalid(fmt::format("Queue visibility timeout: {} seconds is less than Function timeout: {} seconds",
                                  std::chrono::floor<std::chrono::seconds>(queue.visibility_timeout()).count(),
                                  std::chrono::floor<std::chrono::seconds>((*function)->timeout).count()));
  }
  co_return aws::Outcome<void>();
}

aws::Error SqsSource::duplicate(const Mapping& existing) const {
  return api::resource_conflict(fmt::format(
      "An event source mapping with SQS arn (\" {} \") and function (\" {} \") already exists. Please update or delete "
      "the existing mapping with UUID {}",
      existing.source.str(), name_and_qualifier(existing.function), existing.uuid()));
}

std::unique_ptr<MappingRuntime> SqsSource::make_runtime(const Mapping& mapping, std::shared_ptr<MappingCounts> counts) {
  return std::make_unique<SqsRuntime>(context_, SqsSettings::of(mapping), limits_, std::move(counts));
}

}  // namespace lambdad::event_sources
