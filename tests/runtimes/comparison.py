"""Compares our bootstraps, AWS's clients and what AWS's clients were recorded to do, case by case."""

import dataclasses
import json
import os
import tempfile
import unittest
from pathlib import Path

import harness

EXPECTED = Path(__file__).with_name("expected")


def interpreters(variable, default):
    """`default` and those in the colon-separated `variable`."""
    return [default, *(path for path in os.environ.get(variable, "").split(":") if path)]


def record(name, cases, argv, execution_env):
    """Writes what AWS's client does with `cases` to expected/<name>.json."""
    transcripts = {}
    for case in cases:
        assert case.name not in transcripts, case.name
        run = harness.run_case(case, lambda task_root: argv, case.env.get("AWS_EXECUTION_ENV", execution_env))
        transcripts[case.name] = harness.transcript(run)
    text = json.dumps(transcripts, indent=1, ensure_ascii=False, sort_keys=True)
    (EXPECTED / (name + ".json")).write_text(text + "\n")


def expected(name):
    return json.loads((EXPECTED / (name + ".json")).read_text())


class ComparisonTest(unittest.TestCase):
    maxDiff = 4000

    def compare_with_recording(self, cases, recording, argv, execution_env):
        recorded = expected(recording)
        self.assertEqual(sorted(case.name for case in cases), sorted(recorded), "run tests/runtimes/run --record")
        for case in cases:
            with self.subTest(case=case.name):
                run = self.run_case(case, argv, execution_env)
                self.check_own_run(run)
                self.assertEqual(recorded[case.name], self.jsonable(harness.transcript(run)))

    def compare_with_official(self, cases, official_argv, own_argv, execution_env):
        for case in cases:
            with self.subTest(case=case.name):
                official = harness.transcript(self.run_case(case, official_argv, execution_env))
                own = harness.transcript(self.run_case(case, own_argv, execution_env))
                self.assertEqual(official, own)

    def check_own_run(self, run):
        """What AWS's clients do not do and ours must: whole requests in one piece, error types in a header."""
        for request in run.requests:
            if len(request.body) < 4096 and "lambda-runtime-function-response-mode" not in request.headers:
                self.assertLessEqual(request.sends, 1, "%s %s came in pieces" % (request.method, request.path))
            if request.path.endswith("/error"):
                self.assertTrue(request.headers["lambda-runtime-function-error-type"])

    def check_together(self, run):
        """Each answer and the `next` behind it came in one piece."""
        self.assertEqual(["GET", "POST"] * (len(run.requests) // 2) + ["GET"], [request.method for request in run.requests])
        self.assertEqual([0] * len(run.posts()), [request.sends for request in run.requests[2::2]])

    def compare_frames(self, case, official_argv, own_argv, execution_env):
        """Both clients write the same events to the telemetry descriptor."""
        kinds_and_texts = []
        for argv in (official_argv, own_argv):
            frames = self.frames_of(dataclasses.replace(case, env=dict(case.env)), argv, execution_env)
            kinds_and_texts.append([(hex(kind), harness.comparable_line(text.replace("\n", "\r"))) for kind, _, text in frames])
        self.assertNotEqual([], kinds_and_texts[0])
        self.assertEqual(*kinds_and_texts)

    def frames_of(self, case, argv, execution_env="AWS_Lambda_python3.11"):
        """(type, microseconds, text) of what `case` writes to the telemetry descriptor."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "frames"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
            try:
                case.env["_LAMBDA_TELEMETRY_LOG_FD"] = str(descriptor)
                run = harness.run_case(case, lambda task_root: argv, execution_env, pass_fds=(descriptor,))
            finally:
                os.close(descriptor)
            self.assertEqual("", run.stdout)
            data = path.read_bytes()
        frames = []
        while data:
            kind, size, stamp = (int.from_bytes(data[a:b], "big") for a, b in ((0, 4), (4, 8), (8, 16)))
            frames.append((kind, stamp, data[16 : 16 + size].decode("utf-8")))
            data = data[16 + size :]
        return frames

    @staticmethod
    def run_case(case, argv, execution_env):
        return harness.run_case(case, lambda task_root: argv, case.env.get("AWS_EXECUTION_ENV", execution_env))

    @staticmethod
    def jsonable(value):
        """`value` as it looks after a trip through a recording."""
        return json.loads(json.dumps(value))
