#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aws/gen/lambda.h"
#include "base/error.h"
#include "services/lambda/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::lambda {

struct CodeSigningConfig {
  std::string account;
  std::string region;
  std::string id;  ///< "csc-" and 17 hex digits
  std::string description;
  std::vector<std::string> publishers;  ///< ARNs of signing profile versions
  WallTime last_modified{};
  std::string arn() const;
};

/// Code signing configurations: which publishers functions name. Signatures cannot be checked here, so only the policy
/// that warns is served; a configuration that enforces is refused where it is made.
///
/// Ownership: borrows the store. Threading: the loop only.
class CodeSigningConfigs {
 public:
  using ConfigPtr = std::shared_ptr<const CodeSigningConfig>;

  CodeSigningConfigs(System& system, LambdaStore& store) : store_(store), busy_(system.loop) {}
  Async<Result<void>> load();
  ConfigPtr find(std::string_view arn) const;
  /// In the order of ARNs, beginning after `after`.
  std::vector<ConfigPtr> list(const std::string& account, const std::string& region, const std::string& after,
                              std::size_t count) const;
  /// Held by whoever changes a configuration or names one in a function.
  Async<KeyedMutex::Guard> lock(std::string arn) { return busy_.acquire(std::move(arn)); }
  Async<Result<void>> commit(CodeSigningConfig config);
  Async<Result<void>> erase(ConfigPtr config);

 private:
  LambdaStore& store_;
  std::map<std::string, ConfigPtr, std::less<>> configs_;  // by ARN
  KeyedMutex busy_;
};

aws::lambda::CodeSigningConfig to_api(const CodeSigningConfig& config);

}  // namespace lambdad::lambda
