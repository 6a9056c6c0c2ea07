/// Policy documents of IAM's JSON language.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "policy/condition.h"

namespace lambdad::policy {

/// Where a document stands decides which elements it has.
enum class Kind {
  kIdentity,  ///< of a user, group, role, session or boundary: Resource, no Principal
  kResource,  ///< of a function, queue, topic: Principal and Resource
  kTrust,     ///< of a role: Principal, no Resource
};

/// The Principal or NotPrincipal element; each list as written.
struct PrincipalElement {
  bool anyone = false;           ///< "*" or {"AWS": "*"}
  std::vector<std::string> aws;  ///< account ids and ARNs of IAM and STS
  std::vector<std::string> service;
  std::vector<std::string> federated;
  bool anyone_federated = false;  ///< {"Federated": "*"}
};

struct Statement {
  std::string sid;
  bool allow = false;
  std::vector<std::string> actions;
  bool not_action = false;
  std::vector<std::string> resources;  ///< empty only in a trust policy
  bool not_resource = false;
  std::optional<PrincipalElement> principal;
  bool not_principal = false;
  std::vector<Condition> conditions;  ///< all must hold
};

struct Document {
  std::vector<Statement> statements;
  /// Version 2012-10-17: ${...} stands for a value of the request. Without it the text is literal.
  bool variables = false;
};
using DocumentPtr = std::shared_ptr<const Document>;

/// Why a document is none, in AWS's words: the message of MalformedPolicyDocument.
struct Malformed {
  std::string message;
};

/// Reads a document. Nothing is repaired and nothing ignored: an element, operator or version that AWS does not know is
/// Malformed. Size limits are for the caller: they differ by where a document is kept.
/// Source: IAM User Guide, "Grammar of the IAM JSON policy language"; texts as recorded from IAM.
std::expected<Document, Malformed> parse(std::string_view text, Kind kind);
std::expected<Document, Malformed> read(const json::Value& document, Kind kind);

}  // namespace lambdad::policy
