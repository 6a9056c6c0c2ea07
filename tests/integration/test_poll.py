"""Queues over both protocols, and event source mappings."""

import json
import subprocess

import support
from support import Daemon, DaemonTest

COLLECT = """
import boto3, json, os
sqs = boto3.client("sqs")
def handler(event, context):
    records = event["Records"]
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps(event))
    bad = [r["messageId"] for r in records if r["body"].startswith("bad")]
    if any(r["body"] == "raise" for r in records): raise RuntimeError("as asked")
    return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
"""

# The same walk for boto3 of today (JSON) and of Debian 12 (query).
WALK = """
import boto3, json, sys
sqs = boto3.client("sqs", endpoint_url=sys.argv[1], region_name="us-east-1")
name = sys.argv[2]
url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "45"}, tags={"team": "a&b"})["QueueUrl"]
assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
assert url in sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a&b"}
body = "<&>\\u00e4\\n\\U0001f600"
sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes={
    "s": {"DataType": "String", "StringValue": "x"}, "b": {"DataType": "Binary", "BinaryValue": b"\\x00\\xff"}})
assert len(sent["MD5OfMessageBody"]) == 32 and len(sent["MD5OfMessageAttributes"]) == 32
(got,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
assert got["Body"] == body and got["MessageId"] == sent["MessageId"], got
assert got["MessageAttributes"]["b"]["BinaryValue"] == b"\\x00\\xff"
assert got["Attributes"]["ApproximateReceiveCount"] == "1"
assert "Messages" not in sqs.receive_message(QueueUrl=url)
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
(again,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
assert again["Attributes"]["ApproximateReceiveCount"] == "2"
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
batch = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(9)] +
                                                     [{"Id": "late", "MessageBody": "x", "DelaySeconds": 901}])
assert len(batch["Successful"]) == 9 and [f["Id"] for f in batch["Failed"]] == ["late"], batch
got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=[dict(e, VisibilityTimeout=60) for e in entries])["Successful"]) == 9
assert len(sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 9
sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "5"})
attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("45", "5"), attributes
sqs.send_message(QueueUrl=url, MessageBody="x")
sqs.purge_queue(QueueUrl=url)
try:
    sqs.get_queue_url(QueueName=name + "-no")
    raise SystemExit("found a queue that is not there")
except sqs.exceptions.QueueDoesNotExist as e:
    assert e.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", e.response
sqs.delete_queue(QueueUrl=url)
print(sqs.meta.service_model.metadata["protocol"], boto3.__version__)
"""


class Queues(DaemonTest):
    def walk(self, python):
        done = subprocess.run([python, "-c", WALK, self.daemon.url, self.name()], env=support.CLIENT_ENVIRONMENT, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.split()

    def test_over_the_json_protocol(self):
        import sys
        self.assertEqual("json", self.walk(sys.executable)[0])

    def test_over_the_query_protocol(self):
        protocol, version = self.walk(support.SYSTEM_PYTHON)
        self.assertEqual("query", protocol, version)

    def test_long_polling_ends_when_a_message_comes(self):
        queue = self.queue()
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.daemon.client("sqs").receive_message, QueueUrl=queue, WaitTimeSeconds=20)
            self.sqs.send_message(QueueUrl=queue, MessageBody="m")
            self.assertEqual("m", waiting.result(15)["Messages"][0]["Body"])

    def test_messages_survive_kill(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        sqs = daemon.client("sqs")
        url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        for body in ("one", "two"):
            sqs.send_message(QueueUrl=url, MessageBody=body)
        first = sqs.receive_message(QueueUrl=url)["Messages"][0]
        daemon.kill()
        daemon.start()
        sqs = daemon.client("sqs")
        url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
        second = sqs.receive_message(QueueUrl=url)["Messages"]
        self.assertEqual(["two"], [m["Body"] for m in second])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=second[0]["ReceiptHandle"])
        daemon.advance("61s")
        (back,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
        self.assertEqual((first["MessageId"], "2"), (back["MessageId"], back["Attributes"]["ApproximateReceiveCount"]))


class Mappings(DaemonTest):
    """Each on a daemon of its own: they move the clock."""

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.lambda_, self.sqs = self.daemon.client("lambda"), self.daemon.client("sqs")
        self.seen = self.sqs.create_queue(QueueName="seen")["QueueUrl"]
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        redrive = json.dumps({"deadLetterTargetArn": self.queue_arn(self.dead), "maxReceiveCount": 2})
        self.source = self.sqs.create_queue(QueueName="source", Attributes={"VisibilityTimeout": "30", "RedrivePolicy": redrive})["QueueUrl"]
        support.create_function(self.lambda_, "collect", COLLECT, Environment={"Variables": {"QUEUE_URL": self.seen}}, Timeout=20)

    def map(self, **options):
        mapping = self.lambda_.create_event_source_mapping(FunctionName="collect", EventSourceArn=self.queue_arn(self.source), **options)
        self.assertIn(mapping["State"], ("Creating", "Enabling", "Enabled"))
        return self.state(mapping["UUID"], "Enabled")

    def state(self, uuid, state):
        return support.eventually("mapping is " + state, lambda: (m := self.lambda_.get_event_source_mapping(UUID=uuid))["State"] == state and m)

    def send(self, *bodies):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        return {s["Id"]: s["MessageId"] for s in self.sqs.send_message_batch(QueueUrl=self.source, Entries=entries)["Successful"]}

    def bodies(self):
        return sorted(r["body"] for m in self.receive_all(self.seen) for r in json.loads(m["Body"])["Records"])

    def seen_bodies(self, count):
        found = []
        support.eventually("%d records" % count, lambda: found.extend(self.bodies()) or len(found) >= count)
        return sorted(found)

    def settled(self, expected):
        support.eventually("counts of the source are %s" % (expected,), lambda: self.counts(self.source) == expected)

    def test_the_event_is_exact_and_success_deletes(self):
        mapping = self.map(BatchSize=10)
        self.assertEqual((10, 0), (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]))
        sent = self.sqs.send_message(QueueUrl=self.source, MessageBody="hello", MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
        (message,) = self.receive(self.seen)
        (record,) = json.loads(message["Body"])["Records"]
        for name in ("receiptHandle", "attributes"):
            self.assertTrue(record[name])
        self.assertEqual({"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"},
                         set(record["attributes"]) - {"AWSTraceHeader"})
        del record["receiptHandle"], record["attributes"]
        self.assertEqual({
            "messageId": sent["MessageId"], "body": "hello", "md5OfBody": sent["MD5OfMessageBody"],
            "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
            "messageAttributes": {"a": {"stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"}},
            "eventSource": "aws:sqs", "eventSourceARN": self.queue_arn(self.source), "awsRegion": "us-east-1"}, record)
        self.settled((0, 0, 0))

    def test_a_failed_batch_returns_and_is_dead_lettered(self):
        self.map()
        self.send("raise")
        self.assertEqual(["raise"], self.seen_bodies(1))
        self.settled((0, 1, 0))
        self.daemon.advance("31s")
        self.assertEqual(["raise"], self.seen_bodies(1))
        self.daemon.advance("31s")
        self.assertEqual("raise", self.receive(self.dead)[0]["Body"])
        self.assertEqual([], self.bodies())
        self.settled((0, 0, 0))

    def test_partial_failures_return_alone(self):
        self.map(FunctionResponseTypes=["ReportBatchItemFailures"])
        self.send("good-1", "bad-1", "good-2")
        self.assertEqual(["bad-1", "good-1", "good-2"], self.seen_bodies(3))
        self.settled((0, 1, 0))
        self.daemon.advance("31s")
        self.assertEqual(["bad-1"], self.seen_bodies(1))

    def test_a_window_gathers_a_batch(self):
        self.map(BatchSize=100, MaximumBatchingWindowInSeconds=300)
        self.send(*[str(i) for i in range(10)])
        self.send(*[str(i) for i in range(10, 20)])
        self.settled((0, 20, 0))
        self.assertEqual([], self.bodies())
        self.daemon.advance("301s")
        (event,) = self.receive(self.seen)
        self.assertEqual(20, len(json.loads(event["Body"])["Records"]))
        self.settled((0, 0, 0))

    def test_disabled_means_nothing_is_taken(self):
        uuid = self.map()["UUID"]
        self.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
        self.state(uuid, "Disabled")
        self.send("later")
        self.daemon.advance("5m")
        self.assertEqual((1, 0, 0), self.counts(self.source))
        self.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
        self.assertEqual(["later"], self.seen_bodies(1))

    def test_life_of_a_mapping(self):
        uuid = self.map()["UUID"]
        with self.assertRaises(self.lambda_.exceptions.ResourceConflictException):
            self.lambda_.create_event_source_mapping(FunctionName="collect", EventSourceArn=self.queue_arn(self.source))
        listed = self.lambda_.list_event_source_mappings(EventSourceArn=self.queue_arn(self.source))["EventSourceMappings"]
        self.assertEqual([uuid], [m["UUID"] for m in listed])
        self.assertEqual("Deleting", self.lambda_.delete_event_source_mapping(UUID=uuid)["State"])

        def gone():
            try:
                self.lambda_.get_event_source_mapping(UUID=uuid)
            except self.lambda_.exceptions.ResourceNotFoundException:
                return True

        support.eventually("the mapping is gone", gone)
        self.send("stays")
        self.assertEqual((1, 0, 0), self.counts(self.source))

    def test_a_mapping_survives_restart_and_kill(self):
        self.map()
        for number, restart in enumerate((self.daemon.restart, lambda: (self.daemon.kill(), self.daemon.start()))):
            restart()
            self.lambda_, self.sqs = self.daemon.client("lambda"), self.daemon.client("sqs")
            self.send("after %d" % number)
            self.assertEqual(["after %d" % number], self.seen_bodies(1))

    def test_many_messages_are_all_delivered(self):
        self.map(BatchSize=10)
        expected = sorted("m%03d" % i for i in range(500))
        for start in range(0, 500, 10):
            self.send(*expected[start : start + 10])
        self.assertEqual(expected, self.seen_bodies(500))
        self.settled((0, 0, 0))

    def test_filters_decide_what_the_function_sees(self):
        pattern = json.dumps({"body": {"amount": [{"numeric": [">", 100]}], "kind": [{"anything-but": {"prefix": "test"}}]}})
        mapping = self.map(FilterCriteria={"Filters": [{"Pattern": pattern}]})
        self.assertEqual([{"Pattern": pattern}], mapping["FilterCriteria"]["Filters"])
        wanted = json.dumps({"amount": 101, "kind": "order"})
        self.send(wanted, json.dumps({"amount": 100, "kind": "order"}), json.dumps({"amount": 200, "kind": "test-order"}), "plain text")
        self.settled((0, 0, 0))
        self.assertEqual([wanted], self.seen_bodies(1))
        with self.assertRaisesRegex(self.lambda_.exceptions.InvalidParameterValueException, "Invalid filter pattern definition."):
            self.lambda_.update_event_source_mapping(UUID=mapping["UUID"], FilterCriteria={"Filters": [{"Pattern": '{"body": "x"}'}]})

    def test_tags_and_the_overview(self):
        uuid = self.map()["UUID"]
        arn = self.lambda_.get_event_source_mapping(UUID=uuid)["EventSourceMappingArn"]
        self.lambda_.tag_resource(Resource=arn, Tags={"team": "a", "stage": "b"})
        self.lambda_.untag_resource(Resource=arn, TagKeys=["stage"])
        self.assertEqual({"team": "a"}, self.lambda_.list_tags(Resource=arn)["Tags"])
        self.send("raise")
        self.seen_bodies(1)

        def listed():
            done = subprocess.run([support.LAMBDAD, "mappings", "--json", "--endpoint", self.daemon.url], capture_output=True, text=True, timeout=60)
            self.assertEqual(0, done.returncode, done.stderr)
            (mapping,) = json.loads(done.stdout)
            return mapping.get("last_result") and mapping

        mapping = support.eventually("the overview shows the result", listed)
        self.assertEqual("PROBLEM: Function call failed", mapping["last_result"])
        self.assertEqual({"messages": 0, "in_flight": 1, "delayed": 0}, mapping["lag"])
        self.assertEqual((1, 1, 0), tuple(mapping["events"][n + "EventCount"] for n in ("Invoked", "FailedInvoke", "Deleted")))
        table = subprocess.run([support.LAMBDAD, "mappings", "--endpoint", self.daemon.url], capture_output=True, text=True, timeout=60)
        self.assertIn(uuid, table.stdout)

    def test_a_fifo_queue_gives_each_group_in_order(self):
        fifo = self.sqs.create_queue(QueueName="source.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "30"})["QueueUrl"]
        sent = ["%d-%02d" % (number % 3, number) for number in range(30)]
        for body in sent:
            self.sqs.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId=body[0], MessageDeduplicationId=body)
        self.lambda_.create_event_source_mapping(FunctionName="collect", EventSourceArn=self.queue_arn(fifo), BatchSize=4)
        events = []
        support.eventually("30 records", lambda: events.extend(
            json.loads(m["Body"])["Records"] for m in self.receive_all(self.seen)) or sum(map(len, events)) >= 30)
        self.assertEqual(sorted(sent), sorted(r["body"] for records in events for r in records))
        for records in events:
            for group in "012":
                bodies = [r["body"] for r in records if r["attributes"]["MessageGroupId"] == group]
                self.assertEqual(sorted(bodies), bodies)

    def test_the_queue_may_be_at_another_lambdad(self):
        elsewhere = Daemon()
        self.addCleanup(elsewhere.close)
        other = elsewhere.client("sqs", access_key="111122223333")
        url = other.create_queue(QueueName="far", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        here = Daemon("--remote-account", "111122223333=" + elsewhere.url)
        self.addCleanup(here.close)
        lambda_, sqs = here.client("lambda"), here.client("sqs")
        seen = sqs.create_queue(QueueName="seen")["QueueUrl"]
        support.create_function(lambda_, "collect", COLLECT, Environment={"Variables": {"QUEUE_URL": seen}}, Timeout=20)
        lambda_.create_event_source_mapping(FunctionName="collect", EventSourceArn="arn:aws:sqs:us-east-1:111122223333:far")
        other.send_message(QueueUrl=url, MessageBody="from afar")
        message = support.eventually("the message was processed", lambda: sqs.receive_message(QueueUrl=seen, WaitTimeSeconds=5).get("Messages"))[0]
        (record,) = json.loads(message["Body"])["Records"]
        self.assertEqual(("from afar", "arn:aws:sqs:us-east-1:111122223333:far"), (record["body"], record["eventSourceARN"]))
        support.eventually("it is deleted there", lambda: self.counts(url, other) == (0, 0, 0))
