#pragma once

#include <string>
#include <string_view>

#include "execution/runtime_api.h"
#include "sandbox/sandbox.h"

namespace lambdad::execution {

/// What ended an environment's processes: the type is AWS's name for it, the text goes into the payload.
///
/// | type | text |
/// | --- | --- |
/// | Runtime.ExitError | Runtime exited without providing a reason; Runtime exited with error: exit status 3 |
/// | Runtime.OutOfMemory | Runtime exited with error: signal: killed |
/// | Runtime.InvalidEntrypoint | Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]; of an image:
/// |   fork/exec /app/main: no such file or directory |
/// | Runtime.InvalidWorkingDir | of an image: working directory /app: No such file or directory |
/// | Sandbox.Timedout | Task timed out after 3.00 seconds |
/// | Extension.Crash | exit code 3 |
/// | Extension.LaunchError | fork/exec /opt/extensions/x: permission denied |
/// | Extension.InitError, Extension.ExitError | what the extension said |
///
/// Source: observed January 2026 and AWS's Runtime Interface Emulator; of images: Lambda Developer Guide, "Troubleshoot
/// container image issues", error types and texts.
struct Fault {
  std::string type;
  std::string what;
};

Fault timeout_fault(Duration timeout);
Fault runtime_exit_fault(const sandbox::ProcessExit& exit);
/// In place of a runtime's family: the program of an image.
inline constexpr std::string_view kImageFamily = "image";
/// The runtime's program could not be started; `family` as runtime_family(), or kImageFamily.
Fault runtime_start_fault(std::string_view family, std::string_view program, const Error& why);
Fault extension_exit_fault(const sandbox::ProcessExit& exit);
Fault extension_start_fault(std::string_view path, const Error& why);

/// `{"errorType":TYPE,"errorMessage":"RequestId: ID Error: WHAT"}`: what the invoker gets.
std::string fault_document(const Fault& fault, std::string_view request_id);

}  // namespace lambdad::execution
