#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "execution/interpreters.h"
#include "system/async.h"
#include "system/files.h"
#include "system/processes.h"

namespace lambdad::execution {

/// Which Lambda runtime identifiers this host can run, and with what.
///
/// A managed runtime needs its interpreter (see InterpreterFinder), and java its client, which DIR/java/lib holds
/// (tools/install-runtime-sdks java DIR/java); provided.* needs nothing. What the interpreters said of themselves is
/// kept in `cache_file`.
/// Threading: the loop only. find() may block for milliseconds when it meets a program for the first time; prepare()
/// makes that acquaintance on another thread.
class RuntimeCatalog {
 public:
  struct Options {
    std::string directory;                          ///< holds python/, nodejs/, ruby/ and java/ with the bootstraps
    std::string cache_file;                         ///< DATA/runtimes.json
    std::map<std::string, std::string> configured;  ///< runtime identifier -> interpreter path
    std::string home;                               ///< of the user, for version managers; empty: not searched
  };
  RuntimeCatalog(Files& files, Processes& processes, Options options);

  /// The interpreter for `runtime`; for provided.* an Interpreter with an empty path. kNotFound with what to install
  /// when there is none, kInvalid for an identifier that lambdad does not run.
  Result<Interpreter> find(std::string_view runtime);

  struct Listed {
    std::string runtime;
    std::optional<Interpreter> interpreter;
    std::string hint;  ///< what to install when there is none; otherwise what is worth knowing, or empty
  };
  /// Every runtime that lambdad runs, for `lambdad runtimes`.
  std::vector<Listed> list();

  /// Does on a thread what the first function would wait for: asks every interpreter for its version, and compiles
  /// Python's bootstrap for each Python whose bytecode is missing or stale (a sandbox cannot write it, and compiling
  /// at each start costs 15 ms). Failures only cost that time.
  Async<void> prepare(WorkerPool& workers);

  const std::string& directory() const { return options_.directory; }

 private:
  void load_cache();
  Result<void> has_client(const KnownRuntime& runtime) const;
  std::string remark(const KnownRuntime& runtime, const Interpreter& interpreter) const;

  Files& files_;
  Processes& processes_;
  Options options_;
  InterpreterFinder finder_;
  bool cache_loaded_ = false;
  std::map<std::string, Interpreter, std::less<>> found_;
};

/// "python", "nodejs", "ruby", "java", "provided", or empty for a family that lambdad does not run.
std::string_view runtime_family(std::string_view runtime);

}  // namespace lambdad::execution
