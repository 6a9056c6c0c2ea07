"""Extensions, telemetry, log formats and tracing, with real programs in real sandboxes."""

import http.server
import json
import shutil
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from support import Daemon, DaemonTest, create_function, eventually, zipped

# An extension in a thread of the function's own process, with a server for telemetry.
INTERNAL = '''
import http.server, json, os, threading, time, urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
EVENTS, TELEMETRY = [], []

def call(method, path, body=None, headers={}):
    request = urllib.request.Request(API + path, method=method, data=body and json.dumps(body).encode(), headers=headers)
    return urllib.request.urlopen(request)

class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        TELEMETRY.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("sandbox.localdomain", 8088), Sink)
threading.Thread(target=server.serve_forever, daemon=True).start()
registered = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE"]}, {"Lambda-Extension-Name": "inside"})
ID = {"Lambda-Extension-Identifier": registered.headers["Lambda-Extension-Identifier"]}
call("PUT", "/2022-07-01/telemetry", {
    "schemaVersion": "2022-12-13", "types": ["platform", "function"],
    "buffering": {"timeoutMs": 25}, "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8088"}}, ID)

def poll():
    while True:
        EVENTS.append(json.load(call("GET", "/2020-01-01/extension/event/next", headers=ID)))

threading.Thread(target=poll, daemon=True).start()

def handler(event, context):
    print("printed", flush=True)
    while context.aws_request_id not in [event["requestId"] for event in EVENTS]:
        time.sleep(0.001)
    return {"events": EVENTS, "telemetry": TELEMETRY, "id": context.aws_request_id, "trace": os.environ["_X_AMZN_TRACE_ID"]}
'''

# External ones come as a layer. They tell what happened to them on stdout, which goes to the function's log.
EXTERNAL_PYTHON = '''#!/usr/bin/python3
import json, os, signal, sys, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
print("underscored", [name for name in os.environ if name.startswith("_")], flush=True)
request = urllib.request.Request(api + "register", method="POST", data=b'{"events":["INVOKE","SHUTDOWN"]}',
                                 headers={"Lambda-Extension-Name": "watcher.py"})
id = urllib.request.urlopen(request).headers["Lambda-Extension-Identifier"]
while True:
    event = json.load(urllib.request.urlopen(
        urllib.request.Request(api + "event/next", headers={"Lambda-Extension-Identifier": id})))
    print("event", event["eventType"], event.get("shutdownReason"), flush=True)
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
'''

EXTERNAL_C = r'''
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char answer[65536];
static void call(const char *text) {
  char host[64];
  const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
  const char *colon = strchr(api, ':');
  snprintf(host, sizeof host, "%.*s", (int)(colon - api), api);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
  inet_pton(AF_INET, host, &address.sin_addr);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *)&address, sizeof address) != 0) exit(9);
  if (write(s, text, strlen(text)) < 0) exit(8);
  size_t size = 0;
  ssize_t n;
  while ((n = read(s, answer + size, sizeof answer - 1 - size)) > 0) size += (size_t)n;
  answer[size] = 0;
  close(s);
}
int main(void) {
  char text[1024];
  const char *body = "{\"events\":[\"INVOKE\"]}";
  snprintf(text, sizeof text, "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
           "Lambda-Extension-Name: crasher\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
  call(text);
  char *id = strcasestr(answer, "Lambda-Extension-Identifier: ");
  if (!id) return 7;
  snprintf(text, sizeof text, "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
           "Lambda-Extension-Identifier: %.36s\r\n\r\n", id + 29);
  call(text);
  return 3;
}
'''


# A runtime with odd habits: asks twice before it answers, sends chunks, odd types and the largest header there may be.
ODD_RUNTIME = '''#!/usr/bin/python3
import http.client, os
API = "/2018-06-01/runtime/invocation/"

def call(method, path, **options):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, API + path, **options)
    answer = connection.getresponse()
    return answer, answer.read()

while True:
    first, body = call("GET", "next")
    again, same = call("GET", "next")
    id = first.headers["Lambda-Runtime-Aws-Request-Id"]
    assert (id, body) == (again.headers["Lambda-Runtime-Aws-Request-Id"], same)
    if body == b'"fail"':
        sent, _ = call("POST", id + "/error", body=iter([b'{"errorMessage":', b'"odd"}']), encode_chunked=True, headers={
            "Transfer-Encoding": "chunked", "Content-Type": "application/vnd.aws.lambda.error.cause+json",
            "Lambda-Runtime-Function-Error-Type": "Function.Odd", "Lambda-Runtime-Function-XRay-Error-Cause": "x" * (1 << 20)})
    else:
        sent, _ = call("POST", id + "/response", body=iter([b"[1,", b"2]"]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked", "Content-Type": "image/png; charset=odd"})
    assert sent.status == 202, sent.status
    late, text = call("POST", id + "/response", body=b"3")
    assert (late.status, text) == (400, b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'), text
'''


class RuntimeApi(DaemonTest):
    def test_a_runtime_with_odd_habits_is_understood(self):
        name = self.function(ODD_RUNTIME, runtime="provided.al2023")
        for _ in range(2):
            self.assertEqual((None, [1, 2]), self.invoke(name, "work")[:2])
            error, body, _ = self.invoke(name, "fail")
            self.assertEqual(("Unhandled", {"errorMessage": "odd"}), (error, body))


class Telemetry(DaemonTest):
    def test_an_internal_extension_gets_events_and_telemetry(self):
        name = self.function(INTERNAL)
        trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        def set_trace(request, **_):
            request.headers["X-Amzn-Trace-Id"] = trace

        self.lambda_.meta.events.register("before-send.lambda.Invoke", set_trace)
        error, first, _ = self.invoke(name)
        self.assertIsNone(error, first)
        self.assertRegex(first["trace"], "^%s;Lineage=[0-9a-f]{8}:1$" % trace)
        trace_inside = first["trace"]
        self.assertEqual([("INVOKE", first["id"], trace_inside)],
                         [(e["eventType"], e["requestId"], e["tracing"]["value"]) for e in first["events"]])

        def reported():
            _, now, _ = self.invoke(name)
            return now["telemetry"] if any(e["type"] == "platform.report" for e in now["telemetry"]) else None

        telemetry = eventually("telemetry of the first invocation", reported)
        of_first = [e for e in telemetry if isinstance(e["record"], str) or e["record"].get("requestId") in (None, first["id"])]
        types = [e["type"] for e in of_first]
        for one in ("platform.initStart", "platform.telemetrySubscription", "platform.initRuntimeDone", "platform.extension", "platform.initReport",
                    "platform.start", "function", "platform.runtimeDone", "platform.report"):
            self.assertIn(one, types)
        self.assertLess(types.index("platform.start"), types.index("platform.report"))
        record = next(e["record"] for e in of_first if e["type"] == "platform.report")
        self.assertEqual(("success", 128), (record["status"], record["metrics"]["memorySizeMB"]))
        self.assertEqual({"spanId": "53995c3f42cd8ad8", "type": "X-Amzn-Trace-Id", "value": trace_inside}, record["tracing"])
        self.assertIn("printed", [e["record"] for e in of_first if e["type"] == "function"])

    def test_system_records_are_json_and_levels_filter(self):
        name = self.function(
            'import json\ndef handler(event, context):\n    print(json.dumps({"level": "DEBUG", "message": "no"}))\n'
            '    print(json.dumps({"level": "ERROR", "message": "yes"}))\n    return None\n',
            LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO"})
        self.invoke(name)
        logs = self.daemon.client("logs")

        def lines():
            events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            return [json.loads(e["message"]) for e in events]

        found = lines()
        self.assertEqual(["platform.initStart", "platform.start", "platform.report"], [l["type"] for l in found if "type" in l])
        self.assertEqual(["yes"], [l["message"] for l in found if "message" in l])
        matching = logs.filter_log_events(logGroupName="/aws/lambda/" + name,
                                          filterPattern='{ $.type = "platform.*" && $.record.metrics.memorySizeMB >= 128 }')["events"]
        self.assertEqual(1, len(matching))


class External(DaemonTest):
    def with_layer(self, files, **options):
        """A function with an extension layer; its log as a list of lines."""
        layer = self.lambda_.publish_layer_version(LayerName=self.name("-l"), Content={"ZipFile": zipped(files)})
        name = self.function("def handler(event, context):\n    return event\n", Layers=[layer["LayerVersionArn"]], **options)
        logs = self.daemon.client("logs")

        def lines():
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return []
            return [e["message"].rstrip("\n") for e in events]

        return name, lines

    def test_a_python_extension_sees_invocations_and_the_end(self):
        name, lines = self.with_layer({"extensions/watcher.py": (EXTERNAL_PYTHON, 0o755)})
        self.assertEqual((None, 1), self.invoke(name, 1)[:2])
        self.assertEqual((None, 2), self.invoke(name, 2)[:2])
        eventually("two events", lambda: lines().count("event INVOKE None") == 2)
        self.assertIn("underscored []", lines())
        self.assertIn("EXTENSION\tName: watcher.py\tState: Ready\tEvents: [INVOKE, SHUTDOWN]", lines())
        # A change of the function lets its environments go.
        self.lambda_.update_function_configuration(FunctionName=name, Timeout=9)
        eventually("the extension hears of the end", lambda: "event SHUTDOWN spindown" in lines())

    def test_a_c_extension_that_crashes_fails_the_invocation(self):
        directory = Path(tempfile.mkdtemp(prefix="lambdad-extension-"))
        self.addCleanup(shutil.rmtree, directory)
        (directory / "e.c").write_text(EXTERNAL_C)
        subprocess.run(["cc", "-O1", "-static", "-D_GNU_SOURCE", "-o", directory / "e", directory / "e.c"], check=True)
        name, lines = self.with_layer({"extensions/crasher": ((directory / "e").read_bytes(), 0o755)}, Timeout=5)
        # It ends when it gets the event, perhaps after the function has answered; then only the log says so.
        error, body, _ = self.invoke(name, 1)
        if error:
            self.assertEqual("Extension.Crash", body["errorType"])
            self.assertRegex(body["errorMessage"], r"^RequestId: [0-9a-f-]{36} Error: exit code 3$")
        eventually("the report of the crash", lambda: [l for l in lines() if l.endswith("Status: error\tError Type: Extension.Crash")])


class Tracing(unittest.TestCase):
    def test_spans_of_sampled_invocations_reach_a_collector(self):
        requests = []

        class Collector(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                requests.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments):
                pass

        collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        self.addCleanup(collector.server_close)
        self.addCleanup(collector.shutdown)
        daemon = Daemon("--otlp-endpoint", "http://127.0.0.1:%d" % collector.server_port, ephemeral=True)
        self.addCleanup(daemon.close)
        client = daemon.client("lambda")
        source = "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
        for name, mode in (("quiet", "PassThrough"), ("traced", "Active")):
            create_function(client, name, source, TracingConfig={"Mode": mode})
            trace = json.loads(client.invoke(FunctionName=name, Payload=b"1")["Payload"].read())
            self.assertIn("Sampled=" + ("1" if mode == "Active" else "0"), trace)
        eventually("the spans", lambda: requests, 30)
        path, body = requests[0]
        self.assertEqual("/v1/traces", path)
        (resource,) = body["resourceSpans"]
        (scope,) = resource["scopeSpans"]
        self.assertIn({"key": "faas.name", "value": {"stringValue": "traced"}}, resource["resource"]["attributes"])
        self.assertEqual(["traced", "queue", "init", "invoke", "overhead"], [span["name"] for span in scope["spans"]])
        root = trace.split(";")[0].removeprefix("Root=1-").replace("-", "")
        self.assertEqual({root}, {span["traceId"] for span in scope["spans"]})
        whole = scope["spans"][0]
        for span in scope["spans"]:
            self.assertLessEqual(int(whole["startTimeUnixNano"]), int(span["startTimeUnixNano"]) + 1000)
            self.assertLessEqual(int(span["endTimeUnixNano"]), int(whole["endTimeUnixNano"]) + 1000)
