"""Event invocations: retries on AWS's schedule, dead-letter queues, restarts in between."""

import json
import re

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
