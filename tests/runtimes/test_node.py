import json
import shutil
import subprocess
import unittest

import node_cases
import official
from comparison import ComparisonTest, interpreters
from harness import RUNTIMES, Case, invocation

NODE = shutil.which("node") or "node"
BOOTSTRAP = str(RUNTIMES / "nodejs/bootstrap.cjs")
CASES = {"20": node_cases.COMMON + node_cases.CALLBACK, "24": node_cases.COMMON + node_cases.PROMISE}
ECHO = {"index.js": "exports.handler = async (event) => event;\n"}


def own_argv(node=NODE):
    return [node, BOOTSTRAP]


def major(node):
    return int(subprocess.run([node, "-p", "process.versions.node"], capture_output=True, text=True).stdout.split(".")[0])


class NodeBootstrap(ComparisonTest):
    def answers(self, case, generation="20", node=NODE):
        run = self.run_case(case, own_argv(node), "AWS_Lambda_nodejs%s.x" % generation)
        self.check_own_run(run)
        return [json.loads(request.body) for request in run.posts()], run

    def test_does_what_the_official_clients_were_recorded_to_do(self):
        for generation, cases in CASES.items():
            with self.subTest(generation=generation):
                self.compare_with_recording(cases, "node" + generation, own_argv(), "AWS_Lambda_nodejs%s.x" % generation)

    def test_does_what_the_official_clients_do(self):
        for node in interpreters("LAMBDAD_TEST_NODES", NODE):
            generation = "24" if major(node) >= 24 else "20"
            with self.subTest(node=node):
                argv = official.node_argv(node, generation)
                if argv is None:
                    self.skipTest("no official client for " + node)
                self.compare_with_official(CASES[generation], argv, own_argv(node), "AWS_Lambda_nodejs%s.x" % generation)

    def test_keeps_one_connection_and_reconnects_after_a_close(self):
        for generation in CASES:
            with self.subTest(generation=generation):
                _, kept = self.answers(Case("kept", ECHO, [invocation(n) for n in range(3)]), generation)
                self.assertEqual({0}, {request.connection for request in kept.requests})
                closed = [invocation(1, close_after=True), invocation(2)]
                answers, run = self.answers(Case("closed", ECHO, closed), generation)
                self.assertEqual([1, 2], answers)
                self.assertEqual({0, 1}, {request.connection for request in run.requests})

    def test_asks_for_the_next_invocation_together_with_the_answer(self):
        source = "exports.handler = async (e) => { if (e) throw new Error('x'); };\n"
        for generation in CASES:
            _, run = self.answers(Case("together", {"index.js": source}, [invocation(n) for n in range(2)]), generation)
            self.check_together(run)

    def test_reads_chunked_events(self):
        event = {"text": "ü" * 100_000}
        answers, _ = self.answers(Case("chunked", ECHO, [invocation(event, chunked=True)]))
        self.assertEqual([event], answers)

    def test_lives_on_after_a_refused_response(self):
        for generation in CASES:
            answers, _ = self.answers(Case("413", ECHO, [invocation(1, response_status=413), invocation(2)]), generation)
            self.assertEqual([1, 2], answers)

    def test_an_error_name_cannot_add_headers(self):
        source = "exports.handler = async () => { const e = new Error('x'); e.name = 'A\\r\\nX-Bad: 1'; throw e; };\n"
        (answer,), run = self.answers(Case("crlf", {"index.js": source}))
        self.assertEqual("A\r\nX-Bad: 1", answer["errorType"])
        self.assertNotIn("x-bad", run.posts()[0].headers)

    def test_unknown_streaming_is_refused(self):
        source = "exports.handler = async () => {};\nexports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';\n"
        (answer,), run = self.answers(Case("streaming", {"index.js": source}, [], exits=True))
        self.assertEqual("Runtime.MalformedStreamingHandler", answer["errorType"])
        self.assertEqual(129, run.exit_code)

    def test_framed_log_descriptor(self):
        source = "exports.handler = async () => { console.warn('a\\nä'); };\n"
        frames = self.frames_of(Case("frames", {"index.js": source}), own_argv())
        self.assertEqual([0xA55A0003 | 0x10], [kind for kind, _, _ in frames])
        self.assertRegex(frames[0][2], "\tWARN\ta\nä\n$")

    def test_framed_log_events_are_those_of_the_official_clients(self):
        source = """
        console.log('at load');
        exports.handler = async () => {
          for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error']) console[level]('%s\\nü', level, { a: 1 });
          console.error(new RangeError('alone'));
          throw new TypeError('end');
        };
        """
        for generation in CASES:
            argv = official.node_argv(NODE, generation)
            if argv is None:
                self.skipTest("no official client")
            for env in ({}, {"AWS_LAMBDA_LOG_LEVEL": "WARN"}, {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}):
                with self.subTest(generation=generation, env=env):
                    case = Case("frames", {"index.js": source}, env=env)
                    self.compare_frames(case, argv, own_argv(), "AWS_Lambda_nodejs%s.x" % generation)

    def test_modules_of_node_path_are_imported_by_name(self):
        package = {"package.json": '{"name":"p","exports":{".":"./p.mjs","./sub":"./s.mjs"}}', "p.mjs": "export default 'p';\n", "s.mjs": "export default 's';\n"}
        files = {"layer/node_modules/p/" + name: text for name, text in package.items()}
        files["node_modules/own/index.mjs"] = "export default 'own';\n"
        files["node_modules/own/package.json"] = '{"exports":"./index.mjs"}'
        files["index.mjs"] = (
            "import p from 'p';\nimport s from 'p/sub';\nimport own from 'own';\n"
            "export const handler = async () => [p, s, own, await import('absent').catch((e) => e.code)];\n"
        )
        env = {"NODE_PATH": "$TASK/nowhere/node_modules:$TASK/layer/node_modules"}
        for node in interpreters("LAMBDAD_TEST_NODES", NODE):
            with self.subTest(node=node):
                (answer,), _ = self.answers(Case("esm", files, env=env), str(major(node)), node)
                self.assertEqual(["p", "s", "own", "ERR_MODULE_NOT_FOUND"], answer)


if __name__ == "__main__":
    unittest.main()
