"""The daemon under test, functions as zip files, and clients for it."""

import atexit
import base64
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LAMBDAD = Path(os.environ.get("LAMBDAD", ROOT / "build/release/lambdad"))
QUICK = os.environ.get("QUICK") == "1"
SEED = int(os.environ.get("LAMBDAD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
ROLE = "arn:aws:iam::000000000000:role/tests"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's own, with Debian's boto3

CLEAN_ENVIRONMENT = {name: value for name, value in os.environ.items()
                     if not name.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV")) and name.lower() not in ("http_proxy", "https_proxy")}
CLIENT_ENVIRONMENT = {
    **CLEAN_ENVIRONMENT, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1", "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
}


class Result(unittest.TextTestResult):
    """Knows which tests failed, a test with subtests being one test."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.started_tests = set()

    def startTest(self, test):
        self.started_tests.add(test.id())
        super().startTest(test)

    def failed_tests(self):
        failures = [test for test, _ in self.failures + self.errors] + self.unexpectedSuccesses
        return {getattr(test, "test_case", test).id() for test in failures}


def eventually(what, probe, seconds=90, pause=0.02):
    """The first true value of probe(); fails when there is none in time. For work that is under way, not for AWS's delays:
    those are skipped by Daemon.advance."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s; last seen: %r" % (seconds, what, found))
        time.sleep(pause)


def descendants(pid):
    """Process ids of all children of `pid` and theirs."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def identity(pid):
    """Tells a process from a later one with the same id: its start time; None when it is gone or a zombie."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


_running = []


def stop_all():
    for daemon in list(_running):
        daemon.close()


atexit.register(stop_all)


class Daemon:
    """A lambdad of its own on a free port with its data in a temporary directory. close() leaves nothing behind."""

    def __init__(self, *options, ephemeral=False, prefix=(), owner=None):
        """`prefix`: a command that runs the daemon, as user `owner`."""
        self.directory = Path(tempfile.mkdtemp(prefix="lambdad-test-"))
        self.directory.chmod(0o755)
        self.prefix = list(prefix)
        if owner is not None:
            os.chown(self.directory, owner, owner)
        self.data = self.directory / "data"
        self.options = list(options) + (["--ephemeral"] if ephemeral else ["--data", str(self.data)])
        self.log_path = self.directory / "log"
        self.process = None
        self._local = threading.local()
        _running.append(self)
        self.start()

    def start(self):
        out = self.directory / "stdout"
        out.write_bytes(b"")
        with open(out, "wb") as stdout, open(self.log_path, "ab") as stderr:
            self.process = subprocess.Popen(
                [*self.prefix, LAMBDAD, "serve", "--listen", "127.0.0.1:0", *self.options],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=CLEAN_ENVIRONMENT, start_new_session=True)

        def ready():
            text = out.read_text()
            if self.process.poll() is not None:
                raise AssertionError("lambdad ended with %s:\n%s\n%s" % (self.process.returncode, text, self.log()))
            return re.search(r"^Ready\.$", text, re.M) and text

        text = eventually("lambdad says Ready.", ready, 60)
        self.url = re.search(r"^Listening on (\S+)$", text, re.M).group(1)
        self.host, self.port = self.url.removeprefix("http://").split(":")
        self._local = threading.local()

    def log(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-8000:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9; waits until nothing of it is left, its sandboxes included."""
        family = {pid: identity(pid) for pid in [self.process.pid, *descendants(self.process.pid)]}
        self.process.kill()
        self.process.wait()
        self.process = None

        def gone():
            return not [pid for pid, start in family.items() if start is not None and identity(pid) == start]

        eventually("every process of a killed lambdad is gone: %s" % list(family), gone, 20)

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        return status

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        if self.process is not None:
            try:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in _running:
            _running.remove(self)

    # Requests that no SDK would send, and fast ones.

    def request(self, method, path, body=b"", headers=None, service="lambda", timeout=60):
        """(status, headers, body) over a kept connection of this thread."""
        if isinstance(body, str):
            body = body.encode()
        sent = {"Authorization": authorization(service), "X-Amz-Date": "20260101T000000Z", **(headers or {})}
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            fresh = connection is None
            if fresh:
                connection = self._local.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=timeout)
            try:
                connection.request(method, path, body=body, headers=sent)
                answer = connection.getresponse()
                content = answer.read()
                if answer.will_close:
                    self._local.connection = None
                return answer.status, answer.headers, content
            except (OSError, http.client.HTTPException):
                connection.close()
                self._local.connection = None
                # A kept connection may have been closed meanwhile; a fresh one may not.
                if fresh or attempt == 2:
                    raise

    def json(self, method, path, body=None):
        status, _, content = self.request(method, path, b"" if body is None else json.dumps(body))
        return status, json.loads(content or b"null")

    def sqs(self, operation, **members):
        status, _, content = self.request(
            "POST", "/", json.dumps(members), service="sqs",
            headers={"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation})
        answer = json.loads(content or b"{}")
        if status != 200:
            raise AssertionError("%s: %s %s" % (operation, status, content))
        return answer

    def advance(self, how, wait="60s"):
        status, answer = self.json("POST", "/_lambdad/clock", {"advance": how, "wait": wait})
        if status != 200:
            raise AssertionError("advance %s: %s %s" % (how, status, answer))
        return answer

    def healthy(self):
        return self.alive() and self.json("GET", "/_lambdad/health")[0] == 200

    # SDKs

    def client(self, service, access_key="test", **options):
        import boto3
        from botocore.config import Config

        session = boto3.session.Session(aws_access_key_id=access_key, aws_secret_access_key="test", region_name="us-east-1")
        config = Config(retries={"max_attempts": 0}, read_timeout=120, max_pool_connections=32, **options)
        return session.client(service, endpoint_url=self.url, config=config)


def authorization(service):
    return ("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/%s/aws4_request, SignedHeaders=host;x-amz-date, Signature=%s"
            % (service, "0" * 64))


_shared = None


def shared_daemon():
    """One daemon for the tests that leave it as they found it: names of their own, no clock moved that others wait on."""
    global _shared
    if _shared is None or not _shared.alive():
        _shared = Daemon()
    return _shared


class DaemonTest(unittest.TestCase):
    """A test on the shared daemon; at the end it must still be well, and its log is shown when the test failed."""

    maxDiff = None

    def setUp(self):
        self.daemon = shared_daemon()
        self.lambda_ = self.daemon.client("lambda")
        self.sqs = self.daemon.client("sqs")
        self._functions = []
        self.addCleanup(self._check_daemon)

    def _check_daemon(self):
        for name in self._functions:
            try:
                self.lambda_.delete_function(FunctionName=name)
            except self.lambda_.exceptions.ResourceNotFoundException:
                pass
        if not self.daemon.healthy():
            self.fail("the daemon is not well:\n" + self.daemon.log())

    def name(self, suffix=""):
        """A name nobody else uses."""
        return "%s-%s%s" % (self._testMethodName.removeprefix("test_")[:30], os.urandom(3).hex(), suffix)

    def function(self, source, runtime="python3.11", handler=None, files=None, **options):
        name = options.pop("FunctionName", None) or self.name()
        create_function(self.lambda_, name, source, runtime, handler, files, **options)
        self._functions.append(name)
        return name

    def queue(self, name=None, **attributes):
        url = self.sqs.create_queue(QueueName=name or self.name("-q"), Attributes=attributes)["QueueUrl"]
        self.addCleanup(lambda: self.daemon.alive() and self.sqs.delete_queue(QueueUrl=url))
        return url

    def queue_arn(self, url):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def counts(self, url, sqs=None):
        """(waiting, in flight, delayed)"""
        found = (sqs or self.sqs).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return tuple(int(found["ApproximateNumberOfMessages" + kind]) for kind in ("", "NotVisible", "Delayed"))

    def receive_all(self, url):
        found = []
        while True:
            batch = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"],
                                             MessageAttributeNames=["All"]).get("Messages", [])
            if not batch:
                return found
            found += batch
            for message in batch:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def receive(self, url, count=1, seconds=90):
        """Exactly `count` messages, as soon as they are there."""
        found = []
        eventually("%d messages" % count, lambda: found.extend(self.receive_all(url)) or len(found) >= count, seconds)
        self.assertEqual(count, len(found), found)
        return found

    def invoke(self, name, payload=None, **options):
        """(function error, decoded payload, whole answer)"""
        answer = self.lambda_.invoke(FunctionName=name, Payload=json.dumps(payload), **options)
        body = answer["Payload"].read()
        return answer.get("FunctionError"), json.loads(body) if body else None, answer


def zipped(files):
    """A zip of {name: text, bytes or (bytes, mode)}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return out.getvalue()


_FILES = {"python": ("function.py", "function.handler"), "nodejs": ("function.mjs", "function.handler"),
          "provided": ("bootstrap", "function.handler")}


def create_function(client, name, source, runtime="python3.11", handler=None, files=None, **options):
    family = re.match(r"[a-z]+", runtime).group(0)
    file, default_handler = _FILES.get(family, (None, None))
    content = dict(files or {})
    if source is not None:
        content[file] = (source, 0o755)
    client.create_function(FunctionName=name, Runtime=runtime, Handler=handler or default_handler, Role=ROLE,
                           Code={"ZipFile": zipped(content)}, **options)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


def listed_runtimes():
    return json.loads(subprocess.run([LAMBDAD, "runtimes", "--json"], capture_output=True, check=True).stdout)


def node_runtime():
    """The newest Node.js runtime this machine has."""
    names = [e["runtime"] for e in listed_runtimes() if e["runtime"].startswith("nodejs") and e["available"]]
    if not names:
        raise AssertionError("no Node.js on this machine; tools/packages lists what tests need")
    return max(names, key=lambda name: int(re.search(r"\d+", name).group(0)))


_bootstrap = None


def native_bootstrap():
    """The static C program of native_bootstrap.c, compiled once."""
    global _bootstrap
    if _bootstrap is None:
        with tempfile.TemporaryDirectory() as work:
            program = Path(work, "bootstrap")
            subprocess.run(["clang-19", "-O1", "-static", "-Wall", "-Werror", "-o", program, ROOT / "tests/integration/native_bootstrap.c"],
                           check=True)
            _bootstrap = program.read_bytes()
    return _bootstrap


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()
