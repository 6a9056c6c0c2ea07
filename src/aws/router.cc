#include "aws/router.h"

#include <algorithm>
#include <tuple>

#include "base/encoding.h"

namespace lambdad::aws {

namespace {

constexpr std::size_t kSegmentsMax = 64;  // no URI of any AWS service has more than a dozen

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (segments.size() <= kSegmentsMax) {
    const std::size_t at = path.find('/');
    segments.push_back(path.substr(0, at));
    if (at == std::string_view::npos) break;
    path.remove_prefix(at + 1);
  }
  return segments;
}

bool is_form(const http::Request& request) {
  const auto type = request.headers.get("content-type");
  return type && to_lower(*type).starts_with("application/x-www-form-urlencoded");
}

const std::string* value_of(const Parameters& parameters, std::string_view name) {
  const auto at = std::ranges::find(parameters, name, &Parameters::value_type::first);
  return at == parameters.end() ? nullptr : &at->second;
}

}  // namespace

/// A rest-json URI: "/2017-03-31/tags/{ARN}", "/path/{Key+}", "/layers?find=LayerVersion".
struct Router::Template {
  struct Segment {
    std::string_view text;  // a literal, or the name of a label
    bool label = false;
    bool greedy = false;
  };
  const ServiceModel* service;
  const OperationModel* operation;
  std::vector<Segment> segments;
  std::vector<std::pair<std::string_view, std::string_view>> query;
  std::size_t literals = 0;

  Template(const ServiceModel& of, const OperationModel& op) : service(&of), operation(&op) {
    const std::size_t question = op.uri.find('?');
    for (std::string_view text : segments_of(op.uri.substr(0, question))) {
      Segment segment;
      if (text.starts_with('{') && text.ends_with('}')) {
        text = text.substr(1, text.size() - 2);
        segment.label = true;
        segment.greedy = text.ends_with('+');
        if (segment.greedy) text.remove_suffix(1);
      }
      segment.text = text;
      literals += segment.label ? 0 : 1;
      segments.push_back(segment);
    }
    if (segments.size() > 1 && segments.back().text.empty() && !segments.back().label) segments.pop_back();
    if (question == std::string_view::npos) return;
    std::string_view rest = op.uri.substr(question + 1);
    while (!rest.empty()) {
      const std::size_t end = rest.find('&');
      const std::string_view part = rest.substr(0, end);
      const std::size_t equals = part.find('=');
      query.emplace_back(part.substr(0, equals),
                         equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
  }

  bool matches(const std::vector<std::string_view>& path, const Parameters& parameters) const {
    const bool greedy = !segments.empty() && segments.back().greedy;
    if (greedy ? path.size() < segments.size() : path.size() != segments.size()) return false;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (!segments[i].label && segments[i].text != path[i]) return false;
    }
    return std::ranges::all_of(query, [&](const auto& wanted) {
      const std::string* value = value_of(parameters, wanted.first);
      return value != nullptr && *value == wanted.second;
    });
  }

  /// False when a label is not well-formed percent-encoding.
  bool take_labels(const std::vector<std::string_view>& path, Parameters& labels) const {
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (!segments[i].label) continue;
      std::string text(path[i]);
      if (segments[i].greedy) {
        for (std::size_t j = i + 1; j < path.size(); ++j) text.append("/").append(path[j]);
      }
      std::optional<std::string> decoded = percent_decode(text);
      if (!decoded) return false;
      labels.emplace_back(std::string(segments[i].text), std::move(*decoded));
    }
    return true;
  }
};

Router::Router() = default;
Router::~Router() = default;

bool Router::knows(const ServiceModel& service) const {
  return std::ranges::find(services_, &service) != services_.end();
}

const ServiceModel* Router::find(std::string_view name) const {
  const auto at = std::ranges::find(services_, name, &ServiceModel::name);
  return at == services_.end() ? nullptr : *at;
}

void Router::add(const ServiceModel& service) {
  if (knows(service)) return;
  services_.push_back(&service);
  if (!service.speaks(Protocol::kRestJson)) return;
  for (const OperationModel* operation : service.operations) templates_.emplace_back(service, *operation);
  // The most specific template first, so that "/functions/{name}" does not take what "/functions/list" matches.
  std::ranges::sort(templates_, [](const Template& a, const Template& b) {
    return std::tuple(b.literals, b.query.size(), a.operation->name) <
           std::tuple(a.literals, a.query.size(), b.operation->name);
  });
}

Route Router::by_target(const http::Request& request, std::string_view target) const {
  Route route;
  route.protocol = request.headers.get_or("content-type", "").find("json-1.1") != std::string::npos ? Protocol::kJson11
                                                                                                    : Protocol::kJson10;
  const std::size_t dot = target.rfind('.');
  const std::string_view prefix = target.substr(0, dot);
  const std::string_view name = dot == std::string_view::npos ? std::string_view() : target.substr(dot + 1);
  const auto service = std::ranges::find_if(services_, [&](const ServiceModel* candidate) {
    return !candidate->target_prefix.empty() && candidate->target_prefix == prefix;
  });
  if (service == services_.end()) {
    route.refusal = unknown_operation(
        fmt::format("lambdad knows no service with the target prefix {}.", escape_control(prefix.substr(0, 128))));
    route.refusal->http_status = 400;
    return route;
  }
  route.service = *service;
  route.operation = route.service->find(name);
  if (route.operation == nullptr) {
    route.refusal = unknown_operation(
        fmt::format("{} has no operation {}.", route.service->name, escape_control(name.substr(0, 128))));
    route.refusal->http_status = 400;
  }
  return route;
}

bool Router::by_path(const http::Request& request, const ServiceModel* only, Route& route) const {
  std::vector<std::string_view> path = segments_of(request.path());
  if (path.size() > kSegmentsMax) return false;
  // Older SDKs end collection paths in a slash: "/2015-03-31/functions/".
  const bool trailing = path.size() > 1 && path.back().empty();
  if (trailing) path.pop_back();
  for (const Template& candidate : templates_) {
    if (only != nullptr && candidate.service != only) continue;
    if (candidate.operation->http_method != request.method || !candidate.matches(path, route.parameters)) continue;
    route.labels.clear();
    if (!candidate.take_labels(path, route.labels)) return false;
    route.service = candidate.service;
    route.operation = candidate.operation;
    route.protocol = Protocol::kRestJson;
    return true;
  }
  return false;
}

Route Router::by_action(const http::Request& request, const ServiceModel* only, Route route) const {
  route.protocol = Protocol::kQuery;
  route.service = only;
  if (is_form(request)) {
    auto form = http::parse_form(request.body);
    if (!form) {
      route.refusal = serialization_error("The form body is not well-formed.");
      return route;
    }
    std::ranges::move(*form, std::back_inserter(route.parameters));
  }
  const std::string* action = value_of(route.parameters, "Action");
  if (action == nullptr || action->empty()) {
    route.refusal = unknown_operation("The request must contain the parameter Action.");
    route.refusal->query_code = "MissingAction";
    route.refusal->http_status = 400;
    return route;
  }
  const std::string* version = value_of(route.parameters, "Version");
  for (const ServiceModel* candidate : services_) {
    if (!candidate->speaks(Protocol::kQuery) || (only != nullptr && candidate != only)) continue;
    const OperationModel* operation = candidate->find(*action);
    // The same action may exist in several services; its version tells them apart, when it is given.
    if (operation == nullptr || (only == nullptr && version != nullptr && *version != candidate->api_version)) continue;
    route.service = candidate;
    route.operation = operation;
    return route;
  }
  route.refusal = unknown_operation(fmt::format("The action {} is not valid for this web service.",
                                                escape_control(std::string_view(*action).substr(0, 128))));
  route.refusal->http_status = 400;
  return route;
}

Route Router::route(const http::Request& request, const sigv4::Signature* signature) const {
  if (const auto target = request.headers.get("x-amz-target")) return by_target(request, *target);
  Route route;
  if (auto parameters = http::parse_form(request.query())) {
    route.parameters = std::move(*parameters);
  } else {
    route.refusal = serialization_error("The query string is not well-formed.");
    return route;
  }
  const ServiceModel* only = nullptr;
  if (signature != nullptr) {
    const auto at = std::ranges::find(services_, signature->service, &ServiceModel::signing_name);
    if (at == services_.end()) {
      if (is_form(request)) route.protocol = Protocol::kQuery;
      route.refusal = not_served(signature->service, {});
      return route;
    }
    only = *at;
  }
  if (by_path(request, only, route)) return route;
  const bool has_action = is_form(request) || value_of(route.parameters, "Action") != nullptr;
  if (only != nullptr ? only->speaks(Protocol::kQuery) : has_action) return by_action(request, only, std::move(route));
  route.service = only;
  if (only != nullptr && !only->speaks(Protocol::kRestJson)) route.protocol = only->protocols.front();
  route.refusal = unknown_operation(fmt::format("No operation of a served AWS API is {} {}",
                                                escape_control(std::string_view(request.method).substr(0, 16)),
                                                escape_control(request.path().substr(0, 256))));
  return route;
}

}  // namespace lambdad::aws
