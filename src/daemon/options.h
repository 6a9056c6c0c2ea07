#pragma once

#include <map>
#include <string>
#include <vector>

#include "access/gate.h"
#include "base/error.h"
#include "observe/log.h"
#include "sandbox/sandbox.h"
#include "scheduler/concurrency.h"

namespace lambdad::daemon {

/// What `lambdad serve` was asked for.
struct ServeOptions {
  std::string listen = "127.0.0.1:4566";
  std::string data;            ///< directory; created when absent
  bool ephemeral = false;      ///< data in a temporary directory that goes away, commits not synced
  bool public_listen = false;  ///< allow an address off the loopback although nobody is authenticated
  access::Mode auth = access::Mode::kOff;
  std::string account = "000000000000";
  /// Concurrent executions of an account in a region; ten times as many invocations a second.
  int account_concurrency = scheduler::kAccountConcurrencyDefault;
  std::string region = "us-east-1";
  /// Accounts whose event sources are elsewhere, and where. Signed with $AWS_ACCESS_KEY_ID when it is set.
  std::map<std::string, std::string> remote_accounts;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  sandbox::Isolation isolation = sandbox::Isolation::kNamespaces;
  sandbox::NetworkPolicy network = sandbox::NetworkPolicy::kEndpointOnly;  ///< of functions that do not choose
  bool limit_cpu = true;                        ///< hold invocations to the CPU share of their memory size
  unsigned spares = 2;                          ///< processes kept waiting for each runtime in use
  bool require_isolation = false;               ///< refuse to start when the host cannot enforce all of it
  std::map<std::string, std::string> runtimes;  ///< runtime identifier -> interpreter
  std::string runtimes_directory;               ///< bootstraps and SDKs; found beside the program when empty
  std::vector<std::string> allowed_hosts;
  std::string url_domain = "localhost";  ///< under which function URLs are shown
  bool aws_api_rates = false;            ///< refuse calls of Lambda's control plane above AWS's rates
  bool aws_stream_pace = false;          ///< streamed responses as slow as AWS sends them
  std::string otlp_endpoint;             ///< http://HOST:PORT of an OpenTelemetry collector; empty: no spans are made
};

/// Runs the daemon until SIGINT or SIGTERM. Returns the exit status: 0 after a graceful stop, 1 when it could not
/// start (said on stderr), 3 when another lambdad has the data directory.
int serve(const ServeOptions& options);

/// Prints each runtime with the interpreter found for it, or how to add it, as a table or JSON.
int list_runtimes(const ServeOptions& options, bool as_json);

/// What `lambdad events` was asked for.
struct EventsOptions {
  enum class Verb { kList, kShow, kReplay, kDrop } verb = Verb::kList;
  std::string endpoint = "http://127.0.0.1:4566";
  std::string function;          ///< name or ARN; empty: all
  std::string state;             ///< of a list: queued, dead, processed; empty: queued and dead
  std::vector<std::string> ids;  ///< of events to show, replay or drop
  bool all = false;              ///< all dead events (of the function) instead
  bool as_json = false;
};
/// Shows and mends asynchronous events of a running daemon. 0: done; 1: it refused or did not answer (said on stderr);
/// 2: wrong usage.
int events(const EventsOptions& options);

/// Prints what this host can enforce, as `serve` would with the same options. 0: everything; 1: something is missing.
int doctor(const ServeOptions& options, bool as_json);

/// Prints the root's access key of the data directory, as `export` lines, or as JSON for credential_process of AWS's
/// tools. 1 when there is none.
int credentials(const ServeOptions& options, bool as_json);

/// Prints what the event source mappings of the daemon at `endpoint`, http://HOST:PORT, are doing, as a table or JSON.
/// 1 when it does not answer.
int list_mappings(const std::string& endpoint, bool as_json);

/// $XDG_STATE_HOME/lambdad or ~/.local/state/lambdad; /var/lib/lambdad for root.
std::string default_data_directory();
/// Where the root's access key is kept, as a credentials file of AWS's tools.
std::string root_key_path(const std::string& data_directory);
/// The directory with python/ and nodejs/ that belongs to this program.
Result<std::string> find_runtimes_directory();

}  // namespace lambdad::daemon
