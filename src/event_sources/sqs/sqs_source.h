#pragma once

#include "event_sources/mappings/source.h"
#include "event_sources/sqs/sqs_runtime.h"

namespace lambdad::event_sources {

/// Mappings on SQS queues. Threading: the loop only.
class SqsSource final : public EventSource {
 public:
  explicit SqsSource(SourceContext context, SqsPollerLimits limits = {}) : context_(context), limits_(limits) {}

  std::string_view service() const override { return "sqs"; }
  std::string_view user_reason() const override { return "USER_INITIATED"; }
  aws::Outcome<void> refuse_foreign(const aws::lambda::CreateEventSourceMappingRequest& request) const override;
  aws::Outcome<void> refuse_foreign(const aws::lambda::UpdateEventSourceMappingRequest& request) const override;
  aws::Outcome<void> configure(Mapping& mapping,
                               const aws::lambda::CreateEventSourceMappingRequest& request) const override;
  aws::Outcome<void> reconfigure(Mapping& mapping,
                                 const aws::lambda::UpdateEventSourceMappingRequest& request) const override;
  Async<aws::Outcome<void>> check_source(Mapping mapping) override;
  aws::Error duplicate(const Mapping& existing) const override;
  std::unique_ptr<MappingRuntime> make_runtime(const Mapping& mapping, std::shared_ptr<MappingCounts> counts) override;

 private:
  SourceContext context_;
  SqsPollerLimits limits_;
};

}  // namespace lambdad::event_sources
