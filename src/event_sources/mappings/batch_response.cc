#include "event_sources/mappings/batch_response.h"

#include "base/json.h"

namespace lambdad::event_sources {

std::optional<std::set<std::string, std::less<>>> reported_failures(
    std::string_view response, const std::set<std::string_view, std::less<>>& known) {
  std::set<std::string, std::less<>> failed;
  if (response.find_first_not_of(" \t\r\n") == std::string_view::npos) return failed;
  const auto document = json::parse(response);
  if (!document) return std::nullopt;
  if (document->is_null()) return failed;
  // What `return ""` becomes: an empty response.
  if (const auto* text = document->if_string(); text != nullptr && text->empty()) return failed;
  if (!document->is_object()) return std::nullopt;
  const json::Value* list = document->find("batchItemFailures");
  if (list == nullptr || list->is_null()) return failed;
  const json::Array* items = list->if_array();
  if (items == nullptr) return std::nullopt;
  for (const json::Value& item : *items) {
    const json::Value* identifier = item.find("itemIdentifier");
    const std::string* text = identifier == nullptr ? nullptr : identifier->if_string();
    if (text == nullptr || text->empty() || !known.contains(*text)) return std::nullopt;
    failed.insert(*text);
  }
  return failed;
}

}  // namespace lambdad::event_sources
