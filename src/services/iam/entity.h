/// What IAM keeps: users, groups and roles, and managed policies.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/gen/iam.h"
#include "base/json.h"
#include "base/time.h"

namespace lambdad::iam {

enum class Kind { kUser, kGroup, kRole };
std::string_view to_string(Kind kind);  ///< "user", "group", "role"

struct AccessKey {
  std::string id;      ///< AKIA...
  std::string secret;  ///< as it was shown: signatures cannot be checked with less
  bool active = true;
  WallTime created{};
  bool operator==(const AccessKey&) const = default;
};

/// A user, a group or a role, with all that belongs to it.
struct Entity {
  Kind kind = Kind::kRole;
  std::string account;
  std::string path = "/";
  std::string name;
  std::string id;  ///< AIDA..., AGPA..., AROA...
  WallTime created{};
  std::vector<aws::iam::Tag> tags;
  std::map<std::string, std::string> inline_policies;  ///< name -> document
  std::vector<std::string> attached_policies;          ///< ARNs in the order they were attached
  std::string boundary;                                ///< ARN of a managed policy; empty: none

  // Roles.
  std::string trust_policy;
  std::string description;
  int max_session_seconds = 3600;

  // Users.
  std::vector<std::string> groups;  ///< names in lower case
  std::vector<AccessKey> keys;
  bool operator==(const Entity&) const = default;

  std::string arn() const;
};

struct PolicyVersion {
  int number = 1;  ///< "v1"
  std::string document;
  WallTime created{};
  bool operator==(const PolicyVersion&) const = default;
};

struct ManagedPolicy {
  std::string account;  ///< "aws": AWS's own
  std::string path = "/";
  std::string name;
  std::string id;  ///< ANPA...
  std::string description;
  WallTime created{}, updated{};
  std::vector<aws::iam::Tag> tags;
  std::vector<PolicyVersion> versions;  ///< oldest first
  int default_version = 1;
  int next_version = 2;
  bool operator==(const ManagedPolicy&) const = default;

  std::string arn() const;
  const PolicyVersion* find(int number) const;
  const PolicyVersion& current() const;
};

/// As the API shows them: documents percent-encoded (RFC 3986).
aws::iam::Role to_role(const Entity& role);
aws::iam::User to_user(const Entity& user);
aws::iam::Group to_group(const Entity& group);

json::Value to_document(const Entity& entity);
Result<Entity> entity_from_document(Kind kind, const json::Value& document);
json::Value to_document(const ManagedPolicy& policy);
Result<ManagedPolicy> policy_from_document(const json::Value& document);

}  // namespace lambdad::iam
