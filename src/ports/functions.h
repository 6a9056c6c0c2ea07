#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/arn.h"
#include "base/error.h"
#include "base/time.h"
#include "system/async.h"

namespace lambdad::ports {

/// A function as a caller names it: qualifier empty, "$LATEST", a version number or an alias.
struct FunctionRef {
  std::string account;
  std::string region;
  std::string name;
  std::string qualifier;
  FunctionArn arn() const { return FunctionArn{region, account, name, qualifier}; }
  bool operator==(const FunctionRef&) const = default;
};

/// What log events look like, and which are kept. Levels count only in the JSON format.
/// Source: Lambda Developer Guide, "Configuring advanced logging controls".
enum class LogFormat { kText, kJson };
enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kFatal };
struct LogSettings {
  LogFormat format = LogFormat::kText;
  LogLevel application_level = LogLevel::kInfo;
  LogLevel system_level = LogLevel::kInfo;
};

/// PackageType Image: what a function says instead of its image. A member that is absent leaves the image's own.
struct ImageOverrides {
  std::optional<std::vector<std::string>> entry_point;
  std::optional<std::vector<std::string>> command;
  std::optional<std::string> working_directory;
  bool operator==(const ImageOverrides&) const = default;
};

/// Immutable snapshot of one version of a function: what the data plane runs. A change of the function makes a new
/// snapshot; invocations that run keep theirs.
struct FunctionVersion {
  std::string account;
  std::string region;
  std::string name;
  std::string version;      ///< "$LATEST" or a number
  std::string snapshot_id;  ///< changes with every change of code or configuration: environments of another
                            ///< snapshot id are never used for this one
  std::string runtime;      ///< "python3.11", "nodejs20.x", "provided.al2023"
  std::string handler;
  std::string role;
  std::string code_sha256;              ///< hex of the zip, or of the image's manifest: names blob and unpacked package
  std::optional<ImageOverrides> image;  ///< set for PackageType Image; runtime and handler are empty then
  Duration timeout = 3s;
  int memory_mb = 128;
  int ephemeral_storage_mb = 512;
  std::map<std::string, std::string> environment;
  std::vector<std::string> layers;  ///< hex digests of the zips, in the order in which they are laid over one another
  std::string log_group;            ///< "/aws/lambda/NAME"
  LogSettings log_settings;
  bool traces = false;          ///< TracingConfig Active: samples invocations that nobody upstream has decided about
  std::string dead_letter_arn;  ///< empty: none
  /// AWS_LAMBDA_INITIALIZATION_TYPE: "provisioned-concurrency" in the copies that environments made ahead are given.
  std::string initialization_type = "on-demand";
  FunctionArn unqualified_arn() const { return FunctionArn{region, account, name, ""}; }
};
using FunctionVersionPtr = std::shared_ptr<const FunctionVersion>;

/// How asynchronous events for one qualifier are retried and who is told of their end. Defaults as AWS's.
/// Source: Lambda API reference, PutFunctionEventInvokeConfig.
struct EventInvokeConfig {
  int maximum_retry_attempts = 2;       ///< 0..2
  Duration maximum_event_age = 21600s;  ///< 60 s..6 h
  std::string on_success;               ///< ARN of a destination; empty: none
  std::string on_failure;               ///< ARN of a destination; empty: none
};

/// Why a function cannot be resolved, in the terms of the answer to Invoke.
enum class ResolveFailure {
  kNoSuchFunction,  ///< 404 "Function not found: ARN[:Q]"
  kPending,         ///< 409 still being created
  kFailed,          ///< 409/502: creation failed
};

/// What the data plane knows of functions. Threading: the loop only.
struct FunctionCatalog {
  virtual ~FunctionCatalog() = default;
  /// The version to run now. An alias with routing weights draws one of its versions at random on each call.
  virtual std::expected<FunctionVersionPtr, ResolveFailure> resolve(const FunctionRef& function) = 0;
  /// Reserved concurrency of the function; nullopt when none is set.
  virtual std::optional<int> reserved_concurrency(const FunctionRef& function) = 0;
  /// What functions without a reservation cannot have of the account's concurrency in the region: everything reserved,
  /// and the provisioned concurrency of functions that have no reservation. Constant time.
  virtual int reserved_concurrency_total(const std::string& account, const std::string& region) = 0;
  /// Provisioned concurrency asked for, over all versions and aliases of the function. Constant time.
  virtual int provisioned_concurrency(const FunctionRef&) { return 0; }
  /// Whether the function is stopped when it is invoked in a loop.
  virtual bool stops_loops(const FunctionRef&) { return true; }
  /// Ids of all snapshots of the function that may be invoked; empty when it is gone.
  virtual std::vector<std::string> snapshots(const FunctionRef&) { return {}; }
  virtual EventInvokeConfig event_invoke_config(const FunctionRef& function) = 0;
  /// `listener(account, region, name)` runs when a function's snapshots changed or it was deleted, so that idle
  /// environments of older snapshots can go.
  virtual void on_change(std::function<void(const FunctionRef&)> listener) = 0;
};

struct ResponseSink;  // response_stream.h

/// On whose behalf an invocation runs; admission is counted per plane.
enum class Plane { kSync, kAsync, kPoller };

struct InvocationRequest {
  FunctionRef function;
  std::string request_id;      ///< UUID v4; the same for every attempt of an asynchronous event
  std::string payload;         ///< JSON bytes; empty is delivered as {}
  std::string client_context;  ///< decoded JSON; empty: none
  std::string trace_header;    ///< X-Amzn-Trace-Id; empty: a new one is made
  Plane plane = Plane::kSync;
  MonoTime accepted{};  ///< when the invoker took it up, on the host's clock; set by the invoker
  bool want_log_tail = false;
  /// Takes the response while the function writes it, if the function streams; null: it is collected into the payload.
  std::shared_ptr<ResponseSink> sink;
};

/// Reason member of TooManyRequestsException. Source: Lambda API reference, ThrottleReason.
enum class ThrottleReason {
  kConcurrentInvocationLimit,          ///< of the account, or no further environment may be made yet
  kReservedConcurrentInvocationLimit,  ///< of the function
  kInvocationRateLimit,                ///< of the account
  kReservedInvocationRateLimit,        ///< of the function
};

/// What became of one attempt. The kind says whether the asynchronous plane and the pollers try again, and whether
/// that try counts.
struct InvocationOutcome {
  enum class Kind {
    kSuccess,
    kFunctionError,   ///< handler error, timeout, crash, init failure: HTTP 200 + X-Amz-Function-Error; retries count
    kThrottled,       ///< 429; retried without counting
    kSystemError,     ///< 5xx, environment could not be made; retried without counting
    kNoSuchFunction,  ///< 404
    kNotReady,        ///< 409 Pending / Failed
    kRecursiveLoop,   ///< 400, stopped before it ran; not retried
  };
  Kind kind = Kind::kSystemError;
  std::string payload;  ///< the response as far as it did not go to the sink, or the document of a function error
  std::string executed_version;  ///< set for success and function error
  std::string error_type;        ///< of a function error, as AWS names it: "Runtime.ExitError", "Function.Unknown"
  std::string content_type;      ///< of a response that the function streamed and that was collected; else empty
  std::string log_tail;          ///< last 4 KB of the invocation's log, raw; when asked for
  ThrottleReason throttle_reason = ThrottleReason::kConcurrentInvocationLimit;
  ResolveFailure resolve_failure = ResolveFailure::kNoSuchFunction;
  std::string detail;  ///< of a system error, for the log
  bool ok() const { return kind == Kind::kSuccess; }
  /// Whether the function has run: its response or its error is the answer.
  bool has_answer() const { return kind == Kind::kSuccess || kind == Kind::kFunctionError; }
};

/// The one way to run a function. Threading: the loop only.
struct FunctionInvoker {
  virtual ~FunctionInvoker() = default;
  /// Runs the function and waits for it (RequestResponse). Never throws; cancellation of the caller does not stop a
  /// function that runs.
  virtual Async<InvocationOutcome> invoke(InvocationRequest request) = 0;
  /// Puts the event into the durable queue (Event). Returns after the commit. kUnavailable: nothing was accepted.
  virtual Async<Result<void>> enqueue(InvocationRequest request) = 0;
};

/// Environments that are initialised ahead of invocations: provisioned concurrency.
/// Threading: the loop only. Nothing waits; the work goes on behind the call.
struct EnvironmentProvisioner {
  virtual ~EnvironmentProvisioner() = default;
  /// From now on `count` environments of this snapshot are kept; 0: none any more.
  virtual void provision(FunctionVersionPtr function, int count) = 0;
  struct Status {
    int requested = 0;
    int allocated = 0;    ///< environments that exist, initialised or not
    int available = 0;    ///< initialised
    std::string failure;  ///< why the last try to make one failed; empty when it did not
  };
  virtual Status provisioned(const std::string& snapshot_id) const = 0;
};

}  // namespace lambdad::ports
