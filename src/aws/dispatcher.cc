#include "aws/dispatcher.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "aws/constraints.h"
#include "aws/event_stream.h"
#include "aws/protocol.h"
#include "aws/router.h"
#include "aws/sigv4.h"
#include "base/encoding.h"

namespace lambdad::aws {

namespace {

constexpr std::string_view kFallbackHost = "127.0.0.1";

/// Where the client reached us, from its Host field. What cannot stand in a URL's authority is not repeated to it.
std::string base_url_of(const http::Request& request) {
  const std::string_view host = request.headers.get("host").value_or(kFallbackHost);
  const bool plain = !host.empty() && host.size() <= 255 && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ':' || c == '[' || c == ']';
  });
  return std::string("http://").append(plain ? host : kFallbackHost);
}

const MemberModel* blob_payload_of(const ShapeModel* shape) {
  if (shape == nullptr || shape->payload_member.empty()) return nullptr;
  const auto at = std::ranges::find(shape->members, shape->payload_member, &MemberModel::name);
  return at != shape->members.end() && at->shape->kind == Kind::kBlob ? &*at : nullptr;
}

}  // namespace

/// Counters of one operation, kept so that a request looks nothing up by name.
struct OperationMetrics {
  struct ByStatus {
    int status;
    Counter* counter;
  };
  std::vector<ByStatus> by_status;
  Histogram* seconds = nullptr;
};

struct Dispatcher::Impl {
  Impl(System& system_in, Logger& log_in, Metrics& metrics_in, Options options_in)
      : system(system_in), log(log_in), metrics(metrics_in), options(std::move(options_in)) {}

  System& system;
  Logger& log;
  Metrics& metrics;
  Options options;
  Router router;
  Constraints constraints;
  std::unordered_map<const OperationModel*, DocumentHandler> handlers;  // references stay valid
  std::unordered_map<const OperationModel*, OperationMetrics> operation_metrics;

  const DocumentHandler* handler_of(const OperationModel& operation) const {
    const auto at = handlers.find(&operation);
    return at == handlers.end() ? nullptr : &at->second;
  }

  /// Checks and runs one operation. What a handler throws beside cancellation is answered 500 and logged.
  Async<Outcome<Answer>> run(const ServiceModel* service, const OperationModel* operation, RequestContext* context,
                             Input input) {
    if (auto checked = constraints.check(*service, *operation, input.document); !checked) {
      co_return std::unexpected(std::move(checked.error()));
    }
    if (options.access != nullptr && context->caller) {
      if (auto allowed = options.access->authorize(*context, *operation, input.document); !allowed) {
        co_return std::unexpected(std::move(allowed.error()));
      }
    }
    const DocumentHandler* handler = handler_of(*operation);
    std::string failure;
    try {
      co_return co_await (*handler)(*context, std::move(input.document), std::move(input.payload));
    } catch (const std::exception& error) {
      if (is_cancelled(error)) throw;
      failure = error.what();
    }
    log.error("aws_handler_threw", {{"request_id", context->request_id},
                                    {"service", context->service},
                                    {"operation", context->operation},
                                    {"error", failure}});
    co_return std::unexpected(internal_failure());
  }

  /// Fills caller and account.
  Outcome<void> who_asks(const http::Request& request, const sigv4::Signature* signature, const Route& route,
                         RequestContext& context) {
    if (options.access == nullptr) {
      auto account = signature == nullptr ? std::nullopt : sigv4::account_of(signature->access_key_id);
      if (account) context.account = std::move(*account);
      return {};
    }
    auto caller = options.access->authenticate(request, signature, route.service, route.operation);
    if (!caller) return std::unexpected(std::move(caller.error()));
    context.caller = std::move(*caller);
    if (context.caller) context.account = context.caller->principal.account;
    return {};
  }

  void count(const Route& route, int status, double seconds) {
    OperationMetrics& of = operation_metrics[route.operation];
    auto at = std::ranges::find(of.by_status, status, &OperationMetrics::ByStatus::status);
    if (at == of.by_status.end()) {
      // Only names of the models become labels; what a client invents is "unknown".
      Counter& counter = metrics.counter("lambdad_requests_total", "AWS API requests answered",
                                         {{"service", std::string(service_label(route))},
                                          {"operation", std::string(operation_label(route))},
                                          {"status", fmt::to_string(status)}});
      of.by_status.push_back({status, &counter});
      at = of.by_status.end() - 1;
    }
    if (of.seconds == nullptr) {
      of.seconds = &metrics.histogram(
          "lambdad_request_seconds", "Time to answer an AWS API request",
          {{"service", std::string(service_label(route))}, {"operation", std::string(operation_label(route))}});
    }
    at->counter->add();
    of.seconds->observe(seconds);
  }

  // Requests without an operation share one series: their service may be known, but not what they asked for.
  static std::string_view service_label(const Route& route) {
    return route.operation == nullptr ? "unknown" : route.service->name;
  }
  static std::string_view operation_label(const Route& route) {
    return route.operation == nullptr ? "unknown" : route.operation->name;
  }
};

Dispatcher::Dispatcher(System& system, Logger& log, Metrics& metrics, Options options)
    : impl_(std::make_unique<Impl>(system, log, metrics, std::move(options))) {}

Dispatcher::~Dispatcher() = default;

void Dispatcher::add(const ServiceModel& service) { impl_->router.add(service); }

void Dispatcher::serve_document(const ServiceModel& service, const OperationModel& operation, DocumentHandler handler) {
  add(service);
  LD_CHECK(operation.served, "{}:{} has no shapes: list it in models/served.json", service.name, operation.name);
  const bool first = impl_->handlers.try_emplace(&operation, std::move(handler)).second;
  LD_CHECK(first, "{}:{} is served twice", service.name, operation.name);
}

Async<http::Response> Dispatcher::handle(http::Request request) {
  Impl& impl = *impl_;
  const MonoTime begun = impl.system.host_clock.mono();
  RequestContext context;
  context.request_id = impl.system.random.uuid_v4();
  context.account = impl.options.default_account;
  context.region = impl.options.default_region;
  context.base_url = base_url_of(request);
  context.source_ip = request.peer_address;
  context.received = impl.system.clock.wall();

  Outcome<std::optional<sigv4::Signature>> signature = sigv4::parse(request);
  const bool signed_request = signature && signature->has_value();
  const sigv4::Signature* of = signed_request ? &**signature : nullptr;
  if (of != nullptr) context.region = of->region;

  Route route = impl.router.route(request, of);
  if (route.service != nullptr) context.service = std::string(route.service->name);
  if (route.operation != nullptr) context.operation = std::string(route.operation->name);

  std::optional<Error> error;
  if (!signature) {
    error = std::move(signature.error());
  } else if (auto known = impl.who_asks(request, of, route, context); !known) {
    error = std::move(known.error());
  } else if (route.refusal) {
    error = std::move(*route.refusal);
  } else if (impl.handler_of(*route.operation) == nullptr) {
    error = not_served(route.service->name, route.operation->name);
  }

  http::Response response;
  if (!error) {
    Outcome<Input> input = decode_request(route, request, context.base_url);
    context.headers = std::move(request.headers);
    if (!input) {
      error = std::move(input.error());
    } else {
      Outcome<Answer> answer = co_await impl.run(route.service, route.operation, &context, std::move(*input));
      if (!answer) {
        error = std::move(answer.error());
      } else {
        response = encode_answer(route, std::move(*answer), context.request_id);
        if (context.events) stream_events(*route.operation, route.protocol, std::move(context.events), response);
        if (context.response_status != 0) response.status = context.response_status;
      }
    }
  }
  if (error) response = encode_error(route.protocol, route.service, *error, context.request_id);
  for (const http::Header& header : context.response_headers) response.headers.set(header.name, header.value);

  const Duration took = impl.system.host_clock.mono() - begun;
  impl.count(route, response.status, to_seconds(took));
  if (impl.log.enabled(LogLevel::kDebug)) {
    impl.log.debug("aws_request", {{"request_id", context.request_id},
                                   {"service", context.service},
                                   {"operation", context.operation},
                                   {"status", response.status},
                                   {"error", error ? std::string_view(error->type) : std::string_view("-")},
                                   {"account", context.account},
                                   {"region", context.region},
                                   {"ms", to_seconds(took) * 1000}});
  }
  if (error && error->http_status >= 500 && error->http_status != 501) {
    impl.log.warn("aws_request_failed", {{"request_id", context.request_id},
                                         {"service", context.service},
                                         {"operation", context.operation},
                                         {"error", error->type}});
  }
  co_return response;
}

Async<Outcome<json::Value>> Dispatcher::call(RequestContext context, std::string service, std::string operation,
                                             json::Value input) {
  Impl& impl = *impl_;
  const ServiceModel* service_model = impl.router.find(service);
  if (service_model == nullptr) co_return std::unexpected(not_served(service, {}));
  const OperationModel* model = service_model->find(operation);
  if (model == nullptr) {
    co_return std::unexpected(unknown_operation(fmt::format("{} has no operation {}.", service, operation)));
  }
  // An event stream has no place in a document.
  if (impl.handler_of(*model) == nullptr || !model->events.empty()) {
    co_return std::unexpected(not_served(service, operation));
  }

  context.service = std::move(service);
  context.operation = std::move(operation);
  if (context.request_id.empty()) context.request_id = impl.system.random.uuid_v4();
  if (context.account.empty()) context.account = impl.options.default_account;
  if (context.region.empty()) context.region = impl.options.default_region;
  context.received = impl.system.clock.wall();

  Input decoded;
  if (model->input == nullptr) {
    decoded.document = json::Value(json::Object());
  } else {
    if (input.is_null()) input = json::Value(json::Object());
    auto normal = normalize(std::move(input), *model->input, MemberNames::kModel);
    if (!normal) co_return std::unexpected(std::move(normal.error()));
    decoded.document = std::move(*normal);
    if (const MemberModel* payload = blob_payload_of(model->input)) {
      json::Object& object = *decoded.document.if_object();
      if (const json::Value* value = object.find(payload->name)) {
        auto bytes = base64_decode(*value->if_string());
        if (!bytes) co_return std::unexpected(serialization_error(fmt::format("{} is not base64.", payload->name)));
        decoded.payload = std::move(*bytes);
        object.erase(payload->name);
      }
    }
  }
  Outcome<Answer> answer = co_await impl.run(service_model, model, &context, std::move(decoded));
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  if (answer->document.is_null()) answer->document = json::Value(json::Object());
  if (const MemberModel* payload = blob_payload_of(model->output); payload != nullptr && !answer->payload.empty()) {
    answer->document.if_object()->append(std::string(payload->name), json::Value(base64_encode(answer->payload)));
  }
  co_return std::move(answer->document);
}

}  // namespace lambdad::aws
