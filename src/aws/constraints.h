#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aws/error.h"
#include "aws/model.h"
#include "base/json.h"

namespace lambdad::aws {

/// Checks documents against the constraints of the model and answers in AWS's words.
///
/// Front end style, all findings joined:
///   2 validation errors detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy
///   regular expression pattern: P; Value null at 'role' failed to satisfy constraint: Member must not be null
/// Members of the query string come first, then headers, then path and body in the model's order (observed for
/// qualifier and functionName).
/// Source: recorded answers of Lambda's front end; the phrases are the same for every service built on it.
///
/// Ownership: keeps compiled patterns by shape; the models outlive it. Threading: the loop only.
class Constraints {
 public:
  Constraints();
  ~Constraints();

  /// Checks `document` (normalised) as input of `operation`: first that it carries no member that is not served
  /// (NotImplementedException), then the constraints. kMissingParameter style: a required member that is missing is
  /// answered "The request must contain the parameter X."; one below the top level that is a string is set to "", so
  /// that the service can say what it wants in its own words.
  Outcome<void> check(const ServiceModel& service, const OperationModel& operation, json::Value& document);

  /// Whether `text` matches the pattern of `shape` as a whole. True when it has none.
  bool matches(const ShapeModel& shape, std::string_view text);

 private:
  struct Pattern;
  class Checker;
  std::unordered_map<const ShapeModel*, std::unique_ptr<Pattern>> patterns_;
};

}  // namespace lambdad::aws
