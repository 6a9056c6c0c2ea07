#include "event_sources/mappings/record_filter.h"

#include <algorithm>

namespace lambdad::event_sources {

namespace api = aws::lambda;

aws::Outcome<std::optional<RecordFilter>> RecordFilter::compile(const api::FilterCriteria& criteria,
                                                                std::string payload_key) {
  if (!criteria.filters || criteria.filters->empty()) return std::optional<RecordFilter>();
  if (criteria.filters->size() > kFiltersMax) {
    return std::unexpected(
        api::invalid_parameter_value(fmt::format("Number of filters exceeds the maximum of {}.", kFiltersMax)));
  }
  RecordFilter filter(std::move(payload_key));
  for (const api::Filter& written : *criteria.filters) {
    auto compiled = written.pattern && written.pattern->size() <= kFilterBytesMax
                        ? pattern::Pattern::compile(*written.pattern, pattern::Dialect::kMappingFilter)
                        : Result<pattern::Pattern>(fail(Errc::kInvalid, "no pattern"));
    if (!compiled) return std::unexpected(api::invalid_parameter_value("Invalid filter pattern definition."));
    const auto mention = compiled->mention(filter.payload_key_);
    filter.filters_.push_back({std::move(*compiled), mention});
  }
  return std::optional<RecordFilter>(std::move(filter));
}

bool RecordFilter::wants(std::string_view record) const {
  auto plain = json::parse(record);
  json::Object* members = plain ? plain->if_object() : nullptr;
  const json::Value* payload = members == nullptr ? nullptr : members->find(payload_key_);
  const std::string* text = payload == nullptr ? nullptr : payload->if_string();
  if (text == nullptr) return false;
  auto parsed = json::parse(*text);
  const bool nested = parsed && (parsed->is_object() || parsed->is_array());
  std::optional<json::Value> decoded;
  if (parsed) {
    json::Object with = *members;
    with.set(payload_key_, std::move(*parsed));
    decoded = json::Value(std::move(with));
  }
  return std::ranges::any_of(filters_, [&](const Filter& filter) {
    if (nested) return filter.pattern.matches(*decoded);
    if (filter.payload.inside && !filter.payload.value) return false;
    return filter.pattern.matches(*plain) || (decoded && filter.pattern.matches(*decoded));
  });
}

}  // namespace lambdad::event_sources
