#include "services/lambda/function_document.h"

#include <initializer_list>

#include "services/lambda/images.h"

namespace lambdad::lambda {
namespace {

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
                      {"logging", logging_document(settings.logging)},
                      {"architecture", settings.architecture},
                      {"code_sha256", settings.code_sha256},
                      {"code_size", settings.code_size},
                      {"code_unzipped", settings.code_unzipped},
                      {"snapshot_id", settings.snapshot_id}};
  if (!settings.layers.empty()) {
    json::Array layers;
    for (const LayerUse& layer : settings.layers) {
      layers.push_back(json::Object{
          {"arn", layer.arn}, {"sha256", layer.sha256}, {"size", layer.size}, {"unzipped", layer.unzipped}});
    }
    object.append("layers", std::move(layers));
  }
  if (settings.environment) object.append("environment", map_document(*settings.environment));
  if (settings.image) object.append("image", image_document(*settings.image));
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
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise) {
    return document_.find(key) == nullptr ? otherwise : integer(key);
  }
  std::string text_or(std::string_view key, std::string otherwise) {
    return document_.find(key) == nullptr ? std::move(otherwise) : text(key);
  }
  WallTime time(std::string_view key) { return from_epoch_ms(integer(key)); }
  template <class Value>
  Value one_of(std::string_view key, std::initializer_list<Value> values, std::string_view (*name)(Value)) {
    const std::string wanted = text(key);
    for (Value each : values) {
      if (name(each) == wanted) return each;
    }
    note(key);
    return {};
  }
  State state(std::string_view key) {
    return one_of(key, {State::kPending, State::kActive, State::kFailed}, state_name);
  }
  /// Calls each(name, member) for the members of an object that may be absent.
  template <class Each>
  Result<void> members(std::string_view key, Each each) {
    const json::Value* value = document_.find(key);
    if (value == nullptr) return {};
    if (value->if_object() == nullptr) {
      note(key);
      return {};
    }
    for (const auto& [name, member] : *value->if_object()) LD_TRY_VOID(each(name, member));
    return {};
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
                    .logging = logging_from_document(reader.find("logging")),
                    .architecture = reader.text("architecture"),
                    .code_sha256 = reader.text("code_sha256"),
                    .code_size = reader.integer("code_size"),
                    .code_unzipped = reader.integer_or("code_unzipped", 0),
                    .snapshot_id = reader.text("snapshot_id")};
  if (reader.find("environment") != nullptr) settings.environment = reader.texts("environment");
  if (const json::Value* layers = reader.find("layers")) {
    if (layers->if_array() == nullptr) return fail(Errc::kCorrupt, "stored function: member 'layers' is wrong");
    for (const json::Value& layer : *layers->if_array()) {
      Reader each(layer);
      settings.layers.push_back({.arn = each.text("arn"),
                                 .sha256 = each.text("sha256"),
                                 .size = each.integer("size"),
                                 .unzipped = each.integer("unzipped")});
      LD_TRY_VOID(each.done());
    }
  }
  if (const json::Value* image = reader.find("image")) {
    LD_TRY(settings.image, image_from_document(*image));
  }
  LD_TRY_VOID(reader.done());
  return settings;
}

/// Adds {key: document of value} for a map of values, when it is not empty.
template <class Values, class Document>
void append_all(json::Object& object, std::string key, const Values& values, Document document) {
  if (values.empty()) return;
  json::Object all;
  for (const auto& [name, value] : values) all.append(name, document(value));
  object.append(std::move(key), std::move(all));
}

}  // namespace

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
  if (function.last_version > 0) object.append("last_version", function.last_version);
  if (function.recursive_loop != "Terminate") object.append("recursive_loop", function.recursive_loop);
  if (!function.code_signing_config.empty()) object.append("code_signing_config", function.code_signing_config);
  append_all(object, "aliases", function.aliases, [](const Alias& alias) {
    json::Object weights;
    for (const auto& [version, weight] : alias.weights) weights.append(version, weight);
    return json::Object{{"function_version", alias.function_version},
                        {"weights", std::move(weights)},
                        {"description", alias.description},
                        {"revision_id", alias.revision_id}};
  });
  append_all(object, "event_invoke", function.event_invoke, [](const EventInvokeSettings& settings) {
    json::Object entry{{"last_modified_ms", to_epoch_ms(settings.last_modified)}};
    if (settings.maximum_retry_attempts) entry.append("maximum_retry_attempts", *settings.maximum_retry_attempts);
    if (settings.maximum_event_age_seconds) {
      entry.append("maximum_event_age_seconds", *settings.maximum_event_age_seconds);
    }
    if (!settings.on_success.empty()) entry.append("on_success", settings.on_success);
    if (!settings.on_failure.empty()) entry.append("on_failure", settings.on_failure);
    return entry;
  });
  append_all(object, "policies", function.policies, [](const Policy& policy) {
    return json::Object{{"statements", policy.statements}, {"revision_id", policy.revision_id}};
  });
  append_all(object, "provisioned", function.provisioned, [](const ProvisionedSettings& settings) {
    return json::Object{{"requested", settings.requested}, {"last_modified_ms", to_epoch_ms(settings.last_modified)}};
  });
  append_all(object, "runtime_management", function.runtime_management, [](const RuntimeManagement& management) {
    return json::Object{{"update_on", management.update_on}, {"runtime_version_arn", management.runtime_version_arn}};
  });
  return object;
}

json::Value to_document(const Version& version) {
  return json::Object{{"number", version.number},
                      {"settings", settings_document(version.settings)},
                      {"state", state_name(version.state)},
                      {"state_reason", version.state_reason},
                      {"state_reason_code", version.state_reason_code},
                      {"last_modified_ms", to_epoch_ms(version.last_modified)},
                      {"revision_id", version.revision_id},
                      {"source_snapshot_id", version.source_snapshot_id},
                      {"source_description", version.source_description}};
}

Result<Version> version_from_document(const json::Value& document) {
  Reader reader(document);
  Version version{.number = static_cast<int>(reader.integer("number")),
                  .settings = {},
                  .state = reader.state("state"),
                  .state_reason = reader.text("state_reason"),
                  .state_reason_code = reader.text("state_reason_code"),
                  .last_modified = reader.time("last_modified_ms"),
                  .revision_id = reader.text("revision_id"),
                  .source_snapshot_id = reader.text("source_snapshot_id"),
                  .source_description = reader.text("source_description")};
  const json::Value* settings = reader.find("settings");
  if (settings == nullptr) return fail(Errc::kCorrupt, "stored version: no settings");
  LD_TRY(version.settings, settings_from_document(*settings));
  LD_TRY_VOID(reader.done());
  return version;
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

  function.state = reader.state("state");
  function.update_status =
      reader.one_of("update_status",
                    {UpdateStatus::kNone, UpdateStatus::kInProgress, UpdateStatus::kSuccessful, UpdateStatus::kFailed},
                    update_status_name);
  function.last_version = static_cast<int>(reader.integer_or("last_version", 0));
  function.recursive_loop = reader.text_or("recursive_loop", "Terminate");
  function.code_signing_config = reader.text_or("code_signing_config", "");

  const json::Value* current = reader.find("current");
  if (current == nullptr) return fail(Errc::kCorrupt, "stored function: no settings");
  LD_TRY(function.current, settings_from_document(*current));
  if (const json::Value* serving = reader.find("serving")) {
    LD_TRY(function.serving, settings_from_document(*serving));
  }
  LD_TRY_VOID(reader.members("aliases", [&](const std::string& name, const json::Value& entry) -> Result<void> {
    Reader each(entry);
    Alias alias{.function_version = each.text("function_version"),
                .weights = {},
                .description = each.text("description"),
                .revision_id = each.text("revision_id")};
    LD_TRY_VOID(each.members("weights", [&](const std::string& version, const json::Value& weight) -> Result<void> {
      alias.weights.emplace(version, weight.as_double().value_or(0));
      return {};
    }));
    function.aliases.emplace(name, std::move(alias));
    return each.done();
  }));
  LD_TRY_VOID(reader.members("event_invoke", [&](const std::string& name, const json::Value& entry) -> Result<void> {
    Reader each(entry);
    function.event_invoke.emplace(
        name, EventInvokeSettings{.maximum_retry_attempts = each.maybe_integer("maximum_retry_attempts"),
                                  .maximum_event_age_seconds = each.maybe_integer("maximum_event_age_seconds"),
                                  .on_success = each.text_or("on_success", ""),
                                  .on_failure = each.text_or("on_failure", ""),
                                  .last_modified = each.time("last_modified_ms")});
    return each.done();
  }));
  LD_TRY_VOID(reader.members("policies", [&](const std::string& name, const json::Value& entry) -> Result<void> {
    Reader each(entry);
    Policy policy{.statements = {}, .revision_id = each.text("revision_id")};
    const json::Value* statements = each.find("statements");
    if (statements == nullptr || statements->if_array() == nullptr) {
      each.note("statements");
    } else {
      policy.statements = *statements->if_array();
    }
    function.policies.emplace(name, std::move(policy));
    return each.done();
  }));
  LD_TRY_VOID(reader.members("provisioned", [&](const std::string& name, const json::Value& entry) -> Result<void> {
    Reader each(entry);
    function.provisioned.emplace(name, ProvisionedSettings{.requested = static_cast<int>(each.integer("requested")),
                                                           .last_modified = each.time("last_modified_ms")});
    return each.done();
  }));
  LD_TRY_VOID(
      reader.members("runtime_management", [&](const std::string& name, const json::Value& entry) -> Result<void> {
        Reader each(entry);
        function.runtime_management.emplace(name,
                                            RuntimeManagement{.update_on = each.text("update_on"),
                                                              .runtime_version_arn = each.text("runtime_version_arn")});
        return each.done();
      }));
  LD_TRY_VOID(reader.done());
  return function;
}

}  // namespace lambdad::lambda
