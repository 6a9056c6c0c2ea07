"""Event invocations: retries on AWS's schedule, dead-letter queues, restarts in between."""

import json
import re
import subprocess

import support
from support import Daemon, DaemonTest

# Says when it ran, then fails if asked to. The queue is where an attempt can be seen.
WITNESS = """
import boto3, json, os
sqs = boto3.client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps({"n": event["n"], "id": context.aws_request_id}))
    if event.get("fail"): raise RuntimeError("as asked")
"""


class Retries(DaemonTest):
    """Each on a daemon of its own: they move the clock."""

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.connect()
        self.attempts = self.queue_url("attempts")
        self.dead = self.queue_url("dead")

    def connect(self):
        self.lambda_, self.sqs = self.daemon.client("lambda"), self.daemon.client("sqs")

    def queue_url(self, name):
        return self.sqs.create_queue(QueueName=name)["QueueUrl"]

    def witness(self, **options):
        support.create_function(self.lambda_, "witness", WITNESS, Environment={"Variables": {"QUEUE_URL": self.attempts}}, Timeout=30,
                                DeadLetterConfig={"TargetArn": self.queue_arn(self.dead)}, **options)

    def send(self, **event):
        answer = self.lambda_.invoke(FunctionName="witness", InvocationType="Event", Payload=json.dumps(event))
        self.assertEqual(202, answer["StatusCode"])
        return answer["ResponseMetadata"]["RequestId"]

    def ran(self):
        return [json.loads(m["Body"]) for m in self.receive_all(self.attempts)]

    def settled(self):
        """Waits until no attempt is under way: moving by nothing is quiet only then."""
        self.daemon.advance("0s")

    def test_a_success_runs_once(self):
        self.witness()
        request = self.send(n=1)
        self.assertEqual([{"n": 1, "id": request}], [json.loads(m["Body"]) for m in self.receive(self.attempts)])
        self.daemon.advance("6h")
        self.assertEqual([], self.ran())
        self.assertEqual([], self.receive_all(self.dead))

    def test_a_failure_is_retried_after_one_and_two_minutes_then_dead_lettered(self):
        self.witness()
        request = self.send(n=7, fail=True)
        attempt = [{"n": 7, "id": request}]
        self.assertEqual(attempt, [json.loads(m["Body"]) for m in self.receive(self.attempts)])
        self.settled()
        # Real time passes too, a few seconds at most: nothing may be due 40 s before its time.
        for not_yet, rest in (("20s", "41s"), ("80s", "41s")):
            self.daemon.advance(not_yet)
            self.assertEqual([], self.ran())
            self.assertEqual([], self.receive_all(self.dead))
            self.daemon.advance(rest)
            self.assertEqual(attempt, self.ran())
        (dead,) = self.receive(self.dead)
        self.assertEqual({"n": 7, "fail": True}, json.loads(dead["Body"]))
        attributes = {name: (value["DataType"], value["StringValue"]) for name, value in dead["MessageAttributes"].items()}
        self.assertEqual({"RequestID": ("String", request), "ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "as asked")}, attributes)
        self.daemon.advance("6h")
        self.assertEqual([], self.ran())

    def test_a_restart_keeps_attempts_and_due_times(self):
        for how in ("restart", "kill"):
            with self.subTest(how):
                if how == "restart":
                    self.witness()
                restart = self.daemon.restart if how == "restart" else lambda: (self.daemon.kill(), self.daemon.start())
                request = self.send(n=1, fail=True)
                self.receive(self.attempts)
                self.settled()
                restart()
                self.connect()
                self.assertEqual([], self.ran(), "a restart alone must not run it")
                self.daemon.advance("20s")
                self.assertEqual([], self.ran())
                self.daemon.advance("41s")
                self.assertEqual([{"n": 1, "id": request}], self.ran())
                restart()
                self.connect()
                self.daemon.advance("80s")
                self.assertEqual([], self.ran())
                self.daemon.advance("41s")
                self.assertEqual([{"n": 1, "id": request}], self.ran())
                self.assertEqual(1, len(self.receive(self.dead)))

    def test_retries_and_age_can_be_set(self):
        self.witness()
        self.lambda_.put_function_event_invoke_config(FunctionName="witness", MaximumRetryAttempts=0)
        self.send(n=1, fail=True)
        self.receive(self.attempts)
        self.receive(self.dead)
        self.lambda_.put_function_event_invoke_config(FunctionName="witness", MaximumRetryAttempts=2, MaximumEventAgeInSeconds=60)
        self.send(n=2, fail=True)
        self.receive(self.attempts)
        # A retry after a minute would come too late: it is given up at once.
        self.receive(self.dead)
        self.daemon.advance("1h")
        self.assertEqual([], self.ran())

    def test_no_concurrency_at_all_is_dead_lettered_at_once(self):
        self.witness()
        self.lambda_.put_function_concurrency(FunctionName="witness", ReservedConcurrentExecutions=0)
        self.send(n=1)
        (dead,) = self.receive(self.dead)
        self.assertEqual("429", dead["MessageAttributes"]["ErrorCode"]["StringValue"])
        self.assertEqual([], self.ran())

    def test_throttled_events_wait(self):
        go = self.queue_url("go")
        source = WITNESS + """
    while event.get("hold") and "Messages" not in sqs.receive_message(QueueUrl=os.environ["GO_URL"], WaitTimeSeconds=1): pass
"""
        support.create_function(self.lambda_, "witness", source, Timeout=60,
                                Environment={"Variables": {"QUEUE_URL": self.attempts, "GO_URL": go}})
        self.lambda_.put_function_concurrency(FunctionName="witness", ReservedConcurrentExecutions=1)
        self.send(n=1, hold=True)
        self.receive(self.attempts)
        with self.assertRaises(self.lambda_.exceptions.TooManyRequestsException):
            self.lambda_.invoke(FunctionName="witness", Payload=b'{"n":0}')
        request = self.send(n=2)
        # The clock moves, though not to the end of what is running.
        for _ in range(3):
            self.assertEqual(409, self.daemon.json("POST", "/_lambdad/clock", {"advance": "1s", "wait": "100ms"})[0])
        self.assertEqual([], self.ran())
        self.sqs.send_message(QueueUrl=go, MessageBody="go")
        self.settled()
        self.daemon.advance("5m")
        self.assertEqual([{"n": 2, "id": request}], self.ran())


class Destinations(DaemonTest):
    """Each on a daemon of its own: they move the clock."""

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.lambda_, self.sqs = self.daemon.client("lambda"), self.daemon.client("sqs")
        self.done, self.failed, self.dead = (self.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("done", "failed", "dead"))

    def create(self, name, source, **options):
        return support.create_function(self.lambda_, name, source, **options)

    def send(self, name, **event):
        return self.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))["ResponseMetadata"]["RequestId"]

    def configure(self, name, success=None, failure=None, **options):
        destinations = {kind: {"Destination": arn} for kind, arn in (("OnSuccess", success), ("OnFailure", failure)) if arn}
        return self.lambda_.put_function_event_invoke_config(FunctionName=name, DestinationConfig=destinations, **options)

    def test_success_and_failure_are_told_with_the_exact_records(self):
        self.create("f", "def handler(event, context):\n    if event.get('fail'): raise ValueError('as asked')\n    return {'got': event['n']}\n",
                    DeadLetterConfig={"TargetArn": self.queue_arn(self.dead)})
        answer = self.configure("f", self.queue_arn(self.done), self.queue_arn(self.failed), MaximumRetryAttempts=1)
        self.assertEqual(self.queue_arn(self.done), answer["DestinationConfig"]["OnSuccess"]["Destination"])
        self.assertEqual(answer["DestinationConfig"], self.lambda_.get_function_event_invoke_config(FunctionName="f")["DestinationConfig"])
        good = self.send("f", n=1)
        (message,) = self.receive(self.done)
        record = json.loads(message["Body"])
        self.assertRegex(record.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual({
            "version": "1.0",
            "requestContext": {"requestId": good, "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
                               "condition": "Success", "approximateInvokeCount": 1},
            "requestPayload": {"n": 1},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "responsePayload": {"got": 1},
        }, record)
        bad = self.send("f", n=2, fail=True)
        self.daemon.advance("0s")
        self.daemon.advance("61s")
        (message,) = self.receive(self.failed)
        record = json.loads(message["Body"])
        self.assertEqual({"requestId": bad, "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
                          "condition": "RetriesExhausted", "approximateInvokeCount": 2}, record["requestContext"])
        self.assertEqual({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}, record["responseContext"])
        self.assertEqual("as asked", record["responsePayload"]["errorMessage"])
        (letter,) = self.receive(self.dead)
        self.assertEqual({"n": 2, "fail": True}, json.loads(letter["Body"]))
        self.assertEqual([], self.receive_all(self.done))

    def test_a_function_is_a_destination(self):
        self.create("first", "def handler(event, context): return event['n'] + 1\n")
        self.create("second", "def handler(event, context): return [event['requestContext']['condition'], event['responsePayload']]\n")
        self.configure("first", "arn:aws:lambda:us-east-1:000000000000:function:second")
        self.configure("second", self.queue_arn(self.done))
        self.send("first", n=41)
        (message,) = self.receive(self.done)
        self.assertEqual(["Success", 42], json.loads(message["Body"])["responsePayload"])

    def test_functions_that_are_destinations_of_each_other_are_stopped(self):
        for name, other in (("ping", "pong"), ("pong", "ping")):
            self.create(name, "def handler(event, context): return 1\n")
        for name, other in (("ping", "pong"), ("pong", "ping")):
            self.configure(name, "arn:aws:lambda:us-east-1:000000000000:function:" + other, self.queue_arn(self.failed))
        self.send("ping")
        (message,) = self.receive(self.failed)
        record = json.loads(message["Body"])
        self.assertEqual("RecursiveLoop", record["requestContext"]["condition"])
        self.assertNotIn("responsePayload", record)

    def test_what_cannot_be_a_destination_is_refused(self):
        self.create("f", "def handler(event, context): return 1\n")
        fifo = self.queue_arn(self.done) + ".fifo"
        for destinations, text in (
                ({"OnSuccess": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:f"}}, "You can't specify the function as a destination for itself."),
                ({"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:nowhere"}}, "The destination ARN arn:aws:sqs:us-east-1:000000000000:nowhere is invalid."),
                ({"OnFailure": {"Destination": fifo}}, "The destination ARN %s is invalid." % fifo),
                ({"OnSuccess": {"Destination": "arn:aws:s3:::bucket"}}, "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::bucket), onFailure=null) is invalid.")):
            with self.subTest(text), self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException) as refused:
                self.lambda_.put_function_event_invoke_config(FunctionName="f", DestinationConfig=destinations)
            self.assertEqual(text, refused.exception.response["Error"]["Message"])


class Events(DaemonTest):
    """lambdad's own view of events."""

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.lambda_ = self.daemon.client("lambda")

    def command(self, *arguments):
        done = subprocess.run([str(support.LAMBDAD), "events", *arguments[:1], "--endpoint", self.daemon.url, *arguments[1:]],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_a_dead_event_is_seen_and_replayed_to_mended_code(self):
        support.create_function(self.lambda_, "f", "def handler(event, context):\n    print('about to fail')\n    raise ValueError('no')\n")
        self.lambda_.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)
        request = self.lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n":1}')["ResponseMetadata"]["RequestId"]
        self.daemon.advance("0s")
        status, queued = self.daemon.json("GET", "/_lambdad/events?state=queued")
        self.assertEqual(200, status)
        (event,) = queued["events"]
        self.assertEqual((request, 1), (event["requestId"], event["attempts"]))
        self.daemon.advance("61s")
        self.daemon.restart()
        self.lambda_ = self.daemon.client("lambda")
        status, out, err = self.command("list", "--state", "dead", "--json")
        self.assertEqual(0, status, err)
        (event,) = json.loads(out)
        self.assertEqual("RetriesExhausted", event["condition"])
        status, out, err = self.command("show", str(event["id"]))
        self.assertEqual(0, status, err)
        shown = json.loads(out)
        self.assertEqual(["function_error", "function_error"], [attempt["outcome"] for attempt in shown["history"]])
        self.assertIn("about to fail", shown["history"][0]["log"])
        self.assertEqual('{"n":1}', shown["payload"])

        self.lambda_.update_function_code(FunctionName="f", ZipFile=support.zipped({"function.py": "def handler(event, context): return event['n']\n"}))
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName="f")
        self.assertEqual((0, "replayed %d\n" % event["id"], ""), self.command("replay", "--all-dead", "--function", "f"))
        self.daemon.advance("0s")
        status, processed = self.daemon.json("GET", "/_lambdad/events?state=processed")
        self.assertEqual([request], [each["requestId"] for each in processed["events"]])
        self.assertEqual([], self.daemon.json("GET", "/_lambdad/events")[1]["events"])
        self.assertEqual(1, self.command("show", "99999")[0])

    def test_a_queued_event_is_dropped(self):
        support.create_function(self.lambda_, "f", "def handler(event, context): raise ValueError('no')\n")
        self.lambda_.invoke(FunctionName="f", InvocationType="Event")
        self.daemon.advance("0s")
        (event,) = self.daemon.json("GET", "/_lambdad/events")[1]["events"]
        self.assertEqual((0, "removed %d\n" % event["id"], ""), self.command("drop", str(event["id"])))
        self.assertEqual([], self.daemon.json("GET", "/_lambdad/events")[1]["events"])


class Clock(DaemonTest):
    def test_next_jumps_to_the_timer(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        client = daemon.client("lambda")
        support.create_function(client, "fails", "def handler(event, context):\n    raise ValueError('no')\n")
        client.invoke(FunctionName="fails", InvocationType="Event")
        daemon.advance("0s")
        # Timers of other parts may come first; the retries are at +1 and +2 minutes of AWS's time, less what has passed for real
        # before, and with what the attempt itself takes.
        for least, most in ((40, 75), (100, 135)):
            seconds = 0
            for _ in range(5):
                answer = daemon.advance("next")
                seconds += sum(float(n) * {"m": 60, "s": 1, "ms": 0.001}[unit] for n, unit in re.findall(r"([\d.]+)(ms|m|s)", answer["advanced"]))
                if seconds >= least:
                    break
            self.assertTrue(least <= seconds <= most, (seconds, answer))

    def test_bad_requests_are_refused(self):
        for body in (b"", b"{}", b"[]", b'{"advance":"-1s"}', b'{"advance":5}', b'{"advance":"2m","x":1}', b'{"advance":"soon"}', b"{"):
            with self.subTest(body):
                self.assertEqual(400, self.daemon.request("POST", "/_lambdad/clock", body)[0])
        self.assertEqual(405, self.daemon.request("DELETE", "/_lambdad/clock")[0])
