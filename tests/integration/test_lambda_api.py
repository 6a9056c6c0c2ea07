"""Lambda's API as a whole: every served operation has its scripts, and every constraint of the model is checked at its bounds."""

import base64
import json
import re
import unittest
import warnings

import conformance
import support

MODEL = json.loads((support.ROOT / "models/lambda.json").read_text())
SERVED = json.loads((support.ROOT / "models/served.json").read_text())["lambda"]
CORRECTIONS = json.loads((support.ROOT / "models/corrections.json").read_text())["lambda"]
SHAPES = MODEL["shapes"]
SCRIPTS = sorted((support.ROOT / "tests/conformance/lambda").glob("*.aws"))


def has_output(operation):
    shape = MODEL["operations"][operation].get("output")
    return shape is not None and bool(SHAPES[shape].get("members"))


class EveryOperationHasItsScripts(unittest.TestCase):
    """A success compared whole, a refusal, and a restart between writing and reading."""

    # Their answers differ by source: compared whole in the tests beside src/event_sources/mappings.
    NOT_WHOLE = {"CreateEventSourceMapping", "GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping",
                 "ListEventSourceMappings"}
    NEVER_REFUSED = {"GetAccountSettings"}  # it has no input

    def setUp(self):
        self.whole, self.refused, self.restarted = set(), set(), set()
        for path in SCRIPTS:
            written, restarted = set(), False
            for _, statement, below in conformance.split_statements(path.read_text(encoding="utf-8")):
                if statement.startswith("restart"):
                    restarted = True
                    self.restarted |= written
                words = statement.split()
                if "call" not in words[:2] or words[words.index("call") + 1] != "lambda":
                    continue
                operation = words[words.index("call") + 2]
                lines = [line for _, line in below]
                if any(line.startswith("expect error") for line in lines):
                    self.refused.add(operation)
                    continue
                if not has_output(operation) or any(line.startswith("expect exactly") for line in lines):
                    self.whole.add(operation)
                if re.match("Get|List|Invoke", operation):
                    if restarted:
                        self.restarted.add(operation)
                else:
                    written.add(operation)

    def test_a_success_compared_whole(self):
        self.assertEqual(set(), set(SERVED) - self.whole - self.NOT_WHOLE)

    def test_a_refusal(self):
        self.assertEqual(set(), set(SERVED) - self.refused - self.NEVER_REFUSED)

    def test_a_restart_between_writing_and_reading(self):
        self.assertEqual(set(), set(SERVED) - self.restarted)


class Probe:
    """One member of an operation's input, and how to send a value for it."""

    def __init__(self, operation, path, shape, required):
        self.operation, self.path, self.shape_name, self.shape, self.required = operation, path, shape, SHAPES[shape], required

    @property
    def shown_path(self):
        return ".".join(step[0].lower() + step[1:] for step in self.path)

    def input(self, value):
        """What the operation needs, and `value` here; without it when it is None."""
        document = whole = sample(MODEL["operations"][self.operation]["input"])
        shape = SHAPES[MODEL["operations"][self.operation]["input"]]
        for step in self.path[:-1]:
            member = shape["members"][step]["shape"]
            if step not in document:
                document[step] = sample(member)
            document, shape = document[step], SHAPES[member]
        if value is None:
            document.pop(self.path[-1], None)
        else:
            document[self.path[-1]] = value
        return whole


TEXTS = ["f", "1", "*", "s3", "s3.amazonaws.com", "lambda:GetLayerVersion", "lambda:InvokeFunction", "us-east-1", "000000000000",
         "arn:aws:iam::000000000000:role/r", "arn:aws:lambda:us-east-1:000000000000:function:f",
         "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0",
         "arn:aws:lambda:us-east-1:000000000000:layer:l:1", "arn:aws:sqs:us-east-1:000000000000:q",
         "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/abcdefghij", "o-0123456789", "/mnt/x",
         "arn:aws:lambda:us-east-1::runtime:" + "0" * 64]


def matches(shape, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[a-z0-9-_]"
        return "pattern" not in shape or re.fullmatch(shape["pattern"], text) is not None


def text_of(shape, length=None):
    """A text that the shape accepts, of exactly `length` characters when given; None when this test knows none."""
    wanted = [e for e in TEXTS + [e + "a" * max(0, (length or 0) - len(e)) for e in TEXTS] + ["1" * (length or 1), "a" * (length or 1)]]
    low, high = shape.get("min", 0), shape.get("max", 1 << 30)
    return next((e for e in wanted if matches(shape, e) and low <= len(e) <= high and length in (None, len(e))), None)


def sample(name):
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        return {member: sample(shape["members"][member]["shape"]) for member in shape.get("required", [])}
    if kind == "string":
        return shape["enum"][0] if "enum" in shape else text_of(shape)
    if kind == "list":
        return [sample(shape["member"]["shape"])] * max(1, shape.get("min", 1))
    if kind == "map":
        return {}
    return {"blob": b"{}", "boolean": False, "timestamp": 0}.get(kind, shape.get("min", 1))


def probes():
    def walk(operation, name, path):
        for member, facts in SHAPES[name].get("members", {}).items():
            at = path + (member,)
            if any(".".join(at) == e or ".".join(at).startswith(e + ".") for e in SERVED[operation]):
                continue  # refused before it is looked at
            in_path = facts.get("location") == "uri"
            yield Probe(operation, at, facts["shape"], member in SHAPES[name].get("required", []) and not in_path), in_path
            if SHAPES[facts["shape"]]["type"] == "structure":
                yield from walk(operation, facts["shape"], at)

    for operation in sorted(SERVED):
        if "input" in MODEL["operations"][operation]:
            yield from walk(operation, MODEL["operations"][operation]["input"], ())


def cases(probe):
    """(value, phrase): the phrase that refuses it, or None when this member must pass."""
    shape, kind = probe.shape, probe.shape["type"]
    payload = SHAPES[MODEL["operations"][probe.operation]["input"]].get("payload") == probe.path[0] and kind == "blob"
    if probe.required and not payload:
        yield None, "Member must not be null"
    if kind in ("integer", "long", "double", "float"):
        if "min" in shape:
            yield shape["min"], None
            yield shape["min"] - 1, "Member must have value greater than or equal to %d" % shape["min"]
        if "max" in shape:
            yield shape["max"], None
            yield shape["max"] + 1, "Member must have value less than or equal to %d" % shape["max"]
    if kind == "string" and "enum" in shape and probe.shape_name not in CORRECTIONS["openEnums"]:
        order = CORRECTIONS["enumOrder"].get(probe.shape_name, shape["enum"])
        yield "no-such", "Member must satisfy enum value set: [%s]" % ", ".join(order)
        for value in shape["enum"]:
            yield value, None
    if kind == "string":
        if "pattern" in shape:
            bad = next((e for e in ("a b", "!", "a\tb", "%") if not matches(shape, e)), None)
            if bad is not None:
                yield bad, "Member must satisfy regular expression pattern: " + shape["pattern"]
        for length, extra, phrase in (("max", 1, "Member must have length less than or equal to %d"),
                                      ("min", -1, "Member must have length greater than or equal to %d")):
            # What a header or path can hold.
            if length in shape and 1 <= shape[length] <= 12_000 and "enum" not in shape:
                good = text_of(shape, shape[length])
                if good is not None:
                    yield good, None
                if shape[length] + extra > 0:
                    yield "a" * (shape[length] + extra), phrase % shape[length]
    if kind == "list" and SHAPES[shape["member"]["shape"]]["type"] == "string":
        element = sample(shape["member"]["shape"])
        if "max" in shape:
            yield [element] * shape["max"], None
            yield [element] * (shape["max"] + 1), "Member must have length less than or equal to %d" % shape["max"]
        if shape.get("min", 0) > 0:
            yield [element] * (shape["min"] - 1), "Member must have length greater than or equal to %d" % shape["min"]


class EveryConstraintOfTheModel(support.DaemonTest):
    """On a daemon without functions: what passes the front end is refused by the service, or does nothing that stays."""

    def setUp(self):
        self.daemon = support.Daemon(ephemeral=True)
        self.addCleanup(self.daemon.close)
        self.client = self.daemon.client("lambda", parameter_validation=False)

    def findings(self, probe, value):
        from botocore.exceptions import ClientError

        try:
            self.client._make_api_call(probe.operation, probe.input(value))
        except ClientError as e:
            if e.response["Error"]["Code"] == "ValidationException":
                return e.response["Error"]["Message"]
            # A member is judged at all only when nothing else is amiss with the request's form.
            self.assertNotIn(e.response["Error"]["Code"], ("SerializationException", "UnknownOperationException"), probe.path)
            self.assertIn(e.response["ResponseMetadata"]["HTTPStatusCode"], (400, 403, 404, 409, 412, 501), e)
        return ""

    def test_bounds(self):
        refused = passed = 0
        for probe, in_path in probes():
            for value, phrase in cases(probe):
                if in_path and isinstance(value, str) and (not value or value in "./" or "%" in value):
                    continue
                with self.subTest(operation=probe.operation, member=".".join(probe.path), value=str(value)[:60]):
                    findings = self.findings(probe, value)
                    if phrase is None:
                        passed += 1
                        self.assertNotIn("at '%s' failed" % probe.shown_path, findings)
                    else:
                        refused += 1
                        self.assertIn("at '%s' failed to satisfy constraint: %s" % (probe.shown_path, phrase), findings)
                        self.assertRegex(findings, r"^\d+ validation errors? detected: Value ")
        # Not fewer than there were: a mistake above must not make this test empty.
        self.assertGreater(refused, 400)
        self.assertGreater(passed, 400)


class Sizes(support.DaemonTest):
    def setUp(self):
        self.daemon = support.Daemon(ephemeral=True)
        self.addCleanup(self.daemon.close)

    def refusal(self, method, path, body):
        status, headers, content = self.daemon.request(method, path, body)
        return status, headers["x-amzn-ErrorType"], json.loads(content)

    def test_requests_above_the_limit(self):
        whole = json.dumps({"FunctionName": "f", "Code": {"ZipFile": "A" * 70_167_211}})[-70_167_211:]
        for method, path, operation in (("POST", "/2015-03-31/functions", "CreateFunction"),
                                        ("PUT", "/2015-03-31/functions/f/code", "UpdateFunctionCode"),
                                        ("POST", "/2018-10-31/layers/l/versions", "PublishLayerVersion")):
            self.assertEqual((413, "RequestEntityTooLargeException",
                              {"Message": "Request must be smaller than 70167211 bytes for the %s operation" % operation}),
                             self.refusal(method, path, whole))
            # One byte less is looked at.
            self.assertNotEqual(413, self.refusal(method, path, whole[1:])[0])
        self.assertEqual((413, "RequestEntityTooLargeException",
                          {"Message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation"}),
                         self.refusal("POST", "/2015-03-31/functions/f/invocations", b"0" * 9_000_000))

    def test_zips_above_the_limit(self):
        function = {"FunctionName": "f", "Runtime": "python3.11", "Handler": "a.b", "Role": support.ROLE}
        for size, expected in ((52_428_800, (413, "RequestEntityTooLargeException", {"Message": "Zipped size must be smaller than 52428800 bytes"})),
                               (52_428_799, (400, "InvalidParameterValueException", {
                                   "Type": "User", "message": "Could not unzip uploaded file. Please check your file, then try to upload again."}))):
            body = json.dumps({**function, "Code": {"ZipFile": base64.b64encode(bytes(size)).decode()}})
            self.assertEqual(expected, self.refusal("POST", "/2015-03-31/functions", body))


class Pages(support.DaemonTest):
    def setUp(self):
        self.daemon = support.Daemon(ephemeral=True)
        self.addCleanup(self.daemon.close)
        self.client = self.daemon.client("lambda")

    def pages(self, operation, key, marker="NextMarker", **input):
        """(entries of each page) with the largest MaxItems there is and without one."""
        found = []
        for options in ({}, {"MaxItems": 10000} if operation in ("list_functions", "list_versions_by_function", "list_aliases",
                                                                   "list_code_signing_configs") else {"MaxItems": 50}):
            sizes, given = [], {}
            while True:
                answer = getattr(self.client, operation)(**input, **options, **given)
                sizes.append(len(answer[key]))
                if marker not in answer:
                    break
                given = {"Marker": answer[marker]}
            found.append(sizes)
        return found

    def test_a_page_has_at_most_fifty(self):
        code = {"ZipFile": support.zipped({"app.py": "def handler(event, context):\n    return 1\n"})}
        for n in range(51):
            self.client.create_function(FunctionName="f%02d" % n, Runtime="python3.11", Handler="app.handler", Role=support.ROLE, Code=code)
            self.client.create_alias(FunctionName="f00", Name="a%02d" % n, FunctionVersion="$LATEST")
            self.client.publish_layer_version(LayerName="l", Content=code)
        publishers = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/abcdefghij"]}
        for n in range(51):
            self.client.create_code_signing_config(AllowedPublishers=publishers)
        whole = [[50, 1], [50, 1]]
        self.assertEqual(whole, self.pages("list_functions", "Functions"))
        self.assertEqual(whole, self.pages("list_aliases", "Aliases", FunctionName="f00"))
        self.assertEqual(whole, self.pages("list_layer_versions", "LayerVersions", LayerName="l"))
        self.assertEqual(whole, self.pages("list_code_signing_configs", "CodeSigningConfigs"))


class Waiters(support.DaemonTest):
    def test_every_waiter_of_the_model_ends(self):
        name = self.name()
        self._functions.append(name)
        code = {"ZipFile": support.zipped({"app.py": "def handler(event, context):\n    return 1\n"})}
        self.lambda_.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=support.ROLE, Code=code, Publish=True)
        self.assertEqual({"function_active", "function_active_v2", "function_exists", "function_updated", "function_updated_v2",
                          "published_version_active"}, set(self.lambda_.waiter_names))
        for waiter in self.lambda_.waiter_names:
            self.lambda_.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000},
                                                 **({"Qualifier": "1"} if waiter.startswith("published") else {}))


class Rates(unittest.TestCase):
    def test_calls_above_awss_rates_are_refused_when_asked_for(self):
        daemon = support.Daemon("--aws-api-rates", ephemeral=True)
        self.addCleanup(daemon.close)
        for _ in range(5000):
            status, headers, body = daemon.request("GET", "/2015-03-31/functions")
            if status != 200:
                break
        self.assertEqual((429, "TooManyRequestsException", "1"), (status, headers["x-amzn-ErrorType"], headers["Retry-After"]))
        self.assertEqual({"Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate exceeded"}, json.loads(body))
        # Others have allowances of their own.
        self.assertEqual(404, daemon.request("GET", "/2015-03-31/functions/f")[0])
        self.assertEqual(404, daemon.request("GET", "/2015-03-31/functions/f/policy")[0])
        self.assertEqual(404, daemon.request("POST", "/2015-03-31/functions/f/invocations")[0])


if __name__ == "__main__":
    unittest.main()
