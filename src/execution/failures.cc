#include "execution/failures.h"

#include <cctype>
#include <cstring>

#include "base/json.h"

namespace lambdad::execution {

namespace {

// As Go's os.ProcessState says it, which AWS passes on: "exit status 3", "signal: killed".
std::string describe(const sandbox::ProcessExit& exit) {
  if (exit.signal == 0) return fmt::format("exit status {}", exit.exit_code);
  std::string name = ::strsignal(exit.signal);
  if (!name.empty()) name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
  return "signal: " + name;
}

std::string_view describe(Errc code) {
  switch (code) {
    case Errc::kNotFound: return "no such file or directory";
    case Errc::kDenied: return "permission denied";
    case Errc::kInvalid: return "exec format error";
    default: return "cannot be started";
  }
}

}  // namespace

Fault timeout_fault(Duration timeout) {
  return {"Sandbox.Timedout", fmt::format("Task timed out after {:.2f} seconds", to_seconds(timeout))};
}

Fault runtime_exit_fault(const sandbox::ProcessExit& exit) {
  const bool clean = exit.signal == 0 && exit.exit_code == 0;
  return {exit.out_of_memory ? "Runtime.OutOfMemory" : "Runtime.ExitError",
          clean ? "Runtime exited without providing a reason"
                : fmt::format("Runtime exited with error: {}", describe(exit))};
}

Fault runtime_start_fault(std::string_view family, std::string_view program, const Error& why) {
  if (family == kImageFamily) {
    if (why.detail.starts_with("working directory")) return {"Runtime.InvalidWorkingDir", why.detail};
    return {"Runtime.InvalidEntrypoint", fmt::format("fork/exec {}: {}", program, describe(why.code))};
  }
  if (family == "provided") {
    return {"Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"};
  }
  return {"Runtime.InvalidEntrypoint", fmt::format("Couldn't start the runtime: {}", describe(why.code))};
}

Fault extension_exit_fault(const sandbox::ProcessExit& exit) {
  if (exit.signal != 0) return {"Extension.Crash", describe(exit)};
  return {"Extension.Crash", fmt::format("exit code {}", exit.exit_code)};
}

Fault extension_start_fault(std::string_view path, const Error& why) {
  return {"Extension.LaunchError", fmt::format("fork/exec {}: {}", path, describe(why.code))};
}

std::string fault_document(const Fault& fault, std::string_view request_id) {
  json::Object object;
  object.append("errorType", json::Value(fault.type));
  object.append("errorMessage", json::Value(fmt::format("RequestId: {} Error: {}", request_id, fault.what)));
  return json::serialize(json::Value(std::move(object)));
}

}  // namespace lambdad::execution
