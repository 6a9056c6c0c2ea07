"""The SDKs that the runtimes bring, and the endpoint variables they must honour."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import official
from comparison import ComparisonTest
from harness import REPOSITORY, RUNTIMES, Case, invocation
from test_python import SYSTEM_PYTHON, own_argv

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
GENERAL = "http://127.0.0.1:4566"
FUNCTION = """
import boto3, botocore
def handler(event, context):
    clients = [boto3.client('sqs'), boto3.client('logs'), boto3.resource('s3').meta.client, boto3.client('stepfunctions'),
               boto3.client('sqs', endpoint_url='http://explicit:1')]
    return [botocore.__version__, *(client.meta.endpoint_url for client in clients)]
"""
ENDPOINTS = [
    # environment -> sqs, logs, s3, stepfunctions, sqs with an explicit endpoint
    ({}, ["aws", "aws", "aws", "aws", "http://explicit:1"]),
    ({"AWS_ENDPOINT_URL": GENERAL}, [GENERAL, GENERAL, GENERAL, GENERAL, "http://explicit:1"]),
    (
        {"AWS_ENDPOINT_URL": GENERAL, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://logs:1", "AWS_ENDPOINT_URL_SQS": "http://sqs:1"},
        ["http://sqs:1", "http://logs:1", GENERAL, GENERAL, "http://explicit:1"],
    ),
    ({"AWS_ENDPOINT_URL_SFN": "http://sfn:1"}, ["aws", "aws", "aws", "http://sfn:1", "http://explicit:1"]),
    (
        {"AWS_ENDPOINT_URL": GENERAL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        ["aws", "aws", "aws", "aws", "http://explicit:1"],
    ),
    ({"AWS_ENDPOINT_URL": ""}, ["aws", "aws", "aws", "aws", "http://explicit:1"]),
]


class Boto3(ComparisonTest):
    def endpoints(self, variables):
        case = Case("boto3", {"index.py": FUNCTION}, [invocation(1)], env={**CREDENTIALS, **variables})
        run = self.run_case(case, own_argv(), "AWS_Lambda_python3.11")
        answer = json.loads(run.posts()[0].body)
        self.assertIsInstance(answer, list, answer)
        version, *endpoints = answer
        return version, ["aws" if ".amazonaws.com" in endpoint else endpoint for endpoint in endpoints]

    def check(self, python_path, expect_version):
        for variables, expected in ENDPOINTS:
            with self.subTest(variables=variables):
                version, endpoints = self.endpoints({**variables, **python_path})
                self.assertEqual(expected, endpoints)
                expect_version(tuple(int(part) for part in version.split(".")))

    @unittest.skipUnless(os.path.isdir("/usr/lib/python3/dist-packages/boto3"), "Debian's python3-boto3 is not installed")
    def test_debians_old_boto3_honours_endpoint_variables(self):
        self.check({}, lambda version: self.assertLess(version, (1, 31)))

    def test_the_newest_boto3_is_left_alone(self):
        directory = official.packages_for(SYSTEM_PYTHON, "boto3")
        if directory is None:
            self.skipTest("no boto3 from PyPI")
        self.check({"PYTHONPATH": str(directory)}, lambda version: self.assertGreater(version, (1, 31)))


@unittest.skipUnless(shutil.which("npm"), "npm is not installed")
class JavaScriptSdk(ComparisonTest):
    @classmethod
    def setUpClass(cls):
        default = os.path.expanduser("~/.cache/lambdad/nodejs-runtime")
        cls.runtime = Path(os.environ.get("LAMBDAD_TEST_NODE_RUNTIME", default))
        shutil.copytree(RUNTIMES / "nodejs", cls.runtime, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        install = subprocess.run([REPOSITORY / "tools/install-runtime-sdks", cls.runtime], capture_output=True, text=True)
        if install.returncode != 0:
            raise unittest.SkipTest(install.stderr)

    def endpoint(self, files, variables):
        env = {**CREDENTIALS, "AWS_REGION": "us-east-1", "NODE_PATH": "%s/node_modules" % self.runtime, **variables}
        argv = [shutil.which("node"), str(self.runtime / "bootstrap.cjs")]
        run = self.run_case(Case("sdk", files, [invocation(1)], env=env), argv, "AWS_Lambda_nodejs20.x")
        return json.loads(run.posts()[0].body)

    def test_commonjs_and_es_modules_find_the_sdk_and_it_honours_endpoint_variables(self):
        body = """async () => {
            const requestHandler = { handle: async (request) => { throw new Error(request.hostname + ':' + request.port); } };
            const client = new SQSClient({ requestHandler, maxAttempts: 1 });
            return await client.send(new ListQueuesCommand({})).catch((error) => error.message);
        }"""
        names = "{ SQSClient, ListQueuesCommand }"
        commonjs = {"index.js": "const %s = require('@aws-sdk/client-sqs');\nexports.handler = %s;\n" % (names, body)}
        modules = {"index.mjs": "import %s from '@aws-sdk/client-sqs';\nexport const handler = %s;\n" % (names, body)}
        for files in (commonjs, modules):
            self.assertEqual("127.0.0.1:4566", self.endpoint(files, {"AWS_ENDPOINT_URL": GENERAL}))
            both = {"AWS_ENDPOINT_URL": GENERAL, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.2:1"}
            self.assertEqual("127.0.0.2:1", self.endpoint(files, both))

    def test_every_promised_package_loads(self):
        packages = json.loads((RUNTIMES / "nodejs/sdk/package.json").read_text())["dependencies"]
        source = "exports.handler = async (names) => names.filter((name) => Object.keys(require(name)).length > 5);\n"
        case = Case("all", {"index.js": source}, [invocation(sorted(packages))], env={"NODE_PATH": "%s/node_modules" % self.runtime})
        run = self.run_case(case, [shutil.which("node"), str(self.runtime / "bootstrap.cjs")], "AWS_Lambda_nodejs20.x")
        self.assertEqual(sorted(packages), json.loads(run.posts()[0].body))


class SdkInstaller(unittest.TestCase):
    TOOL = REPOSITORY / "tools/install-runtime-sdks"

    def test_lock_names_no_download_addresses_and_fits_node_18(self):
        lock = json.loads((RUNTIMES / "nodejs/sdk/package-lock.json").read_text())
        wanted = json.loads((RUNTIMES / "nodejs/sdk/package.json").read_text())["dependencies"]
        self.assertEqual(wanted, lock["packages"][""]["dependencies"])
        for name, package in lock["packages"].items():
            self.assertNotIn("resolved", package, name)
            needed = package.get("engines", {}).get("node", ">=18")
            self.assertLessEqual(int(needed.lstrip(">=").split(".")[0]), 18, name)
            if name:
                self.assertIn("integrity", package, name)

    def test_says_what_to_do_without_npm(self):
        with tempfile.TemporaryDirectory() as directory:
            tools = Path(directory) / "bin"
            tools.mkdir()
            for name in ("sh", "cat", "sha256sum", "cut", "dirname", "mkdir"):
                (tools / name).symlink_to(shutil.which(name))
            target = Path(directory) / "target"
            run = subprocess.run([self.TOOL, target], env={"PATH": str(tools)}, capture_output=True, text=True)
            self.assertEqual(3, run.returncode, run.stderr)
            self.assertIn("apt-get install npm", run.stderr)
            self.assertEqual([], list(target.iterdir()))

    def test_usage(self):
        self.assertEqual(2, subprocess.run([self.TOOL], capture_output=True).returncode)


if __name__ == "__main__":
    unittest.main()
