#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "aws/error.h"
#include "observe/log.h"
#include "package/package_store.h"
#include "services/lambda/function.h"
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
/// unfinished when the process ended is finished after load().
///
/// Snapshots given out by resolve() hold their package, so running environments keep their code.
/// Ownership: borrows everything. Threading: the loop only. End: stop().
class Functions final : public ports::FunctionCatalog {
 public:
  Functions(System& system, Logger& log, store::Database& database, package::PackageStore& packages);
  ~Functions() override;

  /// Reads the stored functions and goes on with unfinished changes. Once, before anything else.
  Async<Result<void>> load();
  Async<void> stop();
  /// Waits until no change is being finished.
  Async<void> settle() { co_await tasks_.drain(); }

  using FunctionPtr = std::shared_ptr<const Function>;
  /// Null when there is no such function; the qualifier is not looked at.
  FunctionPtr find(const ports::FunctionRef& function) const;
  /// Up to `count` functions of an account and region in the order of names, beginning after `after`.
  std::vector<FunctionPtr> list(const std::string& account, const std::string& region, const std::string& after,
                                std::size_t count) const;
  struct Usage {
    std::int64_t functions = 0;
    std::int64_t code_bytes = 0;
    int reserved_concurrency = 0;
  };
  Usage usage(const std::string& account, const std::string& region) const;

  /// Whoever changes a function holds this from looking it up until commit() or erase() has returned.
  Async<KeyedMutex::Guard> lock(const ports::FunctionRef& function);
  /// Held, after the function's own lock, by whoever changes the sum of reserved concurrency.
  Async<KeyedMutex::Guard> lock_concurrency(std::string account, std::string region);
  /// Stores and then shows `function`; starts finishing it when it is in progress. `code`: its package, held by the
  /// caller. kUnavailable and the like: nothing changed.
  Async<Result<void>> commit(Function function, package::PackageStore::Ref code);
  Async<Result<void>> erase(ports::FunctionRef ref);

  // ports::FunctionCatalog
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& function) override;
  std::optional<int> reserved_concurrency(const ports::FunctionRef& function) override;
  int reserved_concurrency_total(const std::string& account, const std::string& region) override;
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef& function) override;
  void on_change(std::function<void(const ports::FunctionRef&)> listener) override;

  std::string new_revision() { return system_.random.uuid_v4(); }
  package::PackageStore& packages() { return packages_; }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // account, region, name
  struct Entry {
    FunctionPtr function;
    ports::FunctionVersionPtr snapshot;  // null until something serves
    package::PackageStore::Ref code;     // of function->current
  };
  static Key key_of(const ports::FunctionRef& function) { return {function.account, function.region, function.name}; }
  ports::FunctionVersionPtr make_snapshot(const Function& function);
  void show(Function function, package::PackageStore::Ref code);
  bool names_package(const std::string& sha256) const;
  void finish_later(const Function& function);
  Async<void> finish(ports::FunctionRef ref, std::string snapshot_id, std::string code_sha256);
  void changed(const ports::FunctionRef& function);

  System& system_;
  Logger& log_;
  FunctionStore store_;
  package::PackageStore& packages_;
  std::map<Key, Entry> entries_;
  KeyedMutex busy_;
  std::vector<std::function<void(const ports::FunctionRef&)>> listeners_;
  TaskGroup tasks_;
};

}  // namespace lambdad::lambda
