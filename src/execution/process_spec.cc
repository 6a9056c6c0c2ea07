#include "execution/process_spec.h"

#include <map>

#include "execution/log_frames.h"

namespace lambdad::execution {
namespace {

using Variables = std::map<std::string, std::string>;

void set_credentials(Variables& variables, const EnvironmentFacts& facts) {
  variables["AWS_ACCESS_KEY_ID"] = facts.access_key_id;
  variables["AWS_SECRET_ACCESS_KEY"] = facts.secret_access_key;
  variables["AWS_SESSION_TOKEN"] = facts.session_token;
}

void set_platform_variables(Variables& variables, const ports::FunctionVersion& function,
                            const EnvironmentFacts& facts) {
  variables["AWS_REGION"] = function.region;
  variables["AWS_DEFAULT_REGION"] = function.region;
  variables["AWS_LAMBDA_FUNCTION_NAME"] = function.name;
  variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = std::to_string(function.memory_mb);
  variables["AWS_LAMBDA_FUNCTION_VERSION"] = function.version;
  variables["AWS_LAMBDA_INITIALIZATION_TYPE"] = facts.initialization_type;
  variables["AWS_LAMBDA_RUNTIME_API"] = facts.runtime_api;
  variables["TZ"] = ":UTC";
  if (function.log_settings.format == ports::LogFormat::kJson) {
    variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON";
    variables["AWS_LAMBDA_LOG_LEVEL"] = name_of(function.log_settings.application_level);
  }
}

/// What no function may change, whatever it is packed in.
void set_reserved(Variables& variables, const ports::FunctionVersion& function, const EnvironmentFacts& facts) {
  variables["AWS_XRAY_CONTEXT_MISSING"] = "LOG_ERROR";
  set_credentials(variables, facts);
  variables["AWS_LAMBDA_LOG_GROUP_NAME"] = function.log_group;
  variables["AWS_LAMBDA_LOG_STREAM_NAME"] = facts.log_stream;
  variables["LAMBDA_TASK_ROOT"] = "/var/task";
  variables["LAMBDA_RUNTIME_DIR"] = "/var/runtime";
  set_platform_variables(variables, function, facts);
}

Variables image_variables(const ImageProcess& image) {
  Variables variables{{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}};
  for (const auto& [name, value] : image.environment) variables[name] = value;
  return variables;
}

// Where gems and libraries of the package, of layers and of an operator are found. A package built for the runtime's
// version keeps its gems under that version, also when another one stands in.
void set_ruby_variables(const ports::FunctionVersion& function, const Interpreter& interpreter, Variables& variables) {
  const std::string named = function.runtime.substr(std::string_view("ruby").size()) + ".0";
  const std::string running = interpreter.version.substr(0, interpreter.version.rfind('.')) + ".0";
  std::string gems = fmt::format("/var/task/vendor/bundle/ruby/{0}:/opt/ruby/gems/{0}", named);
  if (running != named) gems += fmt::format(":/var/task/vendor/bundle/ruby/{0}:/opt/ruby/gems/{0}", running);
  variables["GEM_HOME"] = "/var/runtime";
  variables["GEM_PATH"] = gems + ":/var/runtime";
  variables["RUBYLIB"] = "/var/task:/var/runtime/lib:/opt/ruby/lib";
}

std::vector<std::string> node_argv(const Interpreter& interpreter, const Variables& variables) {
  // AWS's runtimes switch these off; an interpreter knows them from the version on, NODE_OPTIONS may ask otherwise.
  // Source: Lambda Developer Guide, "Building Lambda functions with Node.js", experimental features.
  const auto options = variables.find("NODE_OPTIONS");
  auto asked_for = [&](std::string_view option) {
    return options != variables.end() && options->second.find(option) != std::string::npos;
  };
  std::vector<std::string> argv{interpreter.path};
  const bool node_20 = interpreter.version.starts_with("20.");
  const bool node_22 = interpreter.version.starts_with("22.");
  if ((node_20 || node_22) && !asked_for("--experimental-require-module")) {
    argv.push_back("--no-experimental-require-module");
  }
  if (node_22 && !asked_for("--experimental-detect-module")) argv.push_back("--no-experimental-detect-module");
  argv.push_back("/var/runtime/bootstrap.cjs");
  return argv;
}

std::vector<std::string> java_argv(const ports::FunctionVersion& function, const Interpreter& interpreter) {
  std::vector<std::string> argv{interpreter.path};
  // As observed on AWS: 85 % of the memory for the heap, the serial collector, shared class data, and from Java 17 on
  // the quick compiler alone.
  argv.push_back(fmt::format("-XX:MaxHeapSize={}k", static_cast<std::int64_t>(function.memory_mb) * 1024 * 85 / 100));
  argv.insert(argv.end(), {"-XX:+UseSerialGC", "-Xshare:auto"});
  if (!interpreter.version.starts_with("11.")) {
    argv.insert(argv.end(), {"-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1"});
  }
  // Where org.crac, which functions register their snapshot hooks with, finds AWS's implementation.
  argv.push_back("-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac");
  argv.insert(argv.end(), {"-cp", "/var/runtime/lib/*", "com.amazonaws.services.lambda.runtime.api.client.AWSLambda",
                           function.handler});
  return argv;
}

}  // namespace

Result<sandbox::ProcessSpec> make_process_spec(const ports::FunctionVersion& function, const Interpreter& interpreter,
                                               const EnvironmentFacts& facts) {
  const std::string_view family = runtime_family(function.runtime);
  Variables variables;
  auto set = [&](std::string_view name, std::string value) { variables[std::string(name)] = std::move(value); };

  set("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin");
  set("LD_LIBRARY_PATH",
      "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
  set("LANG", "en_US.UTF-8");
  if (family == "nodejs") {
    const std::string major = function.runtime.substr(6, function.runtime.find('.') - 6);
    set("NODE_PATH", fmt::format("/opt/nodejs/node{}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:"
                                 "/var/runtime:/var/task",
                                 major));
  }
  if (family == "ruby") set_ruby_variables(function, interpreter, variables);
  if (!facts.aws_endpoint.empty()) set("AWS_ENDPOINT_URL", facts.aws_endpoint);

  for (const auto& [name, value] : function.environment) set(name, value);

  set_reserved(variables, function, facts);
  set("_HANDLER", function.handler);
  if (family != "provided") set("AWS_EXECUTION_ENV", "AWS_Lambda_" + function.runtime);

  sandbox::ProcessSpec spec;
  if (family == "python") {
    spec.argv = {interpreter.path, "-S", "/var/runtime/bootstrap.py"};
  } else if (family == "nodejs") {
    spec.argv = node_argv(interpreter, variables);
  } else if (family == "ruby") {
    // RubyGems is loaded by the bootstrap, when there is a use for it.
    spec.argv = {interpreter.path, "--disable=gems", "/var/runtime/bootstrap.rb"};
  } else if (family == "java") {
    spec.argv = java_argv(function, interpreter);
  } else if (family == "provided") {
    spec.argv = {facts.bootstrap};
  } else {
    return fail(Errc::kNotFound, "lambdad does not run {}", function.runtime);
  }
  if (auto wrapper = variables.find("AWS_LAMBDA_EXEC_WRAPPER");
      wrapper != variables.end() && family != "provided" && !wrapper->second.empty()) {
    spec.argv.insert(spec.argv.begin(), wrapper->second);
  }
  if (family != "provided") {
    // AWS gives it to its managed runtimes, whose clients take it out of the environment before the function starts.
    variables["_LAMBDA_TELEMETRY_LOG_FD"] = std::to_string(sandbox::kSecondOutput);
    spec.second_output = true;
  }
  spec.environment.assign(variables.begin(), variables.end());
  spec.working_directory = "/var/task";
  return spec;
}

Result<sandbox::ProcessSpec> make_image_process_spec(const ports::FunctionVersion& function, const ImageProcess& image,
                                                     const EnvironmentFacts& facts) {
  LD_CHECK(function.image.has_value(), "{} is no image", function.name);
  Variables variables = image_variables(image);
  if (!facts.aws_endpoint.empty()) variables["AWS_ENDPOINT_URL"] = facts.aws_endpoint;
  for (const auto& [name, value] : function.environment) variables[name] = value;
  set_reserved(variables, function, facts);

  // Each takes the place of its own only; with docker a new entry point would drop the image's command too.
  const auto& overrides = *function.image;
  sandbox::ProcessSpec spec;
  spec.argv = overrides.entry_point.value_or(image.entry_point);
  const std::vector<std::string>& command = overrides.command ? *overrides.command : image.command;
  spec.argv.insert(spec.argv.end(), command.begin(), command.end());
  if (spec.argv.empty()) return fail(Errc::kInvalid, "the image has neither an entry point nor a command");
  spec.environment.assign(variables.begin(), variables.end());
  spec.working_directory = overrides.working_directory.value_or(image.working_directory);
  if (spec.working_directory.empty()) spec.working_directory = "/";
  return spec;
}

sandbox::ProcessSpec make_extension_spec(const ports::FunctionVersion& function, const EnvironmentFacts& facts,
                                         std::string_view name, const ImageProcess* image) {
  Variables variables;
  if (image != nullptr) {
    variables = image_variables(*image);
  } else {
    variables["PATH"] = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";
    variables["LD_LIBRARY_PATH"] =
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";
    variables["LANG"] = "en_US.UTF-8";
  }
  if (!facts.aws_endpoint.empty()) variables["AWS_ENDPOINT_URL"] = facts.aws_endpoint;
  for (const auto& [key, value] : function.environment) variables[key] = value;
  set_credentials(variables, facts);
  set_platform_variables(variables, function, facts);
  std::erase_if(variables, [](const auto& variable) { return variable.first.starts_with('_'); });
  sandbox::ProcessSpec spec;
  spec.argv = {fmt::format("/opt/extensions/{}", name)};
  spec.environment.assign(variables.begin(), variables.end());
  spec.working_directory = "/";
  return spec;
}

std::vector<sandbox::ReadOnlyMount> make_runtime_mounts(const std::string& runtime, const Interpreter& interpreter,
                                                        const std::string& runtimes_directory) {
  std::vector<sandbox::ReadOnlyMount> mounts;
  const std::string_view family = runtime_family(runtime);
  if (family != "provided") {
    mounts.push_back({fmt::format("{}/{}", runtimes_directory, family), "/var/runtime"});
  }
  if (!interpreter.prefix.empty()) mounts.push_back({interpreter.prefix, interpreter.prefix});
  return mounts;
}

std::optional<sandbox::NetworkPolicy> parse_network_policy(std::string_view text) {
  if (text == "none") return sandbox::NetworkPolicy::kNone;
  if (text == "endpoint") return sandbox::NetworkPolicy::kEndpointOnly;
  if (text == "internet") return sandbox::NetworkPolicy::kInternet;
  return std::nullopt;
}

Result<sandbox::NetworkPolicy> network_policy_of(const ports::FunctionVersion& function,
                                                 sandbox::NetworkPolicy otherwise) {
  const auto chosen = function.environment.find(kNetworkVariable);
  if (chosen == function.environment.end()) return otherwise;
  if (const auto policy = parse_network_policy(chosen->second)) return *policy;
  return fail(Errc::kInvalid, "{}={}: write none, endpoint or internet", kNetworkVariable, chosen->second);
}

std::uint32_t cpu_millis_of(int memory_mb) { return static_cast<std::uint32_t>(std::max(1, memory_mb)) * 1000 / 1769; }

std::vector<sandbox::LinkInside> make_links(std::string_view runtime) {
  if (runtime_family(runtime) != "nodejs") return {};
  return {{"/node_modules", "/var/runtime/node_modules"}, {"/var/node_modules", "/opt/nodejs/node_modules"}};
}

}  // namespace lambdad::execution
