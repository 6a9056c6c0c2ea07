"""Functions: their life, synchronous invocation, failures."""

import concurrent.futures
import json
import socket
import subprocess
import unittest

import support
from support import DaemonTest, zipped

ECHO = "def handler(event, context):\n    return event\n"


class Life(DaemonTest):
    def test_create_get_list_update_delete(self):
        name = self.function("def handler(event, context):\n    return 1\n", Description="first", MemorySize=256)
        configuration = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual("arn:aws:lambda:us-east-1:000000000000:function:" + name, configuration["FunctionArn"])
        self.assertEqual(("first", 256, "Active", "Successful", "$LATEST"),
                         tuple(configuration[k] for k in ("Description", "MemorySize", "State", "LastUpdateStatus", "Version")))
        self.assertEqual(configuration["CodeSha256"], self.lambda_.get_function(FunctionName=name)["Configuration"]["CodeSha256"])
        listed = [f["FunctionName"] for page in self.lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
                  for f in page["Functions"]]
        self.assertEqual(1, listed.count(name))
        self.assertEqual((None, 1), self.invoke(name)[:2])

        updated = self.lambda_.update_function_code(
            FunctionName=name, ZipFile=zipped({"function.py": "def handler(event, context):\n    return 2\n"}))
        self.assertNotEqual(configuration["CodeSha256"], updated["CodeSha256"])
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
        self.assertEqual((None, 2), self.invoke(name)[:2])
        self.lambda_.update_function_configuration(FunctionName=name, Description="second", Timeout=9)
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
        configuration = self.lambda_.get_function_configuration(FunctionName=name)
        self.assertEqual(("second", 9), (configuration["Description"], configuration["Timeout"]))

        self.lambda_.delete_function(FunctionName=name)
        with self.assertRaises(self.lambda_.exceptions.ResourceNotFoundException) as caught:
            self.lambda_.invoke(FunctionName=name)
        self.assertIn("Function not found: arn:aws:lambda:us-east-1:000000000000:function:" + name, str(caught.exception))

    def test_a_name_is_taken_once(self):
        name = self.function(ECHO)
        with self.assertRaises(self.lambda_.exceptions.ResourceConflictException):
            support.create_function(self.lambda_, name, ECHO)

    def test_a_runtime_without_interpreter_says_what_to_install(self):
        missing = next(e for e in support.listed_runtimes() if not e["available"])
        with self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as caught:
            support.create_function(self.lambda_, self.name(), ECHO, runtime=missing["runtime"])
        self.assertIn(missing["hint"], str(caught.exception))

    def test_functions_and_code_survive_a_restart(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        support.create_function(daemon.client("lambda"), "kept", ECHO)
        for stop in (daemon.restart, lambda: (daemon.kill(), daemon.start())):
            stop()
            answer = daemon.client("lambda").invoke(FunctionName="kept", Payload=b'{"n":1}')
            self.assertEqual({"n": 1}, json.loads(answer["Payload"].read()))

    def test_stops_gracefully(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        support.create_function(daemon.client("lambda"), "f", ECHO)
        daemon.client("lambda").invoke(FunctionName="f")
        family = {pid: support.identity(pid) for pid in support.descendants(daemon.process.pid)}
        self.assertEqual(0, daemon.stop(), daemon.log())
        left = [pid for pid, start in family.items() if start is not None and support.identity(pid) == start]
        self.assertEqual([], left)

    def test_a_second_daemon_is_kept_off_the_data(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        support.create_function(daemon.client("lambda"), "f", ECHO)
        daemon.client("lambda").invoke(FunctionName="f")
        second = subprocess.run([support.LAMBDAD, "serve", "--listen", "127.0.0.1:0", "--data", daemon.data],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(3, second.returncode, second)
        # The first one goes on: with the environment it has, and with a new one.
        self.assertNotIn("FunctionError", daemon.client("lambda").invoke(FunctionName="f"))
        support.create_function(daemon.client("lambda"), "g", ECHO)
        self.assertNotIn("FunctionError", daemon.client("lambda").invoke(FunctionName="g"))


class Invoke(DaemonTest):
    def test_payloads_pass_unchanged(self):
        name = self.function(ECHO)
        for payload in ({"a": [1, 2.5, None, True, "ä\u2028\U0001f600"]}, [], 0, "", None):
            with self.subTest(payload=payload):
                self.assertEqual((None, payload), self.invoke(name, payload)[:2])

    def test_status_and_headers(self):
        name = self.function(ECHO)
        status, headers, body = self.daemon.request("POST", "/2015-03-31/functions/%s/invocations" % name, b'{"x":1.10}')
        self.assertEqual((200, "$LATEST"), (status, headers["X-Amz-Executed-Version"]))
        self.assertRegex(headers["x-amzn-RequestId"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertEqual({"x": 1.1}, json.loads(body))
        event = self.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
        self.assertEqual((202, b""), (event["StatusCode"], event["Payload"].read()))
        self.assertEqual(204, self.lambda_.invoke(FunctionName=name, InvocationType="DryRun", Payload=b"{}")["StatusCode"])

    def test_log_tail(self):
        name = self.function("def handler(event, context):\n    print('said', event)\n    return context.aws_request_id\n")
        error, request, answer = self.invoke(name, "this", LogType="Tail")
        lines = support.tail(answer).splitlines()
        start = lines.index("START RequestId: %s Version: $LATEST" % request)
        self.assertIn("said this", lines[start:])
        self.assertIn("END RequestId: " + request, lines)
        self.assertRegex(lines[-1] or lines[-2],
                         r"^REPORT RequestId: %s\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB" % request)
        self.assertIn("Init Duration:", support.tail(answer))
        self.assertNotIn("Init Duration:", support.tail(self.invoke(name, "again", LogType="Tail")[2]))

    def test_the_environment_is_there(self):
        name = self.function("import os\ndef handler(event, context):\n    return dict(os.environ)\n",
                             Environment={"Variables": {"COLOUR": "blue", "EMPTY": ""}}, MemorySize=192)
        seen = self.invoke(name)[1]
        expected = {"COLOUR": "blue", "EMPTY": "", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
                    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "_HANDLER": "function.handler", "LAMBDA_TASK_ROOT": "/var/task",
                    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "TZ": ":UTC",
                    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
        self.assertEqual(expected, {key: seen.get(key) for key in expected})
        for key in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_LOG_GROUP_NAME"):
            self.assertTrue(seen.get(key), key)

    def test_an_environment_is_used_again_and_keeps_what_the_function_keeps(self):
        name = self.function("import os\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return [os.getpid(), n]\n")
        first, second = self.invoke(name)[1], self.invoke(name)[1]
        self.assertEqual([first[0], 2], second)

    def test_concurrent_invocations_have_environments_of_their_own(self):
        # Each waits until the other is there: in one environment, one after the other, they would time out.
        queue = self.queue()
        name = self.function(
            "import boto3, os, time\nsqs = boto3.client('sqs')\n"
            "def handler(event, context):\n"
            "    sqs.send_message(QueueUrl=os.environ['QUEUE_URL'], MessageBody='here')\n"
            "    while True:\n"
            "        n = sqs.get_queue_attributes(QueueUrl=os.environ['QUEUE_URL'], AttributeNames=['All'])['Attributes']\n"
            "        if n['ApproximateNumberOfMessages'] == '2': return 'met'\n"
            "        time.sleep(0.05)\n",
            Environment={"Variables": {"QUEUE_URL": queue}}, Timeout=30)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: self.invoke(name)[:2], range(2)))
        self.assertEqual([(None, "met")] * 2, answers)

    def test_functions_cannot_see_each_other(self):
        secret = self.name("-secret")
        writer = self.function(
            "import os\ndef handler(event, context):\n"
            "    open('/tmp/' + event, 'w').write(event)\n    open('/dev/shm/' + event, 'w').write(event) if os.path.isdir('/dev/shm') else 0\n"
            "    return [os.listdir('/var/task'), os.listdir('/tmp')]\n", files={"mine.txt": secret})
        task, tmp = self.invoke(writer, secret)[1]
        self.assertEqual((["function.py", "mine.txt"], [secret]), (sorted(n for n in task if n != "__pycache__"), tmp))
        looker = self.function(
            "import os\n"
            "def handler(event, context):\n"
            "    found = []\n"
            "    for top in ('/tmp', '/dev/shm', '/var/task'):\n"
            "        found += [n for n in (os.listdir(top) if os.path.isdir(top) else []) if event in n or n == 'mine.txt']\n"
            "    processes = [p for p in os.listdir('/proc') if p.isdigit()]\n"
            "    for p in processes:\n"
            "        try: text = open('/proc/%s/environ' % p).read()\n"
            "        except OSError: continue\n"
            "        if 'AWS_LAMBDA_FUNCTION_NAME=' in text and os.environ['AWS_LAMBDA_FUNCTION_NAME'] not in text: found.append(p)\n"
            "    written = True\n"
            "    try: open('/var/task/x', 'w')\n"
            "    except OSError: written = False\n"
            "    return [found, len(processes), written, os.path.exists('/root') and os.access('/root', os.R_OK), os.getuid() == 0]\n")
        found, processes, written, root_readable, is_root = self.invoke(looker, secret)[1]
        self.assertEqual([], found)
        self.assertLess(processes, 5)
        self.assertFalse(written, "/var/task is writable")
        self.assertFalse(root_readable, "/root is readable")

    def test_a_function_cannot_reach_the_host_loopback(self):
        name = self.function(
            "import socket\n"
            "def handler(event, context):\n"
            "    s = socket.socket(); s.settimeout(2)\n"
            "    try: s.connect(('127.0.0.1', event))\n"
            "    except OSError as e: return type(e).__name__\n"
            "    return 'connected'\n")
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.assertEqual((None, "ConnectionRefusedError"), self.invoke(name, server.getsockname()[1])[:2])


class Failures(DaemonTest):
    def fails(self, source, **options):
        name = self.function(source, **options)
        return self.invoke(name, LogType="Tail")

    def test_exception(self):
        error, payload, answer = self.fails("def handler(event, context):\n    raise ValueError('bad ä')\n")
        self.assertEqual(("Unhandled", 200), (error, answer["StatusCode"]))
        self.assertEqual(("bad ä", "ValueError"), (payload["errorMessage"], payload["errorType"]))
        self.assertEqual(answer["ResponseMetadata"]["RequestId"], payload["requestId"])
        self.assertIn('File "/var/task/function.py", line 2, in handler', payload["stackTrace"][0])
        self.assertIn("ValueError: bad ä", support.tail(answer))

    def test_node_exception(self):
        error, payload, _ = self.fails("export const handler = async () => { throw new TypeError('bad'); };",
                                       runtime=support.node_runtime())
        self.assertEqual(("Unhandled", "TypeError", "bad"), (error, payload["errorType"], payload["errorMessage"]))
        self.assertEqual("TypeError: bad", payload["trace"][0])

    def test_timeout(self):
        error, payload, answer = self.fails("import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
        request = answer["ResponseMetadata"]["RequestId"]
        self.assertEqual(("Unhandled", {"errorType": "Sandbox.Timedout",
                                        "errorMessage": "RequestId: %s Error: Task timed out after 1.00 seconds" % request}),
                         (error, payload))
        self.assertIn("Status: timeout", support.tail(answer))

    def test_after_a_timeout_the_function_starts_anew(self):
        name = self.function("import time\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n"
                             "    if event == 'hang': time.sleep(60)\n    return n\n", Timeout=1)
        self.assertEqual((None, 1), self.invoke(name)[:2])
        self.assertEqual("Sandbox.Timedout", self.invoke(name, "hang")[1]["errorType"])
        self.assertEqual((None, 1), self.invoke(name)[:2])

    def test_exit(self):
        error, payload, answer = self.fails("import os\ndef handler(event, context):\n    os._exit(3)\n")
        request = answer["ResponseMetadata"]["RequestId"]
        self.assertEqual(("Unhandled", {"errorType": "Runtime.ExitError",
                                        "errorMessage": "RequestId: %s Error: Runtime exited with error: exit status 3" % request}),
                         (error, payload))

    def test_exit_without_a_reason(self):
        _, payload, answer = self.fails("import os\ndef handler(event, context):\n    os._exit(0)\n")
        self.assertEqual({"errorType": "Runtime.ExitError", "errorMessage": "RequestId: %s Error: Runtime exited without providing a reason"
                          % answer["ResponseMetadata"]["RequestId"]}, payload)

    def test_killed_by_a_signal(self):
        _, payload, answer = self.fails("import os\ndef handler(event, context):\n    os.kill(os.getpid(), 11)\n")
        self.assertEqual("Runtime.ExitError", payload["errorType"])
        self.assertRegex(payload["errorMessage"], "RequestId: %s Error: Runtime exited with error: signal: segmentation fault"
                         % answer["ResponseMetadata"]["RequestId"])

    def test_error_while_loading(self):
        error, payload, _ = self.fails("raise KeyError('at import')\n")
        self.assertEqual(("Unhandled", "KeyError", ""), (error, payload["errorType"], payload["requestId"]))

    def test_missing_module(self):
        error, payload, _ = self.fails("import no_such_module\n")
        self.assertEqual(("Unhandled", "Runtime.ImportModuleError"), (error, payload["errorType"]))
        self.assertEqual("Unable to import module 'function': No module named 'no_such_module'", payload["errorMessage"])

    def test_missing_handler(self):
        error, payload, _ = self.fails("x = 1\n")
        self.assertEqual(("Unhandled", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'function'"),
                         (error, payload["errorType"], payload["errorMessage"]))

    def test_unserialisable_result(self):
        error, payload, _ = self.fails("def handler(event, context):\n    return object()\n")
        self.assertEqual(("Unhandled", "Runtime.MarshalError"), (error, payload["errorType"]))

    def test_result_too_large(self):
        name = self.function("import os\ndef handler(event, context):\n    return 'x' * event\n")
        self.assertEqual((None, "x" * 6_000_000), self.invoke(name, 6_000_000)[:2])
        error, payload, _ = self.invoke(name, 6_291_600)
        self.assertEqual(("Unhandled", "Function.ResponseSizeTooLarge",
                          "Response payload size exceeded maximum allowed payload size (6291556 bytes)."),
                         (error, payload["errorType"], payload["errorMessage"]))
        self.assertEqual((None, "x"), self.invoke(name, 1)[:2])

    def test_missing_bootstrap(self):
        name = self.function(None, runtime="provided.al2023", handler="x", files={"other": "x"})
        error, payload, _ = self.invoke(name)
        self.assertEqual(("Unhandled", "Runtime.InvalidEntrypoint"), (error, payload["errorType"]))


class Custom(DaemonTest):
    def test_native_bootstrap(self):
        name = self.function(support.native_bootstrap(), runtime="provided.al2023")
        self.assertEqual((None, {"deep": [1, "two"]}), self.invoke(name, {"deep": [1, "two"]})[:2])

    def test_shell_bootstrap(self):
        source = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  event=$(curl -sS -D /tmp/headers "$api/next")
  id=$(tr -d '\\r' </tmp/headers | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
  echo "shell got $event"
  curl -sS -X POST "$api/$id/response" -d "{\\"shell\\":$event}" >/dev/null
done
"""
        name = self.function(source, runtime="provided.al2")
        error, payload, answer = self.invoke(name, [1], LogType="Tail")
        self.assertEqual((None, {"shell": [1]}), (error, payload))
        self.assertIn("shell got [1]", support.tail(answer))


class AccountQuota(unittest.TestCase):
    def test_the_quota_that_was_asked_for_is_told_and_enforced(self):
        daemon = support.Daemon("--account-concurrency", "1", ephemeral=True)
        self.addCleanup(daemon.close)
        client = daemon.client("lambda")
        self.assertEqual(1, client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
        support.create_function(client, "hold", "import time\ndef handler(event, context):\n    time.sleep(event)\n", Timeout=60)

        def status(seconds):
            try:
                return client.invoke(FunctionName="hold", Payload=json.dumps(seconds))["StatusCode"]
            except client.exceptions.TooManyRequestsException as error:
                return error.response["Reason"]

        with concurrent.futures.ThreadPoolExecutor() as pool:
            results = list(pool.map(status, [1, 1]))
        self.assertEqual([200, "ConcurrentInvocationLimitExceeded"], sorted(results, key=str))
