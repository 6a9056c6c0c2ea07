"""Whatever is sent, the answer is AWS's error or a 4xx, and the daemon stays up."""

import base64
import io
import json
import re
import socket
import stat
import zipfile
import zlib

import support
from support import DaemonTest, ROLE, ROOT, zipped

GOOD_ZIP = zipped({"function.py": "def handler(event, context):\n    return 1\n"})


def create_request(zip_file, name="never-made", **members):
    return json.dumps({"FunctionName": name, "Runtime": "python3.11", "Handler": "function.handler", "Role": ROLE,
                       "Code": {"ZipFile": base64.b64encode(zip_file).decode()}, **members})


class Bodies(DaemonTest):
    def refused(self, status_wanted, method, path, body=b"", headers=None, service="lambda"):
        status, answer_headers, content = self.daemon.request(method, path, body, headers, service)
        self.assertEqual(status_wanted, status, (path, body[:200], content[:500]))
        return answer_headers, content

    def test_malformed_json(self):
        bodies = [b"{", b"nul", b'{"a":1,}', b"{'a':1}", b"\xff\xfe", b'"\\ud800x', b"[" * 100_000, b'{"a":' * 50_000, b"1 2", b"\x00"]
        for body in bodies:
            with self.subTest(body[:20]):
                self.refused(400, "POST", "/2015-03-31/functions", body)
                self.refused(400, "POST", "/", body, {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}, "sqs")

    def test_an_event_must_be_json(self):
        name = self.function("def handler(event, context):\n    return 1\n")
        for kind in ("RequestResponse", "Event"):
            for body in (b"{", b"nope", b"{}x", b"\xff"):
                with self.subTest((kind, body)):
                    headers, content = self.refused(400, "POST", "/2015-03-31/functions/%s/invocations" % name, body, {"X-Amz-Invocation-Type": kind})
                    self.assertTrue(headers["x-amzn-ErrorType"].startswith("InvalidRequestContentException"), content)

    def test_events_have_a_limit(self):
        name = self.function("def handler(event, context):\n    return len(event)\n")
        path = "/2015-03-31/functions/%s/invocations" % name
        self.assertEqual(200, self.daemon.request("POST", path, json.dumps("x" * 6_000_000))[0])
        self.refused(413, "POST", path, json.dumps("x" * 6_400_000))
        self.refused(413, "POST", path, json.dumps("x" * 1_100_000), {"X-Amz-Invocation-Type": "Event"})

    def test_messages_have_a_limit(self):
        queue = self.queue()
        with self.assertRaises(self.sqs.exceptions.ClientError) as caught:
            self.sqs.send_message(QueueUrl=queue, MessageBody="x" * 1_048_577)
        self.assertEqual(400, caught.exception.response["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(200, self.sqs.send_message(QueueUrl=queue, MessageBody="x" * 262_144)["ResponseMetadata"]["HTTPStatusCode"])

    def test_unknown_operations(self):
        self.refused(404, "GET", "/2015-03-31/no-such")
        _, content = self.refused(400, "POST", "/", b"{}", {"X-Amz-Target": "AmazonSQS.NoSuchOperation", "Content-Type": "application/x-amz-json-1.0"}, "sqs")
        self.assertIn(b"NoSuchOperation", content)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        _, content = self.refused(400, "POST", "/", b"Action=NoSuchOperation&Version=2012-11-05", form, "sqs")
        self.assertIn(b"NoSuchOperation", content)
        self.refused(400, "POST", "/", b"", form, "sqs")
        self.refused(400, "POST", "/", b"%zz&&&=&Action", form, "sqs")

    def test_operations_and_members_that_are_not_served_are_refused_by_name(self):
        status, _, content = self.daemon.request("GET", "/2025-11-30/capacity-providers")
        self.assertEqual(501, status)
        self.assertIn(b"ListCapacityProviders", content)
        status, _, content = self.daemon.request("POST", "/2015-03-31/functions", create_request(GOOD_ZIP, VpcConfig={"SubnetIds": ["subnet-1"]}))
        self.assertEqual(501, status)
        self.assertIn(b"VpcConfig", content)


class Zips(DaemonTest):
    def refused(self, zip_file, what):
        name = self.name()
        status, headers, content = self.daemon.request("POST", "/2015-03-31/functions", create_request(zip_file, name))
        self.assertIn(status, (400, 413), (what, content[:300]))
        self.assertTrue(headers["x-amzn-ErrorType"], what)
        self.assertEqual(404, self.daemon.request("GET", "/2015-03-31/functions/" + name)[0], what)

    def entry(self, name, content=b"x", mode=stat.S_IFREG | 0o644):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("function.py", "x")
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
        return out.getvalue()

    def test_not_a_zip(self):
        for bad in (b"", b"x", b"PK", GOOD_ZIP[:-10], GOOD_ZIP[10:], b"PK\x05\x06" + b"\xff" * 18, b"x" * 1000):
            with self.subTest(bad[:10]):
                self.refused(bad, bad[:10])

    def test_names_that_lead_out(self):
        for name in ("../evil", "a/../../evil", "/etc/evil", "a/..", "..", "a\nb", "a\\..\\evil", "./../evil"):
            with self.subTest(name):
                self.refused(self.entry(name), name)

    def test_links_that_lead_out(self):
        for target in (b"/etc/passwd", b"../../../etc/passwd", b".."):
            with self.subTest(target):
                self.refused(self.entry("link", target, stat.S_IFLNK | 0o777), target)

    def test_devices(self):
        for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
            self.refused(self.entry("node", b"", kind | 0o666), kind)

    def test_a_bomb_by_its_header(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            with archive.open("zeros", "w", force_zip64=True) as file:
                for _ in range(300):
                    file.write(bytes(1 << 20))
        self.refused(out.getvalue(), "300 MiB of zeros")

    def test_a_bomb_that_lies_about_its_size(self):
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = b"".join([packed.compress(bytes(1 << 20)) for _ in range(300)] + [packed.flush()])
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("zeros", data)
        raw = bytearray(out.getvalue())
        for signature, method_at, size_at in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
            start = raw.index(signature)
            raw[start + method_at : start + method_at + 2] = (8).to_bytes(2, "little")
            raw[start + size_at : start + size_at + 4] = (1000).to_bytes(4, "little")
        # Found out while unpacking, after the answer: the function never becomes active, and nothing of it stays unpacked.
        name = self.name()
        self._functions.append(name)
        self.assertEqual(201, self.daemon.request("POST", "/2015-03-31/functions", create_request(bytes(raw), name))[0])
        found = support.eventually("the function has failed", lambda: (
            c := self.lambda_.get_function_configuration(FunctionName=name))["State"] == "Failed" and c)
        self.assertEqual("InvalidZipFileException", found["StateReasonCode"])
        self.assertEqual(409, self.daemon.request("POST", "/2015-03-31/functions/%s/invocations" % name, b"{}")[0])
        unpacked = [file for file in (self.daemon.data / "packages").rglob("zeros")]
        self.assertEqual([], unpacked)

    def test_overlapping_entries(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", bytes(10 << 20))
        raw = out.getvalue()
        start = raw.index(b"PK\x01\x02")
        end = raw.index(b"PK\x05\x06")
        directory = raw[start:end]
        count = 1000
        tail = bytearray(raw[end:])
        tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
        tail[12:16] = (len(directory) * count).to_bytes(4, "little")
        self.refused(raw[:start] + directory * count + bytes(tail), "1000 entries on the same 10 MiB")


class WrongTypes(DaemonTest):
    """Every member of every served operation with a value of another type, beside otherwise good members."""

    def setUp(self):
        super().setUp()
        self.existing = self.function("def handler(event, context):\n    return 1\n")
        self.queue_url = self.queue()
        self.good = {
            "FunctionName": self.existing, "QueueUrl": self.queue_url, "Role": ROLE, "Runtime": "python3.11", "Handler": "function.handler",
            "Code": {"ZipFile": base64.b64encode(GOOD_ZIP).decode()}, "Resource": "arn:aws:lambda:us-east-1:000000000000:function:" + self.existing,
            "UUID": "14e0db71-5d35-4eb5-b481-8945cf9d10c2", "EventSourceArn": self.queue_arn(self.queue_url), "QueueName": "never-made",
            "ReceiptHandle": "x", "MessageBody": "x", "Entries": [{"Id": "1", "MessageBody": "x", "ReceiptHandle": "x"}],
            "Tags": {"a": "b"}, "tags": {"a": "b"}, "TagKeys": ["a"], "VisibilityTimeout": 1, "Attributes": {"DelaySeconds": "1"},
            "ReservedConcurrentExecutions": 1,
        }

    WRONG = {
        "string": [1, True, ["x"], {"x": "y"}], "integer": ["x", "1", 1.5, True, [1], {}, 10**30], "long": ["x", [1], {}, 10**30],
        "boolean": ["yes", 1, [], {}], "list": ["x", 1, {}, True], "map": ["x", 1, [], True], "structure": ["x", 1, [], True],
        "blob": [1, [], {}, "not base64!"], "double": ["x", [], {}], "float": ["x", [], {}], "timestamp": [[], {}, True],
    }

    def walk(self, service, send):
        model = json.loads((ROOT / "models" / (service + ".json")).read_text())
        served = json.loads((ROOT / "models/served.json").read_text())[service]
        accepted, crashed, tried = [], [], 0
        for operation in served:
            description = model["operations"][operation]
            if "input" not in description:
                continue
            members = model["shapes"][description["input"]].get("members", {})
            required = model["shapes"][description["input"]].get("required", [])
            for member, reference in members.items():
                if member in served[operation] or reference.get("location") or member == model["shapes"][description["input"]].get("payload"):
                    continue
                for wrong in self.WRONG.get(model["shapes"][reference["shape"]]["type"], []):
                    body = {m: self.good[m] for m in required if m in self.good and not members[m].get("location")}
                    body[member] = wrong
                    status, content = send(operation, description, members, body)
                    tried += 1
                    if status >= 500:
                        crashed.append((operation, member, wrong, status, content[:200]))
                    elif status < 400:
                        accepted.append((operation, member, wrong, status, content[:200]))
        self.assertFalse(crashed, "not a 4xx:\n" + "\n".join(map(str, crashed[:20])))
        self.assertFalse(accepted, "accepted:\n" + "\n".join(map(str, accepted[:40])))
        return tried

    def test_lambda(self):
        def send(operation, description, members, body):
            path = re.sub(r"\{(\w+)\+?\}", lambda m: self.good.get(m.group(1), "x").replace("/", "%2F"), description["uri"])
            status, _, content = self.daemon.request(description["method"], path, json.dumps(body))
            return status, content

        self.assertGreater(self.walk("lambda", send), 200)

    def test_sqs(self):
        def send(operation, description, members, body):
            status, _, content = self.daemon.request("POST", "/", json.dumps(body), {
                "X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0"}, "sqs")
            return status, content

        self.assertGreater(self.walk("sqs", send), 100)


class Wire(DaemonTest):
    def raw(self, data, end=False):
        """All that is answered to these bytes until the daemon closes the connection; b"" when it just does. `end`: say that
        nothing follows."""
        with socket.create_connection((self.daemon.host, int(self.daemon.port)), timeout=20) as connection:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received

    def test_smuggling(self):
        head = b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\n"
        next_ = b"GET /_lambdad/health HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n" % (
            self.daemon.host.encode(), self.daemon.port.encode())
        for extra in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                      b"Content-Length: +5\r\n\r\nabcde", b"Content-Length: 5, 5\r\n\r\nabcde", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
                      b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
                      b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
                      b" folded: x\r\n\r\n", b"X: a\x00b\r\n\r\n", b"Host: y\r\n\r\n"):
            with self.subTest(extra):
                answer = self.raw(head + extra + next_)
                self.assertRegex(answer[:12], rb"^HTTP/1\.1 4\d\d$|^$")
                # What follows on the connection is not taken for a request.
                self.assertNotIn(b"200 OK", answer)
        good = self.raw(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next_)
        self.assertIn(b"200 OK", good)

    def test_heads(self):
        for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n",
                     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n"):
            with self.subTest(data[:30]):
                self.assertRegex(self.raw(data, end=True)[:12], rb"^HTTP/1\.[01] [45]\d\d$|^$")

    def test_bad_signatures(self):
        for value in ("", "x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=, Signature=",
                      "AWS4-HMAC-SHA256 " + "Credential=a/20260101/us-east-1/lambda/aws4_request," * 2000):
            with self.subTest(value[:40]):
                status = self.daemon.request("GET", "/2015-03-31/functions/never-made", headers={"Authorization": value})[0]
                self.assertTrue(400 <= status < 500, status)
