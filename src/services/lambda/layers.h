/// Layers: what is known of them, and how they last.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/time.h"
#include "package/package_store.h"
#include "services/lambda/function.h"
#include "services/lambda/package_uses.h"
#include "services/lambda/store.h"
#include "system/keyed_mutex.h"

namespace lambdad::lambda {

struct LayerVersion {
  std::string description;
  std::string license_info;
  std::vector<std::string> runtimes;       ///< compatible ones, as they were given
  std::vector<std::string> architectures;  ///< likewise
  std::string sha256;                      ///< hex of the zip
  std::int64_t size = 0;
  std::int64_t unzipped = 0;
  WallTime created{};
  std::optional<Policy> policy;
};

/// A layer with all its versions. Immutable once it is in the catalog. It stays when its last version is deleted:
/// version numbers are not used again.
struct Layer {
  std::string account;
  std::string region;
  std::string name;
  std::int64_t last_version = 0;
  std::map<std::int64_t, LayerVersion> versions;

  std::string arn() const;
  std::string version_arn(std::int64_t version) const;
};
using LayerPtr = std::shared_ptr<const Layer>;

/// A layer, or one version of it, as a request names it.
struct LayerRef {
  std::string account;
  std::string region;
  std::string name;
  std::int64_t version = 0;  ///< 0: none was named
  std::string arn() const;   ///< with the version when there is one
};
/// arn:aws:lambda:REGION:ACCOUNT:layer:NAME[:VERSION]; nullopt for anything else.
std::optional<LayerRef> parse_layer_arn(std::string_view text);

json::Value to_document(const Layer& layer);
/// kCorrupt when a member is missing or of the wrong kind.
Result<Layer> layer_from_document(const json::Value& document);

/// All layers. Changes go as in Functions: lock(), look up again, commit() a new value.
///
/// Ownership: borrows everything. Threading: the loop only.
class Layers {
 public:
  Layers(System& system, LambdaStore& store, PackageUses& uses);
  Async<Result<void>> load();

  LayerPtr find(const LayerRef& ref) const;
  /// Null when there is no such version. Good while `layer` lives.
  static const LayerVersion* version(const LayerPtr& layer, std::int64_t number);
  /// Calls each(layer) in the order of names, beginning after `after`, until it returns false.
  template <class Each>
  void for_each(const std::string& account, const std::string& region, const std::string& after, Each each) const {
    for (auto place = entries_.upper_bound({account, region, after});
         place != entries_.end() && std::get<0>(place->first) == account && std::get<1>(place->first) == region;
         ++place) {
      if (!each(place->second)) return;
    }
  }
  /// Zips of all layer versions, in bytes.
  std::int64_t code_bytes(const std::string& account, const std::string& region) const;

  Async<KeyedMutex::Guard> lock(const LayerRef& ref);
  /// `code`: a package that nothing stored names yet, held until this has returned.
  Async<Result<void>> commit(Layer layer, package::PackageStore::Ref code = {});

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // account, region, name
  void show(Layer layer);

  LambdaStore& store_;
  PackageUses& uses_;
  std::map<Key, LayerPtr> entries_;
  std::map<std::pair<std::string, std::string>, std::int64_t> code_bytes_;
  KeyedMutex busy_;
};

}  // namespace lambdad::lambda
