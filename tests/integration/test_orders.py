"""examples/orders, deployed and run by its own scripts with an AWS CLI."""

import re
import subprocess
import sys
from pathlib import Path

import support
from support import Daemon, DaemonTest, ROOT


class Orders(DaemonTest):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)

    def script(self, name, aws):
        environment = {**support.CLIENT_ENVIRONMENT, "AWS_ENDPOINT_URL": self.daemon.url, "PYTHON_RUNTIME": "python3.11",
                       "NODE_RUNTIME": support.node_runtime(), "PATH": aws + ":/usr/bin:/bin"}
        done = subprocess.run([ROOT / "examples/orders" / name], env=environment, capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(0, done.returncode, "%s\n%s\n%s" % (done.stdout, done.stderr, self.daemon.log()))
        return done.stdout

    def test_twice_with_the_cli_of_debian_and_with_v1(self):
        for aws in ("/usr/bin", str(Path(sys.executable).parent)):
            with self.subTest(aws):
                self.script("deploy", aws)
                story = self.script("run", aws)
                self.assertIn("shipped: order-1, order-2, order-4", story)
                self.assertRegex(story, r'orders-dead: \{"id": "order-3"')
                self.assertRegex(story, r"ErrorMessage: mail server does not answer")
                self.assertEqual(5, len(re.findall(r"^  \$ curl .*/_lambdad/clock", story, re.M)))

    def test_the_functions_know_nothing_of_lambdad(self):
        for file in (ROOT / "examples/orders").rglob("*"):
            if file.suffix in (".py", ".mjs"):
                self.assertNotRegex(file.read_text(), r"(?i)lambdad|endpoint|localhost|127\.0\.0\.1")
