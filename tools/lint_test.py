#!/usr/bin/env python3
"""Tests of tools/lint: python3 tools/lint_test.py"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LINT = Path(__file__).resolve().parent / "lint"


class Lint(unittest.TestCase):
    def check(self, folder, line, name="x.cc"):
        """The rules that `line` breaks in a file of src/`folder`."""
        with tempfile.TemporaryDirectory() as root:
            path = Path(root) / "src" / folder / name
            path.parent.mkdir(parents=True)
            path.write_text(line + "\n", encoding="utf-8")
            result = subprocess.run([sys.executable, LINT, path], capture_output=True, text=True, check=False)
        rules = [part.split("]")[0] for part in result.stdout.split(": [")[1:]]
        self.assertEqual(result.returncode, 1 if rules else 0, result.stderr)
        return rules

    def test_finds_each_kind(self):
        for line, rule in (
            ("auto t = std::chrono::steady_clock::now();", "clock"),
            ("::clock_gettime(CLOCK_REALTIME, &t);", "clock"),
            ("std::this_thread::sleep_for(1s);", "sleep"),
            ("std::random_device seed;", "random"),
            ("int n = rand();", "random"),
            ("const char* home = std::getenv(\"HOME\");", "environment"),
            ("int fd = ::open(path, O_RDONLY);", "files"),
            ("std::ifstream in(path);", "files"),
            ("int fd = ::socket(AF_INET, SOCK_STREAM, 0);", "network"),
            ("pid_t child = fork();", "process"),
            ("std::thread worker([] {});", "thread"),
            ("asio::co_spawn(loop, task(), asio::detached);", "detached"),
        ):
            with self.subTest(line):
                self.assertEqual(self.check("invoke", line), [rule])

    def test_lets_other_things_of_the_same_name_be(self):
        for line in (
            "auto file = archive.open(name);",
            "store::Database::open(loop, path);",
            "const auto strand = brand(x);",
            "// std::thread is not used here; getenv() neither",
            'log.info("fork() failed at ::open(path)");',
            "std::thread::id owner;",
            "stream->connect(endpoint);",
            "/* rand() */ int x;",
            "Result<int> kill(int pid);",
        ):
            with self.subTest(line):
                self.assertEqual(self.check("invoke", line), [])

    def test_folders_may_do_their_own_work(self):
        self.assertEqual(self.check("system", "int fd = ::open(path, O_RDONLY);"), [])
        self.assertEqual(self.check("store", "std::thread writer;"), [])
        self.assertEqual(self.check("sandbox", "pid_t child = ::fork();"), [])
        self.assertEqual(self.check("store", "pid_t child = ::fork();"), ["process"])
        self.assertEqual(self.check("services/sqs", "std::thread writer;"), ["thread"])

    def test_tests_are_free(self):
        self.assertEqual(self.check("invoke", "std::thread other;", "invoke_test.cc"), [])

    def test_an_exception_needs_its_rule_and_a_reason(self):
        self.assertEqual(self.check("http", "std::thread t;  // lint-allow(thread): the resolver blocks"), [])
        self.assertEqual(self.check("http", "std::thread t;  // lint-allow(thread):"), ["thread"])
        self.assertEqual(self.check("http", "std::thread t;  // lint-allow(random): wrong rule"), ["thread"])


if __name__ == "__main__":
    unittest.main()
