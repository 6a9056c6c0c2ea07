#include "services/lambda/function.h"

#include <charconv>

#include "base/encoding.h"
#include "base/hash.h"
#include "services/lambda/images.h"

namespace lambdad::lambda {
namespace api = aws::lambda;

std::string_view state_name(State state) {
  switch (state) {
    case State::kPending: return "Pending";
    case State::kActive: return "Active";
    case State::kFailed: return "Failed";
  }
  return "";
}

std::string_view update_status_name(UpdateStatus status) {
  switch (status) {
    case UpdateStatus::kNone: return "";
    case UpdateStatus::kInProgress: return "InProgress";
    case UpdateStatus::kSuccessful: return "Successful";
    case UpdateStatus::kFailed: return "Failed";
  }
  return "";
}

namespace {

std::optional<std::string> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

void begin_creation(Function& function) {
  function.state = State::kPending;
  function.state_reason = "The function is being created.";
  function.state_reason_code = "Creating";
  function.update_status = UpdateStatus::kNone;
}

void begin_update(Function& function) {
  function.update_status = UpdateStatus::kInProgress;
  // Recorded: AWS gives the words of a creation for updates too.
  function.update_reason = "The function is being created.";
  function.update_reason_code = "Creating";
}

namespace {

/// The versions that were published together with the change that is ending.
void end_pending_versions(Function& function, State state, const std::string& reason, const std::string& code) {
  for (auto& [number, version] : function.versions) {
    if (version->state != State::kPending || version->source_snapshot_id != function.current.snapshot_id) continue;
    Version ended = *version;
    ended.state = state;
    ended.state_reason = reason;
    ended.state_reason_code = code;
    version = std::make_shared<const Version>(std::move(ended));
  }
}

/// Whether a version of `settings` would be no other than `version`.
bool is_same(const Version& version, const Settings& settings) {
  Settings mine = version.settings;
  mine.description = version.source_description;
  mine.snapshot_id = settings.snapshot_id;
  return mine == settings;
}

}  // namespace

VersionPtr Function::version(std::string_view number) const {
  if (number.empty() || number.front() < '1' || number.front() > '9') return nullptr;
  int value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size()) return nullptr;
  auto place = versions.find(value);
  return place == versions.end() ? nullptr : place->second;
}

int Function::provisioned_total() const {
  int total = 0;
  for (const auto& [qualifier, settings] : provisioned) total += settings.requested;
  return total;
}

VersionPtr add_version(Function& function, NewVersion with) {
  if (!function.versions.empty()) {
    const auto& [number, newest] = *function.versions.rbegin();
    if (number == function.last_version && is_same(*newest, function.current)) return newest;
  }
  auto version = std::make_shared<Version>();
  version->number = ++function.last_version;
  version->settings = function.current;
  version->settings.snapshot_id = std::move(with.snapshot_id);
  version->settings.description = std::move(with.description).value_or(function.current.description);
  version->last_modified = function.last_modified;
  version->revision_id = std::move(with.revision_id);
  version->source_snapshot_id = function.current.snapshot_id;
  version->source_description = function.current.description;
  if (function.in_progress()) {
    version->state = State::kPending;
    version->state_reason = "The function is being created.";
    version->state_reason_code = "Creating";
  }
  function.versions.emplace(version->number, version);
  return version;
}

void drop_qualifier(Function& function, const std::string& qualifier) {
  if (auto version = function.version(qualifier)) function.versions.erase(version->number);
  function.aliases.erase(qualifier);
  function.event_invoke.erase(qualifier);
  function.policies.erase(qualifier);
  function.provisioned.erase(qualifier);
  function.runtime_management.erase(qualifier);
}

void finish_change(Function& function) {
  end_pending_versions(function, State::kActive, "", "");
  function.serving = function.current;
  function.state = State::kActive;
  function.state_reason.clear();
  function.state_reason_code.clear();
  function.update_status = UpdateStatus::kSuccessful;
  function.update_reason.clear();
  function.update_reason_code.clear();
}

void fail_change(Function& function, std::string code, std::string reason) {
  end_pending_versions(function, State::kFailed, reason, code);
  if (!function.serving) {
    function.state = State::kFailed;
    function.state_reason = reason;
    function.state_reason_code = code;
  }
  function.update_status = UpdateStatus::kFailed;
  function.update_reason = std::move(reason);
  function.update_reason_code = std::move(code);
}

std::string runtime_version_arn(const std::string& region, const std::string& runtime) {
  return fmt::format("arn:aws:lambda:{}::runtime:{}", region, hex_encode(sha256(runtime)));
}

api::FunctionConfiguration to_configuration(const Function& function, const Version* version,
                                            const std::string& qualifier, Detail detail) {
  const Settings& settings = version != nullptr ? version->settings : function.current;
  api::FunctionConfiguration out;
  out.function_name = function.name;
  out.function_arn = function.arn(qualifier).str();
  out.runtime = unless_empty(settings.runtime);
  out.role = settings.role;
  out.handler = unless_empty(settings.handler);
  out.code_size = settings.code_size;
  out.description = settings.description;
  out.timeout = settings.timeout_seconds;
  out.memory_size = settings.memory_mb;
  out.last_modified = format_lambda_last_modified(version != nullptr ? version->last_modified : function.last_modified);
  out.code_sha256 =
      settings.image ? settings.code_sha256 : base64_encode(hex_decode(settings.code_sha256).value_or(""));
  out.version = version != nullptr ? std::to_string(version->number) : "$LATEST";
  if (!settings.dead_letter_arn.empty()) {
    out.dead_letter_config = api::DeadLetterConfig{.target_arn = settings.dead_letter_arn};
  }
  if (settings.environment) {
    out.environment.emplace();
    if (!settings.environment->empty()) out.environment->variables = settings.environment;
  }
  out.tracing_config = api::TracingConfigResponse{.mode = settings.tracing_mode};
  out.revision_id = version != nullptr ? version->revision_id : function.revision_id;
  if (!settings.layers.empty()) {
    out.layers.emplace();
    for (const LayerUse& layer : settings.layers) {
      out.layers->push_back(api::Layer{.arn = layer.arn, .code_size = layer.size});
    }
  }
  out.package_type = settings.image ? "Image" : "Zip";
  if (settings.image) out.image_config_response = to_image_config_response(*settings.image);
  out.architectures = {settings.architecture};
  out.ephemeral_storage = api::EphemeralStorage{.size = settings.ephemeral_storage_mb};
  out.snap_start = api::SnapStartResponse{.apply_on = "None", .optimization_status = "Off"};
  out.logging_config = shown_logging(settings.logging, settings.log_group);
  if (detail == Detail::kListEntry) return out;

  if (!settings.image) {
    out.runtime_version_config =
        api::RuntimeVersionConfig{.runtime_version_arn = runtime_version_arn(function.region, settings.runtime)};
  }
  if (version != nullptr) {
    out.state = state_name(version->state);
    out.state_reason = unless_empty(version->state_reason);
    out.state_reason_code = unless_empty(version->state_reason_code);
    if (version->state != State::kPending) {
      out.last_update_status =
          update_status_name(version->state == State::kActive ? UpdateStatus::kSuccessful : UpdateStatus::kFailed);
    }
    return out;
  }
  out.state = state_name(function.state);
  out.state_reason = unless_empty(function.state_reason);
  out.state_reason_code = unless_empty(function.state_reason_code);
  if (function.update_status != UpdateStatus::kNone) {
    out.last_update_status = update_status_name(function.update_status);
    out.last_update_status_reason = unless_empty(function.update_reason);
    out.last_update_status_reason_code = unless_empty(function.update_reason_code);
  }
  return out;
}

api::AliasConfiguration to_alias_configuration(const Function& function, const std::string& name, const Alias& alias) {
  api::AliasConfiguration out;
  out.alias_arn = function.arn(name).str();
  out.name = name;
  out.function_version = alias.function_version;
  out.description = alias.description;
  out.revision_id = alias.revision_id;
  if (!alias.weights.empty()) {
    out.routing_config = api::AliasRoutingConfiguration{.additional_version_weights = alias.weights};
  }
  return out;
}

api::FunctionEventInvokeConfig to_event_invoke_config(const Function& function, const std::string& qualifier,
                                                      const EventInvokeSettings& settings) {
  api::FunctionEventInvokeConfig out;
  out.last_modified = settings.last_modified;
  out.function_arn = function.arn(qualifier).str();
  out.maximum_retry_attempts = settings.maximum_retry_attempts;
  out.maximum_event_age_in_seconds = settings.maximum_event_age_seconds;
  // Both are always there, if empty.
  out.destination_config.emplace();
  out.destination_config->on_success.emplace();
  out.destination_config->on_failure.emplace();
  if (!settings.on_success.empty()) out.destination_config->on_success->destination = settings.on_success;
  if (!settings.on_failure.empty()) out.destination_config->on_failure->destination = settings.on_failure;
  return out;
}

}  // namespace lambdad::lambda
