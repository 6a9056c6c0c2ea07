#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sandbox/sandbox.h"
#include "system/files.h"
#include "system/processes.h"

namespace lambdad::execution {

/// One interpreter of the host that can run a managed runtime.
struct Interpreter {
  std::string path;     ///< "/usr/bin/python3.11"
  std::string version;  ///< "3.11.2", "20.20.2"
  std::string prefix;   ///< tree that must be visible in a sandbox; empty when /usr has it all
};

/// Which Lambda runtime identifiers this host can run, and with what.
///
/// python3.N needs an interpreter of exactly that minor version, nodejsN.x one of that major version; provided.* needs
/// nothing. Looked for, in this order: the operator's choice (`--runtime nodejs22.x=/path`), /usr/bin, /usr/local/bin,
/// /opt/*/bin, pyenv and nvm folders of the user. Node's version is asked of the program once and kept in `cache_file`
/// under path, size and modification time.
/// Threading: the loop only; find() may block for tens of milliseconds the first time it meets a node program.
class RuntimeCatalog {
 public:
  struct Options {
    std::string directory;                          ///< holds python/ and nodejs/ with the bootstraps
    std::string cache_file;                         ///< DATA/runtimes.json
    std::map<std::string, std::string> configured;  ///< runtime identifier -> interpreter path
    std::string home;                               ///< of the user, for pyenv and nvm; empty: not searched
  };
  RuntimeCatalog(Files& files, Processes& processes, Options options);

  /// The interpreter for `runtime`; for provided.* an Interpreter with an empty path. kNotFound with what to install
  /// when there is none, kInvalid for an identifier that lambdad does not run.
  Result<Interpreter> find(std::string_view runtime);
  /// Every managed runtime that find() would serve, for `lambdad runtimes`.
  struct Listed {
    std::string runtime;
    std::optional<Interpreter> interpreter;
    std::string hint;  ///< what to install, when there is none
  };
  std::vector<Listed> list();
  const std::string& directory() const { return options_.directory; }

 private:
  std::vector<std::string> candidates(std::string_view program_glob_dir_kind, std::string_view program) const;
  std::optional<std::string> node_version(const std::string& path);
  void load_cache();
  void save_cache();

  Files& files_;
  Processes& processes_;
  Options options_;
  std::map<std::string, std::string> node_versions_;  ///< "path|size|mtime" -> "20.20.2"
  bool cache_loaded_ = false;
  std::map<std::string, Interpreter, std::less<>> found_;
};

/// "python", "nodejs", "provided", or empty for a family that lambdad does not run.
std::string_view runtime_family(std::string_view runtime);

}  // namespace lambdad::execution
