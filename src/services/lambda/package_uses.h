#pragma once

#include <string>
#include <unordered_map>

#include "package/package_store.h"

namespace lambdad::lambda {

/// How often stored functions and layers name each package: the answer to the package store's "is it in use?", in
/// constant time.
///
/// Ownership: borrows the store, which asks this object until it is destroyed. Threading: the loop only.
class PackageUses {
 public:
  explicit PackageUses(package::PackageStore& packages) : packages_(packages) {
    packages_.set_in_use([this](const std::string& sha256) { return counts_.contains(sha256); });
  }
  ~PackageUses() {
    packages_.set_in_use([](const std::string&) { return true; });
  }
  PackageUses(const PackageUses&) = delete;
  PackageUses& operator=(const PackageUses&) = delete;

  void add(const std::string& sha256) { ++counts_[sha256]; }
  /// The end of one use; after the last the package goes as soon as no environment needs it.
  void drop(const std::string& sha256) {
    auto place = counts_.find(sha256);
    if (place == counts_.end() || --place->second > 0) return;
    counts_.erase(place);
    packages_.release(sha256);
  }

 private:
  package::PackageStore& packages_;
  std::unordered_map<std::string, int> counts_;
};

}  // namespace lambdad::lambda
