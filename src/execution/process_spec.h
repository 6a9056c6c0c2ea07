#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "execution/runtimes.h"
#include "ports/functions.h"
#include "sandbox/sandbox.h"

namespace lambdad::execution {

/// Facts of one environment that end in its processes' environment variables.
struct EnvironmentFacts {
  std::string log_stream;
  std::string runtime_api;   ///< host:port inside the sandbox
  std::string aws_endpoint;  ///< "http://127.0.0.1:4566" inside the sandbox; empty: not given to the function
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  std::string initialization_type = "on-demand";
  std::string bootstrap = "/var/task/bootstrap";  ///< of provided.*; a layer may bring it
};

/// How the image of a function with PackageType Image wants to be run.
struct ImageProcess {
  std::vector<std::string> entry_point;
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory;        ///< empty: /
  std::vector<std::string> extensions;  ///< external ones: names of the programs in its /opt/extensions
};

/// The same of an image: entry point and command as one command line, each the function's or else the image's; the
/// image's variables take the place of the runtime's defaults. There is no _HANDLER: an image names its handler in its
/// command. The image's user is not followed, as on AWS. kInvalid when there is no command line at all.
/// Source: Lambda Developer Guide, "Create a Lambda function using a container image", container image settings.
Result<sandbox::ProcessSpec> make_image_process_spec(const ports::FunctionVersion& function, const ImageProcess& image,
                                                     const EnvironmentFacts& facts);

/// Program, arguments and environment variables of a function's runtime.
///
/// Variables are merged as AWS does, later wins: the runtime's defaults, the customer's, AWS_XRAY_*, credentials,
/// reserved ones. AWS_ENDPOINT_URL is lambdad's own addition and gives way to the customer's.
/// Source: Lambda Developer Guide, "Using Lambda environment variables"; merge order of AWS's Runtime Interface
/// Emulator. kNotFound when the runtime's interpreter is missing.
Result<sandbox::ProcessSpec> make_process_spec(const ports::FunctionVersion& function, const Interpreter& interpreter,
                                               const EnvironmentFacts& facts);

/// Program and environment variables of an external extension: the customer's variables, credentials and the
/// platform's, without those of the runtime and without every other one that begins with '_'. Source: Lambda Developer
/// Guide, "Lambda Extensions API"; AWS's Runtime Interface Emulator. `image`: null unless the function is one; its
/// variables then take the place of the runtime's defaults.
sandbox::ProcessSpec make_extension_spec(const ports::FunctionVersion& function, const EnvironmentFacts& facts,
                                         std::string_view name, const ImageProcess* image = nullptr);

/// What every sandbox of a runtime must show: the bootstrap at /var/runtime, the interpreter. The function's code at
/// /var/task and its layers at /opt come on top.
std::vector<sandbox::ReadOnlyMount> make_runtime_mounts(const std::string& runtime, const Interpreter& interpreter,
                                                        const std::string& runtimes_directory);
/// The function's own variable that chooses its network: "none", "endpoint" or "internet". Ours, not AWS's; a variable,
/// so that every tool that deploys functions can set it and versions keep it.
inline constexpr const char* kNetworkVariable = "LAMBDAD_NETWORK";
std::optional<sandbox::NetworkPolicy> parse_network_policy(std::string_view text);
/// What the function asks for, `otherwise` when nothing. kInvalid, in words for its author: another word.
Result<sandbox::NetworkPolicy> network_policy_of(const ports::FunctionVersion& function,
                                                 sandbox::NetworkPolicy otherwise);

/// Thousandths of a CPU for a memory size: 1,769 MB are one vCPU.
/// Source: Lambda Developer Guide, "Configure Lambda function memory".
std::uint32_t cpu_millis_of(int memory_mb);

/// Links that let ES modules find by bare name what require() finds through NODE_PATH, as on AWS.
std::vector<sandbox::LinkInside> make_links(std::string_view runtime);

}  // namespace lambdad::execution
