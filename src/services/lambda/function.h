/// What lambdad knows of one function. Values only; how they change is in the handlers, how they last in store.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/gen/lambda.h"
#include "base/json.h"
#include "base/time.h"
#include "ports/functions.h"
#include "services/lambda/limits.h"
#include "services/lambda/logging.h"

namespace lambdad::lambda {

/// A layer version as a function uses it. It keeps working after the layer version was deleted.
struct LayerUse {
  std::string arn;
  std::string sha256;  ///< hex of the zip
  std::int64_t size = 0;
  std::int64_t unzipped = 0;
  bool operator==(const LayerUse&) const = default;
};

/// The code of a function with PackageType Image.
struct ImageSettings {
  std::string uri;                              ///< as the user gave it
  std::string resolved_uri;                     ///< the same by digest
  std::optional<ports::ImageOverrides> config;  ///< nullopt: never given
  bool operator==(const ImageSettings&) const = default;
};

/// Code and configuration of a version: what an environment is made from.
struct Settings {
  std::string runtime;
  std::string handler;
  std::string role;
  std::string description;
  int timeout_seconds = kTimeoutSecondsDefault;
  int memory_mb = kMemoryMbDefault;
  int ephemeral_storage_mb = kEphemeralStorageMbDefault;
  std::optional<std::map<std::string, std::string>> environment;  ///< nullopt: never given
  std::string dead_letter_arn;                                    ///< empty: none
  std::string tracing_mode = "PassThrough";
  std::string log_group;
  LoggingSettings logging;
  std::string architecture;
  std::string code_sha256;  ///< hex of the zip, or of the image's manifest
  std::int64_t code_size = 0;
  std::int64_t code_unzipped = 0;
  std::vector<LayerUse> layers;        ///< in the order in which they are laid over one another
  std::optional<ImageSettings> image;  ///< PackageType Image; runtime and handler are empty then, and no layers
  /// Names these settings: every change makes a new one.
  std::string snapshot_id;
  bool operator==(const Settings&) const = default;
};

enum class State { kPending, kActive, kFailed };
enum class UpdateStatus { kNone, kInProgress, kSuccessful, kFailed };

std::string_view state_name(State state);
std::string_view update_status_name(UpdateStatus status);

/// How asynchronous events of one qualifier are retried and who is told of their end; members that were not set are
/// absent.
struct EventInvokeSettings {
  std::optional<int> maximum_retry_attempts;
  std::optional<int> maximum_event_age_seconds;
  std::string on_success;  ///< ARN; empty: none
  std::string on_failure;  ///< ARN; empty: none
  WallTime last_modified{};
  bool operator==(const EventInvokeSettings&) const = default;
};

/// A published version. Immutable but for its state, which follows the change that it was published with.
struct Version {
  int number = 0;
  Settings settings;
  State state = State::kActive;
  std::string state_reason;
  std::string state_reason_code;
  WallTime last_modified{};
  std::string revision_id;
  std::string source_snapshot_id;  ///< of $LATEST when it was published
  std::string source_description;  ///< of $LATEST then; its own may have been given by PublishVersion
  bool operator==(const Version&) const = default;
};
using VersionPtr = std::shared_ptr<const Version>;

struct Alias {
  std::string function_version;           ///< "$LATEST" or a number
  std::map<std::string, double> weights;  ///< at most one further version and its share, 0..1
  std::string description;
  std::string revision_id;
  bool operator==(const Alias&) const = default;
};

/// A resource policy: statements in the order of their addition. A policy has at least one.
struct Policy {
  json::Array statements;
  std::string revision_id;
  bool operator==(const Policy&) const = default;
};

/// Environments asked for ahead of invocations. How many there are is known to the data plane only.
struct ProvisionedSettings {
  int requested = 0;
  WallTime last_modified{};
  bool operator==(const ProvisionedSettings&) const = default;
};

struct RuntimeManagement {
  std::string update_on = "Auto";
  std::string runtime_version_arn;  ///< of Manual
  bool operator==(const RuntimeManagement&) const = default;
};

/// A function. Immutable once it is in the catalog: a change is a new value.
///
/// `current` is what the API shows of $LATEST; `serving` what runs. They differ while an update is in progress and
/// after one that failed. `serving` is absent until the first creation has finished.
///
///   Pending ──▶ Active (LastUpdateStatus Successful) ──update──▶ Active, InProgress ──▶ Active, Successful
///      └─────▶ Failed                                                     └──────────▶ Active, Failed
struct Function {
  std::string account;
  std::string region;
  std::string name;
  Settings current;
  std::optional<Settings> serving;
  State state = State::kPending;
  std::string state_reason;
  std::string state_reason_code;
  UpdateStatus update_status = UpdateStatus::kNone;
  std::string update_reason;
  std::string update_reason_code;
  WallTime last_modified{};
  std::string revision_id;

  std::map<int, VersionPtr> versions;
  int last_version = 0;  ///< highest number ever given; numbers are not used again
  std::map<std::string, Alias> aliases;

  // Of the function as a whole.
  std::map<std::string, std::string> tags;
  std::optional<int> reserved_concurrency;
  std::string recursive_loop = "Terminate";
  std::string code_signing_config;  ///< ARN; empty: none

  // By qualifier: "$LATEST" (policies: ""), a version number, an alias.
  std::map<std::string, EventInvokeSettings> event_invoke;
  std::map<std::string, Policy> policies;
  std::map<std::string, ProvisionedSettings> provisioned;
  std::map<std::string, RuntimeManagement> runtime_management;

  bool in_progress() const { return state == State::kPending || update_status == UpdateStatus::kInProgress; }
  FunctionArn arn(std::string qualifier = {}) const { return FunctionArn{region, account, name, std::move(qualifier)}; }
  /// Null when there is no such version; `number` in decimal, "$LATEST" has none.
  VersionPtr version(std::string_view number) const;
  int provisioned_total() const;
};

/// Into the beginning and the end of a change: State, LastUpdateStatus and their reasons, also of versions published
/// with it. Revision ids are the caller's. Pure.
void begin_creation(Function& function);
void begin_update(Function& function);
void finish_change(Function& function);
/// `code`: a StateReasonCode of the model.
void fail_change(Function& function, std::string code, std::string reason);

/// What a new version is given besides its content.
struct NewVersion {
  std::optional<std::string> description;  ///< absent: $LATEST's
  std::string snapshot_id;
  std::string revision_id;
};
/// Publishes what `function.current` is; the version is Pending while that change is in progress. When the newest
/// version has the same code and configuration and is the last that was published, nothing changes and that version is
/// returned, whatever the description. Pure. Source: API reference of PublishVersion; recorded for the description.
VersionPtr add_version(Function& function, NewVersion with);
/// Drops a version or alias (by qualifier) and what is attached to it.
void drop_qualifier(Function& function, const std::string& qualifier);

/// As the API shows it. `qualifier`: as the caller named the version, empty for the unqualified ARN.
enum class Detail {
  kFull,
  kListEntry,  ///< without State, LastUpdateStatus and RuntimeVersionConfig
};
/// Of `version`, or of $LATEST when it is null.
aws::lambda::FunctionConfiguration to_configuration(const Function& function, const Version* version,
                                                    const std::string& qualifier, Detail detail = Detail::kFull);
aws::lambda::AliasConfiguration to_alias_configuration(const Function& function, const std::string& name,
                                                       const Alias& alias);
aws::lambda::FunctionEventInvokeConfig to_event_invoke_config(const Function& function, const std::string& qualifier,
                                                              const EventInvokeSettings& settings);

/// The ARN of the one build of `runtime` that this host has: the identifier decides.
std::string runtime_version_arn(const std::string& region, const std::string& runtime);

}  // namespace lambdad::lambda
