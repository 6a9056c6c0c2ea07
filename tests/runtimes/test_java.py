"""AWS's runtime client for Java against the Runtime API, launched as lambdad launches it."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness
from harness import REPOSITORY, RUNTIMES, Case, invocation

INSTALLER = REPOSITORY / "tools/install-runtime-sdks"
CLIENT = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
SOURCE = """
package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.*;
import java.util.*;

public class Functions implements RequestHandler<Map<String, Object>, Object> {
  static int count = 0;

  public Object handleRequest(Map<String, Object> event, Context context) {
    if (event.containsKey("fail")) throw new IllegalStateException((String) event.get("fail"));
    context.getLogger().log("logged\\n");
    System.out.println("printed");
    Map<String, Object> answer = new TreeMap<>(event);
    answer.put("count", ++count);
    answer.put("id", context.getAwsRequestId());
    answer.put("arn", context.getInvokedFunctionArn());
    answer.put("name", context.getFunctionName());
    answer.put("memory", context.getMemoryLimitInMB());
    answer.put("time", context.getRemainingTimeInMillis() > 30000 && context.getRemainingTimeInMillis() <= 60000);
    answer.put("trace", System.getProperty("com.amazonaws.xray.traceHeader"));
    return answer;
  }

  public static class Stream implements RequestStreamHandler {
    public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
      out.write('"');
      out.write(in.readAllBytes());
      out.write('"');
    }
  }

  public static class Broken {
    public Broken() { throw new RuntimeException("at load"); }
    public String handle(String event) { return event; }
  }
}
"""
SNAPSHOT = """
package example;

import java.util.*;
import org.crac.*;

public class Snapshot implements Resource {
  static final List<String> seen = new ArrayList<>();
  static final Snapshot kept = new Snapshot();
  static { Core.getGlobalContext().register(kept); }

  public void beforeCheckpoint(Context<? extends Resource> context) { seen.add("before"); }
  public void afterRestore(Context<? extends Resource> context) { seen.add("after"); }
  public List<String> handle(Object event) { return seen; }
}
"""


def runtime_directory():
    """Where AWS's client is, or a SkipTest."""
    directory = Path(os.environ.get("LAMBDAD_TEST_JAVA_RUNTIME", os.path.expanduser("~/.cache/lambdad/java-runtime")))
    install = subprocess.run([INSTALLER, "java", directory], capture_output=True, text=True)
    if install.returncode != 0:
        if os.environ.get("LAMBDAD_REQUIRE_OFFICIAL") == "1":
            raise AssertionError(install.stderr)
        raise unittest.SkipTest(install.stderr)
    return directory


@unittest.skipUnless(shutil.which("javac"), "no Java compiler is installed")
class JavaRuntime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lib = runtime_directory() / "lib"
        cls.directory = tempfile.TemporaryDirectory(prefix="lambdad-java-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.classes = Path(cls.directory.name) / "classes"
        cls.compile({"Functions": SOURCE}, str(cls.lib) + "/*")

    @classmethod
    def compile(cls, sources, class_path):
        files = []
        for name, text in sources.items():
            files.append(Path(cls.directory.name) / (name + ".java"))
            files[-1].write_text(text)
        subprocess.run(["javac", "--release", "11", "-nowarn", "-cp", class_path, "-d", cls.classes, *files], check=True)

    def run_function(self, handler, invocations, exits=False, env={}):
        argv = ["java", "-XX:MaxHeapSize=435200k", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:+TieredCompilation",
                "-XX:TieredStopAtLevel=1", "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac", "-cp", "%s/*" % self.lib, CLIENT, handler]
        case = Case(handler, {}, invocations, handler=handler, env=env, exits=exits)

        def make_argv(task_root):
            shutil.copytree(self.classes, task_root, dirs_exist_ok=True)
            return argv

        run = harness.run_case(case, make_argv, "AWS_Lambda_java17")
        return [json.loads(request.body) for request in run.posts()], run

    def test_handlers_context_and_log(self):
        invocations = [invocation({"a": 1}), invocation({"ü": "日"})]
        answers, run = self.run_function("example.Functions::handleRequest", invocations)
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        for index, (answer, event) in enumerate(zip(answers, ({"a": 1}, {"ü": "日"}))):
            trace = "Root=1-00000000-00000000000000000000000%d;Sampled=0" % index
            identifier = "00000000-0000-4000-8000-%012d" % index
            own = {"count": index + 1, "id": identifier, "arn": arn, "name": "f", "memory": 128, "time": True, "trace": trace}
            self.assertEqual({**event, **own}, answer)
        self.assertEqual("logged\nprinted\n" * 2, run.stdout)

    def test_stream_handler(self):
        self.assertEqual(["5"], self.run_function("example.Functions$Stream", [invocation(5)])[0])

    def test_an_exception_is_reported_and_the_environment_lives_on(self):
        (error, answer), run = self.run_function("example.Functions", [invocation({"fail": "bad"}), invocation({})])
        self.assertEqual(["bad", "java.lang.IllegalStateException"], [error["errorMessage"], error["errorType"]])
        self.assertTrue(error["stackTrace"][0].startswith("example.Functions.handleRequest(Functions.java:"), error)
        self.assertTrue(run.posts()[0].path.endswith("/error"))
        self.assertEqual(1, answer["count"])

    def test_failed_starts(self):
        for handler, kind in (("example.Functions$Broken::handle", "java.lang.RuntimeException"),):
            (error,), run = self.run_function(handler, [], exits=True)
            self.assertEqual(kind, error["errorType"])
            self.assertTrue(run.posts()[0].path.endswith("/init/error"))
            self.assertEqual(1, run.exit_code)
        (error,), _ = self.run_function("example.Nowhere", [invocation({})])
        self.assertEqual(["Class not found: example.Nowhere", "java.lang.ClassNotFoundException"], [error["errorMessage"], error["errorType"]])

    def test_snapshot_hooks(self):
        crac = Path.home() / ".m2/repository/io/github/crac/org-crac/0.1.3/org-crac-0.1.3.jar"
        if not crac.exists():
            fetched = subprocess.run(["mvn", "-B", "-q", "dependency:get", "-Dartifact=io.github.crac:org-crac:0.1.3"], capture_output=True)
            if fetched.returncode != 0:
                self.skipTest("org-crac is not in reach")
        self.compile({"Snapshot": SNAPSHOT}, "%s/*:%s" % (self.lib, crac))
        (self.classes / "lib").mkdir(exist_ok=True)
        shutil.copy(crac, self.classes / "lib")  # jars of a package are on the class path
        (seen,), run = self.run_function("example.Snapshot::handle", [invocation({})], env={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"})
        self.assertEqual(["before", "after"], seen)
        self.assertEqual(["restore/next", "invocation/next"], ["/".join(r.path.split("/")[-2:]) for r in run.requests if r.method == "GET"][:2])


class JavaClientInstaller(unittest.TestCase):
    def test_says_what_to_do_without_maven(self):
        with tempfile.TemporaryDirectory() as directory:
            tools = Path(directory) / "bin"
            tools.mkdir()
            for name in ("sh", "sha256sum", "dirname", "mkdir"):
                (tools / name).symlink_to(shutil.which(name))
            target = Path(directory) / "target"
            run = subprocess.run([INSTALLER, "java", target], env={"PATH": str(tools)}, capture_output=True, text=True)
            self.assertEqual(3, run.returncode, run.stderr)
            self.assertIn("apt-get install maven", run.stderr)
            self.assertEqual([], list(target.iterdir()))

    def test_usage(self):
        self.assertEqual(2, subprocess.run([INSTALLER, "cobol", "/tmp/x"], capture_output=True).returncode)

    def test_hashes_name_the_client_of_the_project_file(self):
        version = (RUNTIMES / "java/pom.xml").read_text().split("<version>")[2].split("<")[0]
        self.assertIn("aws-lambda-java-runtime-interface-client-%s.jar\n" % version, (RUNTIMES / "java/lib.sha256").read_text())


if __name__ == "__main__":
    unittest.main()
