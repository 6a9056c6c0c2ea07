#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "aws/gen/lambda.h"
#include "pattern/pattern.h"

namespace lambdad::event_sources {

/// Filters of one mapping. Source: Lambda quotas, 5 filters, to be raised to 10.
inline constexpr std::size_t kFiltersMax = 10;
/// Source: Lambda API reference, Filter, Pattern.
inline constexpr std::size_t kFilterBytesMax = 4096;

/// The FilterCriteria of a mapping, compiled: a record is wanted when one of its patterns matches.
///
/// Patterns see the record as the function would, except that the payload, JSON in a string, is put in as JSON. What
/// the payload's kind means for a pattern that speaks of it:
///
/// | pattern says of the payload | payload is a JSON object or array | payload is other text |
/// | --- | --- | --- |
/// | nothing | the rest decides | the rest decides |
/// | values: `"body": ["x"]` | not wanted | compared as a string; a JSON number, true, false or null also as that |
/// | members: `"body": {"k": ["x"]}` | compared | not wanted |
///
/// Source: Lambda Developer Guide, "Event filtering", "Properly filtering Amazon SQS messages".
/// Immutable.
class RecordFilter {
 public:
  /// nullopt when the criteria have no filters. InvalidParameterValueException for what is no pattern, and more filters
  /// than kFiltersMax.
  static aws::Outcome<std::optional<RecordFilter>> compile(const aws::lambda::FilterCriteria& criteria,
                                                           std::string payload_key);

  /// `record` is the record as it is delivered, a JSON object whose payload is a string.
  bool wants(std::string_view record) const;

 private:
  struct Filter {
    pattern::Pattern pattern;
    pattern::Pattern::Mention payload;
  };
  explicit RecordFilter(std::string payload_key) : payload_key_(std::move(payload_key)) {}

  std::string payload_key_;
  std::vector<Filter> filters_;
};

}  // namespace lambdad::event_sources
