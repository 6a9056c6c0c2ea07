import json
import os
import subprocess
import sys
import unittest

import harness
import official
from comparison import ComparisonTest, interpreters
from fake_runtime_api import FakeRuntimeApi, Invocation
from harness import RUNTIMES, Case, invocation
from python_cases import CASES

SYSTEM_PYTHON = "/usr/bin/python3"
BOOTSTRAP = str(RUNTIMES / "python/bootstrap.py")


def own_argv(python=SYSTEM_PYTHON):
    return [python, "-S", BOOTSTRAP]


def execution_env(python):
    code = "import sys; print('AWS_Lambda_python%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class PythonBootstrap(ComparisonTest):
    def run_own(self, case, python=SYSTEM_PYTHON):
        run = self.run_case(case, own_argv(python), execution_env(python))
        self.check_own_run(run)
        return run

    def answers(self, case):
        run = self.run_own(case)
        return [json.loads(request.body) for request in run.posts()], run

    def test_does_what_the_official_client_was_recorded_to_do(self):
        self.compare_with_recording(CASES, "python", own_argv(), "AWS_Lambda_python3.11")

    def test_does_what_the_official_client_does(self):
        for python in interpreters("LAMBDAD_TEST_PYTHONS", SYSTEM_PYTHON):
            with self.subTest(python=python):
                argv = official.python_argv(python)
                if argv is None:
                    self.skipTest("no official client for " + python)
                environment = execution_env(python)
                # AWS's last client for 3.9 has no context.w3c() yet; ours has it everywhere.
                unknown = {"w3c trace context"} if environment.endswith("3.9") else set()
                cases = [case for case in CASES if case.name not in unknown]
                self.compare_with_official(cases, argv, own_argv(python), environment)

    def test_keeps_one_connection_and_reconnects_after_a_close(self):
        kept = self.run_own(Case("kept", {"index.py": "def handler(e, c): return e"}, [invocation(n) for n in range(3)]))
        self.assertEqual({0}, {request.connection for request in kept.requests})
        closed = [invocation(1, close_after=True), invocation(2)]
        answers, run = self.answers(Case("closed", {"index.py": "def handler(e, c): return e"}, closed))
        self.assertEqual([1, 2], answers)
        self.assertEqual({0, 1}, {request.connection for request in run.requests})

    def test_asks_for_the_next_invocation_together_with_the_answer(self):
        source = "def handler(e, c):\n    if e: raise ValueError('x')\n"
        run = self.run_own(Case("together", {"index.py": source}, [invocation(n) for n in range(2)]))
        self.check_together(run)

    def test_reads_chunked_events(self):
        event = {"text": "ü" * 1000}
        answers, _ = self.answers(Case("chunked", {"index.py": "def handler(e, c): return e"}, [invocation(event, chunked=True)]))
        self.assertEqual([event], answers)

    def test_lives_on_after_a_response_that_was_too_large(self):
        invocations = [invocation(1, response_status=413), invocation(2)]
        answers, _ = self.answers(Case("413", {"index.py": "def handler(e, c): return e"}, invocations))
        self.assertEqual([1, 2], answers)

    def test_ends_when_the_runtime_api_refuses_a_response(self):
        case = Case("500", {"index.py": "def handler(e, c): return e"}, [invocation(1, response_status=500)], exits=True)
        self.assertEqual(1, self.run_own(case).exit_code)

    def test_ends_when_nobody_listens(self):
        api = FakeRuntimeApi([])  # has a port, and is closed before use
        api.start()
        api.stop()
        environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % api.port, "_HANDLER": "json.dumps"}
        process = subprocess.run(own_argv(), env=environment, capture_output=True, timeout=harness.PATIENCE_SECONDS)
        self.assertEqual(1, process.returncode)
        self.assertIn(b"ConnectionRefusedError", process.stderr)

    def test_malformed_events_are_unmarshal_errors(self):
        for body in (b"", b"{", b"[1,]", b"{} x", b"NaN", b'"\x01"', b"\xff", b'"\\ud8"'):
            with self.subTest(body=body):
                (answer,), run = self.answers(Case("bad", {"index.py": "def handler(e, c): return e"}, [Invocation(body)]))
                self.assertEqual("Runtime.UnmarshalError", answer["errorType"])
                self.assertTrue(answer["errorMessage"].startswith("Unable to unmarshal input: "))
                self.assertTrue(run.posts()[0].path.endswith("/error"))

    def test_an_error_type_cannot_add_headers(self):
        source = "E = type('A\\r\\nX-Bad: 1', (Exception,), {})\ndef handler(e, c): raise E('x\\x7f\\r\\n')\n"
        (answer,), run = self.answers(Case("crlf", {"index.py": source}))
        self.assertEqual("A\r\nX-Bad: 1", answer["errorType"])
        self.assertNotIn("x-bad", run.posts()[0].headers)
        cause = run.posts()[0].headers["lambda-runtime-function-xray-error-cause"]
        self.assertNotIn("\x7f", cause)
        self.assertEqual("x\x7f\r\n", json.loads(cause)["exceptions"][0]["message"])

    def test_imports_nothing_heavy_for_a_plain_function(self):
        source = "import sys\ndef handler(e, c): return sorted(sys.modules)\n"
        (modules,), _ = self.answers(Case("modules", {"index.py": source}))
        for name in ("json", "re", "socket", "logging", "traceback", "site", "collections", "decimal", "typing"):
            self.assertNotIn(name, modules)

    def test_search_path(self):
        source = "import sys\ndef handler(e, c): return sys.path\n"
        (path,), _ = self.answers(Case("path", {"index.py": source}, env={"PYTHONPATH": "/first:/second"}))
        runtime = str(RUNTIMES / "python")
        library = "/opt/python/lib/python%d.%d/site-packages" % sys.version_info[:2]
        task = path[0]
        self.assertTrue(task.endswith("/task"))
        self.assertEqual([task, library, "/opt/python", "/first", "/second", runtime], path[:6])
        self.assertTrue(path[6].endswith(".zip"))
        if os.path.isdir("/usr/lib/python3/dist-packages"):
            self.assertEqual("/usr/lib/python3/dist-packages", path[-1])

    def test_site_customization_on_the_customers_path_runs(self):
        files = {"site/sitecustomize.py": "print('customized')\n", "index.py": "def handler(e, c): return 1\n"}
        run = self.run_own(Case("site", files, env={"PYTHONPATH": "$TASK/site"}))
        self.assertEqual("customized\n", run.stdout)

    def test_unfinished_lines_are_logged_with_the_invocation(self):
        source = "import sys\ndef handler(e, c):\n    print('no end', end='')\n    sys.stderr.write('err')\n    import os; os.close(0)\n"
        run = self.run_own(Case("partial", {"index.py": source}))
        self.assertEqual("no end", run.stdout)
        self.assertEqual("err", run.stderr)

    def test_closed_streams_do_not_end_the_environment(self):
        source = "import sys\ndef handler(e, c):\n    sys.stdout.close()\n    sys.stderr = None\n    return e\n"
        answers, _ = self.answers(Case("closed", {"index.py": source}, [invocation(1)]))
        self.assertEqual([1], answers)

    def test_framed_log_descriptor(self):
        source = "import logging\ndef handler(e, c):\n    logging.error('ä')\n    raise ValueError('x\\ny')\n"
        frames = self.frames_of(Case("frames", {"index.py": source}), own_argv())
        self.assertEqual([0xA55A0003, 0xA55A0017], [kind for kind, _, _ in frames])
        self.assertRegex(frames[0][2], "^\\[ERROR\\]\t.*\tä\n$")
        self.assertTrue(frames[1][2].startswith("[ERROR] ValueError: x\ny\nTraceback"))
        as_json = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}
        frames = self.frames_of(Case("frames", {"index.py": source}, env=as_json), own_argv())
        self.assertEqual([0xA55A0016, 0xA55A0016], [kind for kind, _, _ in frames])
        self.assertEqual(["ä", "x\ny"], [json.loads(frames[0][2])["message"], json.loads(frames[1][2])["errorMessage"]])

    def test_framed_log_events_are_those_of_the_official_client(self):
        argv = official.python_argv(SYSTEM_PYTHON)
        if argv is None:
            self.skipTest("no official client")
        source = """
        import logging
        logging.warning('at load')
        log = logging.getLogger('mine')
        def handler(event, context):
            for level in (5, 10, 20, 25, 30, 40, 50, 60): log.log(level, 'level %d\\nü', level)
            context.log('raw')
            try: {}['x']
            except KeyError: logging.exception('caught', extra={'order': 7})
            raise ValueError('end')
        """
        for env in ({}, {"AWS_LAMBDA_LOG_LEVEL": "DEBUG"}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}, {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "ERROR"}):
            with self.subTest(env=env):
                self.compare_frames(Case("frames", {"index.py": source}, env=env), argv, own_argv(), "AWS_Lambda_python3.11")

    def test_hooked_modules_look_untouched(self):
        source = """
        import logging, importlib.util
        def handler(e, c):
            spec = importlib.util.find_spec('logging')
            return [type(logging.__loader__).__name__, logging.__spec__.loader is logging.__loader__, bool(logging.__path__)]
        """
        (answer,), _ = self.answers(Case("loader", {"index.py": source}))
        self.assertEqual(["SourceFileLoader", True, True], answer)


if __name__ == "__main__":
    unittest.main()
