#!/usr/bin/env python3
"""Generates aws/gen/<service>.{h,cc} from models/<service>.json.

    tools/modelgen/generate.py MODELS_DIRECTORY OUTPUT_DIRECTORY SERVICE

Shapes get C++ types and codecs when an operation listed in models/served.json reaches them. The operation table lists
every published operation, so that one that is not served is refused by name. models/corrections.json adds facts that
the models lack. Python 3.11 standard library only. Anything that cannot be expressed ends the build here with a reason.
"""

import json
import pathlib
import re
import sys

KEYWORDS = set("""alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const
consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do double
dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace new
noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return short
signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid
typename union unsigned using virtual void volatile wchar_t while xor xor_eq""".split())

SCALARS = {
    "string": "std::string", "character": "std::string", "integer": "std::int32_t", "long": "std::int64_t",
    "boolean": "bool", "float": "double", "double": "double", "timestamp": "WallTime", "blob": "std::string",
}
KINDS = {
    "structure": "kStructure", "list": "kList", "map": "kMap", "string": "kString", "character": "kString",
    "integer": "kInteger", "long": "kLong", "boolean": "kBoolean", "float": "kDouble", "double": "kDouble",
    "timestamp": "kTimestamp", "blob": "kBlob",
}
LOCATIONS = {
    "uri": "kUri", "querystring": "kQueryString", "header": "kHeader", "headers": "kHeaders",
    "statusCode": "kStatusCode",
}
TIMESTAMPS = {"unixTimestamp": "kUnix", "iso8601": "kIso8601", "rfc822": "kRfc822"}
PROTOCOLS = {("json", "1.0"): "kJson10", ("json", "1.1"): "kJson11", ("rest-json", ""): "kRestJson",
             ("query", ""): "kQuery"}
LOOK_AROUND = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]|[*+?}]\+")


def fail(text):
    sys.exit(f"modelgen: {text}")


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name.replace("-", "_"))
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return name + "_" if name in KEYWORDS else name


def literal(text):
    """A C++ string literal; UTF-8 and control bytes as octal escapes, which end after three digits."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 0x20 <= byte < 0x7F:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out).replace("??", '?""?') + '"'


def number(value):
    return repr(float(value))


class Service:
    def __init__(self, models, name):
        def load(file):
            return json.loads((models / file).read_text(encoding="utf-8"))

        self.name = name
        self.model = load(f"{name}.json")
        corrections = load("corrections.json")
        self.fixes = corrections.get(name, {})
        self.patterns = corrections["patterns"]
        self.served = load("served.json").get(name, {})
        self.shapes = self.model["shapes"]
        for shape in self.fixes.get("openEnums", []):
            if "enum" not in self.shapes.get(shape, {}):
                fail(f"corrections.json: {name} has no enum {shape}")
            del self.shapes[shape]["enum"]
        for path in self.fixes.get("optionalMembers", []):
            shape, _, member = path.partition(".")
            if member not in self.shapes.get(shape, {}).get("required", []):
                fail(f"corrections.json: {name} has no required member {path}")
            self.shapes[shape]["required"].remove(member)
        self.operations = self.model["operations"]
        for operation in self.served:
            if operation not in self.operations:
                fail(f"served.json: {name} has no operation {operation}")
        self.events = self.take_event_streams()
        self.reachable = self.find_reachable()
        self.structures = self.sort_structures()
        self.check_names()
        self.check_corrections()
        for operation, refused in self.served.items():
            for path in refused:
                self.check_path(operation, path)

    # --- the part of the model that is served

    def references(self, name):
        shape = self.shapes[name]
        for role in ("key", "member", "value"):
            if role in shape:
                yield shape[role]["shape"]
        for member in shape.get("members", {}).values():
            yield member["shape"]

    def take_event_streams(self):
        """operation -> {event: shape}. The stream is no member of its output: handlers give its events beside it."""
        events = {}
        for op in self.served:
            if "output" not in self.operations[op]:
                continue
            output = self.shapes[self.operations[op]["output"]]
            for member, facts in list(output.get("members", {}).items()):
                stream = self.shapes[facts["shape"]]
                if not stream.get("eventstream"):
                    continue
                del output["members"][member]
                if output.get("payload") == member:
                    del output["payload"]
                events[op] = {name: event["shape"] for name, event in stream["members"].items()}
                for shape in map(self.shapes.get, events[op].values()):
                    for name, event_member in shape.get("members", {}).items():
                        if event_member.pop("eventpayload", False):
                            shape["payload"] = name
        return events

    def find_reachable(self):
        wanted = [self.operations[op][side] for op in self.served for side in ("input", "output")
                  if side in self.operations[op]]
        wanted += [shape for events in self.events.values() for shape in events.values()]
        seen = set()
        while wanted:
            name = wanted.pop()
            if name in seen:
                continue
            seen.add(name)
            shape = self.shapes[name]
            if shape["type"] not in KINDS:
                fail(f"{self.name}.{name}: type {shape['type']} is not supported")
            if shape.get("eventstream"):
                fail(f"{self.name}.{name}: event streams in requests are not supported")
            wanted += self.references(name)
        return sorted(seen)

    def sort_structures(self):
        """Structures so that each stands after those it holds by value. Lists and maps may refer to later ones."""
        order, state = [], {}

        def held(name):
            for reference in self.references(name):
                if self.shapes[reference]["type"] == "structure":
                    yield reference

        def through_containers(name):
            for reference in self.references(name):
                kind = self.shapes[reference]["type"]
                if kind in ("list", "map"):
                    yield from through_containers(reference)
                elif kind == "structure":
                    yield reference

        def visit(name, path):
            if state.get(name) == "done":
                return
            state[name] = "open"
            for reference in held(name):
                if state.get(reference) == "open":
                    fail(f"{self.name}: {' -> '.join(path + [name, reference])} hold each other by value")
                visit(reference, path + [name])
            for reference in through_containers(name):
                if reference not in state:
                    visit(reference, path + [name])
            state[name] = "done"
            order.append(name)

        for name in self.reachable:
            if self.shapes[name]["type"] == "structure" and name not in state:
                visit(name, [])
        return order

    def check_names(self):
        for operation in self.served:
            if operation in self.structures:
                fail(f"{self.name}: {operation} is an operation and a structure")
        for name in self.structures:
            members = [snake(member) for member in self.shapes[name].get("members", {})]
            if len(set(members)) != len(members):
                fail(f"{self.name}.{name}: two members have the same C++ name")

    def check_corrections(self):
        """A correction for something the model does not have is a mistake, not a wish."""
        for name in self.fixes.get("enumOrder", {}):
            if "enum" not in self.shapes.get(name, {}):
                fail(f"corrections.json: {self.name} has no enum {name}")
        for path in self.fixes.get("queryNames", {}):
            shape, _, member = path.partition(".")
            if shape not in self.shapes or (member and member not in self.shapes[shape].get("members", {})):
                fail(f"corrections.json: {self.name} has no shape or member {path}")

    def check_path(self, operation, path):
        shape = self.operations[operation].get("input")
        for step in path.split("."):
            while shape and self.shapes[shape]["type"] in ("list", "map"):
                role = "member" if self.shapes[shape]["type"] == "list" else "value"
                shape = self.shapes[shape][role]["shape"]
            members = self.shapes[shape].get("members", {}) if shape else {}
            if step not in members:
                fail(f"served.json: {self.name}.{operation} has no member {path}")
            shape = members[step]["shape"]

    def outputs(self):
        """Shapes that handlers give: of answers and of events."""
        shapes = {self.operations[op]["output"] for op in self.served if "output" in self.operations[op]}
        return shapes.union(*(events.values() for events in self.events.values()))

    # --- C++ types

    def type_of(self, name):
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            return name
        if kind == "list":
            return f"std::vector<{self.type_of(shape['member']['shape'])}>"
        if kind == "map":
            return f"std::map<std::string, {self.type_of(shape['value']['shape'])}>"
        return SCALARS[kind]

    def leaf(self, name):
        """The scalar or structure at the bottom of nested lists and maps."""
        shape = self.shapes[name]
        if shape["type"] == "list":
            return self.leaf(shape["member"]["shape"])
        if shape["type"] == "map":
            return self.leaf(shape["value"]["shape"])
        return shape

    def payload_blob(self, name):
        """The member that is the whole body as bytes, or None."""
        shape = self.shapes[name]
        member = shape.get("payload")
        if member and self.shapes[shape["members"][member]["shape"]]["type"] == "blob":
            return member
        return None

    def errors(self):
        """name -> (status, query code, fault, message member, has Type member)"""
        out = {}
        for name, shape in sorted(self.shapes.items()):
            if not shape.get("exception"):
                continue
            fix = self.fixes.get("errors", {}).get(name, {})
            server = shape.get("fault", False) or shape.get("status", 400) >= 500
            status = fix.get("status", shape.get("status", 500 if server else 400))
            members = shape.get("members", {})
            out[name] = (status, fix.get("code", shape.get("code", "")), server,
                         "Message" if "Message" in members else "message", "Type" in members)
        for name, extra in sorted(self.fixes.get("extraErrors", {}).items()):
            out[name] = (extra["status"], extra.get("code", ""), extra["status"] >= 500,
                         extra.get("messageMember", "message"), False)
        for name in self.fixes.get("errors", {}):
            if name not in out:
                fail(f"corrections.json: {self.name} has no error {name}")
        return out

    @staticmethod
    def error_function(name):
        return snake(name if name == "ServiceException" else name.removesuffix("Exception"))

    # --- the header

    def header(self):
        out = [f"// Generated by tools/modelgen/generate.py from models/{self.name}.json. Do not edit.",
               "#pragma once", ""]
        out += ["#include <cstdint>", "#include <map>", "#include <optional>", "#include <string>", "#include <vector>",
                "", '#include "aws/codec.h"', '#include "aws/error.h"', '#include "aws/model.h"',
                '#include "base/json.h"', '#include "base/time.h"', "", f"namespace lambdad::aws::{self.name} {{", "",
                f"/// The published model of {self.name} {self.model['apiVersion']}.",
                "const ServiceModel& service();", ""]
        for name in self.structures:
            out.append(f"struct {name};")
        out.append("")
        for name in self.structures:
            shape = self.shapes[name]
            required = set(shape.get("required", []))
            out.append(f"struct {name} {{")
            for member, facts in shape.get("members", {}).items():
                kind = self.type_of(facts["shape"])
                if member in required:
                    default = "{}" if kind in ("bool", "double", "std::int32_t", "std::int64_t", "WallTime") else ""
                    out.append(f"  {kind} {snake(member)}{default};")
                else:
                    out.append(f"  std::optional<{kind}> {snake(member)};")
            out.append(f"  bool operator==(const {name}&) const;")
            out.append("};")
            out.append(f"Result<void> decode(json::Value&& document, {name}& out);")
            out.append(f"json::Value encode({name}&& value);")
            out.append(f"json::Value to_document(const {name}& value);")
            out.append("")
        inputs = {self.operations[op]["input"] for op in self.served if "input" in self.operations[op]}
        outputs = self.outputs()
        for name in sorted(inputs):
            out.append(f"Outcome<void> decode_input(json::Value&& document, std::string& payload, {name}& out);")
        for name in sorted(outputs):
            out.append(f"Answer encode_output({name}&& value);")
        out += ["", "/// The shape in `document`, which has the model's member names; unknown members are ignored.",
                "template <class T>", "Result<T> from_document(json::Value document) {", "  T out;",
                "  LD_TRY_VOID(decode(std::move(document), out));", "  return out;", "}", ""]
        for op in sorted(self.served):
            facts = self.operations[op]
            out += [f"struct {op} {{", f"  using Input = {facts.get('input', 'Unit')};",
                    f"  using Output = {facts.get('output', 'Unit')};", "  static const OperationModel& model();",
                    "  static const ServiceModel& service();", "};"]
        out.append("")
        for name, (status, code, *_rest) in self.errors().items():
            note = f"{status}" + (f", query code {code}" if code and code != name else "")
            out.append(f"Error {self.error_function(name)}(std::string message = {{}});  ///< {name}, {note}")
        out += ["", f"}}  // namespace lambdad::aws::{self.name}", ""]
        return "\n".join(out)

    # --- the source

    def pattern(self, name, text):
        if text in self.patterns:
            return self.patterns[text]
        if LOOK_AROUND.search(text):
            fail(f"{self.name}.{name}: pattern {text} is not RE2; add a translation to corrections.json")
        # Java's \uXXXX; the models also write \u10000 and \u10FFFF for what they mean.
        return re.sub(r"\\u(10000|10FFFF|[0-9A-Fa-f]{4})", r"\\x{\1}", text)

    def enum_values(self, name):
        values = self.shapes[name]["enum"]
        order = self.fixes.get("enumOrder", {}).get(name, values)
        if sorted(order) != sorted(values):
            fail(f"corrections.json: enumOrder of {self.name}.{name} does not have the model's values")
        return order

    def shape_table(self, name):
        shape = self.shapes[name]
        kind = shape["type"]
        fields = [f".name = {literal(name)}", f".kind = Kind::{KINDS[kind]}"]
        names = self.fixes.get("queryNames", {})
        if kind == "structure" and shape.get("members"):
            fields.append(f".members = m_{name}")
        if kind == "list":
            fields.append(f".element = &s_{shape['member']['shape']}")
            element = names.get(name, shape["member"].get("locationName"))
            if element:
                fields.append(f".element_wire_name = {literal(element)}")
        if kind == "map":
            fields += [f".element = &s_{shape['value']['shape']}", f".key = &s_{shape['key']['shape']}"]
            key, value = names.get(name, (shape["key"].get("locationName"), shape["value"].get("locationName")))
            if key:
                fields.append(f".key_wire_name = {literal(key)}")
            if value:
                fields.append(f".value_wire_name = {literal(value)}")
        if shape.get("flattened"):
            fields.append(".flattened = true")
        if "payload" in shape:
            fields.append(f".payload_member = {literal(shape['payload'])}")
        bounds = "value" if kind in ("integer", "long", "float", "double") else "length"
        for end in ("min", "max"):
            if end in shape:
                value = number(shape[end]) if bounds == "value" else str(shape[end])
                fields.append(f".{bounds}_{end} = {value}")
        if "pattern" in shape:
            fields.append(f".pattern = {literal(self.pattern(name, shape['pattern']))}")
            fields.append(f".pattern_text = {literal(shape['pattern'])}")
        if "enum" in shape:
            fields.append(f".enum_values = e_{name}")
        if "timestampFormat" in shape:
            fields.append(f".timestamp_format = TimestampFormat::{TIMESTAMPS[shape['timestampFormat']]}")
        elif kind == "timestamp" and self.model["protocol"] == "query":
            fields.append(".timestamp_format = TimestampFormat::kIso8601")
        return f"constinit const ShapeModel s_{name} = {{{', '.join(fields)}}};"

    def member_table(self, name):
        shape = self.shapes[name]
        required = set(shape.get("required", []))
        names = self.fixes.get("queryNames", {})
        lines = []
        for member, facts in shape.get("members", {}).items():
            for unsupported in ("jsonvalue", "hostLabel", "xmlAttribute", "eventpayload"):
                if unsupported in facts:
                    fail(f"{self.name}.{name}.{member}: {unsupported} is not supported")
            wire = facts.get("locationName", member)
            fields = [f".name = {literal(member)}", f".shape = &s_{facts['shape']}", f".wire_name = {literal(wire)}",
                      f".query_name = {literal(names.get(f'{name}.{member}', facts.get('queryName', wire)))}"]
            if "location" in facts:
                fields.append(f".location = Location::{LOCATIONS[facts['location']]}")
            if member in required:
                fields.append(".required = true")
            if facts.get("flattened") or self.shapes[facts["shape"]].get("flattened"):
                fields.append(".flattened = true")
            if facts.get("idempotencyToken"):
                fields.append(".idempotency_token = true")
            lines.append("    {" + ", ".join(fields) + "},")
        return f"constexpr MemberModel m_{name}[] = {{\n" + "\n".join(lines) + "\n};"

    def operation_table(self, op):
        facts = self.operations[op]
        served = op in self.served
        fields = [f".name = {literal(op)}", f".http_method = {literal(facts['method'])}",
                  f".uri = {literal(facts['uri'])}"]
        if facts.get("status", 200) != 200:
            fields.append(f".success_status = {facts['status']}")
        if served:
            if "input" in facts:
                fields.append(f".input = &s_{facts['input']}")
            if "output" in facts:
                fields.append(f".output = &s_{facts['output']}")
                if op in self.events:
                    fields.append(f".events = v_{op}")
                wrapper = facts.get("resultWrapper", f"{op}Result")
                fields.append(f".result_wrapper = {literal(wrapper)}")
            if self.served[op]:
                fields.append(f".refused_members = r_{op}")
            fields.append(".served = true")
        return f"constinit const OperationModel o_{op} = {{{', '.join(fields)}}};"

    def protocols(self):
        own = PROTOCOLS.get((self.model["protocol"], self.model["jsonVersion"]))
        if not own:
            fail(f"{self.name}: protocol {self.model['protocol']} is not supported")
        return [own] + [PROTOCOLS[(extra, "")] for extra in self.fixes.get("protocols", [])]

    def codec(self, name):
        shape = self.shapes[name]
        required = set(shape.get("required", []))
        members = shape.get("members", {})
        out = [f"bool {name}::operator==(const {name}&) const = default;"]
        out.append(f"Result<void> decode(json::Value&& document, {name}& out) {{")
        out.append(f"  codec::Reader in(document, {literal(name)});")
        if not members:
            out.append("  static_cast<void>(out);")
        for member, facts in members.items():
            if member in required and member == self.payload_blob(name):
                continue  # the body; decode_input() has it
            tag = "<codec::Text::kBase64>" if self.leaf(facts["shape"])["type"] == "blob" else ""
            call = "required" if member in required else "optional"
            out.append(f"  in.{call}{tag}({literal(member)}, out.{snake(member)});")
        out += ["  return in.finish();", "}"]
        out.append(f"json::Value encode({name}&& value) {{")
        out.append("  codec::Writer out;")
        if not members:
            out.append("  static_cast<void>(value);")
        for member, facts in members.items():
            tag = "<codec::Text::kBase64>" if self.leaf(facts["shape"])["type"] == "blob" else ""
            out.append(f"  out.member{tag}({literal(member)}, std::move(value.{snake(member)}));")
        out += ["  return out.finish();", "}"]
        out.append(f"json::Value to_document(const {name}& value) {{ return encode({name}(value)); }}")
        return "\n".join(out)

    def source(self):
        out = [f"// Generated by tools/modelgen/generate.py from models/{self.name}.json. Do not edit.",
               f'#include "aws/gen/{self.name}.h"', "", f"namespace lambdad::aws::{self.name} {{", "namespace {", ""]
        for name in self.reachable:
            out.append(f"extern const ShapeModel s_{name};")
        for name in self.reachable:
            if "enum" in self.shapes[name]:
                values = ", ".join(literal(value) for value in self.enum_values(name))
                out.append(f"constexpr std::string_view e_{name}[] = {{{values}}};")
        for name in self.structures:
            if self.shapes[name].get("members"):
                out.append(self.member_table(name))
        for name in self.reachable:
            out.append(self.shape_table(name))
        for op, refused in sorted(self.served.items()):
            if refused:
                paths = ", ".join(literal(path) for path in refused)
                out.append(f"constexpr std::string_view r_{op}[] = {{{paths}}};")
        for op, events in sorted(self.events.items()):
            table = ", ".join(f"{{{literal(event)}, &s_{shape}, {'true' if self.shapes[shape].get('exception') else 'false'}}}"
                              for event, shape in events.items())
            out.append(f"constexpr EventModel v_{op}[] = {{{table}}};")
        for op in sorted(self.operations):
            out.append(self.operation_table(op))
        out.append("constexpr const OperationModel* operations[] = {"
                   + ", ".join(f"&o_{op}" for op in sorted(self.operations)) + "};")
        out.append("constexpr Protocol protocols[] = {" + ", ".join(f"Protocol::{p}" for p in self.protocols()) + "};")
        fields = [f".name = {literal(self.name)}", f".signing_name = {literal(self.model['signingName'])}",
                  f".target_prefix = {literal(self.model['targetPrefix'])}",
                  f".api_version = {literal(self.model['apiVersion'])}",
                  f".xml_namespace = {literal(self.fixes.get('xmlNamespace', self.model['xmlNamespace']))}",
                  f".json_error_namespace = {literal(self.fixes.get('jsonErrorNamespace', ''))}",
                  f".query_url_member = {literal(self.fixes.get('queryUrlMember', ''))}"]
        if self.fixes.get("constraints") == "missing-parameter":
            fields.append(".constraint_style = ConstraintStyle::kMissingParameter")
        fields += [".protocols = protocols", ".operations = operations"]
        out.append("constinit const ServiceModel the_service = {\n    " + ",\n    ".join(fields) + "};")
        out += ["", "Error make_error(const char* type, int status, Fault fault, const char* message_member,",
                "                 const char* query_code, bool has_type_member, std::string message) {",
                "  Error error;", "  error.type = type;", "  error.http_status = status;", "  error.fault = fault;",
                "  error.message = std::move(message);", "  error.message_member = message_member;",
                "  error.query_code = query_code;", "  error.has_type_member = has_type_member;", "  return error;",
                "}", "", "}  // namespace", "", "const ServiceModel& service() { return the_service; }"]
        for op in sorted(self.served):
            out.append(f"const OperationModel& {op}::model() {{ return o_{op}; }}")
            out.append(f"const ServiceModel& {op}::service() {{ return the_service; }}")
        for name in self.structures:
            out.append(self.codec(name))
        inputs = {self.operations[op]["input"] for op in self.served if "input" in self.operations[op]}
        outputs = self.outputs()
        for name in sorted(inputs):
            blob = self.payload_blob(name)
            out.append(f"Outcome<void> decode_input(json::Value&& document, std::string& payload, {name}& out) {{")
            if blob:
                out.append(f"  if (!payload.empty()) out.{snake(blob)} = std::move(payload);")
            else:
                out.append("  static_cast<void>(payload);")
            out += ["  return codec::as_outcome(decode(std::move(document), out));", "}"]
        for name in sorted(outputs):
            blob = self.payload_blob(name)
            out.append(f"Answer encode_output({name}&& value) {{")
            if blob:
                member = snake(blob)
                taken = f"std::move(value.{member})" if blob in self.shapes[name].get("required", []) else (
                    f"value.{member} ? std::move(*value.{member}) : std::string()")
                out += [f"  std::string payload = {taken};", f"  value.{member} = {{}};",
                        "  return {encode(std::move(value)), std::move(payload)};"]
            else:
                out.append("  return {encode(std::move(value)), {}};")
            out.append("}")
        for name, (status, code, server, message_member, has_type) in self.errors().items():
            fault = "Fault::kServer" if server else "Fault::kClient"
            out += [f"Error {self.error_function(name)}(std::string message) {{",
                    f"  return make_error({literal(name)}, {status}, {fault}, {literal(message_member)}, "
                    f"{literal(code)}, {'true' if has_type else 'false'}, std::move(message));", "}"]
        out += ["", f"}}  // namespace lambdad::aws::{self.name}", ""]
        return "\n".join(out)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    models, output, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    service = Service(models, name)
    output.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("h", service.header()), ("cc", service.source())):
        (output / f"{name}.{suffix}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
