"""Following logs as they come in: Live Tail with boto3 and the AWS CLI, `aws logs tail --follow`."""

import datetime
import subprocess
import sys
import threading
from pathlib import Path

import support
from support import DaemonTest, eventually

ECHO = "def handler(event, context):\n    print('heard', event['n'])\n"
V1 = [sys.executable, str(Path(sys.executable).with_name("aws"))]


class Following(DaemonTest):
    def setUp(self):
        super().setUp()
        # Live Tail's clients put "streaming-" before the host otherwise, of any endpoint.
        self.logs = self.daemon.client("logs", inject_host_prefix=False)

    def group(self):
        name = self.name()
        self.logs.create_log_group(logGroupName=name)
        self.addCleanup(lambda: self.daemon.alive() and self.logs.delete_log_group(logGroupName=name))
        return name, "arn:aws:logs:us-east-1:000000000000:log-group:" + name

    def put(self, group, stream, *messages):
        try:
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        except self.logs.exceptions.ResourceAlreadyExistsException:
            pass
        now = int(datetime.datetime.now().timestamp() * 1000)
        self.logs.put_log_events(logGroupName=group, logStreamName=stream,
                                 logEvents=[{"timestamp": now, "message": message} for message in messages])

    def tail(self, **options):
        stream = self.logs.start_live_tail(**options)["responseStream"]
        self.addCleanup(stream.close)
        return iter(stream)

    def test_live_tail_shows_what_is_put_and_printed(self):
        group, arn = self.group()
        self.put(group, "before", "not shown")
        function = self.function(ECHO)
        self.assertIsNone(self.invoke(function, {"n": 0})[0])
        function_arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/" + function
        events = self.tail(logGroupIdentifiers=[arn, function_arn], logEventFilterPattern="-START -END -REPORT")
        start = next(events)["sessionStart"]
        self.assertEqual([arn, function_arn], start["logGroupIdentifiers"])
        self.assertEqual("-START -END -REPORT", start["logEventFilterPattern"])
        self.put(group, "s", "one", "two")
        self.assertIsNone(self.invoke(function, {"n": 1})[0])
        seen = {}
        while len(seen) < 3:
            update = next(events)["sessionUpdate"]
            self.assertFalse(update["sessionMetadata"]["sampled"])
            for event in update["sessionResults"]:
                seen[event["message"]] = event["logGroupIdentifier"]
        self.assertEqual({"one": arn, "two": arn, "heard 1\n": function_arn}, seen)

    def test_live_tail_of_some_streams(self):
        group, arn = self.group()
        events = self.tail(logGroupIdentifiers=[arn], logStreamNamePrefixes=["a"])
        self.assertEqual(["a"], next(events)["sessionStart"]["logStreamNamePrefixes"])
        for stream in ("b", "a1"):
            self.put(group, stream, "in " + stream)
        found = []
        while not found:
            found = [event["logStreamName"] for event in next(events)["sessionUpdate"]["sessionResults"]]
        self.assertEqual(["a1"], found)

    def test_what_live_tail_refuses(self):
        _, arn = self.group()
        for code, options in [
            ("ResourceNotFoundException", {"logGroupIdentifiers": [arn + "-none"]}),
            ("InvalidParameterException", {"logGroupIdentifiers": ["name"]}),
            ("InvalidParameterException", {"logGroupIdentifiers": [arn], "logStreamNames": ["a"], "logStreamNamePrefixes": ["a"]}),
            ("InvalidParameterException", {"logGroupIdentifiers": [arn, arn], "logStreamNames": ["a"]}),
        ]:
            with self.subTest(options), self.assertRaises(self.logs.exceptions.ClientError) as caught:
                self.logs.start_live_tail(**options)
            self.assertEqual(code, caught.exception.response["Error"]["Code"])

    def test_a_session_does_not_hold_up_the_end(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        logs = daemon.client("logs", inject_host_prefix=False)
        logs.create_log_group(logGroupName="g")
        stream = logs.start_live_tail(logGroupIdentifiers=["arn:aws:logs:us-east-1:000000000000:log-group:g"])["responseStream"]
        events = iter(stream)
        self.assertIn("sessionStart", next(events))
        stopping = threading.Thread(target=daemon.stop)
        stopping.start()
        self.assertEqual([], [event for event in events if "sessionUpdate" not in event])
        stopping.join()

    def follow(self, program, *arguments):
        """Lines that the client prints, as they come; it is ended at the end."""
        environment = {**support.CLIENT_ENVIRONMENT, "AWS_DISABLE_HOST_PREFIX_INJECTION": "true", "PYTHONUNBUFFERED": "1"}
        client = subprocess.Popen([*program, "--endpoint-url", self.daemon.url, "logs", *arguments], env=environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(client.stdout))
        reader.start()

        def end():
            client.terminate()  # SIGINT is ignored by what a background job starts
            client.wait(30)
            reader.join()
            client.stdout.close()

        self.addCleanup(end)
        return lines

    def heard(self, group, lines):
        """Puts events until the client has shown one, since nothing tells when it has begun to look."""
        count = 0

        def shown():
            nonlocal count
            count += 1
            self.put(group, "s", "message %d" % count)
            return any("message" in line for line in lines)

        eventually("the client shows an event: %s" % lines, shown)

    def test_the_cli_starts_a_live_tail(self):
        group, arn = self.group()
        self.heard(group, self.follow(V1, "start-live-tail", "--log-group-identifiers", arn))

    def test_the_cli_of_debian_follows(self):
        group, _ = self.group()
        self.heard(group, self.follow(["/usr/bin/aws"], "tail", group, "--follow"))
