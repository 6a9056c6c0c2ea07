#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/gen/iam.h"
#include "base/json.h"
#include "base/time.h"

namespace lambdad::iam {

/// A role with all that belongs to it.
struct StoredRole {
  std::string account;
  std::string path = "/";
  std::string name;
  std::string id;  ///< AROA...
  std::string trust_policy;
  std::string description;
  int max_session_seconds = 3600;
  WallTime created{};
  std::vector<aws::iam::Tag> tags;
  std::map<std::string, std::string> inline_policies;  ///< name -> document
  std::vector<std::string> attached_policies;          ///< ARNs in the order they were attached
  bool operator==(const StoredRole&) const = default;

  std::string arn() const;
};

/// As the API shows it: documents percent-encoded (RFC 3986).
aws::iam::Role to_role(const StoredRole& role);

json::Value to_document(const StoredRole& role);
Result<StoredRole> role_from_document(const json::Value& document);

}  // namespace lambdad::iam
