"""SNS with real clients: deliveries to functions, queues, HTTP and mail; what survives kill -9."""

import datetime
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import support
from support import Daemon, DaemonTest, eventually

VALIDATOR = support.ROOT / "build" / "sns-validator"
ECHO = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps(event))
"""


class Endpoint:
    """An HTTP endpoint that keeps what it gets and answers `status`."""

    def __init__(self, context=None):
        self.status = 200
        self.requests = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.requests.append((dict((k.lower(), v) for k, v in self.headers.items()), body, self.path))
                self.send_response(endpoint.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.port = self.server.server_address[1]
        self.url = "%s://localhost:%d" % ("https" if context else "http", self.port)

    def of_type(self, kind):
        return [r for r in self.requests if r[0]["x-amz-sns-message-type"] == kind]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class SnsTest(DaemonTest):
    def setUp(self):
        super().setUp()
        self.sns = self.daemon.client("sns")

    def topic(self, suffix="", **attributes):
        arn = self.sns.create_topic(Name=self.name(suffix), Attributes=attributes)["TopicArn"]
        self.addCleanup(lambda: self.daemon.alive() and self.sns.delete_topic(TopicArn=arn))
        return arn

    def subscribe(self, topic, protocol, endpoint, **attributes):
        return self.sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=attributes,
                                  ReturnSubscriptionArn=True)["SubscriptionArn"]

    def endpoint(self, context=None):
        made = Endpoint(context)
        self.addCleanup(made.close)
        return made

    def get(self, url):
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()

    def confirm(self, endpoint):
        """Follows the SubscribeURL of the last confirmation, without credentials, as an endpoint does."""
        eventually("a confirmation", lambda: endpoint.of_type("SubscriptionConfirmation"))
        message = json.loads(endpoint.of_type("SubscriptionConfirmation")[-1][1])
        answer = self.get(message["SubscribeURL"])
        return re.search("<SubscriptionArn>(.*)</SubscriptionArn>", answer).group(1)


class Functions(SnsTest):
    def test_a_function_gets_the_event(self):
        queue = self.queue()
        function = self.function(ECHO, Environment={"Variables": {"QUEUE_URL": queue}}, Timeout=30)
        arn = self.lambda_.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        topic = self.topic()
        subscription = self.subscribe(topic, "lambda", arn)
        message = self.sns.publish(TopicArn=topic, Message='{"n": 1}', Subject="Numbers",
                                   MessageAttributes={"a": {"DataType": "String", "StringValue": "x"},
                                                      "b": {"DataType": "Binary", "BinaryValue": b"\x01"}})["MessageId"]
        (received,) = self.receive(queue)
        event = json.loads(received["Body"])
        record = event["Records"][0]["Sns"]
        datetime.datetime.strptime(record.pop("Timestamp"), "%Y-%m-%dT%H:%M:%S.%fZ")
        self.assertTrue(record.pop("Signature"))
        self.assertIn("BEGIN CERTIFICATE", self.get(record.pop("SigningCertUrl")))
        self.assertEqual(
            {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription, "Sns": {
                "Type": "Notification", "MessageId": message, "TopicArn": topic, "Subject": "Numbers", "Message": '{"n": 1}',
                "SignatureVersion": "1", "UnsubscribeUrl": self.daemon.url + "/?Action=Unsubscribe&SubscriptionArn=" + subscription,
                "MessageAttributes": {"a": {"Type": "String", "Value": "x"}, "b": {"Type": "Binary", "Value": "AQ=="}}}}]}, event)
        self.assertEqual(["Type", "MessageId", "TopicArn", "Subject", "Message", "SignatureVersion", "UnsubscribeUrl",
                          "MessageAttributes"], list(record))


    def test_a_topic_is_a_destination_and_takes_dead_letters(self):
        queue = self.queue()
        topic = self.topic()
        self.subscribe(topic, "sqs", self.queue_arn(queue), RawMessageDelivery="true")
        function = self.function("def handler(event, context): raise RuntimeError('as asked')", DeadLetterConfig={"TargetArn": topic})
        self.lambda_.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0,
                                                      DestinationConfig={"OnFailure": {"Destination": topic}})
        answer = self.lambda_.invoke(FunctionName=function, InvocationType="Event", Payload='{"n": 7}')
        request = answer["ResponseMetadata"]["RequestId"]
        found = [(json.loads(m["Body"]), m.get("MessageAttributes", {})) for m in self.receive(queue, 2)]
        (record,) = [body for body, _ in found if "requestContext" in body]
        self.assertEqual((request, "RetriesExhausted"), (record["requestContext"]["requestId"], record["requestContext"]["condition"]))
        (letter,) = [attributes for body, attributes in found if body == {"n": 7}]
        self.assertEqual({"RequestID": request, "ErrorCode": "200", "ErrorMessage": "as asked"},
                         {name: value["StringValue"] for name, value in letter.items()})
        with self.assertRaises(self.lambda_.exceptions.InvalidParameterValueException):
            self.lambda_.update_function_configuration(FunctionName=function, DeadLetterConfig={"TargetArn": topic + ".fifo"})


    def test_a_loop_through_a_topic_is_stopped(self):
        ran, dead = self.queue(), self.queue(self.name("-dead"))
        topic = self.topic()
        source = ("import boto3, os\n"
                  "def handler(event, context):\n"
                  "    boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody='ran')\n"
                  "    boto3.client('sns').publish(TopicArn=os.environ['TOPIC'], Message='again')\n")
        function = self.function(source, Timeout=60, MemorySize=512, Environment={"Variables": {"QUEUE": ran, "TOPIC": topic}},
                                 DeadLetterConfig={"TargetArn": self.queue_arn(dead)})
        self.subscribe(topic, "lambda", self.lambda_.get_function(FunctionName=function)["Configuration"]["FunctionArn"])
        self.sns.publish(TopicArn=topic, Message="go")
        letter = self.receive(dead)[0]
        self.assertEqual("400", letter["MessageAttributes"]["ErrorCode"]["StringValue"])
        self.assertEqual(16, len(self.receive_all(ran)))


class Queues(SnsTest):
    def test_a_queue_gets_the_notification(self):
        queue, raw = self.queue(), self.queue()
        topic = self.topic()
        self.subscribe(topic, "sqs", self.queue_arn(queue))
        self.subscribe(topic, "sqs", self.queue_arn(raw), RawMessageDelivery="true")
        attributes = {"s": {"DataType": "String", "StringValue": "x"}, "n": {"DataType": "Number", "StringValue": "1.50"},
                      "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
        message = self.sns.publish(TopicArn=topic, Message="tüxt\n", MessageAttributes=attributes)["MessageId"]
        (whole,) = self.receive(queue)
        body = json.loads(whole["Body"])
        self.assertEqual(["Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL",
                          "UnsubscribeURL", "MessageAttributes"], list(body))
        self.assertEqual((message, "tüxt\n"), (body["MessageId"], body["Message"]))
        self.assertEqual({"Type": "Number", "Value": "1.50"}, body["MessageAttributes"]["n"])
        (bare,) = self.receive(raw)
        self.assertEqual("tüxt\n", bare["Body"])
        self.assertEqual(attributes, bare["MessageAttributes"])

    def test_a_fifo_topic_feeds_a_fifo_queue_in_order_and_once(self):
        url = self.sqs.create_queue(QueueName=self.name(".fifo"), Attributes={"FifoQueue": "true"})["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        topic = self.topic(".fifo", FifoTopic="true")
        self.subscribe(topic, "sqs", self.queue_arn(url), RawMessageDelivery="true")
        numbers = []
        for n in range(30):
            for _ in range(2):  # the second is a duplicate
                answer = self.sns.publish(TopicArn=topic, Message=str(n), MessageGroupId="g%d" % (n % 3), MessageDeduplicationId=str(n))
            numbers.append(int(answer["SequenceNumber"]))
        self.assertEqual(sorted(set(numbers)), numbers)
        found = self.receive(url, 30)
        for group in range(3):
            mine = [int(m["Body"]) for m in found if m["Attributes"]["MessageGroupId"] == "g%d" % group]
            self.assertEqual(list(range(group, 30, 3)), mine)

    def test_what_cannot_be_delivered_is_in_the_dead_letter_queue(self):
        dead = self.queue()
        topic = self.topic()
        gone = self.queue_arn(dead) + "-gone"
        self.subscribe(topic, "sqs", gone, RedrivePolicy=json.dumps({"deadLetterTargetArn": self.queue_arn(dead)}))
        self.sns.publish(TopicArn=topic, Message="lost?")
        (message,) = self.receive(dead)
        self.assertEqual("lost?", json.loads(message["Body"])["Message"])
        self.assertEqual({"RequestID", "ErrorCode", "ErrorMessage"}, set(message["MessageAttributes"]))
        self.assertIn("NonExistentQueue", message["MessageAttributes"]["ErrorCode"]["StringValue"])


class Http(SnsTest):
    """On a daemon of its own: the clock is moved."""

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.sqs = self.daemon.client("sqs")
        self.sns = self.daemon.client("sns")

    def validate(self, message):
        """With AWS's own validator."""
        if not (VALIDATOR / "node_modules").exists():
            VALIDATOR.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(support.ROOT / "tests/integration/sns_validator" / name, VALIDATOR)
            subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=VALIDATOR, check=True, timeout=120)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(message)
            file.flush()
            return subprocess.run(["node", str(support.ROOT / "tests/integration/sns_validator/check.mjs"), file.name],
                                  env={**support.CLIENT_ENVIRONMENT, "SNS_VALIDATOR": str(VALIDATOR), "SNS_HOST": self.daemon.host,
                                       "SNS_PORT": self.daemon.port}, capture_output=True, text=True, timeout=60)

    def test_an_endpoint_confirms_and_gets_signed_messages(self):
        for version in ("1", "2"):
            endpoint = self.endpoint()
            topic = self.topic(SignatureVersion=version)
            pending = self.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url + "/in?x=1")["SubscriptionArn"]
            self.assertEqual("pending confirmation", pending)
            self.sns.publish(TopicArn=topic, Message="too early")
            subscription = self.confirm(endpoint)
            self.assertTrue(subscription.startswith(topic + ":"))
            message = self.sns.publish(TopicArn=topic, Message="now", Subject="s")["MessageId"]
            eventually("the notification", lambda: endpoint.of_type("Notification"))
            headers, body, path = endpoint.requests[-1]
            self.assertEqual("/in?x=1", path)
            self.assertEqual(
                {"x-amz-sns-message-type": "Notification", "x-amz-sns-message-id": message, "x-amz-sns-topic-arn": topic,
                 "x-amz-sns-subscription-arn": subscription, "content-type": "text/plain; charset=UTF-8",
                 "user-agent": "Amazon Simple Notification Service Agent", "accept-encoding": "identity",
                 "host": "localhost:%d" % endpoint.port, "content-length": str(len(body))}, headers)
            self.assertEqual("now", json.loads(body)["Message"])
            for kind in ("SubscriptionConfirmation", "Notification"):
                checked = self.validate(endpoint.of_type(kind)[-1][1])
                self.assertEqual((0, "valid\n"), (checked.returncode, checked.stdout), checked.stderr)
            self.assertNotEqual(0, self.validate(body.replace('"now"', '"own"')).returncode)
            # The link in every message ends it.
            self.get(json.loads(body)["UnsubscribeURL"])
            self.assertEqual([], self.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"])

    def test_an_endpoint_that_fails_is_tried_again_by_its_policy(self):
        endpoint = self.endpoint()
        dead = self.queue()
        topic = self.topic()
        self.subscribe(topic, "http", endpoint.url + "/", RawMessageDelivery="true",
                       RedrivePolicy=json.dumps({"deadLetterTargetArn": self.queue_arn(dead)}),
                       DeliveryPolicy=json.dumps({"healthyRetryPolicy": {"numRetries": 3, "minDelayTarget": 30, "maxDelayTarget": 90},
                                                  "requestPolicy": {"headerContentType": "application/json"}}))
        self.confirm(endpoint)
        self.daemon.advance("0s")
        endpoint.requests.clear()
        endpoint.status = 500
        self.sns.publish(TopicArn=topic, Message="{}")
        self.daemon.advance("0s")
        self.assertEqual(1, len(endpoint.requests))
        # Real time passes too: nothing may be due 15 s before its time.
        for not_yet, rest in (("15s", "16s"), ("45s", "16s"), ("75s", "16s")):
            before = len(endpoint.requests)
            self.daemon.advance(not_yet)
            self.assertEqual(before, len(endpoint.requests))
            self.daemon.advance(rest)
            self.assertEqual(before + 1, len(endpoint.requests))
        self.assertTrue(all(r[0]["content-type"] == "application/json" and r[0]["x-amz-sns-rawdelivery"] == "true" and r[1] == "{}"
                            for r in endpoint.requests))
        (message,) = self.receive(dead)
        self.assertEqual("500", message["MessageAttributes"]["ErrorCode"]["StringValue"])
        # 4xx is final at once.
        endpoint.status = 403
        self.sns.publish(TopicArn=topic, Message="{}")
        self.assertEqual("403", self.receive(dead)[0]["MessageAttributes"]["ErrorCode"]["StringValue"])

    def test_https_needs_a_certificate_that_holds(self):
        work = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, work)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", work / "key.pem", "-out", work / "cert.pem",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(work / "cert.pem", work / "key.pem")
        endpoint = self.endpoint(context)
        topic = self.topic()
        self.subscribe(topic, "https", endpoint.url + "/")
        self.daemon.advance("2m")
        self.assertEqual([], endpoint.requests)  # nobody vouches for it
        self.daemon.stop()
        support.CLEAN_ENVIRONMENT["SSL_CERT_FILE"] = str(work / "cert.pem")
        self.addCleanup(support.CLEAN_ENVIRONMENT.pop, "SSL_CERT_FILE")
        self.daemon.start()
        self.sns = self.daemon.client("sns")
        self.subscribe(topic, "https", endpoint.url + "/")  # asks again
        self.confirm(endpoint)
        self.sns.publish(TopicArn=topic, Message="in private")
        eventually("the notification", lambda: endpoint.of_type("Notification"))
        self.assertEqual("in private", json.loads(endpoint.of_type("Notification")[0][1])["Message"])

    def test_mail_is_kept_for_reading(self):
        topic = self.topic()
        self.subscribe(topic, "email", "someone@example.com")

        def mail():
            return json.loads(self.get(self.daemon.url + "/_lambdad/mail?to=" + urllib.parse.quote("someone@example.com")))["Messages"]

        eventually("the question", mail)
        self.get(re.search(r"http\S*Action=ConfirmSubscription\S*", mail()[0]["Body"]).group(0))
        self.sns.publish(TopicArn=topic, Subject="Hello", Message="there")
        eventually("the mail", lambda: len(mail()) == 2)
        self.assertEqual(("Hello", "there"), (mail()[0]["Subject"], mail()[0]["Body"].split("\n")[0]))


class Clients(SnsTest):
    def session(self, program):
        def aws(*arguments, status=0):
            done = subprocess.run([*program, "--endpoint-url", self.daemon.url, "--output", "json", "sns", *arguments],
                                  env=support.CLIENT_ENVIRONMENT, capture_output=True, text=True, timeout=60)
            self.assertEqual(status, done.returncode, done.stderr)
            return json.loads(done.stdout or "{}") if status == 0 else done.stderr

        queue = self.queue()
        topic = aws("create-topic", "--name", self.name(), "--tags", "Key=k,Value=v")["TopicArn"]
        subscription = aws("subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", self.queue_arn(queue),
                           "--attributes", '{"FilterPolicy":"{\\"price\\":[{\\"numeric\\":[\\">\\",100]}]}"}')["SubscriptionArn"]
        aws("set-subscription-attributes", "--subscription-arn", subscription, "--attribute-name", "RawMessageDelivery",
            "--attribute-value", "true")
        for price in ("100", "100.5"):
            aws("publish", "--topic-arn", topic, "--message", "costs " + price, "--message-attributes",
                '{"price":{"DataType":"Number","StringValue":"%s"}}' % price)
        self.assertEqual(["costs 100.5"], [m["Body"] for m in self.receive(queue)])
        self.assertEqual("1", aws("get-topic-attributes", "--topic-arn", topic)["Attributes"]["SubscriptionsConfirmed"])
        self.assertEqual([{"Key": "k", "Value": "v"}], aws("list-tags-for-resource", "--resource-arn", topic)["Tags"])
        self.assertIn(topic, [t["TopicArn"] for t in aws("list-topics")["Topics"]])
        self.assertEqual([subscription], [s["SubscriptionArn"] for s in aws("list-subscriptions-by-topic", "--topic-arn", topic)["Subscriptions"]])
        aws("add-permission", "--topic-arn", topic, "--label", "l", "--aws-account-id", "111122223333", "--action-name", "Publish")
        aws("remove-permission", "--topic-arn", topic, "--label", "l")
        aws("unsubscribe", "--subscription-arn", subscription)
        aws("delete-topic", "--topic-arn", topic)
        failed = 254 if program[-1] == "/usr/bin/aws" else 255
        self.assertRegex(aws("publish", "--topic-arn", topic, "--message", "m", status=failed),
                         r"\(NotFound\) when calling the Publish operation.*: Topic does not exist")
        self.assertIn("(NotImplemented)", aws("subscribe", "--topic-arn", self.topic(), "--protocol", "sms",
                                              "--notification-endpoint", "+4912345", status=failed))

    def test_aws_cli_v1(self):
        self.session([sys.executable, str(Path(sys.executable).with_name("aws"))])

    def test_aws_cli_of_debian(self):
        self.session(["/usr/bin/aws"])

    def test_sdk_v3(self):
        queue = self.queue()
        done = subprocess.run(["node", str(support.ROOT / "tests/integration/sns_sdk_v3.mjs"), self.daemon.url, self.name(), queue,
                               self.queue_arn(queue)], env=support.CLIENT_ENVIRONMENT, capture_output=True, text=True, timeout=120)
        self.assertEqual((0, "done\n"), (done.returncode, done.stdout), done.stderr)


class Kill9(SnsTest):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.connect()

    def connect(self):
        self.sqs, self.sns = self.daemon.client("sqs"), self.daemon.client("sns")

    def test_a_retry_survives(self):
        endpoint = self.endpoint()
        topic = self.topic()
        self.subscribe(topic, "http", endpoint.url + "/", RawMessageDelivery="true")
        self.confirm(endpoint)
        self.daemon.advance("0s")
        endpoint.requests.clear()
        endpoint.status = 503
        self.sns.publish(TopicArn=topic, Message="kept")
        self.daemon.advance("0s")  # the first attempt has failed and is recorded
        self.daemon.kill()
        endpoint.status = 200
        self.daemon.start()
        self.connect()
        self.daemon.advance("21s")
        self.assertEqual(["kept", "kept"], [body for _, body, _ in endpoint.requests])

    def test_what_was_accepted_arrives(self):
        """Publishers at work, kill -9 at a random moment: every message that was answered is in the queue."""
        import random

        random_ = random.Random(support.SEED)
        for number in range(3 if support.QUICK else 10):
            url = self.sqs.create_queue(QueueName="q%d" % number)["QueueUrl"]
            topic = self.sns.create_topic(Name="t%d" % number)["TopicArn"]
            self.subscribe(topic, "sqs", self.queue_arn(url), RawMessageDelivery="true")
            accepted, dead, lock = set(), threading.Event(), threading.Lock()

            def publish(sender):
                n = 0
                while not dead.is_set():
                    n += 1
                    text = "%d-%d" % (sender, n)
                    form = urllib.parse.urlencode({"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": text})
                    try:
                        status = self.daemon.request("POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded"},
                                                     service="sns", timeout=20)[0]
                    except Exception:
                        dead.wait(5)
                        return
                    if status == 200:
                        with lock:
                            accepted.add(text)

            threads = [threading.Thread(target=publish, args=(i,)) for i in range(6)]
            for thread in threads:
                thread.start()
            enough = random_.randrange(1, 400)
            eventually("%d messages (seed %d)" % (enough, support.SEED), lambda: len(accepted) >= enough)
            dead.set()
            self.daemon.kill()
            for thread in threads:
                thread.join(30)
            self.daemon.start()
            self.connect()
            found = set()
            eventually("all of %d (seed %d)" % (len(accepted), support.SEED),
                       lambda: found.update(m["Body"] for m in self.receive_all(url)) or accepted <= found, 30)
