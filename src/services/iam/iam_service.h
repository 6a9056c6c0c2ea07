#pragma once

#include <memory>
#include <span>

#include "access/identities.h"
#include "aws/dispatcher.h"
#include "base/error.h"
#include "observe/log.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::iam {

/// Users, groups, roles, access keys and policies. Reads come from memory; a change is shown after it is committed.
/// What IAM knows is enforced elsewhere, by whoever holds identities().
/// Ownership: borrows System and the database, opened with migrations(). Threading: the loop only.
class IamService {
 public:
  struct Options {
    /// Refuse to attach a policy of AWS's that lambdad does not know. Without it such a policy can be attached, and
    /// grants nothing.
    bool known_policies_only = false;
  };
  IamService(System& system, Logger& log, store::Database& database, Options options);
  ~IamService();
  static std::span<const store::Migration> migrations();

  /// Reads what is stored. Before the first request.
  Async<Result<void>> start();
  void serve(aws::Dispatcher& dispatcher);
  access::Identities& identities();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad::iam
