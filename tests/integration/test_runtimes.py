"""Runtimes that others wrote, in lambdad: AWS's libraries for custom runtimes and for Java, the official Python client, Ruby."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import custom_functions
import support
from support import DaemonTest, ROOT

JAVA_SOURCE = """
package example;

import com.amazonaws.services.lambda.runtime.*;
import java.util.*;

public class Echo implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
    if (event.containsKey("fail")) throw new IllegalStateException((String) event.get("fail"));
    System.out.println("seen");
    Map<String, Object> answer = new HashMap<>();
    answer.put("n", event.get("n"));
    answer.put("arn", context.getInvokedFunctionArn());
    answer.put("id", context.getAwsRequestId());
    answer.put("name", context.getFunctionName());
    answer.put("deadline", context.getRemainingTimeInMillis() > 1000);
    return answer;
  }
}
"""
RUBY_SOURCE = """
def handler(event:, context:)
  raise ArgumentError, event['fail'] if event['fail']
  puts 'seen'
  { n: event['n'], arn: context.invoked_function_arn, id: context.aws_request_id, name: context.function_name,
    deadline: context.get_remaining_time_in_millis > 1000 }
end
"""
PYTHON_SOURCE = """
def handler(event, context):
    if 'fail' in event:
        raise ValueError(event['fail'])
    print('seen')
    return {'n': event['n'], 'arn': context.invoked_function_arn, 'id': context.aws_request_id, 'name': context.function_name,
            'deadline': context.get_remaining_time_in_millis() > 1000}
"""


class RuntimeTest(DaemonTest):
    def check(self, error_type, *arguments, **options):
        """A function that answers as custom_functions says, and fails with `error_type`."""
        name = self.function(*arguments, MemorySize=512, Timeout=30, **options)
        identifiers = set()
        for n in range(2):
            error, answer, whole = self.invoke(name, {"n": n}, LogType="Tail")
            self.assertIsNone(error, answer)
            identifier = whole["ResponseMetadata"]["RequestId"]
            arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name
            self.assertEqual({"n": n, "arn": arn, "id": identifier, "name": name, "deadline": True}, answer)
            identifiers.add(identifier)
            self.assertIn("seen\n", support.tail(whole))
        self.assertEqual(2, len(identifiers))
        error, answer, whole = self.invoke(name, {"fail": "on purpose"}, LogType="Tail")
        self.assertEqual(("Unhandled", "on purpose", error_type), (error, answer["errorMessage"], answer["errorType"]))
        # The environment lives on: the next one is warm.
        error, answer, whole = self.invoke(name, {"n": 9}, LogType="Tail")
        self.assertEqual((None, 9), (error, answer["n"]))
        self.assertNotIn("Init Duration", support.tail(whole))
        return name


class CustomRuntimes(RuntimeTest):
    def test_go_with_aws_lambda_go(self):
        self.check("errorString", custom_functions.program("go"), "provided.al2023")

    def test_rust_with_lambda_runtime(self):
        program = custom_functions.program("rust")
        name = self.function(program, "provided.al2023", MemorySize=512, Timeout=30)
        error, answer, _ = self.invoke(name, {"fail": "on purpose"})
        self.assertEqual(("Unhandled", "on purpose"), (error, answer["errorMessage"]))
        self.check(answer["errorType"], program, "provided.al2023")

    def test_cpp_with_aws_lambda_cpp(self):
        self.check("Failed", custom_functions.program("cpp"), "provided.al2023")

    def test_a_package_that_brings_the_official_python_client(self):
        files = {**custom_functions.python_client_package(), "function.py": PYTHON_SOURCE}
        bootstrap = '#!/bin/sh\nexec /usr/bin/python3 -m awslambdaric "$_HANDLER"\n'
        self.check("ValueError", bootstrap, "provided.al2023", files=files)


class Java(RuntimeTest):
    def test_java_with_the_official_client(self):
        install = subprocess.run([ROOT / "tools/install-runtime-sdks", "java", support.LAMBDAD.parent / "runtimes/java"],
                                 capture_output=True, text=True)
        if install.returncode != 0:
            custom_functions.unavailable(install.stderr)
        runtimes = [e["runtime"] for e in support.listed_runtimes() if e["runtime"].startswith("java") and e["available"]]
        if not runtimes or not shutil.which("javac"):
            custom_functions.unavailable("no Java")
        with tempfile.TemporaryDirectory() as work:
            source = Path(work, "Echo.java")
            source.write_text(JAVA_SOURCE)
            library = support.LAMBDAD.parent / "runtimes/java/lib"
            subprocess.run(["javac", "--release", "11", "-nowarn", "-cp", "%s/*" % library, "-d", Path(work, "out"), source], check=True)
            package = {"example/Echo.class": Path(work, "out/example/Echo.class").read_bytes()}
        for runtime in runtimes:
            with self.subTest(runtime=runtime):
                self.check("java.lang.IllegalStateException", None, runtime, handler="example.Echo::handleRequest", files=package)


@unittest.skipUnless(os.path.exists("/usr/bin/ruby"), "ruby is not installed")
class Ruby(RuntimeTest):
    """Debian's Ruby is older than any runtime: it stands in for one because the operator says so."""

    def setUp(self):
        daemon = support.Daemon("--runtime", "ruby3.2=/usr/bin/ruby")
        self.addCleanup(daemon.close)
        super().setUp()
        self.daemon = daemon
        self.lambda_ = self.daemon.client("lambda")

    def test_ruby(self):
        self.check("Function<ArgumentError>", None, "ruby3.2", handler="function.handler", files={"function.rb": RUBY_SOURCE})

    def test_ruby_gems_of_the_package(self):
        specification = "Gem::Specification.new { |s| s.name = 'mine'; s.version = '1.2'; s.summary = s.author = 'x'; s.files = ['lib/mine.rb'] }\n"
        folder = "vendor/bundle/ruby/3.2.0/"
        files = {folder + "specifications/mine-1.2.gemspec": specification, folder + "gems/mine-1.2/lib/mine.rb": "MINE = 'of a gem'\n",
                 "function.rb": "require 'mine'\ndef handler(event:, context:) = [MINE, ENV['AWS_EXECUTION_ENV'], RUBY_VERSION]\n"}
        name = self.function(None, "ruby3.2", handler="function.handler", files=files)
        error, answer, _ = self.invoke(name)
        self.assertEqual((None, ["of a gem", "AWS_Lambda_ruby3.2"]), (error, answer[:2]))

    def test_a_process_that_ends_is_replaced(self):
        source = "def handler(event:, context:)\n  nil.nothing if event == 1\n  event\nend\n"
        name = self.function(None, "ruby3.2", handler="function.handler", files={"function.rb": source})
        error, answer, _ = self.invoke(name, 1)
        self.assertEqual(("Unhandled", "Function<NoMethodError>"), (error, answer["errorType"]))
        self.assertEqual((None, 2), self.invoke(name, 2)[:2])


class Listing(unittest.TestCase):
    def test_every_runtime_is_there_or_says_how_to_add_it(self):
        listed = support.listed_runtimes()
        self.assertEqual(19, len(listed))
        for entry in listed:
            if not entry["available"]:
                self.assertRegex(entry["hint"], "--runtime %s=|tools/install-runtime-sdks java" % entry["runtime"])
            elif not entry["runtime"].startswith("provided"):
                self.assertTrue(os.access(entry["interpreter"], os.X_OK), entry)
                wanted = entry["runtime"].strip("abcdefghijklmnopqrstuvwxyz").removesuffix(".")
                self.assertTrue((entry["version"] + ".").startswith(wanted + "."), entry)

    def test_a_choice_that_does_not_fit_is_said(self):
        text = subprocess.run([support.LAMBDAD, "runtimes", "--runtime", "python3.12=/bin/true"], capture_output=True, text=True).stdout
        self.assertIn("python3.12 is configured as /bin/true, which is no executable of that version", text)


if __name__ == "__main__":
    unittest.main()
