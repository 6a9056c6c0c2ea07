#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace lambdad::event_sources {

/// What a function with ReportBatchItemFailures says about its batch: the identifiers that failed, none of them for a
/// full success, or nullopt when the whole batch counts as failed.
///
/// Full success: no response, `null`, `{}`, an object without "batchItemFailures", or with null or [] there.
/// Full failure: no JSON, a value that is no object, a list that is none, an item whose "itemIdentifier" is missing,
/// misspelt, null, empty or not in `known`. An identifier may stand in the list more than once.
/// Source: Lambda Developer Guide, "Implementing partial batch responses", success and failure conditions.
std::optional<std::set<std::string, std::less<>>> reported_failures(
    std::string_view response, const std::set<std::string_view, std::less<>>& known);

}  // namespace lambdad::event_sources
