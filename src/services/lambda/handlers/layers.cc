// PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, DeleteLayerVersion, ListLayerVersions, ListLayers, and
// the layers that functions name.
#include <algorithm>

#include "base/encoding.h"
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/handlers/layer_ref.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

std::string code_sha256(const LayerVersion& version) { return base64_encode(hex_decode(version.sha256).value_or("")); }

std::optional<std::vector<std::string>> unless_empty(const std::vector<std::string>& values) {
  return values.empty() ? std::nullopt : std::optional(values);
}

/// Members that the answers of publishing and of getting share.
template <class Out>
void fill(Out& out, const Lambda& lambda, const aws::RequestContext& context, const Layer& layer, std::int64_t number,
          const LayerVersion& version) {
  out.content = api::LayerVersionContentOutput{
      .location = code_url(lambda, context, layer.account, layer.region, "layer-" + layer.name, version.sha256),
      .code_sha256 = code_sha256(version),
      .code_size = version.size};
  out.layer_arn = layer.arn();
  out.layer_version_arn = layer.version_arn(number);
  out.description = version.description;
  out.created_date = format_lambda_last_modified(version.created);
  out.version = number;
  out.compatible_runtimes = unless_empty(version.runtimes);
  out.compatible_architectures = unless_empty(version.architectures);
  if (!version.license_info.empty()) out.license_info = version.license_info;
}

api::LayerVersionsListItem list_item(const Layer& layer, std::int64_t number, const LayerVersion& version) {
  api::LayerVersionsListItem item;
  item.layer_version_arn = layer.version_arn(number);
  item.version = number;
  item.description = version.description;
  item.created_date = format_lambda_last_modified(version.created);
  item.compatible_runtimes = unless_empty(version.runtimes);
  item.compatible_architectures = unless_empty(version.architectures);
  if (!version.license_info.empty()) item.license_info = version.license_info;
  return item;
}

/// A version that names no runtimes (architectures) is compatible with none in a filtered list, as on AWS.
bool matches(const LayerVersion& version, const std::optional<std::string>& runtime,
             const std::optional<std::string>& architecture) {
  auto has = [](const std::vector<std::string>& values, const std::optional<std::string>& wanted) {
    return !wanted || std::ranges::find(values, *wanted) != values.end();
  };
  return has(version.runtimes, runtime) && has(version.architectures, architecture);
}

Reply<api::GetLayerVersionResponse> answer_version(Lambda* lambda, aws::RequestContext* context, LayerRef ref) {
  auto layer = lambda->layers.find(ref);
  const LayerVersion* version = Layers::version(layer, ref.version);
  if (version == nullptr) {
    co_return std::unexpected(api::resource_not_found("The resource you requested does not exist."));
  }
  api::GetLayerVersionResponse out;
  fill(out, *lambda, *context, *layer, ref.version, *version);
  co_return out;
}

}  // namespace

aws::Outcome<LayerRef> layer_ref(const aws::RequestContext& context, const std::string& name) {
  auto ref = parse_layer_arn(name);
  if (!ref) return LayerRef{.account = context.account, .region = context.region, .name = name};
  if (ref->region != context.region) {
    return std::unexpected(api::resource_not_found(
        fmt::format("Layers from '{}' are not reachable in this region ('{}')", ref->region, context.region)));
  }
  return std::move(*ref);
}

aws::Outcome<LayerRef> layer_version_ref(const aws::RequestContext& context, const std::string& name,
                                         std::int64_t version) {
  if (version < 1) return std::unexpected(api::invalid_parameter_value("Layer Version Cannot be less than 1"));
  auto ref = layer_ref(context, name);
  if (ref) ref->version = version;
  return ref;
}

aws::Outcome<std::vector<LayerUse>> resolve_layers(const Lambda& lambda, const aws::RequestContext& context,
                                                   const std::vector<std::string>& arns) {
  auto refuse = [](std::string text) { return std::unexpected(api::invalid_parameter_value(std::move(text))); };
  if (arns.size() > kLayersOfFunctionMax) {
    return refuse(fmt::format("Cannot reference more than {} layers.", kLayersOfFunctionMax));
  }
  std::map<std::string, std::string> seen;  // layer -> the version's ARN
  std::vector<LayerUse> uses;
  for (const std::string& arn : arns) {
    const auto ref = parse_layer_arn(arn);
    if (!ref || ref->version == 0) return refuse(fmt::format("Layer version {} does not exist.", arn));
    if (ref->region != context.region) {
      return refuse(
          fmt::format("Layers are not in the same region as the function. Layers are expected to be in region {}.",
                      context.region));
    }
    LayerRef whole = *ref;
    whole.version = 0;
    if (const auto [other, is_new] = seen.emplace(whole.arn(), arn); !is_new) {
      return refuse(
          fmt::format("Two different versions of the same layer are not allowed to be referenced in the same function. "
                      "{} and {} are versions of the same layer.",
                      other->second, arn));
    }
    const auto layer = lambda.layers.find(*ref);
    const LayerVersion* version = Layers::version(layer, ref->version);
    if (version == nullptr) return refuse(fmt::format("Layer version {} does not exist.", arn));
    uses.push_back({.arn = arn, .sha256 = version->sha256, .size = version->size, .unzipped = version->unzipped});
  }
  return uses;
}

Reply<api::PublishLayerVersionResponse> publish_layer_version(Lambda* lambda, aws::RequestContext* context,
                                                              api::PublishLayerVersionRequest in) {
  auto ref = layer_ref(*context, in.layer_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (ref->account != context->account) co_return std::unexpected(api::access_denied());
  auto zip = co_await read_code(lambda, context,
                                {.zip = std::move(in.content.zip_file),
                                 .bucket = std::move(in.content.s3_bucket),
                                 .key = std::move(in.content.s3_key),
                                 .version = std::move(in.content.s3_object_version)},
                                "Please provide a source for layer content.");
  if (!zip) co_return std::unexpected(std::move(zip.error()));
  auto guard = co_await lambda->layers.lock(*ref);
  const auto size = static_cast<std::int64_t>(zip->size());
  auto code = co_await store_code(lambda, context, std::move(*zip));
  if (!code) co_return std::unexpected(std::move(code.error()));
  auto found = lambda->layers.find(*ref);
  Layer layer = found != nullptr ? *found : Layer{.account = ref->account, .region = ref->region, .name = ref->name};
  const std::int64_t number = ++layer.last_version;
  const LayerVersion version{.description = in.description.value_or(""),
                             .license_info = in.license_info.value_or(""),
                             .runtimes = in.compatible_runtimes.value_or(std::vector<std::string>()),
                             .architectures = in.compatible_architectures.value_or(std::vector<std::string>()),
                             .sha256 = code->package->sha256,
                             .size = size,
                             .unzipped = static_cast<std::int64_t>(code->unzipped),
                             .created = lambda->system.clock.wall(),
                             .policy = {}};
  layer.versions.emplace(number, version);
  api::PublishLayerVersionResponse out;
  fill(out, *lambda, *context, layer, number, version);
  auto committed = co_await lambda->layers.commit(std::move(layer), code->package);
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return out;
}

Reply<api::GetLayerVersionResponse> get_layer_version(Lambda* lambda, aws::RequestContext* context,
                                                      api::GetLayerVersionRequest in) {
  auto ref = layer_version_ref(*context, in.layer_name, in.version_number);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  co_return co_await answer_version(lambda, context, std::move(*ref));
}

Reply<api::GetLayerVersionResponse> get_layer_version_by_arn(Lambda* lambda, aws::RequestContext* context,
                                                             api::GetLayerVersionByArnRequest in) {
  auto ref = layer_ref(*context, in.arn);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  co_return co_await answer_version(lambda, context, std::move(*ref));
}

Reply<aws::Unit> delete_layer_version(Lambda* lambda, aws::RequestContext* context, api::DeleteLayerVersionRequest in) {
  auto ref = layer_version_ref(*context, in.layer_name, in.version_number);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->layers.lock(*ref);
  auto found = lambda->layers.find(*ref);
  if (Layers::version(found, ref->version) == nullptr) co_return aws::Unit{};  // recorded: 204
  Layer layer = *found;
  layer.versions.erase(ref->version);
  auto committed = co_await lambda->layers.commit(std::move(layer));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return aws::Unit{};
}

Reply<api::ListLayerVersionsResponse> list_layer_versions(Lambda* lambda, aws::RequestContext* context,
                                                          api::ListLayerVersionsRequest in) {
  auto ref = layer_ref(*context, in.layer_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  Page<api::LayerVersionsListItem> page(page_size(in.max_items, kLayersPerPageMax));
  if (auto layer = lambda->layers.find(*ref)) {
    // Newest first.
    auto begin = after->empty() ? layer->versions.rbegin()
                                : std::make_reverse_iterator(layer->versions.lower_bound(std::atoll(after->c_str())));
    for (auto place = begin; place != layer->versions.rend(); ++place) {
      if (!matches(place->second, in.compatible_runtime, in.compatible_architecture)) continue;
      if (!page.add(list_item(*layer, place->first, place->second), std::to_string(place->first))) break;
    }
  }
  api::ListLayerVersionsResponse out;
  out.next_marker = page.next_marker();
  out.layer_versions = page.take_items();
  co_return out;
}

Reply<api::ListLayersResponse> list_layers(Lambda* lambda, aws::RequestContext* context, api::ListLayersRequest in) {
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  Page<api::LayersListItem> page(page_size(in.max_items, kLayersPerPageMax));
  lambda->layers.for_each(context->account, context->region, *after, [&](const LayerPtr& layer) {
    for (auto place = layer->versions.rbegin(); place != layer->versions.rend(); ++place) {
      if (!matches(place->second, in.compatible_runtime, in.compatible_architecture)) continue;
      api::LayersListItem item;
      item.layer_name = layer->name;
      item.layer_arn = layer->arn();
      item.latest_matching_version = list_item(*layer, place->first, place->second);
      return page.add(std::move(item), layer->name);
    }
    return true;
  });
  api::ListLayersResponse out;
  out.next_marker = page.next_marker();
  out.layers = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
