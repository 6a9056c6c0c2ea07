"""kill -9 while producers and consumers work on a standard and a FIFO queue: acknowledged is done, order is kept."""

import random
import threading
import unittest

import support
from support import Daemon

ROUNDS = 3 if support.QUICK else 20
MESSAGES = 150  # of each producer in a round
GROUPS = ("a", "b", "c")


class Book:
    """What the clients of one queue know."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = set()     # acknowledged
        self.seen = {}        # body -> message ids received
        self.deleted = set()  # message ids whose deletion was acknowledged
        self.order = {group: [] for group in GROUPS}  # bodies of each group by their first receive
        self.wrong = []

    def received(self, message):
        group, body = message["Body"].split("-")[0], message["Body"]
        with self.lock:
            if message["MessageId"] in self.deleted:
                self.wrong.append("%s came back after its deletion" % body)
            if body not in self.seen:
                self.order[group].append(int(body.split("-")[1]))
            self.seen.setdefault(body, set()).add(message["MessageId"])


class Kill9(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.random = random.Random(support.SEED)

    def produce(self, url, book, group, numbers, fifo, dead):
        """In order; what has no answer is sent again before the next one."""
        while numbers and not dead.is_set():
            body = "%s-%d" % (group, numbers[0])
            members = {"MessageGroupId": group, "MessageDeduplicationId": body} if fifo else {}
            try:
                self.daemon.sqs("SendMessage", QueueUrl=url, MessageBody=body, **members)
            except Exception:
                dead.wait(5)
                if not dead.is_set():
                    raise
                return
            with book.lock:
                book.sent.add(body)
            numbers.pop(0)

    def consume(self, url, book, dead):
        while not dead.is_set():
            try:
                messages = self.daemon.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
                for message in messages:
                    book.received(message)
                if self.delete(url, messages):
                    with book.lock:
                        book.deleted.update(message["MessageId"] for message in messages)
            except Exception:
                dead.wait(5)
                if not dead.is_set():
                    raise
                return

    def delete(self, url, messages):
        if not messages:
            return False
        answer = self.daemon.sqs("DeleteMessageBatch", QueueUrl=url, Entries=[
            {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)])
        self.assertNotIn("Failed", {key for key, value in answer.items() if value})
        return True

    def run_round(self, queues, left, last):
        dead = threading.Event()
        producers, consumers = [], []
        for (url, fifo), book in queues.items():
            for group in GROUPS:
                producers.append(threading.Thread(target=self.produce,
                                                  args=(url, book, group, left[url, group], fifo, dead)))
            consumers.append(threading.Thread(target=self.consume, args=(url, book, dead)))
        for thread in producers + consumers:
            thread.start()
        if last:
            for thread in producers:
                thread.join(120)
            dead.set()
        else:
            dead.wait(self.random.random() * 0.3)
            dead.set()
            self.daemon.kill()
        for thread in producers + consumers:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        if not last:
            self.daemon.start()

    def test_queues_keep_their_promises_though_the_daemon_is_killed(self):
        print("\n  seed %d (LAMBDAD_SEED repeats it), %d rounds" % (support.SEED, ROUNDS), flush=True)
        standard = self.daemon.sqs("CreateQueue", QueueName="q")["QueueUrl"].split("/", 3)[3]
        fifo = self.daemon.sqs("CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"].split("/", 3)[3]
        # The daemon has another port after each restart, and does not look at the host of a URL.
        queues = {("http://queue/" + standard, False): Book(), ("http://queue/" + fifo, True): Book()}
        left = {(url, group): [] for url, _ in queues for group in GROUPS}
        for number in range(ROUNDS):
            for numbers in left.values():
                numbers.extend(range(number * MESSAGES, (number + 1) * MESSAGES))
            self.run_round(queues, left, False)
        self.run_round(queues, left, True)

        for (url, is_fifo), book in queues.items():
            for _ in range(3):
                self.daemon.advance("31s")
                while True:
                    messages = self.daemon.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
                    if not messages:
                        break
                    for message in messages:
                        book.received(message)
                    self.delete(url, messages)
            self.assertEqual([], book.wrong)
            self.assertEqual(set(), book.sent - set(book.seen), "acknowledged and lost, in %s" % url)
            print("  %s: %d messages" % (url, len(book.seen)), flush=True)
            if not is_fifo:
                continue
            self.assertEqual([], [body for body, ids in book.seen.items() if len(ids) > 1], "accepted twice")
            for group, order in book.order.items():
                self.assertEqual(sorted(order), order, "group %s is out of order" % group)
                self.assertEqual(ROUNDS * MESSAGES, len(order))

