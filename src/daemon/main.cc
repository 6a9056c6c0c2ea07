// The command line of lambdad.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "daemon/options.h"
#include "daemon/version.h"

namespace {

using lambdad::daemon::ServeOptions;

void add_common(CLI::App& command, ServeOptions& options, std::vector<std::string>& runtimes) {
  command.add_option("--data", options.data, "Directory for everything that must survive a restart")
      ->default_str(lambdad::daemon::default_data_directory());
  command
      .add_option("--runtime", runtimes,
                  "Interpreter for a runtime, as nodejs22.x=/opt/node22/bin/node; may be repeated")
      ->type_name("RUNTIME=PATH");
  command.add_option("--runtimes-dir", options.runtimes_directory,
                     "Bootstraps and SDKs of the managed runtimes (default: beside the program)");
}

void add_isolation(CLI::App& command, ServeOptions& options) {
  using lambdad::sandbox::Isolation;
  const auto not_built = [](std::string& level) {
    return level == "gvisor" || level == "microvm"
               ? fmt::format(
                     "lambdad has no level {} yet: put functions that may attack the kernel on a machine of their "
                     "own, at the level namespaces",
                     level)
               : std::string();
  };
  command
      .add_option("--isolation", options.isolation,
                  "namespaces (default) or process: what separates functions; see docs/isolation.md")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Isolation>{{"namespaces", Isolation::kNamespaces}, {"process", Isolation::kProcess}},
          CLI::ignore_case))
      ->transform(CLI::Validator(not_built, ""));  // runs before the one above
}

// "KEY=VALUE" texts -> entries; false with a message when one has no '='.
bool parse_pairs(const std::vector<std::string>& texts, const char* option, const char* example,
                 std::map<std::string, std::string>& out) {
  for (const auto& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      fmt::print(stderr, "lambdad: {} {}: write {}\n", option, text, example);
      return false;
    }
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return true;
}

// `lambdad events VERB`: the verb that was given, or nullptr.
struct EventsCommand {
  lambdad::daemon::EventsOptions options;
  CLI::App* command = nullptr;

  explicit EventsCommand(CLI::App& app) {
    using Verb = lambdad::daemon::EventsOptions::Verb;
    command = app.add_subcommand("events", "See and mend the asynchronous events of a running daemon");
    command->require_subcommand(1);
    const auto verb = [&](const char* name, const char* help, Verb which) {
      CLI::App* added = command->add_subcommand(name, help);
      added->add_option("--endpoint", options.endpoint, "Where the daemon listens")
          ->envname("AWS_ENDPOINT_URL")
          ->capture_default_str();
      added->callback([this, which] { options.verb = which; });
      return added;
    };
    CLI::App* list = verb("list", "Queued and dead events", Verb::kList);
    list->add_option("--function", options.function, "Of this function: name or ARN");
    list->add_option("--state", options.state, "queued, dead, or processed (the latest successes)")
        ->check(CLI::IsMember({"queued", "dead", "processed"}));
    list->add_flag("--json", options.as_json, "Print JSON");
    verb("show", "Events with their attempts", Verb::kShow)->add_option("ID", options.ids)->required();
    for (CLI::App* each : {verb("replay", "Give dead events back to their functions", Verb::kReplay),
                           verb("drop", "Remove events", Verb::kDrop)}) {
      each->add_option("ID", options.ids);
      each->add_flag("--all-dead", options.all, "All events that were given up");
      each->add_option("--function", options.function, "With --all-dead: of this function only");
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "lambdad runs AWS Lambda functions on this machine.\n"
      "Start it with `lambdad serve`, then point any AWS client at it:\n"
      "  export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n"};
  app.set_version_flag("--version", std::string("lambdad ") + lambdad::daemon::kVersion);
  app.require_subcommand(1);
  ServeOptions options;
  std::vector<std::string> runtimes;
  std::vector<std::string> remote_accounts;
  bool as_json = false;

  CLI::App* serve =
      app.add_subcommand("serve", "Run the daemon until it is interrupted; prints `Ready.` when it serves");
  add_common(*serve, options, runtimes);
  serve->add_option("--listen", options.listen, "Address and port; port 0 chooses a free one")->capture_default_str();
  serve
      ->add_flag("--ephemeral", options.ephemeral,
                 "Keep nothing: temporary data, commits not synced (for tests and CI)")
      ->excludes("--data");
  serve->add_flag("--public-listen", options.public_listen,
                  "Allow --listen off the loopback with --auth off: everybody who reaches it can run code here");
  serve
      ->add_option("--auth", options.auth,
                   "off (default): any key; verify: requests signed by a key of lambdad's; enforce: and IAM policies")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, lambdad::access::Mode>{{"off", lambdad::access::Mode::kOff},
                                                       {"verify", lambdad::access::Mode::kVerify},
                                                       {"enforce", lambdad::access::Mode::kEnforce}},
          CLI::ignore_case));
  serve->add_option("--account", options.account, "Account of callers whose access key is not an account id")
      ->check([](const std::string& text) {
        return text.size() == 12 && text.find_first_not_of("0123456789") == std::string::npos
                   ? std::string()
                   : std::string("an account id has 12 digits");
      })
      ->capture_default_str();
  serve
      ->add_option("--account-concurrency", options.account_concurrency,
                   "Concurrent executions of each account and region, and ten times as many invocations a second; "
                   "AWS's default is 1000")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  serve->add_option("--region", options.region, "Region of callers that do not sign their requests")
      ->capture_default_str();
  serve
      ->add_option("--remote-account", remote_accounts,
                   "Event sources of this account are served by another lambdad, as 111122223333=http://10.0.0.2:4566; "
                   "may be repeated")
      ->type_name("ACCOUNT=URL");
  serve->add_option("--log-level", options.log_level, "debug, info, warn or error")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, lambdad::LogLevel>{{"debug", lambdad::LogLevel::kDebug},
                                                                           {"info", lambdad::LogLevel::kInfo},
                                                                           {"warn", lambdad::LogLevel::kWarn},
                                                                           {"error", lambdad::LogLevel::kError}},
                                  CLI::ignore_case));
  serve->add_option("--log-format", options.log_format, "text or json")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, lambdad::LogFormat>{{"text", lambdad::LogFormat::kText},
                                                                            {"json", lambdad::LogFormat::kJson}},
                                  CLI::ignore_case));
  add_isolation(*serve, options);
  serve
      ->add_option("--network", options.network,
                   "none, endpoint (default) or internet: what functions reach that do not choose with LAMBDAD_NETWORK")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, lambdad::sandbox::NetworkPolicy>{
              {"none", lambdad::sandbox::NetworkPolicy::kNone},
              {"endpoint", lambdad::sandbox::NetworkPolicy::kEndpointOnly},
              {"internet", lambdad::sandbox::NetworkPolicy::kInternet}},
          CLI::ignore_case));
  serve->add_flag("--no-cpu-limit{false}", options.limit_cpu,
                  "Let functions use whole CPUs instead of the share of their memory size (1,769 MB: one CPU)");
  serve
      ->add_option(
          "--spares", options.spares,
          "Python, Node.js and Ruby processes kept waiting for each of these runtimes in use, so that a cold start "
          "does not wait for the interpreter; 0: none")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  serve->add_flag("--require-isolation", options.require_isolation,
                  "Refuse to start when this host cannot enforce every limit");
  serve->add_option("--url-domain", options.url_domain, "Domain under which function URLs are shown")
      ->capture_default_str();
  serve->add_flag("--aws-api-rates", options.aws_api_rates,
                  "Refuse calls of Lambda's control plane above AWS's rates: 15/s, GetFunction 100/s, GetPolicy 15/s");
  serve->add_flag("--aws-stream-pace", options.aws_stream_pace,
                  "Slow streamed responses down as AWS does: 6 MiB at once, then 2 MiB/s");
  serve->add_option("--otlp-endpoint", options.otlp_endpoint,
                    "http://HOST:PORT of an OpenTelemetry collector that gets the spans of sampled invocations");
  serve->add_option("--allow-host", options.allowed_hosts,
                    "Further Host name under which lambdad's own pages answer; may be repeated");

  CLI::App* runtimes_command =
      app.add_subcommand("runtimes", "List the runtimes this machine can run, and how to add the others");
  add_common(*runtimes_command, options, runtimes);
  runtimes_command->add_flag("--json", as_json, "Print JSON");

  CLI::App* doctor = app.add_subcommand("doctor", "Say what this machine can enforce and what is missing");
  add_common(*doctor, options, runtimes);
  add_isolation(*doctor, options);
  doctor->add_flag("--json", as_json, "Print JSON");

  EventsCommand events(app);
  CLI::App* credentials =
      app.add_subcommand("credentials", "Print the root's access key, which --auth verify and enforce make");
  credentials->add_option("--data", options.data, "Data directory of the daemon")
      ->default_str(lambdad::daemon::default_data_directory());
  credentials->add_flag("--json", as_json, "Print JSON, as credential_process of AWS's tools wants it");

  std::string endpoint = "http://127.0.0.1:4566";
  CLI::App* mappings = app.add_subcommand(
      "mappings", "Show the event source mappings of a running daemon: lag, pollers, last result, and why");
  mappings->add_option("--endpoint", endpoint, "Where the daemon listens")->capture_default_str();
  mappings->add_flag("--json", as_json, "Print JSON");

  CLI11_PARSE(app, argc, argv);
  if (*events.command) return lambdad::daemon::events(events.options);
  if (!parse_pairs(runtimes, "--runtime", "RUNTIME=PATH, as nodejs22.x=/opt/node22/bin/node", options.runtimes) ||
      !parse_pairs(remote_accounts, "--remote-account", "ACCOUNT=URL, as 111122223333=http://10.0.0.2:4566",
                   options.remote_accounts)) {
    return 2;
  }
  if (options.data.empty()) options.data = lambdad::daemon::default_data_directory();
  if (*runtimes_command) return lambdad::daemon::list_runtimes(options, as_json);
  if (*credentials) return lambdad::daemon::credentials(options, as_json);
  if (*doctor) return lambdad::daemon::doctor(options, as_json);
  if (*mappings) return lambdad::daemon::list_mappings(endpoint, as_json);
  return lambdad::daemon::serve(options);
}
