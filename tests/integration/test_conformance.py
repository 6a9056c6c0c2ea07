"""The text scripts of tests/conformance, each on a daemon of its own; and that the table of operations is true."""

import json
import re
import unittest

import conformance
import support

SCRIPTS = support.ROOT / "tests/conformance"


class Scripts(unittest.TestCase):
    maxDiff = None


def add_script(path):
    def test(self):
        daemon = support.Daemon()
        self.addCleanup(daemon.close)
        try:
            conformance.Runner(daemon, path).run()
        except AssertionError:
            print(daemon.log())
            raise

    setattr(Scripts, "test_%s_%s" % (path.parent.name, path.stem), test)


for each in sorted(SCRIPTS.glob("*/*.aws")):
    add_script(each)


class Language(unittest.TestCase):
    """The scripts can fail."""

    def test_values(self):
        self.assertTrue(conformance.matches({"a": ["<any>", 1]}, {"a": [None, 1]}))
        self.assertFalse(conformance.matches({"a": 1}, {"a": 1, "b": 2}))
        self.assertFalse(conformance.matches("<uuid>", "x"))
        self.assertFalse(conformance.matches("1", 1))
        self.assertFalse(conformance.matches(True, 1))
        self.assertTrue(conformance.matches("<re:a+>", "aaa"))
        self.assertFalse(conformance.matches("<re:a+>", "aab"))

    def test_a_script_that_expects_something_else_fails(self):
        daemon = support.Daemon(ephemeral=True)
        self.addCleanup(daemon.close)
        for text in ('call lambda ListFunctions {}\n  expect Functions == ["f"]\n',
                     "call lambda ListFunctions {}\n  expect absent Functions\n",
                     "call lambda ListFunctions {}\n  expect exactly {}\n",
                     "call lambda ListFunctions {}\n  expect error 400 X\n",
                     'call lambda GetFunction {"FunctionName": "f"}\n',
                     'call lambda GetFunction {"FunctionName": "f"}\n  expect error 404 ResourceNotFoundException "no"\n',
                     "raw GET /2015-03-31/functions\n",
                     "raw GET /2015-03-31/functions\n  expect status == 404\n",
                     'raw GET /2015-03-31/functions\n  expect body == {"Functions": ["f"]}\n',
                     "jump\n"):
            script = daemon.directory / "script.aws"
            script.write_text(text)
            with self.assertRaises(AssertionError, msg=text):
                conformance.Runner(daemon, script).run()


class OperationTable(unittest.TestCase):
    def test_the_page_says_what_is_served(self):
        model = json.loads((support.ROOT / "models/lambda.json").read_text())
        served = json.loads((support.ROOT / "models/served.json").read_text())["lambda"]
        page = (support.ROOT / "docs/lambda-api.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \| (served|refused) \| (.*) \|$", page, re.M)
        self.assertEqual(sorted(model["operations"]), sorted(name for name, _, _ in rows))
        for name, status, note in rows:
            with self.subTest(name):
                self.assertEqual("served" if name in served else "refused", status)
                for member in served.get(name, []):
                    self.assertIn("`%s`" % member, note)
                if status == "refused":
                    self.assertTrue(note.strip(), "a refused operation has its reason")
