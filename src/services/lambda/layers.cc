#include "services/lambda/layers.h"

#include <charconv>

#include "base/arn.h"

namespace lambdad::lambda {
namespace {

json::Array texts(const std::vector<std::string>& values) {
  json::Array array;
  for (const std::string& each : values) array.emplace_back(each);
  return array;
}

std::unexpected<Error> corrupt(std::string_view member) {
  return fail(Errc::kCorrupt, "stored layer: member '{}' is missing or wrong", member);
}

Result<std::string> text(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  if (value == nullptr || value->if_string() == nullptr) return corrupt(key);
  return *value->if_string();
}

Result<std::int64_t> integer(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  auto number = value == nullptr ? std::nullopt : value->as_int64();
  if (!number) return corrupt(key);
  return *number;
}

Result<std::vector<std::string>> text_list(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  if (value == nullptr || value->if_array() == nullptr) return corrupt(key);
  std::vector<std::string> out;
  for (const json::Value& each : *value->if_array()) {
    if (each.if_string() == nullptr) return corrupt(key);
    out.push_back(*each.if_string());
  }
  return out;
}

json::Value version_document(std::int64_t number, const LayerVersion& version) {
  json::Object object{{"number", number},
                      {"description", version.description},
                      {"license_info", version.license_info},
                      {"runtimes", texts(version.runtimes)},
                      {"architectures", texts(version.architectures)},
                      {"sha256", version.sha256},
                      {"size", version.size},
                      {"unzipped", version.unzipped},
                      {"created_ms", to_epoch_ms(version.created)}};
  if (version.policy) {
    object.append("policy", json::Object{{"statements", version.policy->statements},
                                         {"revision_id", version.policy->revision_id}});
  }
  return object;
}

Result<LayerVersion> version_from(const json::Value& document) {
  LayerVersion version;
  LD_TRY(version.description, text(document, "description"));
  LD_TRY(version.license_info, text(document, "license_info"));
  LD_TRY(version.runtimes, text_list(document, "runtimes"));
  LD_TRY(version.architectures, text_list(document, "architectures"));
  LD_TRY(version.sha256, text(document, "sha256"));
  LD_TRY(version.size, integer(document, "size"));
  LD_TRY(version.unzipped, integer(document, "unzipped"));
  LD_TRY(const std::int64_t created, integer(document, "created_ms"));
  version.created = from_epoch_ms(created);
  if (const json::Value* policy = document.find("policy")) {
    const json::Value* statements = policy->find("statements");
    if (statements == nullptr || statements->if_array() == nullptr) return corrupt("policy");
    Policy read{.statements = *statements->if_array(), .revision_id = {}};
    LD_TRY(read.revision_id, text(*policy, "revision_id"));
    version.policy = std::move(read);
  }
  return version;
}

}  // namespace

std::string Layer::arn() const { return LayerRef{account, region, name, 0}.arn(); }
std::string Layer::version_arn(std::int64_t version) const { return LayerRef{account, region, name, version}.arn(); }

std::string LayerRef::arn() const {
  std::string text = fmt::format("arn:aws:lambda:{}:{}:layer:{}", region, account, name);
  if (version != 0) text += fmt::format(":{}", version);
  return text;
}

std::optional<LayerRef> parse_layer_arn(std::string_view text) {
  auto arn = Arn::parse(text);
  if (!arn || arn->service != "lambda" || !arn->resource.starts_with("layer:")) return std::nullopt;
  std::string_view rest = arn->resource;
  rest.remove_prefix(std::string_view("layer:").size());
  const auto colon = rest.find(':');
  LayerRef ref{.account = arn->account, .region = arn->region, .name = std::string(rest.substr(0, colon))};
  if (ref.name.empty()) return std::nullopt;
  if (colon == std::string_view::npos) return ref;
  const std::string_view number = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), ref.version);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  return ref;
}

json::Value to_document(const Layer& layer) {
  json::Array versions;
  for (const auto& [number, version] : layer.versions) versions.push_back(version_document(number, version));
  return json::Object{{"account", layer.account},
                      {"region", layer.region},
                      {"name", layer.name},
                      {"last_version", layer.last_version},
                      {"versions", std::move(versions)}};
}

Result<Layer> layer_from_document(const json::Value& document) {
  Layer layer;
  LD_TRY(layer.account, text(document, "account"));
  LD_TRY(layer.region, text(document, "region"));
  LD_TRY(layer.name, text(document, "name"));
  LD_TRY(layer.last_version, integer(document, "last_version"));
  const json::Value* versions = document.find("versions");
  if (versions == nullptr || versions->if_array() == nullptr) return corrupt("versions");
  for (const json::Value& each : *versions->if_array()) {
    LD_TRY(const std::int64_t number, integer(each, "number"));
    LD_TRY(LayerVersion version, version_from(each));
    layer.versions.emplace(number, std::move(version));
  }
  return layer;
}

Layers::Layers(System& system, LambdaStore& store, PackageUses& uses)
    : store_(store), uses_(uses), busy_(system.loop) {}

Async<Result<void>> Layers::load() {
  auto documents = co_await store_.load(LambdaStore::Kind::kLayer);
  if (!documents) co_return fail_with(documents.error(), "loading layers");
  for (const json::Value& document : *documents) {
    LD_CO_TRY(Layer layer, layer_from_document(document));
    show(std::move(layer));
  }
  co_return Result<void>();
}

LayerPtr Layers::find(const LayerRef& ref) const {
  auto place = entries_.find({ref.account, ref.region, ref.name});
  return place == entries_.end() ? nullptr : place->second;
}

const LayerVersion* Layers::version(const LayerPtr& layer, std::int64_t number) {
  if (layer == nullptr) return nullptr;
  auto place = layer->versions.find(number);
  return place == layer->versions.end() ? nullptr : &place->second;
}

std::int64_t Layers::code_bytes(const std::string& account, const std::string& region) const {
  auto place = code_bytes_.find({account, region});
  return place == code_bytes_.end() ? 0 : place->second;
}

Async<KeyedMutex::Guard> Layers::lock(const LayerRef& ref) {
  return busy_.acquire(fmt::format("{}/{}/{}", ref.account, ref.region, ref.name));
}

Async<Result<void>> Layers::commit(Layer layer, package::PackageStore::Ref code) {
  static_cast<void>(code);  // kept by this frame until the layer names it
  auto saved =
      co_await store_.save(LambdaStore::Kind::kLayer, layer.account, layer.region, layer.name, to_document(layer));
  if (!saved) co_return fail_with(saved.error(), "storing a layer");
  show(std::move(layer));
  co_return Result<void>();
}

void Layers::show(Layer layer) {
  auto& entry = entries_[{layer.account, layer.region, layer.name}];
  std::int64_t& bytes = code_bytes_[{layer.account, layer.region}];
  LayerPtr before = std::exchange(entry, std::make_shared<const Layer>(std::move(layer)));
  for (const auto& [number, version] : entry->versions) {
    uses_.add(version.sha256);
    bytes += version.size;
  }
  if (before == nullptr) return;
  for (const auto& [number, version] : before->versions) {
    uses_.drop(version.sha256);
    bytes -= version.size;
  }
}

}  // namespace lambdad::lambda
