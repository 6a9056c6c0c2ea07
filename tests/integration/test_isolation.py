"""Hostile functions: what they reach, and what they do to others. docs/isolation.md claims what is shown here.

escapes/LEVEL.json says what each attempt of escape_probe.c must end in: one outcome, several with | between where kernels
differ, or * where the machine decides."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import support
from support import Daemon, DaemonTest

ESCAPES = Path(__file__).resolve().parent / "escapes"

_probe = None


def escape_probe():
    """The static C program of escape_probe.c, compiled once."""
    global _probe
    if _probe is None:
        with tempfile.TemporaryDirectory() as work:
            program = Path(work, "bootstrap")
            subprocess.run(["clang-19", "-O1", "-static", "-Wall", "-Werror", "-o", program,
                            Path(__file__).resolve().parent / "escape_probe.c"], check=True)
            _probe = program.read_bytes()
    return _probe


def differences(golden, found):
    """What is not as it must be, in words."""
    wrong = ["%s: not tried" % name for name in golden if name not in found]
    for name, outcome in found.items():
        allowed = golden.get(name, "nothing: unknown attempt")
        if allowed != "*" and outcome not in allowed.split("|"):
            wrong.append("%s: %r, must be %s" % (name, outcome, allowed))
    return wrong


def capabilities(*options):
    done = subprocess.run([support.LAMBDAD, "doctor", "--json", *options], capture_output=True)
    return json.loads(done.stdout)


class Hostile(DaemonTest):
    options = ()

    def setUp(self):
        self.daemon = Daemon(*self.options)
        self.addCleanup(self.daemon.close)
        self.lambda_ = self.daemon.client("lambda")
        self._functions = []

    def hostile(self, memory=1769, **options):
        return self.function(escape_probe(), "provided.al2023", MemorySize=memory, **options)

    def matrix(self, **options):
        error, found, _ = self.invoke(self.hostile(**options), {
            "do": "matrix", "data": str(self.daemon.data), "daemon": str(self.daemon.process.pid)})
        self.assertIsNone(error, found)
        return found

    def assertMatrix(self, level, found):
        wrong = differences(json.loads((ESCAPES / (level + ".json")).read_text()), found)
        if wrong:
            self.fail("\n".join(wrong) + "\n\nfound:\n" + json.dumps(found, indent=1))


class Escapes(Hostile):
    def test_level_namespaces(self):
        self.assertMatrix("namespaces", self.matrix())

    def test_other_functions_and_other_ports_are_not_there(self):
        self.invoke(self.hostile(), {})  # an environment of another function, with its Runtime API
        error, found, _ = self.invoke(self.hostile(Timeout=60), {"do": "ports"})
        self.assertIsNone(error, found)
        self.assertEqual({"9001", self.daemon.port}, set(found["ports"].split()))


@unittest.skipUnless(os.geteuid() == 0, "the expectations are those of lambdad as root")
class NoIsolation(Hostile):
    options = ("--isolation", "process")

    def test_level_process(self):
        self.assertMatrix("process", self.matrix())


class OrdinaryUser(Hostile):
    """lambdad without any right: the same matrix."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("this is what the other tests show when they are not run by root")
        user = ["setpriv", "--reuid=65432", "--regid=65432", "--clear-groups", "--no-new-privs"]
        if subprocess.run([*user, "unshare", "--user", "true"], capture_output=True).returncode != 0:
            self.skipTest("ordinary users may not make user namespaces here")
        if subprocess.run([*user, support.LAMBDAD, "--version"], capture_output=True).returncode != 0:
            self.skipTest("ordinary users cannot read lambdad here")
        self.daemon = Daemon(prefix=user, owner=65432)
        self.addCleanup(self.daemon.close)
        self.lambda_ = self.daemon.client("lambda")
        self._functions = []

    def test_level_namespaces(self):
        self.assertMatrix("namespaces", self.matrix())


class Network(Hostile):
    def reached(self, policy):
        variables = {} if policy is None else {"LAMBDAD_NETWORK": policy}
        name = self.hostile(Environment={"Variables": variables}, Timeout=20)
        with socket.create_server(("127.0.0.1", 0)) as loopback, socket.create_server(("0.0.0.0", 0)) as everywhere, \
                socket.socket(socket.AF_UNIX) as abstract:
            unix = "lambdad-test-%d" % os.getpid()
            abstract.bind("\0" + unix)
            abstract.listen()
            error, found, answer = self.invoke(name, {
                "do": "network", "endpoint": "127.0.0.1:" + self.daemon.port, "abstract": unix,
                "loopback": "127.0.0.1:%d" % loopback.getsockname()[1],
                "address": "%s:%d" % (own_address(), everywhere.getsockname()[1]),
                "other": "8f5b2d2e-0000-4000-8000-000000000000"})
        return error, found

    def check(self, golden, policy):
        error, found = self.reached(policy)
        self.assertIsNone(error, found)
        wrong = differences(json.loads((ESCAPES / "network.json").read_text())[golden], found)
        self.assertEqual([], wrong, json.dumps(found, indent=1))

    def test_endpoint_is_the_default(self):
        self.check("endpoint", None)
        self.check("endpoint", "endpoint")

    def test_none(self):
        self.check("none", "none")

    def test_internet(self):
        if not shutil.which("slirp4netns"):
            error, found = self.reached("internet")
            self.assertEqual("Unhandled", error)
            self.assertEqual("Sandbox.NetworkUnavailable", found["errorType"])
            self.assertIn("apt install slirp4netns", found["errorMessage"])
            return
        self.check("internet", "internet")

    def test_a_word_that_is_none_of_them_is_refused(self):
        error, found = self.reached("lan")
        self.assertEqual("Unhandled", error)
        self.assertEqual("Sandbox.NetworkUnavailable", found["errorType"])
        self.assertIn("LAMBDAD_NETWORK=lan: write none, endpoint or internet", found["errorMessage"])


class NetworkByDefault(Network):
    """The operator's default; functions that choose keep their choice."""
    options = ("--network", "none")

    def test_endpoint_is_the_default(self):
        self.check("none", None)
        self.check("endpoint", "endpoint")


def own_address():
    """An address of this machine that is not the loopback's; one of nobody when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "203.0.113.1"


class Bombs(Hostile):
    """Each bomb ends as on AWS, another function answers meanwhile, and the next invocation finds a sound environment."""

    def explode(self, word, memory=1769, timeout=3, **members):
        limits = capabilities()
        for needed in ("memory_limit", "pids_limit", "cpu_limit"):
            if not limits[needed]:
                self.skipTest("this host cannot set the limits: " + needed)
        bomb = self.hostile(memory, Timeout=timeout)
        other = self.hostile()
        self.invoke(bomb, {})
        self.invoke(other, {})
        done = threading.Event()
        ended = []

        def light():
            try:
                ended.append(self.daemon.json("POST", "/2015-03-31/functions/%s/invocations" % bomb, {"do": word, **members}))
            finally:
                done.set()

        thread = threading.Thread(target=light)
        thread.start()
        answered = 0
        while True:
            was_done = done.is_set()
            error, found, _ = self.invoke(other, {})
            self.assertIsNone(error, found)
            answered += not was_done
            if was_done:
                break
        thread.join()
        self.assertTrue(self.daemon.healthy())
        error, found, _ = self.invoke(bomb, {})
        self.assertIsNone(error, found)
        return ended[0][1], answered

    def test_fork_bomb(self):
        found, answered = self.explode("fork bomb")
        self.assertEqual("Sandbox.Timedout", found["errorType"])
        self.assertGreater(answered, 5)
        # Nothing of it is left: the keeper, inits, one program per idle environment.
        self.assertLess(len(support.descendants(self.daemon.process.pid)), 20)

    def test_memory_bomb(self):
        found, _ = self.explode("memory bomb", memory=256)
        self.assertEqual("Runtime.OutOfMemory", found["errorType"])

    def test_spinning_processes(self):
        found, answered = self.explode("spin", memory=128)
        self.assertEqual("Sandbox.Timedout", found["errorType"])
        self.assertGreater(answered, 5)

    def test_full_disk(self):
        found, _ = self.explode("fill disk", timeout=60)
        self.assertEqual({"end": "ENOSPC", "MiB": "512"}, found)

    def test_full_of_empty_files(self):
        found, _ = self.explode("fill inodes", timeout=60)
        self.assertEqual({"end": "ENOSPC", "files": "32767"}, found)

    def test_flood_of_log_lines(self):
        found, _ = self.explode("flood log", timeout=60, mib="64")
        self.assertEqual({"MiB": "64"}, found)


class Doctor(unittest.TestCase):
    def test_says_what_holds(self):
        found = capabilities()
        self.assertTrue(found["namespaces"])
        self.assertTrue(found["seccomp"])
        self.assertEqual(bool(shutil.which("slirp4netns")), found["internet"])

    def test_without_isolation_it_complains_and_serve_refuses_when_told_to(self):
        done = subprocess.run([support.LAMBDAD, "doctor", "--isolation", "process"], capture_output=True, text=True)
        self.assertEqual(1, done.returncode)
        self.assertIn("missing: functions are not isolated", done.stdout)
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run([support.LAMBDAD, "serve", "--listen", "127.0.0.1:0", "--data", data + "/d",
                                   "--isolation", "process", "--require-isolation"],
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual(1, done.returncode)
        self.assertIn("--require-isolation: functions are not isolated", done.stderr)
        self.assertNotIn("Ready.", done.stdout)

    def test_a_level_that_does_not_exist_is_refused_by_name(self):
        for level in ("gvisor", "microvm"):
            done = subprocess.run([support.LAMBDAD, "serve", "--isolation", level], capture_output=True, text=True)
            self.assertNotEqual(0, done.returncode)
            self.assertIn("lambdad has no level %s yet" % level, done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
