"""The clients people use, unmodified: AWS CLI v1 and Debian's v2, SDK for JavaScript v3, and SDKs inside functions."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import support
from support import DaemonTest

ECHO = "def handler(event, context):\n    print('heard', event)\n    return {'heard': event}\n"


class Cli(DaemonTest):
    def aws(self, program, *arguments, status=0):
        done = subprocess.run([*program, "--endpoint-url", self.daemon.url, *arguments], env=support.CLIENT_ENVIRONMENT, capture_output=True,
                              text=True, timeout=120, cwd=self.directory)
        self.assertEqual(status, done.returncode, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def session(self, program):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.directory = work.name
        Path(work.name, "f.zip").write_bytes(support.zipped({"function.py": ECHO}))
        Path(work.name, "event.json").write_text('{"n": 1}')
        name = self.name()
        self._functions.append(name)
        self.aws(program, "lambda", "create-function", "--function-name", name, "--runtime", "python3.11", "--handler", "function.handler",
                 "--role", support.ROLE, "--zip-file", "fileb://f.zip", "--environment", "Variables={COLOUR=blue}")
        self.aws(program, "lambda", "wait", "function-active", "--function-name", name)
        answer = json.loads(self.aws(program, "lambda", "invoke", "--function-name", name, "--payload", "fileb://event.json", "--log-type", "Tail",
                                     "out.json"))
        self.assertEqual((200, "$LATEST"), (answer["StatusCode"], answer["ExecutedVersion"]))
        self.assertIn("heard {'n': 1}", support.tail(answer))
        self.assertEqual({"heard": {"n": 1}}, json.loads(Path(work.name, "out.json").read_text()))
        self.assertEqual(202, json.loads(self.aws(program, "lambda", "invoke", "--function-name", name, "--invocation-type", "Event",
                                                  "--payload", "fileb://event.json", "out.json"))["StatusCode"])
        self.assertEqual(204, json.loads(self.aws(program, "lambda", "invoke", "--function-name", name, "--invocation-type", "DryRun",
                                                  "out.json"))["StatusCode"])
        self.assertIn(name, self.aws(program, "lambda", "list-functions", "--query", "Functions[].FunctionName"))
        self.aws(program, "lambda", "update-function-configuration", "--function-name", name, "--timeout", "7")
        self.assertEqual("7", self.aws(program, "lambda", "get-function-configuration", "--function-name", name, "--query", "Timeout",
                                       "--output", "text").strip())
        self.assertIn("ResourceNotFoundException", self.aws(program, "lambda", "get-function", "--function-name", "no-such", status=255 if program[-1] != "/usr/bin/aws" else 254))
        queue = json.loads(self.aws(program, "sqs", "create-queue", "--queue-name", name))["QueueUrl"]
        self.aws(program, "sqs", "send-message", "--queue-url", queue, "--message-body", "a & b")
        self.assertEqual("a & b", json.loads(self.aws(program, "sqs", "receive-message", "--queue-url", queue))["Messages"][0]["Body"])
        self.aws(program, "sqs", "delete-queue", "--queue-url", queue)
        self.assertEqual("000000000000", json.loads(self.aws(program, "sts", "get-caller-identity"))["Account"])
        self.aws(program, "lambda", "delete-function", "--function-name", name)

    def test_aws_cli_v1(self):
        self.session([sys.executable, str(Path(sys.executable).with_name("aws"))])

    def test_aws_cli_of_debian(self):
        self.session(["/usr/bin/aws"])


class JavaScript(DaemonTest):
    def test_sdk_v3(self):
        name = self.function("export const handler = async (event) => { console.log('heard', event.n); return { n: event.n + 1 }; };",
                             runtime=support.node_runtime())
        done = subprocess.run(["node", str(support.ROOT / "tests/integration/sdk_v3.mjs"), self.daemon.url, name, self.name("-q")],
                              env=support.CLIENT_ENVIRONMENT, capture_output=True, text=True, timeout=120)
        self.assertEqual((0, "done\n"), (done.returncode, done.stdout), done.stderr)


class InsideFunctions(DaemonTest):
    """boto3 and the SDK for JavaScript of the runtimes find lambdad by the variables that functions are given."""

    def test_boto3(self):
        queue = self.queue()
        name = self.function("import boto3, os\ndef handler(event, context):\n"
                             "    return boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE_URL'], MessageBody=event)['MessageId']\n",
                             Environment={"Variables": {"QUEUE_URL": queue}}, Timeout=20)
        error, message_id, _ = self.invoke(name, "from python")
        self.assertIsNone(error, message_id)
        (message,) = self.receive(queue)
        self.assertEqual((message_id, "from python"), (message["MessageId"], message["Body"]))

    def test_sdk_v3(self):
        queue = self.queue()
        name = self.function(
            "import { SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';\nconst sqs = new SQSClient();\n"
            "export const handler = async (event) => (await sqs.send(new SendMessageCommand("
            "{ QueueUrl: process.env.QUEUE_URL, MessageBody: event }))).MessageId;\n",
            runtime=support.node_runtime(), Environment={"Variables": {"QUEUE_URL": queue}}, Timeout=20)
        error, message_id, _ = self.invoke(name, "from node")
        self.assertIsNone(error, message_id)
        (message,) = self.receive(queue)
        self.assertEqual((message_id, "from node"), (message["MessageId"], message["Body"]))

    def test_a_function_invokes_another(self):
        inner = self.function("def handler(event, context):\n    return event * 2\n")
        outer = self.function("import boto3, json, os\ndef handler(event, context):\n"
                              "    answer = boto3.client('lambda').invoke(FunctionName=os.environ['INNER'], Payload=json.dumps(event))\n"
                              "    return json.load(answer['Payload']) + 1\n",
                              Environment={"Variables": {"INNER": inner}}, Timeout=20)
        self.assertEqual((None, 43), self.invoke(outer, 21)[:2])


class Pages(DaemonTest):
    def test_health(self):
        status, body = self.daemon.json("GET", "/_lambdad/health")
        self.assertEqual((200, "ok"), (status, body["status"]))
        self.assertLessEqual({"lambda", "sqs", "sts", "iam"}, set(body["services"]))
        status, body = self.daemon.json("GET", "/_localstack/health")
        self.assertEqual((200, "running"), (status, body["services"]["lambda"]))

    def test_metrics_count_invocations(self):
        name = self.function(ECHO)
        self.invoke(name)
        status, headers, text = self.daemon.request("GET", "/metrics")
        self.assertEqual(200, status)
        self.assertRegex(text.decode(), r"(?m)^lambdad_\w+(\{[^}]*\})? \d")


class Logs(DaemonTest):
    def test_what_a_function_prints_is_in_its_log_group(self):
        name = self.function("def handler(event, context):\n    print('number', event)\n    return context.log_stream_name\n")
        streams = {self.invoke(name, n)[1] for n in (1, 2)}
        logs = self.daemon.client("logs")

        def printed():
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            lines = [e["message"].rstrip("\n") for e in events if e["message"].startswith("number")]
            return sorted(lines) == ["number 1", "number 2"] and {e["logStreamName"] for e in events}

        self.assertEqual(streams, support.eventually("both lines are in the log", printed))
