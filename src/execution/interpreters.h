#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "system/files.h"
#include "system/processes.h"

namespace lambdad::execution {

/// A runtime identifier that lambdad runs.
struct KnownRuntime {
  std::string_view runtime;  ///< "python3.12"
  std::string_view family;   ///< "python", "nodejs", "ruby", "java", "provided"
  std::string_view version;  ///< the interpreter's, to the last part that matters: "3.12", "22"; empty for provided.*
};
/// All of them, those of a family together. Source: Lambda Developer Guide, "Lambda runtimes".
std::span<const KnownRuntime> known_runtimes();
/// nullptr for an identifier that lambdad does not run.
const KnownRuntime* known_runtime(std::string_view runtime);

/// One interpreter of the host that can run a managed runtime.
struct Interpreter {
  std::string path;        ///< behind all symbolic links: "/usr/bin/python3.11"
  std::string version;     ///< "3.11.2", "20.20.2"
  std::string prefix;      ///< tree that must be visible in a sandbox; empty when /usr has it all
  bool stands_in = false;  ///< the operator named one of another minor version
};

/// Looks for interpreters where operators and version managers put them.
///
/// For a runtime, in this order: the operator's choice and nothing else; /usr/bin, /usr/local/bin, /opt/*/bin, and for
/// Java /usr/lib/jvm/*; the user's pyenv, nvm, rbenv and SDKMAN folders. An interpreter must be of exactly the
/// runtime's version (minor version for Python and Ruby, major for Node.js and Java). One that the operator named may
/// be of another minor version of the same major one: it stands in, which is shown wherever the interpreter is.
///
/// Versions are asked of the programs, which takes milliseconds, and remembered under path, size and modification
/// time. A copy may be used on another thread; find() of one object is not thread-safe.
class InterpreterFinder {
 public:
  struct Options {
    std::map<std::string, std::string> configured;  ///< runtime identifier -> interpreter path
    std::string home;                               ///< of the user; empty: no version managers
  };
  /// "path|size|modified" -> "20.20.2"; empty for a program that did not say.
  using Versions = std::map<std::string, std::string>;
  InterpreterFinder(Files& files, Processes& processes, Options options);

  /// kNotFound with what to install, or with what is wrong with the operator's choice.
  Result<Interpreter> find(const KnownRuntime& runtime);
  const Versions& versions() const { return versions_; }
  void learn(const Versions& versions);

 private:
  std::vector<std::string> candidates(const KnownRuntime& runtime) const;
  std::string version_of(const std::string& path, std::string_view family);

  Files& files_;
  Processes& processes_;
  Options options_;
  Versions versions_;
};

}  // namespace lambdad::execution
