#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "aws/error.h"
#include "observe/log.h"
#include "package/image_sources.h"
#include "package/package_store.h"
#include "services/lambda/function.h"
#include "services/lambda/package_uses.h"
#include "services/lambda/runtimes.h"
#include "services/lambda/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::lambda {

/// All functions: what reads see, how a change becomes durable and visible, and the work that finishes a change.
///
/// Reads come from memory. A change is: lock() the function, look it up again, make a new value, commit() it. After the
/// commit the new value is what everybody sees; nobody sees it before. A change of code or configuration is finished by
/// a task of this class: it unpacks the code, then commits the finished state with a second revision id. What was
/// unfinished when the process ended is finished after resume().
///
/// Snapshots given out by resolve() hold their packages, so running environments keep their code. They are made when
/// they are first asked for. Provisioned concurrency is told to the provisioner, once there is one, whenever it
/// changes. Ownership: borrows everything. Threading: the loop only. End: stop().
class Functions final : public ports::FunctionCatalog {
 public:
  Functions(System& system, Logger& log, LambdaStore& store, package::PackageStore& packages, PackageUses& uses);
  ~Functions();
  Functions(const Functions&) = delete;
  Functions& operator=(const Functions&) = delete;

  /// Reads the stored functions. Once, before anything else.
  Async<Result<void>> load();
  /// Goes on with the changes that were unfinished when they were stored. Once, after load(), when the package store
  /// has started: it unpacks.
  void resume();
  Async<void> stop();
  /// Waits until no change is being finished.
  Async<void> settle() { co_await tasks_.drain(); }

  using FunctionPtr = std::shared_ptr<const Function>;
  /// Null when there is no such function; the qualifier is not looked at.
  FunctionPtr find(const ports::FunctionRef& function) const;
  struct Located {
    FunctionPtr function;
    VersionPtr version;            ///< null: $LATEST
    const Alias* alias = nullptr;  ///< of `function`, when the qualifier is one
  };
  /// What a qualifier means now: nothing or "$LATEST", a version, or the primary version of an alias.
  std::optional<Located> locate(const ports::FunctionRef& function) const;
  /// Up to `count` functions of an account and region in the order of names, beginning after `after`.
  std::vector<FunctionPtr> list(const std::string& account, const std::string& region, const std::string& after,
                                std::size_t count) const;
  struct Usage {
    std::int64_t functions = 0;
    std::int64_t code_bytes = 0;  ///< of $LATEST and every version, each counted whole
    int reserved_concurrency = 0;
    int provisioned_unreserved = 0;  ///< of functions that have no reservation
    int taken() const { return reserved_concurrency + provisioned_unreserved; }
  };
  /// Constant time.
  Usage usage(const std::string& account, const std::string& region) const;

  /// Whoever changes a function holds this from looking it up until commit() or erase() has returned.
  Async<KeyedMutex::Guard> lock(const ports::FunctionRef& function);
  /// Held, after the function's own lock, by whoever changes the sum of reserved concurrency.
  Async<KeyedMutex::Guard> lock_concurrency(std::string account, std::string region);
  /// Stores and then shows `function`; starts finishing it when it is in progress. `code`: a package that no stored
  /// function names yet, held until this has returned. kUnavailable and the like: nothing changed.
  Async<Result<void>> commit(Function function, package::PackageStore::Ref code = {});
  Async<Result<void>> erase(ports::FunctionRef ref);

  // ports::FunctionCatalog
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& function) override;
  std::optional<int> reserved_concurrency(const ports::FunctionRef& function) override;
  int reserved_concurrency_total(const std::string& account, const std::string& region) override;
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef& function) override;
  int provisioned_concurrency(const ports::FunctionRef& function) override;
  bool stops_loops(const ports::FunctionRef& function) override;
  std::vector<std::string> snapshots(const ports::FunctionRef& function) override;
  void on_change(std::function<void(const ports::FunctionRef&)> listener) override;

  /// From now on provisioned concurrency is really there. After load(), when environments can be made.
  void set_provisioner(ports::EnvironmentProvisioner& provisioner);
  /// Of one qualifier that has provisioned concurrency; an alias may be spread over two versions.
  ports::EnvironmentProvisioner::Status provisioned(const Function& function, const std::string& qualifier) const;

  /// Where images come from. Before load(); without it, functions have zips only.
  void set_images(package::ImageSources& images);
  package::ImageSources* images() { return images_; }

  std::string new_revision() { return system_.random.uuid_v4(); }
  package::PackageStore& packages() { return packages_; }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // account, region, name
  struct Entry {
    FunctionPtr function;
    std::map<std::string, ports::FunctionVersionPtr> snapshots;  // by id; those that were asked for
    std::map<std::string, int> provisioned;                      // by snapshot id, as the provisioner was told
  };
  static Key key_of(const ports::FunctionRef& function) { return {function.account, function.region, function.name}; }
  ports::FunctionVersionPtr snapshot(Entry& entry, const Settings& settings, const std::string& version);
  ports::FunctionVersionPtr make_snapshot(const Function& function, const Settings& settings,
                                          const std::string& version);
  void show(Function function);
  void count(const Function& function, int sign);
  /// Ends the uses of packages and images by what `function` was.
  void let_go(const Function& function);
  void name_images(package::ImageStore::Roots& roots) const;
  void provision(Entry& entry);
  void finish_later(const Function& function);
  Async<void> finish(ports::FunctionRef ref, Settings settings);
  Async<Result<void>> prepare(Settings settings);
  void changed(const ports::FunctionRef& function);

  System& system_;
  Logger& log_;
  LambdaStore& store_;
  package::PackageStore& packages_;
  PackageUses& uses_;
  ports::EnvironmentProvisioner* provisioner_ = nullptr;
  package::ImageSources* images_ = nullptr;
  bool loaded_ = false;  // until then nobody knows which images are named
  std::shared_ptr<Functions*> self_ = std::make_shared<Functions*>(this);  // null for who outlives this
  std::map<Key, Entry> entries_;
  std::map<std::pair<std::string, std::string>, Usage> usage_;  // by account and region
  KeyedMutex busy_;
  std::vector<std::function<void(const ports::FunctionRef&)>> listeners_;
  TaskGroup tasks_;
};

}  // namespace lambdad::lambda
