"""Responses that reach the client while the function still writes them: InvokeWithResponseStream and function URLs."""

import base64
import http.client
import json
import socket
import subprocess
import time

import support
from support import DaemonTest, eventually

BOOTSTRAP = (support.ROOT / "tests/integration/streaming_bootstrap.py").read_text()
PRELUDE = "application/vnd.awslambda.http-integration-response"
MIB = 1 << 20


class Url:
    """A function URL, reached as a client on this machine does: by its port, with its name in Host."""

    def __init__(self, daemon, config):
        self.daemon = daemon
        self.url = config["FunctionUrl"]
        self.host = self.url.removeprefix("http://").rstrip("/")

    def open(self, method="GET", path="/", body=None, headers=None, receive_buffer=None):
        """The response of http.client with its body unread, and its connection."""
        connection = http.client.HTTPConnection(self.daemon.host, int(self.daemon.port), timeout=60)
        if receive_buffer:
            connection.sock = socket.socket()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.sock.settimeout(60)
            connection.sock.connect((self.daemon.host, int(self.daemon.port)))
        connection.request(method, path, body=body, headers={"Host": self.host, **(headers or {})})
        return connection.getresponse(), connection

    def request(self, *arguments, **options):
        """(status, headers, body)"""
        response, connection = self.open(*arguments, **options)
        try:
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def steps(self, *steps, **event):
        """open() with the streaming bootstrap's event in the body."""
        return self.open("POST", body=json.dumps({"steps": steps, **event}), headers={"Content-Type": "application/json"})


class StreamingTest(DaemonTest):
    def streaming_function(self, **options):
        return self.function(BOOTSTRAP, runtime="provided.al2023", Timeout=options.pop("Timeout", 30), **options)

    def url(self, name, mode="RESPONSE_STREAM", **options):
        return Url(self.daemon, self.lambda_.create_function_url_config(
            FunctionName=name, InvokeMode=mode, AuthType=options.pop("AuthType", "NONE"), **options))

    def send(self, queue):
        self.sqs.send_message(QueueUrl=queue, MessageBody="go")


class InvokeWithResponseStream(StreamingTest):
    def invoke_stream(self, name, event, **options):
        return self.lambda_.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **options)

    def events(self, *arguments, **options):
        """(all bytes, the InvokeComplete event)"""
        *chunks, complete = self.invoke_stream(*arguments, **options)["EventStream"]
        return b"".join(event["PayloadChunk"]["Payload"] for event in chunks), complete["InvokeComplete"]

    def test_the_first_bytes_come_before_the_function_has_finished(self):
        queue = self.queue()
        answer = self.invoke_stream(self.streaming_function(),
                                    {"steps": [{"text": "first"}, {"wait": queue}, {"text": "second"}]})
        self.assertEqual((200, "$LATEST", "application/vnd.amazon.eventstream"),
                         (answer["StatusCode"], answer["ExecutedVersion"], answer["ResponseStreamContentType"]))
        events = iter(answer["EventStream"])
        self.assertEqual({"PayloadChunk": {"Payload": b"first"}}, next(events))
        # Only now may the function go on.
        self.send(queue)
        self.assertEqual([{"PayloadChunk": {"Payload": b"second"}}, {"InvokeComplete": {}}], list(events))

    def test_errors_after_the_first_bytes(self):
        name = self.streaming_function(Timeout=2)
        error = {"errorMessage": "half-way", "errorType": "Broken"}
        for step, code, message in (({"fail": error}, "Function.Broken", "half-way"),
                                    ({"exit": 3}, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
                                    ({"allocate": 512 * MIB}, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
                                    ({"cut": True}, "Runtime.TruncatedResponse", ""),
                                    ({"sleep": 60}, "Sandbox.Timedout", "Task timed out after 2.00 seconds")):
            with self.subTest(code):
                content, complete = self.events(name, {"steps": [{"text": "begin"}, step]}, LogType="Tail")
                self.assertEqual((b"begin", code), (content, complete["ErrorCode"]))
                self.assertIn(message, json.loads(complete["ErrorDetails"])["errorMessage"])
                self.assertIn("REPORT RequestId:", base64.b64decode(complete["LogResult"]).decode())
                # The function is well afterwards.
                self.assertEqual((b"well", {}), self.events(name, {"steps": [{"text": "well"}]}))

    def test_an_error_before_the_first_byte_is_in_the_stream_and_a_refusal_is_not(self):
        name = self.function("def handler(event, context):\n    raise ValueError('no')\n")
        content, complete = self.events(name, {})
        self.assertEqual((b"", "Function.Unknown", "no"),
                         (content, complete["ErrorCode"], json.loads(complete["ErrorDetails"])["errorMessage"]))
        with self.assertRaises(self.lambda_.exceptions.ResourceNotFoundException):
            self.invoke_stream(self.name(), {})
        self.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        with self.assertRaises(self.lambda_.exceptions.TooManyRequestsException):
            self.invoke_stream(name, {})
        self.assertEqual(204, self.invoke_stream(name, {}, InvocationType="DryRun")["StatusCode"])

    def test_buffered_functions_and_buffered_callers(self):
        name = self.streaming_function()
        self.assertEqual((b'{"a": 1}', {}), self.events(name, {"plain": {"a": 1}}))
        large = "x" * 1_000_000
        self.assertEqual((json.dumps(large).encode(), {}), self.events(self.function("def handler(event, context):\n    return event\n"), large))
        answer = self.lambda_.invoke(FunctionName=name, Payload=json.dumps({"steps": [{"text": "one "}, {"text": "two"}]}))
        self.assertEqual(b"one two", answer["Payload"].read())
        for size, error in ((6_291_556, None), (6_291_557, "Unhandled"), (60 * MIB, "Unhandled")):
            answer = self.lambda_.invoke(FunctionName=name, Payload=json.dumps({"steps": [{"bytes": size}]}))
            self.assertEqual(error, answer.get("FunctionError"))
            if error:
                self.assertEqual("Function.ResponseSizeTooLarge", json.loads(answer["Payload"].read())["errorType"])
        self.assertEqual((b"well", {}), self.events(name, {"steps": [{"text": "well"}]}))

    def test_two_hundred_megabytes(self):
        name = self.streaming_function(Timeout=120)
        for size, error in ((200 * MIB, None), (200 * MIB + 1, "Function.ResponseSizeTooLarge")):
            received = 0
            for event in self.invoke_stream(name, {"steps": [{"bytes": size}]})["EventStream"]:
                received += len(event.get("PayloadChunk", {}).get("Payload", b""))
            self.assertEqual((200 * MIB, error), (received, event["InvokeComplete"].get("ErrorCode")))

    def test_a_slow_client_slows_the_function_down(self):
        progress = self.queue()
        name = self.streaming_function(Timeout=120)
        url = self.url(name)
        response, connection = url.open("POST", body=json.dumps({"steps": [{"bytes": 64 * MIB, "report": progress}]}),
                                        headers={"Content-Type": "application/json"}, receive_buffer=65536)
        self.addCleanup(connection.close)
        self.assertEqual(65536, len(response.read(65536)))
        # The function writes until everything between it and us is full, and then no further.
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            written = self.counts(progress)[0]
            if written != last:
                last, since = written, time.monotonic()
            time.sleep(0.1)
        self.assertLess(last, 8, "MiB written with nobody reading: the function's own socket holds up to 4 of them")
        self.assertEqual(64 * MIB - 65536, len(response.read()))
        self.assertEqual(64, self.counts(progress)[0])

    def test_the_function_goes_on_when_its_client_has_gone(self):
        finished = self.queue()
        name = self.streaming_function(Timeout=60)
        url = self.url(name)
        response, connection = url.steps({"text": "begin"}, {"bytes": 32 * MIB}, {"tell": finished})
        self.assertEqual(b"begin", response.read(5))
        connection.close()
        response.close()
        self.receive(finished)


class FunctionUrl(StreamingTest):
    ECHO = "def handler(event, context):\n    return event\n"

    def test_the_event(self):
        url = self.url(self.function(self.ECHO), mode="BUFFERED")
        status, headers, body = url.request("POST", "/2015-03-31/functions/a%20b?q=1&q=%2F2", body=b"\x00\xff",
                                            headers={"Cookie": "s=1; t=2", "X-Mixed-Case": "v", "Content-Type": "image/png"})
        event = json.loads(body)
        self.assertEqual((200, "application/json"), (status, headers["Content-Type"]))
        self.assertEqual(("2.0", "$default", "/2015-03-31/functions/a%20b", "q=1&q=%2F2", ["s=1", "t=2"], {"q": "1,/2"}, "AP8=", True),
                         tuple(event[key] for key in ("version", "routeKey", "rawPath", "rawQueryString", "cookies",
                                                      "queryStringParameters", "body", "isBase64Encoded")))
        self.assertEqual("v", event["headers"]["x-mixed-case"])
        self.assertEqual(url.host, event["headers"]["host"])
        context = event["requestContext"]
        self.assertEqual(("anonymous", url.host.split(".")[0], headers["x-amzn-RequestId"], "$default"),
                         (context["accountId"], context["apiId"], context["requestId"], context["stage"]))
        self.assertEqual({"method": "POST", "path": "/2015-03-31/functions/a b", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
                         context["http"])

    def test_responses(self):
        name = self.function("import json\ndef handler(event, context):\n    return json.loads(event['body'])\n")
        url = self.url(name, mode="BUFFERED")

        def answer(value):
            status, headers, body = url.request("POST", body=json.dumps(value), headers={"Content-Type": "application/json"})
            return status, headers.get_all("Set-Cookie"), headers["Content-Type"], body

        self.assertEqual((418, ["a=1", "b=2"], "text/html", b"<p>"),
                         answer({"statusCode": "418", "headers": {"Content-Type": "text/html"}, "cookies": ["a=1", "b=2"], "body": "<p>"}))
        self.assertEqual((200, None, "image/png", b"\x00\xff"),
                         answer({"statusCode": 200, "headers": {"content-type": "image/png"}, "body": "AP8=", "isBase64Encoded": True}))
        self.assertEqual((200, None, "application/json", b'{"a":[1,2]}'), answer({"a": [1, 2]}))
        self.assertEqual((200, None, "application/json", b"text"), answer("text"))
        self.assertEqual((502, None, "application/json", b"Internal Server Error"), answer({"statusCode": "no"}))
        self.assertEqual((502, None, "application/json", b"Internal Server Error"), answer({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}))

    def test_refusals(self):
        name = self.function("def handler(event, context):\n    raise ValueError('no')\n")
        url = self.url(name, mode="BUFFERED")
        self.assertEqual((502, b"Internal Server Error"), url.request()[::2])
        self.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        self.assertEqual(429, url.request()[0])
        self.assertEqual(413, url.request("POST", body=b"x" * 6_500_000, headers={"Content-Type": "text/plain"})[0])
        self.lambda_.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
        status, headers, body = url.request()
        self.assertEqual((403, "AccessDeniedException"), (status, headers["x-amzn-ErrorType"]))
        self.assertIn("Forbidden.", json.loads(body)["Message"])
        self.lambda_.delete_function_url_config(FunctionName=name)
        self.assertEqual((403, b'{"Message":null}'), url.request()[::2])

    def test_a_signed_request_passes_iam(self):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        url = self.url(self.function(self.ECHO), mode="BUFFERED", AuthType="AWS_IAM")
        request = AWSRequest("GET", url.url + "who", headers={"Host": url.host})
        SigV4Auth(Credentials("111122223333", "secret"), "lambda", "us-east-1").add_auth(request)
        status, _, body = url.request("GET", "/who", headers={key: value for key, value in request.headers.items() if key != "Host"})
        self.assertEqual(200, status, body)
        context = json.loads(body)["requestContext"]
        self.assertEqual(("111122223333", "111122223333"), (context["accountId"], context["authorizer"]["iam"]["accessKey"]))

    def test_cors(self):
        url = self.url(self.function(self.ECHO), mode="BUFFERED",
                       Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["PUT"], "AllowHeaders": ["x-a"], "MaxAge": 10})
        status, headers, body = url.request("OPTIONS", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"})
        self.assertEqual((200, "https://a.example", "PUT", "x-a", "10", b""),
                         (status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Allow-Methods"],
                          headers["Access-Control-Allow-Headers"], headers["Access-Control-Max-Age"], body))
        self.assertEqual("https://a.example", url.request(headers={"Origin": "https://a.example"})[1]["Access-Control-Allow-Origin"])
        self.assertIsNone(url.request(headers={"Origin": "https://b.example"})[1]["Access-Control-Allow-Origin"])

    def test_curl_reaches_it_by_its_name(self):
        url = self.url(self.function("def handler(event, context):\n    return event['rawPath']\n"), mode="BUFFERED")
        got = subprocess.run(["curl", "-sS", "--noproxy", "*", url.url + "by/name"], capture_output=True, check=True, timeout=60,
                             env=support.CLEAN_ENVIRONMENT)
        self.assertEqual(b"/by/name", got.stdout)

    def test_streaming_with_a_prelude(self):
        queue = self.queue()
        url = self.url(self.streaming_function())
        head = json.dumps({"statusCode": 201, "headers": {"X-A": "b", "Content-Type": "text/event-stream"}, "cookies": ["c=1"]})
        response, connection = url.steps({"text": head + "\0" * 8 + "first"}, {"wait": queue}, {"text": "second"}, type=PRELUDE)
        self.addCleanup(connection.close)
        self.assertEqual((201, "b", "text/event-stream", "c=1"),
                         (response.status, *(response.headers[name] for name in ("X-A", "Content-Type", "Set-Cookie"))))
        self.assertEqual(b"first", response.read(5))
        self.send(queue)
        self.assertEqual(b"second", response.read())

    def test_a_stream_that_fails_is_cut_off(self):
        url = self.url(self.streaming_function())
        response, connection = url.steps({"bytes": MIB}, {"fail": {"errorMessage": "no"}})
        self.addCleanup(connection.close)
        received = 0
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            while piece := response.read(65536):
                received += len(piece)
        self.assertGreater(received, 0)
        response, connection = url.steps({"text": "{no json" + "\0" * 8}, type=PRELUDE)
        self.addCleanup(connection.close)
        self.assertEqual((502, b"Internal Server Error"), (response.status, response.read()))

    def test_a_buffered_url_waits_for_a_streamed_response(self):
        url = self.url(self.streaming_function(), mode="BUFFERED")
        response, connection = url.steps({"text": '{"statusCode":202}' + "\0" * 8}, {"text": "body"}, type=PRELUDE)
        self.addCleanup(connection.close)
        self.assertEqual((202, b"body"), (response.status, response.read()))

    def test_urls_last_across_a_restart_and_go_with_their_function(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        client = daemon.client("lambda")
        support.create_function(client, "f", self.ECHO)
        before = client.create_function_url_config(FunctionName="f", AuthType="NONE")
        daemon.restart()
        client = daemon.client("lambda")
        after = client.get_function_url_config(FunctionName="f")
        # The port is another one.
        self.assertEqual(before["FunctionUrl"].split(":")[1], after["FunctionUrl"].split(":")[1])
        url = Url(daemon, after)
        self.assertEqual(200, url.request()[0])
        client.delete_function(FunctionName="f")
        eventually("the URL is gone", lambda: url.request()[2] == b'{"Message":null}')
