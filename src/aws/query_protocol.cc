/// The query protocol: form parameters with dotted names in, XML out.
#include <algorithm>
#include <charconv>
#include <map>

#include "aws/protocol.h"
#include "base/encoding.h"

namespace lambdad::aws {

namespace {

/// The parameters of one request, by name. Structure is in the names: "Entry.1.Id", "Attribute.2.Name".
class Form {
 public:
  explicit Form(const Parameters& parameters) {
    for (const auto& [name, value] : parameters) values_.try_emplace(name, value);
  }

  const std::string_view* find(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? nullptr : &at->second;
  }

  /// Whether `name` or anything below it was sent.
  bool present(const std::string& name) const {
    if (values_.contains(name)) return true;
    const std::string prefix = name + ".";
    const auto at = values_.lower_bound(prefix);
    return at != values_.end() && at->first.starts_with(prefix);
  }

  /// The numbers that follow `prefix` ("Entry."), ascending and each once. Gaps are allowed, as AWS does.
  std::vector<std::string> indices(const std::string& prefix) const {
    std::map<unsigned long long, std::string> found;
    for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix); ++at) {
      std::string_view rest = at->first;
      rest.remove_prefix(prefix.size());
      rest = rest.substr(0, rest.find('.'));
      unsigned long long index = 0;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
      if (error == std::errc() && end == rest.data() + rest.size()) found.try_emplace(index, rest);
    }
    std::vector<std::string> out;
    for (auto& [index, text] : found) out.push_back(std::move(text));
    return out;
  }

 private:
  std::map<std::string_view, std::string_view, std::less<>> values_;
};

std::string join(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : fmt::format("{}.{}", prefix, name);
}

Outcome<json::Value> read_value(const Form& form, const ShapeModel& shape, const std::string& name);

Outcome<json::Value> read_structure(const Form& form, const ShapeModel& shape, std::string_view prefix);

Outcome<json::Value> read_list(const Form& form, const ShapeModel& shape, const std::string& name) {
  json::Array out;
  for (const std::string& index : form.indices(name + ".")) {
    auto element = read_value(form, *shape.element, fmt::format("{}.{}", name, index));
    if (!element) return element;
    out.push_back(std::move(*element));
  }
  if (!out.empty()) return json::Value(std::move(out));
  // "AttributeName=All": one element without its number; "AttributeName=" is how SDKs send an empty list.
  const std::string_view* bare = form.find(name);
  if (bare != nullptr && !bare->empty()) {
    auto element = read_value(form, *shape.element, name);
    if (!element) return element;
    out.push_back(std::move(*element));
  }
  return json::Value(std::move(out));
}

Outcome<json::Value> read_map(const Form& form, const ShapeModel& shape, const std::string& name) {
  json::Object out;
  const std::string_view key_name = shape.key_wire_name.empty() ? "key" : shape.key_wire_name;
  const std::string_view value_name = shape.value_wire_name.empty() ? "value" : shape.value_wire_name;
  const auto read_entry = [&](const std::string& entry) -> Outcome<void> {
    const std::string_view* key = form.find(join(entry, key_name));
    const std::string value = join(entry, value_name);
    if (key == nullptr || !form.present(value)) {
      return std::unexpected(
          serialization_error(fmt::format("{} must have a {} and a {}.", escape_control(entry), key_name, value_name)));
    }
    if (!is_valid_utf8(*key)) return std::unexpected(serialization_error("A map key is not UTF-8."));
    auto element = read_value(form, *shape.element, value);
    if (!element) return std::unexpected(std::move(element.error()));
    out.set(*key, std::move(*element));
    return {};
  };
  const std::vector<std::string> indices = form.indices(name + ".");
  for (const std::string& index : indices) {
    if (auto read = read_entry(fmt::format("{}.{}", name, index)); !read) {
      return std::unexpected(std::move(read.error()));
    }
  }
  // "Attribute.Name=...&Attribute.Value=...": one entry without its number.
  if (indices.empty() && form.present(join(name, key_name))) {
    if (auto read = read_entry(name); !read) return std::unexpected(std::move(read.error()));
  }
  return json::Value(std::move(out));
}

/// The name under which the elements of a member's list or map stand.
std::string container_name(const MemberModel& member, std::string_view prefix) {
  const ShapeModel& shape = *member.shape;
  if (shape.kind == Kind::kList) {
    if (member.flattened)
      return join(prefix, shape.element_wire_name.empty() ? member.query_name : shape.element_wire_name);
    return join(prefix, fmt::format("{}.{}", member.query_name,
                                    shape.element_wire_name.empty() ? "member" : shape.element_wire_name));
  }
  return join(prefix, member.flattened ? std::string(member.query_name) : fmt::format("{}.entry", member.query_name));
}

Outcome<json::Value> read_structure(const Form& form, const ShapeModel& shape, std::string_view prefix) {
  json::Object out;
  for (const MemberModel& member : shape.members) {
    const std::string plain = join(prefix, member.query_name);
    const Kind kind = member.shape->kind;
    if (kind == Kind::kList || kind == Kind::kMap) {
      const std::string name = container_name(member, prefix);
      // An empty list cannot be sent otherwise than by its bare name or not at all: a required one is there, empty.
      if (!form.present(name) && !form.find(plain) && !(kind == Kind::kList && member.flattened && member.required)) {
        continue;
      }
      auto value = kind == Kind::kList ? read_list(form, *member.shape, name) : read_map(form, *member.shape, name);
      if (!value) return value;
      out.append(std::string(member.name), std::move(*value));
    } else if (form.present(plain)) {
      auto value = read_value(form, *member.shape, plain);
      if (!value) return value;
      out.append(std::string(member.name), std::move(*value));
    }
  }
  return json::Value(std::move(out));
}

Outcome<json::Value> read_value(const Form& form, const ShapeModel& shape, const std::string& name) {
  switch (shape.kind) {
    case Kind::kStructure: return read_structure(form, shape, name);
    case Kind::kList: return read_list(form, shape, name + ".member");
    case Kind::kMap: return read_map(form, shape, name + ".entry");
    default: break;
  }
  const std::string_view* text = form.find(name);
  if (text == nullptr)
    return std::unexpected(serialization_error(fmt::format("{} has no value.", escape_control(name))));
  return scalar_from_text(*text, shape, TimestampFormat::kIso8601, escape_control(name));
}

void write_element(std::string& out, std::string_view name, const json::Value& value, const ShapeModel& shape);

void write_members(std::string& out, const json::Value& value, const ShapeModel& shape) {
  for (const MemberModel& member : shape.members) {
    const json::Value* of = value.find(member.name);
    if (of == nullptr || of->is_null()) continue;
    const ShapeModel& inner = *member.shape;
    if (inner.kind == Kind::kList && member.flattened) {
      const std::string_view name = inner.element_wire_name.empty() ? member.query_name : inner.element_wire_name;
      if (const json::Array* array = of->if_array()) {
        for (const json::Value& element : *array) write_element(out, name, element, *inner.element);
      }
    } else if (inner.kind == Kind::kMap && member.flattened) {
      if (const json::Object* object = of->if_object()) {
        for (const auto& [key, element] : *object) {
          out += fmt::format("<{}>", member.query_name);
          write_element(out, inner.key_wire_name.empty() ? "key" : inner.key_wire_name, json::Value(key), *inner.key);
          write_element(out, inner.value_wire_name.empty() ? "value" : inner.value_wire_name, element, *inner.element);
          out += fmt::format("</{}>", member.query_name);
        }
      }
    } else {
      write_element(out, member.query_name, *of, inner);
    }
  }
}

void write_element(std::string& out, std::string_view name, const json::Value& value, const ShapeModel& shape) {
  out.append("<").append(name).append(">");
  if (shape.kind == Kind::kStructure) {
    write_members(out, value, shape);
  } else if (shape.kind == Kind::kList) {
    if (const json::Array* array = value.if_array()) {
      const std::string_view element_name = shape.element_wire_name.empty() ? "member" : shape.element_wire_name;
      for (const json::Value& element : *array) write_element(out, element_name, element, *shape.element);
    }
  } else if (shape.kind == Kind::kMap) {
    if (const json::Object* object = value.if_object()) {
      for (const auto& [key, element] : *object) {
        out += "<entry>";
        write_element(out, shape.key_wire_name.empty() ? "key" : shape.key_wire_name, json::Value(key), *shape.key);
        write_element(out, shape.value_wire_name.empty() ? "value" : shape.value_wire_name, element, *shape.element);
        out += "</entry>";
      }
    }
  } else {
    out += xml_escape(scalar_to_text(value, shape, TimestampFormat::kIso8601));
  }
  out.append("</").append(name).append(">");
}

http::Response xml_response(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/xml");
  response.body = std::move(body);
  return response;
}

}  // namespace

Outcome<json::Value> decode_query(const Route& route, const http::Request& request, std::string_view base_url) {
  const ShapeModel* shape = route.operation->input;
  if (shape == nullptr) return json::Value(json::Object());
  auto document = read_structure(Form(route.parameters), *shape, {});
  if (!document) return document;
  // A request may be sent to the URL of the thing it is about: POST /000000000000/queue?Action=SendMessage
  const std::string_view url_member = route.service->query_url_member;
  if (!url_member.empty() && request.path().size() > 1 && document->find(url_member) == nullptr &&
      std::ranges::find(shape->members, url_member, &MemberModel::name) != shape->members.end()) {
    if (!is_valid_utf8(request.path())) return std::unexpected(serialization_error("The path is not UTF-8."));
    document->if_object()->append(std::string(url_member), json::Value(fmt::format("{}{}", base_url, request.path())));
  }
  return document;
}

http::Response encode_query_answer(const Route& route, Answer&& answer, std::string_view request_id) {
  const OperationModel& operation = *route.operation;
  std::string body =
      fmt::format("<?xml version=\"1.0\"?><{}Response xmlns=\"{}\">", operation.name, route.service->xml_namespace);
  if (operation.output != nullptr) write_element(body, operation.result_wrapper, answer.document, *operation.output);
  body += fmt::format("<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{}Response>",
                      xml_escape(request_id), operation.name);
  return xml_response(operation.success_status, std::move(body));
}

http::Response encode_query_error(const ServiceModel* service, const Error& error, std::string_view request_id) {
  std::string body = "<?xml version=\"1.0\"?><ErrorResponse";
  if (service != nullptr && !service->xml_namespace.empty())
    body += fmt::format(" xmlns=\"{}\"", service->xml_namespace);
  body += fmt::format(
      "><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message><Detail/></Error><RequestId>{}</RequestId>"
      "</ErrorResponse>",
      error.fault == Fault::kClient ? "Sender" : "Receiver",
      xml_escape(error.query_code.empty() ? error.type : error.query_code), xml_escape(error.message),
      xml_escape(request_id));
  return xml_response(error.http_status, std::move(body));
}

}  // namespace lambdad::aws
