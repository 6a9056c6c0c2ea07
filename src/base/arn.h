/// Amazon Resource Names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lambdad {

/// arn:partition:service:region:account:resource — `resource` keeps its own colons and slashes.
struct Arn {
  std::string partition = "aws";
  std::string service;
  std::string region;
  std::string account;
  std::string resource;

  /// Partition, service and resource must not be empty; region and account may be.
  static std::optional<Arn> parse(std::string_view text);
  std::string str() const;
  bool operator==(const Arn&) const = default;
};

/// arn:aws:lambda:R:A:function:NAME[:QUALIFIER]
struct FunctionArn {
  std::string region;
  std::string account;
  std::string name;
  std::string qualifier;  // empty when unqualified

  /// nullopt for other partitions, empty parts, and characters outside a-z A-Z 0-9 - _ (and $ in the qualifier).
  /// Lengths are for the API's own checks.
  static std::optional<FunctionArn> parse(std::string_view text);
  std::string str() const;
  std::string unqualified() const;
  bool operator==(const FunctionArn&) const = default;
};

}  // namespace lambdad
