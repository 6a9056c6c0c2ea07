#include "event_sources/sqs/sqs_source.h"

namespace lambdad::event_sources {

namespace api = aws::lambda;

namespace {

constexpr int kBatchSizeDefault = 10;
constexpr int kBatchSizeWithoutWindow = 10;

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

template <class Request>
aws::Outcome<void> take_over(Mapping& mapping, const Request& request) {
  auto& c = mapping.configuration;
  if (request.batch_size) c.batch_size = request.batch_size;
  if (request.maximum_batching_window_in_seconds) {
    c.maximum_batching_window_in_seconds = request.maximum_batching_window_in_seconds;
  }
  if (request.function_response_types) c.function_response_types = request.function_response_types;
  if (request.scaling_config) {
    c.scaling_config = request.scaling_config->maximum_concurrency ? request.scaling_config : std::nullopt;
  }
  const bool fifo = mapping.source.resource.ends_with(".fifo");
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
  return take_over(mapping, request);
}

aws::Outcome<void> SqsSource::reconfigure(Mapping& mapping, const api::UpdateEventSourceMappingRequest& request) const {
  return take_over(mapping, request);
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

std::unique_ptr<MappingRuntime> SqsSource::make_runtime(const Mapping& mapping) {
  return std::make_unique<SqsRuntime>(context_, SqsSettings::of(mapping), limits_);
}

}  // namespace lambdad::event_sources
