#include "execution/extensions_api.h"

#include <algorithm>

#include "base/json.h"
#include "execution/api_error.h"

namespace lambdad::execution {

namespace {

constexpr std::string_view kBase = "/2020-01-01/extension/";
constexpr std::string_view kIdentifier = "Lambda-Extension-Identifier";
constexpr std::string_view kErrorType = "Lambda-Extension-Function-Error-Type";

std::string_view name_of(ExtensionsApi::State state) {
  switch (state) {
    case ExtensionsApi::State::kStarted: return "Started";
    case ExtensionsApi::State::kRegistered: return "Registered";
    case ExtensionsApi::State::kReady: return "Ready";
    case ExtensionsApi::State::kRunning: return "Running";
    case ExtensionsApi::State::kInitError: return "InitError";
    case ExtensionsApi::State::kExitError: return "ExitError";
    case ExtensionsApi::State::kExited: return "Exited";
  }
  return "Unknown";
}

http::Response invalid_transition(ExtensionsApi::State from, ExtensionsApi::State to, std::string_view who) {
  return api_error(403, "Extension.InvalidExtensionState",
                   fmt::format("State transition from {} to {} failed for extension {}. Error: State transition is not "
                               "allowed",
                               name_of(from), name_of(to), who));
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

}  // namespace

std::string_view name_of(ShutdownReason reason) {
  switch (reason) {
    case ShutdownReason::kSpindown: return "spindown";
    case ShutdownReason::kTimeout: return "timeout";
    case ShutdownReason::kFailure: return "failure";
  }
  return "failure";
}

std::vector<std::string> ExtensionsApi::Extension::subscribed() const {
  std::vector<std::string> events;
  if (on_invoke) events.emplace_back("INVOKE");
  if (on_shutdown) events.emplace_back("SHUTDOWN");
  return events;
}

ExtensionsApi::ExtensionsApi(Loop& loop, Random& random, Facts facts, Notifier& changed)
    : random_(random), facts_(std::move(facts)), changed_(changed), given_(loop) {}

bool ExtensionsApi::serves(std::string_view path) { return path.starts_with(kBase); }

Async<http::Response> ExtensionsApi::handle(http::Request request) {
  const std::string action(request.path().substr(kBase.size()));
  if (action == "register") {
    if (request.method != "POST") co_return api_error(405, "MethodNotAllowed", "use POST");
    co_return enroll(request);
  }
  if (action == "event/next") {
    if (request.method != "GET") co_return api_error(405, "MethodNotAllowed", "use GET");
    auto caller = caller_of(request);
    if (!caller) co_return std::move(caller).error();
    co_return co_await next((*caller)->id);
  }
  if (action == "init/error" || action == "exit/error") {
    if (request.method != "POST") co_return api_error(405, "MethodNotAllowed", "use POST");
    co_return report(request, action == "exit/error");
  }
  co_return api_error(404, "NotFound", "no such resource in the Extensions API");
}

std::expected<const ExtensionsApi::Extension*, http::Response> ExtensionsApi::caller_of(
    const http::Request& request) const {
  const auto id = request.headers.get(kIdentifier);
  if (!id || id->empty()) {
    return std::unexpected(
        api_error(403, "Extension.MissingExtensionIdentifier", fmt::format("Missing {} header", kIdentifier)));
  }
  if (!is_uuid(*id)) {
    return std::unexpected(
        api_error(403, "Extension.InvalidExtensionIdentifier", fmt::format("Invalid {}", kIdentifier)));
  }
  const auto found = std::ranges::find(extensions_, *id, &Extension::id);
  if (found == extensions_.end()) {
    return std::unexpected(
        api_error(403, "Extension.UnknownExtensionIdentifier", fmt::format("Unknown extension {}", *id)));
  }
  return &*found;
}

http::Response ExtensionsApi::enroll(const http::Request& request) {
  const std::string name = request.headers.get_or("Lambda-Extension-Name", "");
  if (name.empty()) return api_error(403, "Extension.InvalidExtensionName", "Empty extension name");
  const auto body = json::parse(request.body);
  if (!body || !body->is_object()) {
    return api_error(400, "InvalidRequestFormat", body ? "a JSON object is expected" : body.error().detail);
  }
  if (const json::Value* keys = body->find("configurationKeys");
      keys != nullptr && keys->if_array() != nullptr && !keys->if_array()->empty()) {
    return api_error(400, "InvalidRequestFormat",
                     "configurationKeys are deprecated; use environment variables instead");
  }
  auto known = std::ranges::find_if(extensions_, [&](const Extension& e) { return e.external && e.name == name; });
  const bool external = known != extensions_.end();
  bool on_invoke = false, on_shutdown = false;
  if (const json::Value* events = body->find("events"); events != nullptr && !events->is_null()) {
    if (!events->is_array()) return api_error(400, "InvalidRequestFormat", "events is not a list");
    for (const json::Value& event : *events->if_array()) {
      const std::string* text = event.if_string();
      if (text == nullptr) return api_error(400, "InvalidRequestFormat", "an event is not a string");
      if (*text == "INVOKE") {
        on_invoke = true;
      } else if (*text == "SHUTDOWN" && external) {
        on_shutdown = true;
      } else {
        return api_error(
            403, "Extension.InvalidEventType",
            fmt::format("{}: {}", *text,
                        *text == "SHUTDOWN" ? "ShutdownEventNotSupportedForInternalExtension" : "InvalidEventType"));
      }
    }
  }
  if (!external) {
    if (!registration_open_) {
      return api_error(403, "Extension.RegistrationClosed", "Extension registration closed already");
    }
    if (std::ranges::find(extensions_, name, &Extension::name) != extensions_.end()) {
      return api_error(403, "Extension.InvalidExtensionState", "Extension with this name already registered");
    }
    if (extensions_.size() >= kExtensionsMax) {
      return api_error(403, "Extension.TooManyExtensions", fmt::format("Extension limit ({}) reached", kExtensionsMax));
    }
    extensions_.push_back({.name = name});
    known = std::prev(extensions_.end());
  } else if (known->state != State::kStarted) {
    return invalid_transition(known->state, State::kRegistered, name);
  }
  known->id = random_.uuid_v4();
  known->on_invoke = on_invoke;
  known->on_shutdown = on_shutdown;
  known->state = State::kRegistered;

  json::Object answer;
  answer.append("functionName", json::Value(facts_.function_name));
  answer.append("functionVersion", json::Value(facts_.function_version));
  answer.append("handler", json::Value(facts_.handler));
  if (request.headers.get_or("Lambda-Extension-Accept-Feature", "").find("accountId") != std::string::npos) {
    answer.append("accountId", json::Value(facts_.account));
  }
  http::Response response = http::Response::json(200, json::serialize(json::Value(std::move(answer))));
  response.headers.add(kIdentifier, known->id);
  changed_.notify_all();
  return response;
}

Async<http::Response> ExtensionsApi::next(std::string id) {
  const std::uint64_t generation = generation_;
  Extension* extension = find(id);
  const State from = extension->state;
  if (from != State::kRegistered && from != State::kReady && from != State::kRunning) {
    co_return invalid_transition(from, State::kReady, id);
  }
  // Asking twice before an event has come is harmless: both calls get it.
  const std::uint64_t seen = extension->fetched;
  if (extension->given == seen) {
    extension->state = State::kReady;
    changed_.notify_all();
  }
  while (extension->given == seen) {
    co_await given_.wait();
    if (generation != generation_) co_return api_error(410, "Gone", "the environment was reset");
    extension = find(id);
  }
  extension->fetched = extension->given;
  http::Response response = http::Response::json(200, extension->event);
  response.headers.add("Lambda-Extension-Event-Identifier", random_.uuid_v4());
  co_return response;
}

http::Response ExtensionsApi::report(const http::Request& request, bool exit) {
  auto caller = caller_of(request);
  if (!caller) return std::move(caller).error();
  const std::string said = request.headers.get_or(kErrorType, "");
  if (said.empty()) return api_error(403, "Extension.MissingHeader", fmt::format("{} not found", kErrorType));
  Extension& extension = *find((*caller)->id);
  const bool allowed = exit ? extension.state == State::kRegistered || extension.state == State::kReady ||
                                  extension.state == State::kRunning
                            : extension.state == State::kRegistered;
  const State to = exit ? State::kExitError : State::kInitError;
  if (!allowed) return invalid_transition(extension.state, to, extension.id);
  extension.state = to;
  extension.error_type = said;
  if (!failure_) failure_ = Failure{exit ? "Extension.ExitError" : "Extension.InitError", said};
  changed_.notify_all();
  return api_accepted();
}

ExtensionsApi::Extension* ExtensionsApi::find(std::string_view id) {
  const auto found = std::ranges::find(extensions_, id, &Extension::id);
  return found == extensions_.end() ? nullptr : &*found;
}

bool ExtensionsApi::expect(std::string name) {
  if (extensions_.size() >= kExtensionsMax) return false;
  extensions_.push_back({.name = std::move(name), .external = true});
  return true;
}

void ExtensionsApi::exited(std::string_view name) {
  const auto found =
      std::ranges::find_if(extensions_, [&](const Extension& e) { return e.external && e.name == name; });
  if (found != extensions_.end()) found->state = State::kExited;
  changed_.notify_all();
}

bool ExtensionsApi::all_registered() const {
  return std::ranges::none_of(extensions_, [](const Extension& e) { return e.state == State::kStarted; });
}

bool ExtensionsApi::all_ready() const {
  return std::ranges::all_of(extensions_, [](const Extension& e) { return e.state == State::kReady; });
}

bool ExtensionsApi::any_on_invoke() const { return std::ranges::any_of(extensions_, &Extension::on_invoke); }
bool ExtensionsApi::any_external() const { return std::ranges::any_of(extensions_, &Extension::external); }

bool ExtensionsApi::invocation_done() const {
  return std::ranges::all_of(extensions_, [](const Extension& e) { return !e.on_invoke || e.state == State::kReady; });
}

void ExtensionsApi::give(Extension& extension, std::string event) {
  extension.event = std::move(event);
  ++extension.given;
  extension.state = State::kRunning;
}

void ExtensionsApi::invoke(const InvokeEvent& event) {
  if (!any_on_invoke()) return;
  json::Object body;
  body.append("eventType", json::Value("INVOKE"));
  body.append("deadlineMs", json::Value(event.deadline_epoch_ms));
  body.append("requestId", json::Value(event.request_id));
  body.append("invokedFunctionArn", json::Value(event.invoked_function_arn));
  json::Object tracing;
  tracing.append("type", json::Value("X-Amzn-Trace-Id"));
  tracing.append("value", json::Value(event.trace_id));
  body.append("tracing", json::Value(std::move(tracing)));
  const std::string text = json::serialize(json::Value(std::move(body)));
  for (Extension& extension : extensions_) {
    if (extension.on_invoke) give(extension, text);
  }
  given_.notify_all();
}

void ExtensionsApi::shutdown(ShutdownReason reason, std::int64_t deadline_epoch_ms) {
  json::Object body;
  body.append("eventType", json::Value("SHUTDOWN"));
  body.append("shutdownReason", json::Value(name_of(reason)));
  body.append("deadlineMs", json::Value(deadline_epoch_ms));
  const std::string text = json::serialize(json::Value(std::move(body)));
  for (Extension& extension : extensions_) {
    if (extension.on_shutdown && extension.state != State::kExited) give(extension, text);
  }
  given_.notify_all();
}

void ExtensionsApi::reset() {
  ++generation_;
  extensions_.clear();
  failure_.reset();
  registration_open_ = true;
  given_.notify_all();
}

}  // namespace lambdad::execution
