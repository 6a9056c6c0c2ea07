/// AWS JSON 1.0 and 1.1: POST /, X-Amz-Target, the whole input in the body.
#include <array>

#include "aws/protocol.h"

namespace lambdad::aws {

namespace {

std::string_view content_type(Protocol protocol) {
  return protocol == Protocol::kJson11 ? "application/x-amz-json-1.1" : "application/x-amz-json-1.0";
}

void append_member_name(std::string& out, std::string_view name, bool& first) {
  if (!std::exchange(first, false)) out += ',';
  json::append_quoted(out, name);
  out += ':';
}

/// Errors that AWS's framework answers, not the service: observed with this namespace in every JSON service.
bool is_framework_error(std::string_view type) {
  return type == "SerializationException" || type == "UnknownOperationException" || type == "InternalFailure";
}

}  // namespace

Outcome<json::Value> decode_json_body(std::string_view body, const ShapeModel* shape) {
  // Operations without input are called with {} or, by some clients, with nothing.
  if (body.empty()) return json::Value(json::Object());
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(serialization_error("The request body is not a JSON document."));
  if (!parsed->is_object()) {
    return std::unexpected(serialization_error("The request body is not a JSON object."));
  }
  if (shape == nullptr) return json::Value(json::Object());
  return normalize(std::move(*parsed), *shape, MemberNames::kWire);
}

void append_json(std::string& out, const json::Value& value, const ShapeModel& shape) {
  switch (shape.kind) {
    case Kind::kStructure: {
      out += '{';
      bool first = true;
      if (const json::Object* object = value.if_object()) {
        for (const MemberModel& member : shape.members) {
          if (member.location != Location::kBody) continue;
          const json::Value* of = object->find(member.name);
          if (of == nullptr || of->is_null()) continue;
          append_member_name(out, member.wire_name, first);
          append_json(out, *of, *member.shape);
        }
      }
      out += '}';
      return;
    }
    case Kind::kList: {
      out += '[';
      if (const json::Array* array = value.if_array()) {
        bool first = true;
        for (const json::Value& element : *array) {
          if (!std::exchange(first, false)) out += ',';
          append_json(out, element, *shape.element);
        }
      }
      out += ']';
      return;
    }
    case Kind::kMap: {
      out += '{';
      if (const json::Object* object = value.if_object()) {
        bool first = true;
        for (const auto& [key, element] : *object) {
          append_member_name(out, key, first);
          append_json(out, element, *shape.element);
        }
      }
      out += '}';
      return;
    }
    case Kind::kTimestamp:
      if (shape.timestamp_format != TimestampFormat::kUnix) {
        json::append_quoted(out, scalar_to_text(value, shape, shape.timestamp_format));
        return;
      }
      [[fallthrough]];
    default:
      if (const std::string* string = value.if_string()) {
        json::append_quoted(out, *string);
      } else {
        out += json::serialize(value);
      }
  }
}

http::Response encode_json_answer(const Route& route, Answer&& answer) {
  http::Response response;
  response.status = route.operation->success_status;
  response.headers.add("Content-Type", content_type(route.protocol));
  if (route.operation->output != nullptr) append_json(response.body, answer.document, *route.operation->output);
  return response;
}

http::Response encode_json_error(Protocol protocol, const ServiceModel* service, const Error& error) {
  http::Response response;
  response.status = error.http_status;
  response.headers.add("Content-Type", content_type(protocol));
  std::string type = error.type;
  if (is_framework_error(type)) {
    type = fmt::format("com.amazon.coral.service#{}", type);
  } else if (service != nullptr && !service->json_error_namespace.empty()) {
    type = fmt::format("{}#{}", service->json_error_namespace, type);
  }
  bool first = true;
  response.body += '{';
  append_member_name(response.body, "__type", first);
  json::append_quoted(response.body, type);
  for (const auto& [name, value] : error.members) {
    append_member_name(response.body, name, first);
    response.body += json::serialize(value);
  }
  if (!error.message.empty() && !error.message_member.empty()) {
    append_member_name(response.body, error.message_member, first);
    json::append_quoted(response.body, error.message);
  }
  response.body += '}';
  if (service != nullptr && !service->json_error_namespace.empty()) {
    response.headers.add("x-amzn-query-error",
                         fmt::format("{};{}", error.query_code.empty() ? error.type : error.query_code,
                                     error.fault == Fault::kClient ? "Sender" : "Receiver"));
  }
  return response;
}

}  // namespace lambdad::aws
