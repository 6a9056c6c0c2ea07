/// rest-json: members travel in the path, the query string, headers and the body, as the model binds them.
#include "aws/protocol.h"
#include "base/encoding.h"

namespace lambdad::aws {

namespace {

const std::string* value_of(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key == name) return &value;
  }
  return nullptr;
}

TimestampFormat timestamps_in(const MemberModel& member, TimestampFormat usual) {
  return member.shape->timestamp_format == TimestampFormat::kUnix ? usual : member.shape->timestamp_format;
}

Outcome<void> add_query_member(const MemberModel& member, const Parameters& parameters, json::Object& document) {
  const bool list = member.shape->kind == Kind::kList;
  json::Array elements;
  for (const auto& [key, text] : parameters) {
    if (key != member.wire_name) continue;
    const ShapeModel& shape = list ? *member.shape->element : *member.shape;
    auto value = scalar_from_text(text, shape, timestamps_in(member, TimestampFormat::kIso8601), member.wire_name);
    if (!value) return std::unexpected(std::move(value.error()));
    if (!list) {
      document.set(member.name, std::move(*value));
      return {};
    }
    elements.push_back(std::move(*value));
  }
  if (!elements.empty()) document.append(std::string(member.name), json::Value(std::move(elements)));
  return {};
}

Outcome<void> add_header_member(const MemberModel& member, const http::Headers& headers, json::Object& document) {
  if (member.location == Location::kHeaders) {
    json::Object map;
    for (const http::Header& header : headers) {
      if (header.name.size() < member.wire_name.size() ||
          !equals_ignoring_case(std::string_view(header.name).substr(0, member.wire_name.size()), member.wire_name)) {
        continue;
      }
      if (!is_valid_utf8(header.value)) {
        return std::unexpected(serialization_error(fmt::format("The header {} is not UTF-8.", member.wire_name)));
      }
      map.set(to_lower(std::string_view(header.name).substr(member.wire_name.size())), json::Value(header.value));
    }
    if (!map.empty()) document.append(std::string(member.name), json::Value(std::move(map)));
    return {};
  }
  const auto text = headers.get(member.wire_name);
  if (!text) return {};
  auto value =
      scalar_from_text(*text, *member.shape, timestamps_in(member, TimestampFormat::kRfc822), member.wire_name);
  if (!value) return std::unexpected(std::move(value.error()));
  document.append(std::string(member.name), std::move(*value));
  return {};
}

bool has_body_members(const ShapeModel& shape) {
  for (const MemberModel& member : shape.members) {
    if (member.location == Location::kBody) return true;
  }
  return false;
}

const MemberModel* payload_member(const ShapeModel& shape) {
  if (shape.payload_member.empty()) return nullptr;
  for (const MemberModel& member : shape.members) {
    if (member.name == shape.payload_member) return &member;
  }
  return nullptr;
}

}  // namespace

Outcome<Input> decode_rest_json(const Route& route, http::Request& request) {
  Input input;
  json::Object document;
  const ShapeModel* shape = route.operation->input;
  if (shape == nullptr) return Input{json::Value(std::move(document)), {}};

  const MemberModel* payload = payload_member(*shape);
  if (payload != nullptr && payload->shape->kind == Kind::kBlob) {
    input.payload = std::move(request.body);
  } else if (payload != nullptr && !request.body.empty()) {
    auto body = decode_json_body(request.body, payload->shape);
    if (!body) return std::unexpected(std::move(body.error()));
    document.append(std::string(payload->name), std::move(*body));
  } else if (payload == nullptr && has_body_members(*shape)) {
    auto body = decode_json_body(request.body, shape);
    if (!body) return std::unexpected(std::move(body.error()));
    document = std::move(*body->if_object());
  }

  for (const MemberModel& member : shape->members) {
    Outcome<void> added;
    switch (member.location) {
      case Location::kUri:
        if (const std::string* label = value_of(route.labels, member.wire_name)) {
          auto value = scalar_from_text(*label, *member.shape, TimestampFormat::kIso8601, member.wire_name);
          if (!value) return std::unexpected(std::move(value.error()));
          document.append(std::string(member.name), std::move(*value));
        }
        break;
      case Location::kQueryString: added = add_query_member(member, route.parameters, document); break;
      case Location::kHeader:
      case Location::kHeaders: added = add_header_member(member, request.headers, document); break;
      case Location::kBody:
      case Location::kStatusCode: break;
    }
    if (!added) return std::unexpected(std::move(added.error()));
  }
  input.document = json::Value(std::move(document));
  return input;
}

http::Response encode_rest_json_answer(const Route& route, Answer&& answer) {
  http::Response response;
  response.status = route.operation->success_status;
  const ShapeModel* shape = route.operation->output;
  if (shape == nullptr) return response;
  for (const MemberModel& member : shape->members) {
    const json::Value* value = answer.document.find(member.name);
    if (value == nullptr || value->is_null()) continue;
    if (member.location == Location::kStatusCode) {
      // Only what HTTP allows; 1xx would not be an answer.
      if (const auto status = value->as_int64(); status && *status >= 200 && *status <= 599) {
        response.status = static_cast<int>(*status);
      }
    } else if (member.location == Location::kHeader) {
      response.headers.add(member.wire_name,
                           scalar_to_text(*value, *member.shape, timestamps_in(member, TimestampFormat::kRfc822)));
    } else if (member.location == Location::kHeaders) {
      if (const json::Object* map = value->if_object()) {
        for (const auto& [name, text] : *map) {
          response.headers.add(fmt::format("{}{}", member.wire_name, name),
                               scalar_to_text(text, *member.shape->element, TimestampFormat::kRfc822));
        }
      }
    }
  }
  if (response.status == 204) return response;
  response.headers.add("Content-Type", "application/json");
  const MemberModel* payload = payload_member(*shape);
  if (payload == nullptr) {
    append_json(response.body, answer.document, *shape);
  } else if (payload->shape->kind == Kind::kBlob) {
    response.body = std::move(answer.payload);
  } else if (const json::Value* value = answer.document.find(payload->name)) {
    append_json(response.body, *value, *payload->shape);
  }
  return response;
}

http::Response encode_rest_json_error(const Error& error) {
  http::Response response;
  response.status = error.http_status;
  response.headers.add("Content-Type", "application/json");
  response.headers.add("x-amzn-ErrorType", error.type);
  // As recorded from Lambda: further members, Type, message.
  json::Object body = error.members;
  if (error.has_type_member) body.set("Type", error.fault == Fault::kClient ? "User" : "Service");
  if (!error.message.empty() && !error.message_member.empty()) body.set(error.message_member, error.message);
  response.body = json::serialize(json::Value(std::move(body)));
  return response;
}

}  // namespace lambdad::aws
