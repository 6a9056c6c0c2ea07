"""Runs the text scripts of tests/conformance (their README has the language)."""

import base64
import contextlib
import datetime
import hashlib
import json
import re
import urllib.error
import urllib.request

import support

FORMS = {
    "<any>": lambda value: True,
    "<uuid>": lambda value: re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value),
    "<sha256>": lambda value: re.fullmatch(r"[A-Za-z0-9+/]{43}=", value),
    "<time>": lambda value: isinstance(value, datetime.datetime) or re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value),
}


class ScriptError(AssertionError):
    pass


def split_statements(text):
    """(line number, statement): a line that begins at the margin, and the indented lines below it. A document that is not
    closed goes on, whatever the margin."""
    statements = []
    for number, line in enumerate(text.split("\n"), 1):
        if statements and not complete(statements[-1][1]):
            statements[-1][1] += "\n" + line
        elif not line.strip() or line.lstrip().startswith("#"):
            continue
        elif line[0].isspace():
            if not statements:
                raise ScriptError("line %d: indented, and nothing above it" % number)
            statements[-1][2].append([number, line.strip()])
        else:
            statements.append([number, line, []])
        if statements and statements[-1][2] and not complete(statements[-1][2][-1][1]):
            raise ScriptError("line %d: an expectation is one line" % number)
    return statements


def complete(statement):
    """Whether the JSON document in it is closed."""
    depth, in_string, escaped = 0, False, False
    for c in statement:
        if in_string:
            in_string, escaped = escaped or c != '"', c == "\\" and not escaped
        elif c == '"':
            in_string = True
        elif c in "{[":
            depth += 1
        elif c in "}]":
            depth -= 1
    return depth <= 0


def find(document, path):
    """(found, value)"""
    for key in [] if path == "$" else re.findall(r"[^.\[\]]+", path):
        if isinstance(document, list) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        elif isinstance(document, dict) and key in document:
            document = document[key]
        else:
            return False, None
    return True, document


def matches(expected, value):
    if isinstance(expected, str) and expected in FORMS:
        return expected == "<any>" or isinstance(value, (str, datetime.datetime)) and bool(FORMS[expected](value))
    if isinstance(expected, str) and expected.startswith("<re:"):
        return isinstance(value, str) and re.fullmatch(expected[4:-1], value, re.S) is not None
    if isinstance(expected, dict):
        return isinstance(value, dict) and expected.keys() == value.keys() and all(
            matches(expected[key], value[key]) for key in expected)
    if isinstance(expected, list):
        return isinstance(value, list) and len(expected) == len(value) and all(map(matches, expected, value))
    return type(expected) is type(value) and expected == value or (
        isinstance(expected, (int, float)) and not isinstance(expected, bool) and expected == value)


class Runner:
    def __init__(self, daemon, path):
        self.daemon = daemon
        self.path = path
        self.saved = {}
        self.zips = {}
        self.clients = {}

    def run(self):
        for number, statement, below in split_statements(self.path.read_text(encoding="utf-8")):
            try:
                self.step(statement, below)
            except AssertionError as e:
                raise ScriptError("%s:%d: %s\n%s" % (self.path, number, statement.split("\n")[0], e)) from None

    def step(self, statement, below):
        words = statement.split(None, 1)
        argument = words[1] if len(words) > 1 else ""
        if words[0] == "eventually":
            support.eventually("what is expected", lambda: self.tried(argument.split(None, 1)[1], below))
        elif words[0] == "call":
            self.call(argument, below)
        elif words[0] == "raw":
            self.raw(argument, below)
        elif below:
            raise ScriptError("only a call has expectations")
        elif words[0] == "zip":
            name, files = argument.split(None, 1)
            self.zips[name] = support.zipped({file.rstrip("!"): (text, 0o755 if file.endswith("!") else 0o644)
                                              for file, text in json.loads(files).items()})
        elif words[0] == "settle":
            self.client("lambda").get_waiter("function_active_v2").wait(
                FunctionName=argument, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000})
            self.client("lambda").get_waiter("function_updated_v2").wait(
                FunctionName=argument, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000})
        elif words[0] == "restart":
            self.daemon.restart()
            self.clients.clear()
        elif words[0] == "advance":
            self.daemon.advance(argument)
        else:
            raise ScriptError("unknown: " + words[0])

    def tried(self, call, below):
        try:
            self.call(call, below)
        except ScriptError:
            return False
        return True

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = self.daemon.client(service, parameter_validation=False)
        return self.clients[service]

    def value(self, text):
        """The JSON document with what was saved and made filled in."""
        def fill(node):
            if isinstance(node, dict):
                return {fill(key): fill(each) for key, each in node.items()}
            if isinstance(node, list):
                return [fill(each) for each in node]
            if not isinstance(node, str):
                return node
            made = re.fullmatch(r"\$zip\((\w+)\)", node)
            if made:
                return self.zips[made.group(1)]
            return re.sub(r"\$(\w+)", lambda m: self.saved.get(m.group(1), m.group(0)), node)
        return fill(json.loads(text))

    def call(self, text, below):
        from botocore.exceptions import ClientError

        service, operation, *rest = text.split(None, 2)
        parameters = self.value(rest[0]) if rest else {}
        error = None
        try:
            answer = self.client(service)._make_api_call(operation, parameters)
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            answer = plain(answer)
        except ClientError as e:
            error = e.response
            answer = {}
        if error is None and (service, operation) not in STATUS_OF_THE_ANSWER:
            expected = self.client(service).meta.service_model.operation_model(operation).http.get("responseCode", 200)
            if status != expected:
                raise ScriptError("status %s, and the model has %s" % (status, expected))
        expects_error = [line for _, line in below if line.startswith("expect error ")]
        if error is not None and not expects_error:
            raise ScriptError("refused: %s %s" % (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]))
        for number, line in below:
            self.expectation(number, line, answer, error)

    def raw(self, text, below):
        """A request as it is on the wire: what it answers is {"status", "headers", "body"}. A whole URL is fetched as it is."""
        method, target, *document = text.split(None, 2)
        target = re.sub(r"\$(\w+)", lambda m: self.saved.get(m.group(1), m.group(0)), target)
        if target.startswith("http"):
            try:
                with urllib.request.urlopen(urllib.request.Request(target, method=method), timeout=60) as answer:
                    status, headers, content = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as e:
                status, headers, content = e.code, e.headers, e.read()
        else:
            body = document[0].encode() if document else b""
            if body.startswith(b"{"):
                body = json.dumps(self.value(document[0]), default=lambda b: base64.b64encode(b).decode()).encode()
            status, headers, content = self.daemon.request(method, target, body)
        try:
            content = json.loads(content) if content else None
        except ValueError:
            content = {"sha256": base64.b64encode(hashlib.sha256(content).digest()).decode()}
        answer = {"status": status, "headers": {name.lower(): value for name, value in headers.items()}, "body": content}
        if not below:
            raise ScriptError("a raw request has expectations")
        for number, line in below:
            self.expectation(number, line, answer, None)

    def expectation(self, number, line, answer, error):
        def wrong(what):
            return ScriptError("line %d: %s\n%s" % (number, line, what))

        kind, rest = line.split(None, 1)
        if kind == "save":
            name, path = (part.strip() for part in rest.split("=", 1))
            there, value = find(answer, path)
            if not there:
                raise wrong("not there, in %s" % answer)
            self.saved[name] = str(value)
        elif kind == "expect" and rest.startswith("error "):
            if error is None:
                raise wrong("it succeeded: %s" % answer)
            status, type_, *message = rest.removeprefix("error ").split(None, 2)
            seen = (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"])
            if seen[:2] != (int(status), type_) or message and not matches(self.value(message[0]), seen[2]):
                raise wrong("it is %s %s %s" % (seen[0], seen[1], json.dumps(seen[2])))
        elif kind != "expect":
            raise wrong("unknown")
        elif rest.startswith("absent "):
            there, value = find(answer, rest.removeprefix("absent ").strip())
            if there:
                raise wrong("it is %s" % json.dumps(value, default=str))
        elif rest.startswith("exactly "):
            if not matches(self.value(rest.removeprefix("exactly ")), answer):
                raise wrong("it is %s" % json.dumps(answer, default=str))
        else:
            path, expected = (part.strip() for part in rest.split("==", 1))
            there, value = find(answer, path)
            if not there or not matches(self.value(expected), value):
                raise wrong("it is %s" % (json.dumps(value, default=str) if there else "not there, in %s" % answer))


# Where the model has one status and the answer says which it is.
STATUS_OF_THE_ANSWER = {("lambda", operation) for operation in ("DeleteFunction", "Invoke", "InvokeWithResponseStream", "InvokeAsync")}


def plain(node):
    """An answer without boto3's own additions; streams read, bytes as text."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items() if key != "ResponseMetadata"}
    if isinstance(node, list):
        return [plain(each) for each in node]
    if hasattr(node, "read"):
        node = node.read()
    elif hasattr(node, "get_initial_response"):  # an event stream
        with contextlib.closing(node):
            return [plain(event) for event in node]
    return node.decode() if isinstance(node, bytes) else node
