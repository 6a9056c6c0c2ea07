#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/error.h"
#include "system/async.h"

namespace lambdad::ports {

/// Tags of resources of the Lambda API that are kept elsewhere than functions: event source mappings.
/// Threading: the loop only.
struct TaggedResources {
  virtual ~TaggedResources() = default;
  using Tags = std::map<std::string, std::string>;
  /// Whether `arn` names a resource of this kind, existing or not. The other calls are for those alone.
  virtual bool owns(const std::string& arn) const = 0;
  virtual aws::Outcome<Tags> tags(const std::string& arn) const = 0;
  /// Sets `set`, then removes the keys of `remove`. Returns after the commit.
  virtual Async<aws::Outcome<void>> change_tags(std::string arn, Tags set, std::vector<std::string> remove) = 0;
};

}  // namespace lambdad::ports
