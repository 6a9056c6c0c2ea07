#include "services/lambda/function.h"

#include "base/encoding.h"
#include "base/hash.h"

namespace lambdad::lambda {
namespace {

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

std::optional<std::string> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

/// There is one build of each runtime here, so the identifier decides.
std::string runtime_version_arn(const Function& function) {
  return fmt::format("arn:aws:lambda:{}::runtime:{}", function.region, hex_encode(sha256(function.current.runtime)));
}

json::Value map_document(const std::map<std::string, std::string>& values) {
  json::Object object;
  for (const auto& [key, value] : values) object.append(key, value);
  return object;
}

json::Value settings_document(const Settings& settings) {
  json::Object object{{"runtime", settings.runtime},
                      {"handler", settings.handler},
                      {"role", settings.role},
                      {"description", settings.description},
                      {"timeout_seconds", settings.timeout_seconds},
                      {"memory_mb", settings.memory_mb},
                      {"ephemeral_storage_mb", settings.ephemeral_storage_mb},
                      {"dead_letter_arn", settings.dead_letter_arn},
                      {"tracing_mode", settings.tracing_mode},
                      {"log_group", settings.log_group},
                      {"architecture", settings.architecture},
                      {"code_sha256", settings.code_sha256},
                      {"code_size", settings.code_size},
                      {"snapshot_id", settings.snapshot_id}};
  if (settings.environment) object.append("environment", map_document(*settings.environment));
  return object;
}

/// Reads members of a stored document; remembers the first that was wrong.
class Reader {
 public:
  explicit Reader(const json::Value& document) : document_(document) {}

  std::string text(std::string_view key) {
    const json::Value* value = document_.find(key);
    if (value != nullptr && value->if_string() != nullptr) return *value->if_string();
    note(key);
    return {};
  }
  std::int64_t integer(std::string_view key) {
    const json::Value* value = document_.find(key);
    if (auto number = value != nullptr ? value->as_int64() : std::nullopt) return *number;
    note(key);
    return 0;
  }
  std::optional<int> maybe_integer(std::string_view key) {
    if (document_.find(key) == nullptr) return std::nullopt;
    return static_cast<int>(integer(key));
  }
  std::map<std::string, std::string> texts(std::string_view key) {
    std::map<std::string, std::string> out;
    const json::Value* value = document_.find(key);
    if (value == nullptr || value->if_object() == nullptr) {
      note(key);
      return out;
    }
    for (const auto& [name, member] : *value->if_object()) {
      if (member.if_string() == nullptr) note(key);
      if (member.if_string() != nullptr) out.emplace(name, *member.if_string());
    }
    return out;
  }
  const json::Value* find(std::string_view key) const { return document_.find(key); }
  void note(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }
  Result<void> done() const {
    if (!wrong_.empty()) return fail(Errc::kCorrupt, "stored function: member '{}' is missing or wrong", wrong_);
    return {};
  }

 private:
  const json::Value& document_;
  std::string wrong_;
};

Result<Settings> settings_from_document(const json::Value& document) {
  Reader reader(document);
  Settings settings{.runtime = reader.text("runtime"),
                    .handler = reader.text("handler"),
                    .role = reader.text("role"),
                    .description = reader.text("description"),
                    .timeout_seconds = static_cast<int>(reader.integer("timeout_seconds")),
                    .memory_mb = static_cast<int>(reader.integer("memory_mb")),
                    .ephemeral_storage_mb = static_cast<int>(reader.integer("ephemeral_storage_mb")),
                    .dead_letter_arn = reader.text("dead_letter_arn"),
                    .tracing_mode = reader.text("tracing_mode"),
                    .log_group = reader.text("log_group"),
                    .architecture = reader.text("architecture"),
                    .code_sha256 = reader.text("code_sha256"),
                    .code_size = reader.integer("code_size"),
                    .snapshot_id = reader.text("snapshot_id")};
  if (reader.find("environment") != nullptr) settings.environment = reader.texts("environment");
  LD_TRY_VOID(reader.done());
  return settings;
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

void finish_change(Function& function) {
  function.serving = function.current;
  function.state = State::kActive;
  function.state_reason.clear();
  function.state_reason_code.clear();
  function.update_status = UpdateStatus::kSuccessful;
  function.update_reason.clear();
  function.update_reason_code.clear();
}

void fail_change(Function& function, std::string code, std::string reason) {
  if (!function.serving) {
    function.state = State::kFailed;
    function.state_reason = reason;
    function.state_reason_code = code;
  }
  function.update_status = UpdateStatus::kFailed;
  function.update_reason = std::move(reason);
  function.update_reason_code = std::move(code);
}

api::FunctionConfiguration to_configuration(const Function& function, const std::string& qualifier, Detail detail) {
  const Settings& settings = function.current;
  api::FunctionConfiguration out;
  out.function_name = function.name;
  out.function_arn = function.arn(qualifier).str();
  out.runtime = settings.runtime;
  out.role = settings.role;
  out.handler = settings.handler;
  out.code_size = settings.code_size;
  out.description = settings.description;
  out.timeout = settings.timeout_seconds;
  out.memory_size = settings.memory_mb;
  out.last_modified = format_lambda_last_modified(function.last_modified);
  out.code_sha256 = base64_encode(hex_decode(settings.code_sha256).value_or(""));
  out.version = "$LATEST";
  if (!settings.dead_letter_arn.empty()) {
    out.dead_letter_config = api::DeadLetterConfig{.target_arn = settings.dead_letter_arn};
  }
  if (settings.environment) {
    out.environment.emplace();
    if (!settings.environment->empty()) out.environment->variables = settings.environment;
  }
  out.tracing_config = api::TracingConfigResponse{.mode = settings.tracing_mode};
  out.revision_id = function.revision_id;
  out.package_type = "Zip";
  out.architectures = {settings.architecture};
  out.ephemeral_storage = api::EphemeralStorage{.size = settings.ephemeral_storage_mb};
  out.snap_start = api::SnapStartResponse{.apply_on = "None", .optimization_status = "Off"};
  out.logging_config = api::LoggingConfig{.log_format = "Text", .log_group = settings.log_group};
  if (detail == Detail::kListEntry) return out;

  out.runtime_version_config = api::RuntimeVersionConfig{.runtime_version_arn = runtime_version_arn(function)};
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

api::FunctionEventInvokeConfig to_event_invoke_config(const Function& function, const std::string& qualifier,
                                                      const EventInvokeSettings& settings) {
  api::FunctionEventInvokeConfig out;
  out.last_modified = settings.last_modified;
  out.function_arn = function.arn(qualifier).str();
  out.maximum_retry_attempts = settings.maximum_retry_attempts;
  out.maximum_event_age_in_seconds = settings.maximum_event_age_seconds;
  // Always there, and empty.
  out.destination_config = api::DestinationConfig{.on_success = api::OnSuccess{}, .on_failure = api::OnFailure{}};
  return out;
}

json::Value to_document(const Function& function) {
  json::Object object{{"account", function.account},
                      {"region", function.region},
                      {"name", function.name},
                      {"current", settings_document(function.current)},
                      {"state", state_name(function.state)},
                      {"state_reason", function.state_reason},
                      {"state_reason_code", function.state_reason_code},
                      {"update_status", update_status_name(function.update_status)},
                      {"update_reason", function.update_reason},
                      {"update_reason_code", function.update_reason_code},
                      {"last_modified_ms", to_epoch_ms(function.last_modified)},
                      {"revision_id", function.revision_id},
                      {"tags", map_document(function.tags)}};
  if (function.serving) object.append("serving", settings_document(*function.serving));
  if (function.reserved_concurrency) object.append("reserved_concurrency", *function.reserved_concurrency);
  json::Object event_invoke;
  for (const auto& [qualifier, settings] : function.event_invoke) {
    json::Object entry{{"last_modified_ms", to_epoch_ms(settings.last_modified)}};
    if (settings.maximum_retry_attempts) entry.append("maximum_retry_attempts", *settings.maximum_retry_attempts);
    if (settings.maximum_event_age_seconds) {
      entry.append("maximum_event_age_seconds", *settings.maximum_event_age_seconds);
    }
    event_invoke.append(qualifier, std::move(entry));
  }
  object.append("event_invoke", std::move(event_invoke));
  return object;
}

Result<Function> function_from_document(const json::Value& document) {
  Reader reader(document);
  Function function{.account = reader.text("account"), .region = reader.text("region"), .name = reader.text("name")};
  function.state_reason = reader.text("state_reason");
  function.state_reason_code = reader.text("state_reason_code");
  function.update_reason = reader.text("update_reason");
  function.update_reason_code = reader.text("update_reason_code");
  function.last_modified = from_epoch_ms(reader.integer("last_modified_ms"));
  function.revision_id = reader.text("revision_id");
  function.tags = reader.texts("tags");
  function.reserved_concurrency = reader.maybe_integer("reserved_concurrency");

  const std::string state = reader.text("state");
  bool known = false;
  for (State each : {State::kPending, State::kActive, State::kFailed}) {
    if (state_name(each) != state) continue;
    function.state = each;
    known = true;
  }
  if (!known) reader.note("state");
  const std::string status = reader.text("update_status");
  known = false;
  for (UpdateStatus each :
       {UpdateStatus::kNone, UpdateStatus::kInProgress, UpdateStatus::kSuccessful, UpdateStatus::kFailed}) {
    if (update_status_name(each) != status) continue;
    function.update_status = each;
    known = true;
  }
  if (!known) reader.note("update_status");

  const json::Value* current = reader.find("current");
  if (current == nullptr) return fail(Errc::kCorrupt, "stored function: no settings");
  LD_TRY(function.current, settings_from_document(*current));
  if (const json::Value* serving = reader.find("serving")) {
    LD_TRY(function.serving, settings_from_document(*serving));
  }
  const json::Value* event_invoke = reader.find("event_invoke");
  if (event_invoke == nullptr || event_invoke->if_object() == nullptr) {
    reader.note("event_invoke");
  } else {
    for (const auto& [qualifier, entry] : *event_invoke->if_object()) {
      Reader entry_reader(entry);
      EventInvokeSettings settings;
      settings.maximum_retry_attempts = entry_reader.maybe_integer("maximum_retry_attempts");
      settings.maximum_event_age_seconds = entry_reader.maybe_integer("maximum_event_age_seconds");
      settings.last_modified = from_epoch_ms(entry_reader.integer("last_modified_ms"));
      LD_TRY_VOID(entry_reader.done());
      function.event_invoke.emplace(qualifier, settings);
    }
  }
  LD_TRY_VOID(reader.done());
  return function;
}

}  // namespace lambdad::lambda
