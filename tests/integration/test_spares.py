"""Environments that begin with a spare: what a function sees must be as without one. docs/isolation.md claims what is shown
here."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import support
from support import Daemon, DaemonTest, eventually
from test_isolation import ESCAPES, differences, escape_probe

DIRECTORY = Path(__file__).resolve().parent

# Variables that differ between any two environments.
OF_THE_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME",
                      "AWS_ENDPOINT_URL", "_X_AMZN_TRACE_ID")


def library(answer):
    with tempfile.TemporaryDirectory() as work:
        source, built = Path(work, "a.c"), Path(work, "a.so")
        source.write_text("int answer(void) { return %d; }\n" % answer)
        subprocess.run(["clang-19", "-shared", "-fPIC", "-o", built, source], check=True)
        return built.read_bytes(), 0o755


def masked(variables):
    """[[name, value]] or ["name=value"] in their order, without the values that always differ."""
    pairs = [entry if isinstance(entry, list) else entry.split("=", 1) for entry in variables]
    return [[name, "*" if name in OF_THE_ENVIRONMENT else value] for name, value in pairs]


class SpareTest(DaemonTest):
    """Each with a daemon that keeps one spare."""

    options = ()

    def make_daemon(self):
        return Daemon(*self.options, "--spares", "1")

    def setUp(self):
        self.daemon = self.make_daemon()
        self.addCleanup(self.daemon.close)
        self.lambda_ = self.daemon.client("lambda")
        self._functions = []

    def metric(self, name, **labels):
        text = self.daemon.request("GET", "/metrics")[2].decode()
        label = "{%s}" % ",".join('%s="%s"' % pair for pair in labels.items()) if labels else ""
        found = re.search(r"^%s (\S+)$" % re.escape(name + label), text, re.M)
        return float(found.group(1)) if found else 0.0

    def wait_for_spare(self, runtime):
        eventually("a spare of %s is ready" % runtime, lambda: self.metric("lambdad_spares_ready", runtime=runtime) >= 1)

    def invoke_with_spare(self, runtime, name, payload=None):
        """The first invocation of a function, which must begin with a spare."""
        self.wait_for_spare(runtime)
        taken = self.metric("lambdad_spares_taken_total")
        answer = self.invoke(name, payload)
        self.assertEqual(taken + 1, self.metric("lambdad_spares_taken_total"), self.daemon.log())
        return answer

    def both_ways(self, runtime, source, payload=None, **options):
        """What a function answers with a spare and, in another daemon, without one."""
        options.setdefault("FunctionName", "observer")
        name = self.function(source, runtime, **options)
        error, with_spare, _ = self.invoke_with_spare(runtime, name, payload)
        self.assertIsNone(error, with_spare)
        other = Daemon(*self.options, "--spares", "0")
        self.addCleanup(other.close)
        client = other.client("lambda")
        options.pop("FunctionName")
        support.create_function(client, name, source, runtime, **options)
        without = json.loads(client.invoke(FunctionName=name, Payload=json.dumps(payload))["Payload"].read())
        return with_spare, without

    def compare(self, with_spare, without, masks):
        for what, expected in without.items():
            mask = masks.get(what, lambda value: value)
            with self.subTest(what):
                self.assertEqual(mask(expected), mask(with_spare[what]))


class Python(SpareTest):
    RUNTIME = "python3.11"

    def check(self, runtime, interpreter, **options):
        with_spare, without = self.both_ways(
            runtime, (DIRECTORY / "spare_observer.py").read_text(), {"libraries": ["libanswer.so", "libkind.so", "libnone.so"]},
            files={"lib/libanswer.so": library(42), "lib/glibc-hwcaps/x86-64-v2/libkind.so": library(7), "libnone.so": library(1)},
            Environment={"Variables": {"TABLE": "orders", "GREETING": "grüß dich"}}, MemorySize=256,
            EphemeralStorage={"Size": 700}, **options)
        self.assertEqual(42, without["libraries"]["libanswer.so"])
        self.assertEqual(7, without["libraries"]["libkind.so"])
        # A spare has loaded more of the standard library, and nothing else.
        loaded, expected = set(with_spare.pop("modules")), set(without.pop("modules"))
        self.assertEqual(set(), loaded - expected - preloaded(interpreter), "modules that runtimes/README.md does not name")
        self.assertEqual(set(), expected - loaded)
        self.assertNotEqual(without.pop("memory"), with_spare.pop("memory"))
        masks = {"environment": masked, "posix environment": masked, "proc environment": masked,
                 "environment of a child": lambda lines: sorted(masked(lines))}
        self.compare(with_spare, without, masks)

    def test_as_without_a_spare(self):
        for runtime, interpreter in pythons():
            with self.subTest(runtime):
                self.check(runtime, interpreter, FunctionName=runtime.replace(".", "-"))

    def test_as_without_a_spare_in_json(self):
        self.check(self.RUNTIME, support.SYSTEM_PYTHON,
                   LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"})

    def test_no_two_share_what_is_drawn_at_random(self):
        seen = []
        for n in range(4):
            name = self.function((DIRECTORY / "spare_observer.py").read_text(), self.RUNTIME)
            error, found, _ = self.invoke_with_spare(self.RUNTIME, name, {})
            self.assertIsNone(error, found)
            seen.append(found["memory"])
        for position, what in enumerate(("address of the C library", "address of the stack", "hash seed")):
            self.assertEqual(len(seen), len({memory[position] for memory in seen}), what)

    def test_variables_read_by_the_interpreter_get_a_process_of_their_own(self):
        source = "import sys\ndef handler(event, context):\n    return [sys.flags.hash_randomization, hash('text')]\n"
        hashes = []
        for _ in range(2):
            name = self.function(source, self.RUNTIME, Environment={"Variables": {"PYTHONHASHSEED": "0"}})
            self.wait_for_spare(self.RUNTIME)
            hashes.append(self.invoke(name)[1])
        self.assertEqual(hashes[0], hashes[1])
        self.assertEqual(0, self.metric("lambdad_spares_taken_total"))

    def test_logs_and_reports(self):
        source = ("import logging\nprint('at import')\nlogging.getLogger().setLevel('INFO')\n"
                  "def handler(event, context):\n    print('printed')\n    logging.info('logged')\n")
        name = self.function(source, self.RUNTIME)
        self.wait_for_spare(self.RUNTIME)
        error, found, answer = self.invoke(name, None, LogType="Tail")
        self.assertIsNone(error, found)
        tail = support.tail(answer)
        self.assertIn("printed", tail)
        self.assertRegex(tail, r"\[INFO\]\t\S+\t%s\tlogged" % answer["ResponseMetadata"]["RequestId"])
        self.assertRegex(tail, r"Init Duration: [\d.]+ ms")

    def test_the_limits_of_the_function_hold(self):
        source = ("import os\ndef handler(event, context):\n    if event == 'memory':\n        x = bytearray(400 << 20)\n"
                  "    with open('/tmp/x', 'wb') as file:\n        try:\n            for _ in range(600):\n"
                  "                file.write(bytes(1 << 20))\n                file.flush()\n        except OSError as error:\n"
                  "            return os.strerror(error.errno)\n")
        name = self.function(source, self.RUNTIME, MemorySize=128, Timeout=60)
        error, found, _ = self.invoke_with_spare(self.RUNTIME, name, "disk")
        self.assertEqual((None, "No space left on device"), (error, found))
        name = self.function(source, self.RUNTIME, MemorySize=128, Timeout=60)
        error, found, _ = self.invoke_with_spare(self.RUNTIME, name, "memory")
        self.assertEqual("Unhandled", error)
        self.assertIn("signal: killed", json.dumps(found))

    def test_after_a_crash_a_process_is_started_in_the_same_sandbox(self):
        source = ("import os\ndef handler(event, context):\n    if event == 'end':\n        open('/tmp/kept', 'w').close()\n"
                  "        os._exit(3)\n    return os.path.exists('/tmp/kept')\n")
        name = self.function(source, self.RUNTIME)
        error, found, _ = self.invoke_with_spare(self.RUNTIME, name, "end")
        self.assertEqual("Unhandled", error)
        self.assertEqual((None, True), self.invoke(name, "look")[:2])

    def test_a_used_up_spare_is_replaced_and_an_ended_one_not_used(self):
        name = self.function("def handler(event, context):\n    return 1\n", self.RUNTIME)
        self.assertEqual(1, self.invoke_with_spare(self.RUNTIME, name)[1])
        self.wait_for_spare(self.RUNTIME)
        waiting = [pid for pid in support.descendants(self.daemon.process.pid)
                   if b"_LAMBDAD_SPARE" in Path("/proc/%d/environ" % pid).read_bytes()]
        self.assertEqual(1, len(waiting))
        subprocess.run(["kill", "-9", str(waiting[0])], check=True)
        eventually("it is gone", lambda: self.metric("lambdad_spares_ready", runtime=self.RUNTIME) == 0)
        other = self.function("def handler(event, context):\n    return 2\n", self.RUNTIME)
        self.assertEqual((None, 2), self.invoke(other)[:2])


def pythons():
    """(runtime, interpreter) of each this machine has."""
    return [(entry["runtime"], entry["interpreter"]) for entry in support.listed_runtimes()
            if entry["runtime"].startswith("python") and entry["available"]]


def preloaded(interpreter):
    """What lambdad_runtime.spare may load beyond the bootstrap: its list, and what those modules load in turn."""
    source = (support.ROOT / "runtimes/python/lambdad_runtime/spare.py").read_text()
    names = re.search(r"^PRELOADED = \((.*?)\)", source, re.M | re.S).group(1)
    code = "import sys, %s\nprint('\\n'.join(sys.modules))" % ", ".join(re.findall(r'"([\w.]+)"', names))
    listed = subprocess.run([interpreter, "-S", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    runtime = ("spare", "client", "hooks", "log_setup", "logs", "marshal", "messages", "paths")
    return {*listed, *("lambdad_runtime." + name for name in runtime)}


class Node(SpareTest):
    def setUp(self):
        super().setUp()
        self.runtime = support.node_runtime()

    def test_as_without_a_spare(self):
        source = (DIRECTORY / "spare_observer.mjs").read_text()
        with_spare, without = self.both_ways(self.runtime, source, MemorySize=512,
                                             Environment={"Variables": {"TABLE": "orders", "GREETING": "grüß dich"}})
        self.assertNotEqual(without.pop("memory"), with_spare.pop("memory"))
        loaded = set(with_spare.pop("loaded")) - set(without.pop("loaded"))
        self.assertLessEqual(loaded, {"/var/runtime/lib/spare.cjs"})
        masks = {"environment": masked, "proc environment": masked,
                 "environment of a child": lambda lines: sorted(masked(lines))}
        self.compare(with_spare, without, masks)

    def test_common_js_and_callbacks(self):
        files = {"index.js": "exports.handler = (event, context, callback) => callback(null, [process.cwd(), context.functionName])\n"}
        name = self.function(None, self.runtime, "index.handler", files)
        if "24" in self.runtime:
            self.skipTest("no callbacks there")
        self.assertEqual((None, ["/var/task", name]), self.invoke_with_spare(self.runtime, name)[:2])

    def test_node_options_get_a_process_of_their_own(self):
        name = self.function("export const handler = async () => process.execArgv.length;\n", self.runtime,
                             Environment={"Variables": {"NODE_OPTIONS": "--max-old-space-size=99"}})
        self.wait_for_spare(self.runtime)
        self.assertIsNone(self.invoke(name)[0])
        self.assertEqual(0, self.metric("lambdad_spares_taken_total"))


@unittest.skipUnless(os.path.exists("/usr/bin/ruby"), "ruby is not installed")
class Ruby(SpareTest):
    options = ("--runtime", "ruby3.2=/usr/bin/ruby")

    def test_as_without_a_spare(self):
        with_spare, without = self.both_ways("ruby3.2", None, handler="function.handler", MemorySize=512,
                                             files={"function.rb": (DIRECTORY / "spare_observer.rb").read_text()},
                                             Environment={"Variables": {"TABLE": "orders"}})
        for one, other in zip(without.pop("memory"), with_spare.pop("memory")):
            self.assertNotEqual(one, other)
        loaded, expected = set(with_spare.pop("loaded")), set(without.pop("loaded"))
        self.assertLessEqual(loaded - expected, {"/var/runtime/lambdad_runtime/spare.rb"})
        self.assertEqual(set(), expected - loaded)
        self.compare(with_spare, without, {"environment": masked, "proc environment": masked})


class Isolation(SpareTest):
    """The probe of test_isolation, run by a function that began with a spare."""

    def test_the_matrix_holds(self):
        # In place of Python, the probe serves the Runtime API itself.
        source = "import os\nos.closerange(3, 1024)\nos.execv('/var/task/probe', ['/var/task/probe'])\n"
        name = self.function(source, "python3.11", files={"probe": (escape_probe(), 0o755)}, MemorySize=1769, Timeout=60)
        error, found, _ = self.invoke_with_spare("python3.11", name, {
            "do": "matrix", "data": str(self.daemon.data), "daemon": str(self.daemon.process.pid)})
        self.assertIsNone(error, found)
        wrong = differences(json.loads((ESCAPES / "namespaces.json").read_text()), found)
        self.assertEqual([], wrong)


class OrdinaryUser(Isolation):
    """The same in a lambdad without any right."""

    def make_daemon(self):
        if os.geteuid() != 0:
            self.skipTest("this is what the other tests show when they are not run by root")
        user = ["setpriv", "--reuid=65432", "--regid=65432", "--clear-groups", "--no-new-privs"]
        if subprocess.run([*user, "unshare", "--user", "true"], capture_output=True).returncode != 0:
            self.skipTest("ordinary users may not make user namespaces here")
        if subprocess.run([*user, support.LAMBDAD, "--version"], capture_output=True).returncode != 0:
            self.skipTest("ordinary users cannot read lambdad here")
        return Daemon("--spares", "1", prefix=user, owner=65432)


class Switched(SpareTest):
    def test_none_before_a_function_of_the_runtime(self):
        self.assertEqual(0, self.metric("lambdad_spares_made_total"))
        self.function("#!/bin/sh\n", "provided.al2023")
        self.assertEqual(0, self.metric("lambdad_spares_made_total"))
        self.function("def handler(event, context):\n    return 1\n")
        self.wait_for_spare("python3.11")
        self.assertEqual(1, self.metric("lambdad_spares_made_total"))

    def test_they_cost_no_cpu_and_no_concurrency(self):
        self.function("def handler(event, context):\n    return 1\n")
        self.wait_for_spare("python3.11")
        account = self.lambda_.get_account_settings()
        self.assertEqual(1000, account["AccountLimit"]["UnreservedConcurrentExecutions"])
        waiting = [pid for pid in support.descendants(self.daemon.process.pid)
                   if b"_LAMBDAD_SPARE" in Path("/proc/%d/environ" % pid).read_bytes()]
        self.assertEqual(1, len(waiting))

        def ran():
            return Path("/proc/%d/schedstat" % waiting[0]).read_text()

        # Blocked in read(): whatever happens beside it, it is not run.
        before = ran()
        for _ in range(20):
            self.metric("lambdad_spares_ready", runtime="python3.11")
        self.assertEqual(before, ran())
