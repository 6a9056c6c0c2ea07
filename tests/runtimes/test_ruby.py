"""The Ruby runtime. AWS's client is a gem, which the test machines cannot fetch: what is expected here was taken from its source
(aws_lambda_ric 3.1), case by case."""

import json
import os
import shutil
import subprocess
import unittest

from comparison import ComparisonTest, interpreters
from fake_runtime_api import Invocation
from harness import RUNTIMES, Case, invocation

RUBY = shutil.which("ruby") or "ruby"
BOOTSTRAP = str(RUNTIMES / "ruby/bootstrap.rb")
ECHO = {"index.rb": "def handler(event:, context:)\n  event\nend\n"}


def own_argv(ruby=RUBY):
    return [ruby, "--disable=gems", BOOTSTRAP]


@unittest.skipUnless(shutil.which("ruby"), "ruby is not installed")
class RubyBootstrap(ComparisonTest):
    def run_own(self, case, ruby=RUBY):
        run = self.run_case(case, own_argv(ruby), "AWS_Lambda_ruby3.2")
        self.check_own_run(run)
        self.assertEqual("", run.stderr)
        return run

    def answers(self, case, ruby=RUBY):
        run = self.run_own(case, ruby)
        return [json.loads(request.body) for request in run.posts()], run

    def returns(self, expression, prelude="", **options):
        source = "%s\ndef handler(event:, context:)\n  %s\nend\n" % (prelude, expression)
        return self.answers(Case("returns", {"index.rb": source}, **options))

    def test_events_and_results(self):
        for ruby in interpreters("LAMBDAD_TEST_RUBIES", RUBY):
            event = {"a": [1, 2.5, None, True, "x"], "ü": "\u2028 日本 \U0001f600"}
            answers, run = self.answers(Case("echo", ECHO, [invocation(event), invocation(2, chunked=True)]), ruby)
            self.assertEqual([event, 2], answers)
            self.assertEqual("application/json", run.posts()[0].headers["content-type"])
            self.assertEqual(0, {-15: 0}.get(run.exit_code, run.exit_code))
        self.assertEqual([{"s": "a", "d": None}], self.returns("{ s: :a, d: nil }")[0])
        big = "x" * 1_500_000
        self.assertEqual([big + big], self.returns("event + event", invocations=[invocation(big)])[0])

    def test_an_io_is_sent_as_it_is(self):
        case = Case("io", {"index.rb": "def handler(event:, context:)\n  StringIO.new('raw')\nend\n"})
        (post,) = self.run_own(case).posts()
        self.assertEqual((b"raw", "application/unknown"), (post.body, post.headers["content-type"]))

    def test_an_event_that_is_not_json_stays_text(self):
        case = Case("text", {"index.rb": "def handler(event:, context:)\n  event.upcase\nend\n"})
        case.invocations = [Invocation(b"plain", {"Content-Type": "text/plain"})]
        self.assertEqual(["PLAIN"], self.answers(case)[0])

    def test_functions_may_replace_the_marshaller(self):
        prelude = """
        class AwsLambda::Marshaller
          def self.marshall_request(raw) = "#{raw['content-type']} #{raw.body}"
          def self.marshall_response(response) = "\\"<#{response}>\\""
        end
        """
        self.assertEqual(["<application/json 5>"], self.returns("event", prelude, invocations=[invocation(5)])[0])

    def test_context(self):
        members = "aws_request_id invoked_function_arn log_group_name log_stream_name function_name memory_limit_in_mb function_version"
        expression = "[*%%w[%s].map { |name| context.public_send(name) }, context.identity, context.client_context, context.tenant_id," % members
        expression += " context.get_remaining_time_in_millis.between?(50_000, 60_000), context.deadline_ms.class]"
        headers = {"Lambda-Runtime-Client-Context": '{"custom":{"k":"ü"}}', "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i"}',
                   "Lambda-Runtime-Aws-Tenant-Id": "t1"}
        (plain, full), _ = self.returns(expression, invocations=[invocation(1), invocation(2, headers=headers)])
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        log = ["/aws/lambda/f", "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef", "f", "128", "$LATEST"]
        self.assertEqual(["00000000-0000-4000-8000-000000000000", arn, *log, None, None, None, True, "Integer"], plain)
        self.assertEqual([{"cognitoIdentityId": "i"}, {"custom": {"k": "ü"}}, "t1"], full[7:10])

    def test_trace_id(self):
        invocations = [invocation(1), invocation(2), invocation(3, headers={"Lambda-Runtime-Trace-Id": None})]
        answers, _ = self.returns("ENV['_X_AMZN_TRACE_ID']", invocations=invocations)
        self.assertEqual(["Root=1-00000000-00000000000000000000000%d;Sampled=0" % n for n in range(2)] + [None], answers)

    def test_handler_names(self):
        files = {
            "lib/app.rb": "def top(event:, context:) = 'top'\ndef call(event:, context:) = 'call'\nmodule M\n  class K\n    def self.run(event:, context:) = 'class'\n  end\nend\n"
        }
        for handler, expected in (("lib/app.top", "top"), ("lib/app.call", "call"), ("lib/app.M::K.run", "class")):
            self.assertEqual([expected], self.answers(Case(handler, files, handler=handler))[0])

    def test_an_error_is_reported_and_the_environment_lives_on(self):
        source = "class Own < StandardError; end\ndef inner = raise(Own, \"bad ä\\x7f\")\ndef handler(event:, context:)\n  inner\nend\n"
        answers, run = self.answers(Case("raises", {"index.rb": source}, [invocation(1), invocation(2)]))
        trace = ["/var/task/index.rb:2:in `inner'", "/var/task/index.rb:4:in `handler'"]
        self.assertEqual(2, len(answers))
        for answer, post in zip(answers, run.posts()):
            answer["stackTrace"] = [line.partition("/task/")[2] for line in answer["stackTrace"]]
            self.assertEqual({"errorMessage": "bad ä\x7f", "errorType": "Function<Own>", "stackTrace": [line[10:] for line in trace]}, answer)
            self.assertEqual("Function<UserException>", post.headers["lambda-runtime-function-error-type"])
            cause = json.loads(post.headers["lambda-runtime-function-xray-error-cause"])
            self.assertEqual(["Function<Own>", "bad ä\x7f"], [cause["exceptions"][0][key] for key in ("type", "message")])
            self.assertEqual(["inner", "handler"], [frame["label"] for frame in cause["exceptions"][0]["stack"]])
        first, *pretty = run.stdout.split("\n")[:2]
        self.assertEqual("Error raised from handler method", first)
        self.assertEqual(["{", '  "errorMessage": "bad ä\x7f",', '  "errorType": "Function<Own>",'], pretty[0].split("\r")[:3])

    def test_public_error_types_are_named_in_the_header(self):
        _, run = self.returns("raise ArgumentError, 'x'")
        self.assertEqual("Function<ArgumentError>", run.posts()[0].headers["lambda-runtime-function-error-type"])

    def test_critical_errors_end_the_process_after_the_report(self):
        for expression, kind in (("nil.nothing", "NoMethodError"), ("nowhere", "NameError"), ("exit(3)", "SystemExit"),
                                 ("raise Exception, 'e'", "Exception"), ("def self.f = f; f", "SystemStackError"),
                                 ("raise NotImplementedError", "NotImplementedError")):
            (answer,), run = self.returns(expression, exits=True)
            self.assertEqual("Function<%s>" % kind, answer["errorType"])
            self.assertEqual(255, run.exit_code)
            self.assertTrue(run.stdout.startswith("Critical exception from handler\n"))
            self.assertEqual(1, sum(request.method == "GET" for request in run.requests), "asked for more")

    def test_failed_starts(self):
        cases = [
            ({"index.rb": "def handler(event:, context:) = 1\n"}, "index", "Init<ArgumentError>", "Init<ArgumentError>", "Invalid handler"),
            ({"index.rb": ""}, "nowhere.handler", "Init<LoadError>", "Init<LoadError>", "cannot load such file -- nowhere"),
            ({"index.rb": "require 'not/there'\n"}, "index.handler", "Init<LoadError>", "Init<LoadError>", "cannot load such file -- not/there"),
            ({"index.rb": "def handler(\n"}, "index.handler", "Init<SyntaxError>", "Function<UserException>", ""),
            ({"index.rb": "raise 'at load'\n"}, "index.handler", "Init<RuntimeError>", "Function<UserException>", "at load"),
            ({"index.rb": "exit 3\n"}, "index.handler", "Init<SystemExit>", "Init<SystemExit>", "exit"),
        ]
        for files, handler, kind, in_header, message in cases:
            with self.subTest(kind=kind, handler=handler):
                run = self.run_own(Case("start", files, [], handler=handler, exits=True))
                (post,) = run.posts()
                answer = json.loads(post.body)
                self.assertTrue(post.path.endswith("/init/error"))
                self.assertEqual([kind, in_header], [answer["errorType"], post.headers["lambda-runtime-function-error-type"]])
                self.assertTrue(answer["errorMessage"].startswith(message), answer["errorMessage"])
                self.assertEqual(252, run.exit_code)

    def test_a_missing_handler_method_is_a_critical_error_of_the_invocation(self):
        (answer,), run = self.answers(Case("missing", {"index.rb": ""}, exits=True))
        self.assertEqual("Function<NoMethodError>", answer["errorType"])

    def test_results_that_json_cannot_hold(self):
        (answer,), _ = self.returns("{ n: Float::NAN }")
        self.assertEqual("Function<JSON::GeneratorError>", answer["errorType"])

    def test_text_log(self):
        prelude = "require 'logger'\nLOG = Logger.new($stdout)\nputs 'at load'"
        body = "puts 'two', \"lines\\nhere\"; print \"raw\\n\"; LOG.debug('d'); LOG.error(\"a\\nb\"); Logger.new($stderr, progname: 'p').info(:i); puts; nil"
        run = self.returns(body, prelude)[1]
        stamp = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\]"
        identifier = "00000000-0000-4000-8000-000000000000"
        self.assertRegex(
            run.stdout,
            "^at load\ntwo\rlines\rhere\nraw\nD, %s DEBUG %s -- : d\nE, %s ERROR %s -- : a\rb\nI, %s  INFO %s -- p: :i\n\n$"
            % (stamp, identifier, stamp, identifier, stamp, identifier),
        )

    def test_loggers_are_there_without_require_and_others_are_left_alone(self):
        body = "io = StringIO.new; Logger.new(io).warn('w'); Logger.new($stdout, formatter: proc { |*a| \"own #{a[3]}\\n\" }).warn('x'); io.string"
        (answer,), run = self.returns(body)
        self.assertTrue(answer.endswith(" WARN -- : w\n"), answer)
        self.assertEqual("own x\n", run.stdout)

    def test_json_log(self):
        body = "log = Logger.new($stdout); log.info('hidden'); log.warn('w'); begin; raise ArgumentError, 'a'; rescue => e; log.error(e); end; raise 'end'"
        env = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}
        events = [json.loads(line) for line in self.returns(body, env=env)[1].stdout.splitlines()]
        self.assertEqual([["WARN", "w"], ["ERROR", "a"], ["ERROR", "Error raised from handler method"]],
                         [[event["level"], event["message"]] for event in events])
        self.assertEqual(["ArgumentError", "a"], [events[1]["errorType"], events[1]["errorMessage"]])
        self.assertRegex(events[1]["location"], r"/index.rb:handler:3$")
        self.assertEqual(["Function<RuntimeError>", "end"], [events[2]["errorType"], events[2]["errorMessage"]])
        for event in events:
            self.assertEqual("00000000-0000-4000-8000-000000000000", event["requestId"])
            self.assertRegex(event["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_framed_log_descriptor(self):
        source = "def handler(event:, context:)\n  puts \"a\\nä\"\n  Logger.new($stdout).warn('w')\n  ENV['_LAMBDA_TELEMETRY_LOG_FD']\nend\n"
        frames = self.frames_of(Case("frames", {"index.rb": source}), own_argv())
        self.assertEqual([0xA55A0003, 0xA55A0003], [kind for kind, _, _ in frames])
        self.assertEqual("a\nä\n", frames[0][2])
        self.assertRegex(frames[1][2], " WARN .* -- : w\n$")

    def test_gems_come_in_when_they_are_needed_and_not_before(self):
        self.assertEqual([None], self.returns("$LOADED_FEATURES.grep(/rubygems.rb/)[0]")[0])
        self.assertEqual(["constant"], self.returns("defined?(Gem::VERSION)")[0])
        specification = "Gem::Specification.new { |s| s.name = 'mine'; s.version = '1.2'; s.summary = s.author = 'x'; s.files = ['lib/mine.rb'] }\n"
        gem = {"specifications/mine-1.2.gemspec": specification, "gems/mine-1.2/lib/mine.rb": "MINE = 'of a gem'\n"}
        files = {"vendor/bundle/ruby/3.2.0/" + name: text for name, text in gem.items()}
        files["index.rb"] = "require 'mine'\ndef handler(event:, context:) = MINE\n"
        env = {"GEM_PATH": "$TASK/vendor/bundle/ruby/3.2.0:/nowhere"}
        self.assertEqual(["of a gem"], self.answers(Case("gem", files, env=env))[0])

    def test_libraries_that_aws_has_loaded_are_there(self):
        body = "[URI('http://a/b').path, Net::HTTP.name, Time.parse('2026-01-02 03:04:05 UTC').iso8601, Time.at(0).utc.httpdate, StringIO.new('x').read]"
        (answer,), _ = self.returns(body)
        self.assertEqual(["/b", "Net::HTTP", "2026-01-02T03:04:05Z", "Thu, 01 Jan 1970 00:00:00 GMT", "x"], answer)

    def test_asks_for_the_next_invocation_together_with_the_answer(self):
        source = "def handler(event:, context:)\n  raise 'x' if event == 1\nend\n"
        self.check_together(self.run_own(Case("together", {"index.rb": source}, [invocation(n) for n in range(2)])))

    def test_reconnects_after_a_close(self):
        answers, run = self.answers(Case("closed", ECHO, [invocation(1, close_after=True), invocation(2)]))
        self.assertEqual([1, 2], answers)
        self.assertEqual({0, 1}, {request.connection for request in run.requests})

    def test_lives_on_after_a_response_that_was_too_large(self):
        self.assertEqual([1, 2], self.answers(Case("413", ECHO, [invocation(1, response_status=413), invocation(2)]))[0])

    def test_a_message_cannot_add_headers(self):
        (answer,), run = self.returns("raise ArgumentError, \"x\\r\\nX-Bad: 1\"")
        self.assertEqual("x\r\nX-Bad: 1", answer["errorMessage"])
        self.assertNotIn("x-bad", run.posts()[0].headers)

    def test_ends_when_nobody_listens(self):
        environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "_HANDLER": "index.handler", "PATH": os.environ["PATH"]}
        process = subprocess.run([*own_argv()[:2], "-I", "/usr", BOOTSTRAP], env={**environment, "LAMBDA_TASK_ROOT": "/nowhere"},
                                 capture_output=True, timeout=30)
        self.assertNotEqual(0, process.returncode)


if __name__ == "__main__":
    unittest.main()
