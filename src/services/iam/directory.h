#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "access/identities.h"
#include "observe/log.h"
#include "services/iam/aws_policies.h"
#include "services/iam/entity.h"
#include "services/iam/store.h"
#include "system/system.h"

namespace lambdad::iam {

/// Everything IAM knows: what reads see, how a change becomes durable and visible, and what the gate asks.
///
/// Reads come from memory. A change is written first and shown after its commit; of two changes of the same thing the
/// second must begin after the first has ended (IamService holds a lock per account).
/// Ownership: borrows System and the store. Threading: the loop only.
class Directory final : public access::Identities {
 public:
  Directory(System& system, Logger& log, store::Database& database);
  Async<Result<void>> load();

  using EntityPtr = std::shared_ptr<const Entity>;
  using PolicyPtr = std::shared_ptr<const ManagedPolicy>;
  /// Names are compared without regard to case. Null: there is none.
  EntityPtr find(Kind kind, const std::string& account, const std::string& name) const;
  /// In the order of names.
  std::vector<EntityPtr> list(Kind kind, const std::string& account) const;
  /// AWS's own, or one of the account.
  PolicyPtr find_policy(const std::string& account, const std::string& arn) const;
  std::vector<PolicyPtr> list_policies(const std::string& account) const;
  /// The user that has this key; null: none.
  EntityPtr owner_of(const std::string& access_key_id) const;

  struct LastUse {
    WallTime when{};
    std::string service, region;
  };
  /// Since the daemon started.
  std::optional<LastUse> last_use(const std::string& access_key_id) const;

  /// What changes together. `removed` are the names of what goes; an entity that was renamed is in both.
  struct Change {
    std::vector<Entity> entities;
    std::vector<EntityPtr> removed;
    std::vector<ManagedPolicy> policies;
    std::vector<PolicyPtr> removed_policies;
  };
  Async<Result<void>> commit(Change change);

  // access::Identities
  std::optional<access::UserKey> find_key(const std::string& access_key_id) const override;
  std::optional<access::Grants> user_grants(const std::string& account, const std::string& name) const override;
  std::optional<access::Grants> role_grants(const std::string& account, const std::string& name,
                                            const std::string& id) const override;
  std::optional<access::RoleFacts> find_role(const std::string& account, const std::string& name) const override;
  std::optional<std::string> managed_policy_text(const std::string& account, const std::string& arn) const override;
  std::string arn_of(std::string_view kind, const std::string& account, const std::string& name) const override;
  void key_used(const std::string& access_key_id, std::string_view service, std::string_view region) override;

 private:
  using Key = std::pair<std::string, std::string>;  // account, name in lower case
  struct Held {
    EntityPtr entity;
    std::vector<policy::DocumentPtr> inline_policies;
    policy::DocumentPtr trust;
  };
  struct HeldPolicy {
    PolicyPtr policy;
    policy::DocumentPtr document;
  };
  static Key key_of(const std::string& account, const std::string& name);
  const Held* held(Kind kind, const std::string& account, const std::string& name) const;
  void show(Entity entity);
  void show(ManagedPolicy policy);
  void forget(const Entity& entity);
  void add_grants(const Held& of, access::Grants& grants) const;
  policy::DocumentPtr managed_document(const std::string& account, const std::string& arn) const;
  access::Grants with_boundary(const Held& of, access::Grants grants) const;

  System& system_;
  Logger& log_;
  IamStore store_;
  std::map<Kind, std::map<Key, Held>> entities_;
  std::map<std::string, HeldPolicy, std::less<>> policies_;  // by ARN; AWS's own too
  std::map<std::string, Key, std::less<>> key_owners_;       // access key -> user
  std::map<std::string, LastUse, std::less<>> last_uses_;
};

}  // namespace lambdad::iam
