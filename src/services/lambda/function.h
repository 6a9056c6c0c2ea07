/// What lambdad knows of one function. Values only; how they change is in the handlers, how they last in store.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "aws/gen/lambda.h"
#include "base/json.h"
#include "base/time.h"
#include "ports/functions.h"
#include "services/lambda/limits.h"

namespace lambdad::lambda {

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
  std::string architecture;
  std::string code_sha256;  ///< hex of the zip
  std::int64_t code_size = 0;
  /// Names these settings: every change makes a new one.
  std::string snapshot_id;
  bool operator==(const Settings&) const = default;
};

enum class State { kPending, kActive, kFailed };
enum class UpdateStatus { kNone, kInProgress, kSuccessful, kFailed };

/// How asynchronous events of one qualifier are retried; members that were not set are absent.
struct EventInvokeSettings {
  std::optional<int> maximum_retry_attempts;
  std::optional<int> maximum_event_age_seconds;
  WallTime last_modified{};
  bool operator==(const EventInvokeSettings&) const = default;
};

/// A function. Immutable once it is in the catalog: a change is a new value.
///
/// `current` is what the API shows; `serving` what runs. They differ while an update is in progress and after one that
/// failed. `serving` is absent until the first creation has finished.
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
  std::map<std::string, std::string> tags;
  std::optional<int> reserved_concurrency;
  std::map<std::string, EventInvokeSettings> event_invoke;  ///< by qualifier
  bool operator==(const Function&) const = default;

  bool in_progress() const { return state == State::kPending || update_status == UpdateStatus::kInProgress; }
  FunctionArn arn(std::string qualifier = {}) const { return FunctionArn{region, account, name, std::move(qualifier)}; }
};

/// Into the beginning and the end of a change: State, LastUpdateStatus and their reasons. Revision ids are the
/// caller's. Pure.
void begin_creation(Function& function);
void begin_update(Function& function);
void finish_change(Function& function);
/// `code`: a StateReasonCode of the model.
void fail_change(Function& function, std::string code, std::string reason);

/// As the API shows it. `qualifier`: as the caller named the version, empty for the unqualified ARN.
enum class Detail {
  kFull,
  kListEntry,  ///< without State, LastUpdateStatus and RuntimeVersionConfig
};
aws::lambda::FunctionConfiguration to_configuration(const Function& function, const std::string& qualifier,
                                                    Detail detail = Detail::kFull);
aws::lambda::FunctionEventInvokeConfig to_event_invoke_config(const Function& function, const std::string& qualifier,
                                                              const EventInvokeSettings& settings);

/// As the store keeps it; members that are not known are ignored when read, so an older lambdad's rows stay readable.
json::Value to_document(const Function& function);
/// kCorrupt when a member is missing or of the wrong kind.
Result<Function> function_from_document(const json::Value& document);

}  // namespace lambdad::lambda
