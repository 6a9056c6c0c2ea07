"""kill -9 under load: what was accepted is run. LAMBDAD_KILL_ROUNDS=200 says how often."""

import errno
import json
import os
import random
import re
import threading
import unittest

import support
from support import Daemon, DaemonTest

EVENTS = 1000
SENDERS = 8
ROUNDS = int(os.environ.get("LAMBDAD_KILL_ROUNDS", 3 if support.QUICK else 20))


class Round:
    """One load of EVENTS accepted events with a kill -9 somewhere in it."""

    def __init__(self, daemon, number, random_):
        self.daemon, self.number, self.random = daemon, number, random_
        self.accepted = set()
        self.lock = threading.Lock()
        self.next = 0

    def send_until(self, enough, dead):
        """Senders post events until `enough` are accepted or the daemon is dead. True: enough."""

        def send():
            while not dead.is_set():
                with self.lock:
                    if len(self.accepted) >= enough:
                        return
                    self.next += 1
                    n = self.number * 1_000_000 + self.next
                try:
                    status = self.daemon.request("POST", "/2015-03-31/functions/record/invocations", b'{"n":%d}' % n,
                                                 {"X-Amz-Invocation-Type": "Event"}, timeout=20)[0]
                except Exception as problem:  # no answer: it may have been accepted or not
                    if not dead.is_set():
                        self.problem = problem
                        # The connection may break a moment before kill() is known to have happened.
                        dead.wait(5)
                        if not dead.is_set():
                            raise
                    return
                if status == 202:
                    with self.lock:
                        self.accepted.add(n)

        threads = [threading.Thread(target=send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        return threads

    def run(self):
        dead = threading.Event()
        moment = self.random.randrange(1, EVENTS + 1)
        threads = self.send_until(EVENTS, dead)
        while len(self.accepted) < moment and any(thread.is_alive() for thread in threads):
            dead.wait(0.0005)
        dead.wait(self.random.random() * 0.05)
        before = len(self.accepted)
        dead.set()
        self.daemon.kill()
        for thread in threads:
            thread.join(30)
        self.daemon.start()
        # The rest of the thousand arrives after the restart, among what the crash left to do.
        rest = self.send_until(EVENTS, threading.Event())
        for thread in rest:
            thread.join(120)
        return before


class Kill9(DaemonTest):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        client = self.daemon.client("lambda")
        self.queue = self.daemon.sqs("CreateQueue", QueueName="ran")["QueueUrl"]
        support.create_function(client, "record", support.native_bootstrap(), "provided.al2023",
                                Environment={"Variables": {"QUEUE_URL": self.queue}}, Timeout=30)
        client.put_function_event_invoke_config(FunctionName="record", MaximumRetryAttempts=2)

    def drain(self, seen):
        """Takes what is in the queue of effects; the number of messages taken."""
        taken = 0
        while True:
            messages = self.daemon.sqs("ReceiveMessage", QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return taken
            taken += len(messages)
            self.daemon.sqs("DeleteMessageBatch", QueueUrl=self.queue,
                            Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)])
            seen.update(json.loads(m["Body"])["n"] for m in messages)

    def test_accepted_events_run_though_the_daemon_is_killed(self):
        chance = random.Random(support.SEED)
        print("\n  seed %d (LAMBDAD_SEED repeats it), %d rounds" % (support.SEED, ROUNDS), flush=True)
        for number in range(1, ROUNDS + 1):
            round_ = Round(self.daemon, number, chance)
            before = round_.run()
            self.assertGreaterEqual(len(round_.accepted), EVENTS)
            seen, taken = set(), 0

            def all_ran():
                nonlocal taken
                taken += self.drain(seen)
                if round_.accepted <= seen:
                    return True
                # Attempts that the crash cut short are due again after AWS's pause; moving the clock waits for those under way.
                self.daemon.advance("1m")
                return False

            try:
                support.eventually("every accepted event has run", all_ran, 120, 0)
            except AssertionError as problem:
                lost = sorted(round_.accepted - seen)
                raise AssertionError("round %d: %d of %d accepted events lost, as %s\n%s"
                                     % (number, len(lost), len(round_.accepted), lost[:10], self.daemon.log())) from problem
            print("  round %d: killed after %d accepted; %d accepted, all ran, %d attempts more than events"
                  % (number, before, len(round_.accepted), taken - len(seen)), flush=True)
        self.assertTrue(self.daemon.healthy())


# Puts the data directory, the last argument, on a file system of its own, in a mount namespace of its own.
SMALL_DISK = ["unshare", "--mount", "sh", "-c",
              'for last; do :; done; mkdir -p "$last" && mount -t tmpfs -o size=32m lambdad-test "$last" && exec "$@"', "sh"]


@unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
class FullDisk(DaemonTest):
    def setUp(self):
        self.daemon = Daemon(prefix=SMALL_DISK)
        self.addCleanup(self.daemon.close)
        support.create_function(self.daemon.client("lambda"), "echo", support.native_bootstrap(), "provided.al2023")

    def send(self, n):
        return self.daemon.request("POST", "/2015-03-31/functions/echo/invocations", b'{"n":%d}' % n, {"X-Amz-Invocation-Type": "Event"})[0]

    def metric(self, name):
        text = self.daemon.request("GET", "/metrics")[2].decode()
        return sum(float(value) for value in re.findall(r"^%s\{[^}]*\} (\S+)$" % name, text, re.M))

    def test_accepting_stops_and_resumes_and_nothing_accepted_is_lost(self):
        fill = "/proc/%d/root%s/fill" % (self.daemon.process.pid, self.daemon.data)
        accepted = refused = 0
        for n in range(50):
            accepted += self.send(n) == 202
        self.assertEqual(50, accepted)
        with open(fill, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError as problem:
                self.assertEqual(errno.ENOSPC, problem.errno)
        # What SQLite has of the disk already may take a few more.
        for n in range(20_000):
            status = self.send(1000 + n)
            accepted += status == 202
            refused += status == 500
            self.assertIn(status, (202, 500))
            if refused >= 5:
                break
        self.assertGreaterEqual(refused, 5)
        self.assertEqual(503, self.daemon.request("GET", "/_lambdad/health")[0])
        os.unlink(fill)
        support.eventually("there is space again", lambda: self.daemon.request("GET", "/_lambdad/health")[0] == 200)
        self.assertEqual(202, self.send(0))
        support.eventually("every accepted event has run",
                           lambda: self.metric("lambdad_async_events_succeeded_total") == accepted + 1)
        self.assertEqual(accepted + 1, self.metric("lambdad_async_events_received_total"))
