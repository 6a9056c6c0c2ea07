"""--auth off, verify and enforce, with unmodified clients: who is let in, who may what, and in which words others are refused."""

import json
import os
import re
import subprocess
import sys
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import support
from support import Daemon

ECHO = "def handler(event, context):\n    return event\n"
WHO = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
SEND = ("import boto3, os\nfrom botocore.exceptions import ClientError\ndef handler(event, context):\n"
        "    try:\n        boto3.client('sqs').send_message(QueueUrl=event, MessageBody='hello')\n        return 'sent'\n"
        "    except ClientError as error:\n        return error.response['Error']\n")
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement} for statement in statements]})


def refusal(call):
    """(code, message) of the ClientError that `call` ends with."""
    from botocore.exceptions import ClientError
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("it was allowed")


class AuthTest(unittest.TestCase):
    mode = "enforce"
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--auth", cls.mode)
        cls.addClassCleanup(cls.daemon.close)
        printed = subprocess.run([support.LAMBDAD, "credentials", "--data", cls.daemon.data, "--json"], capture_output=True, check=True, text=True)
        cls.root = json.loads(printed.stdout)

    def client(self, service, key=None, secret=None, token=None, region="us-east-1", **options):
        import boto3
        from botocore.config import Config
        session = boto3.session.Session(
            aws_access_key_id=key or self.root["AccessKeyId"], aws_secret_access_key=secret or self.root["SecretAccessKey"],
            aws_session_token=token, region_name=region)
        return session.client(service, endpoint_url=self.daemon.url, config=Config(retries={"max_attempts": 0}, **options))

    def of(self, service, credentials, **options):
        """A client with what STS or IAM gave out."""
        return self.client(service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials.get("SessionToken"), **options)

    def name(self):
        return "%s-%s" % (self._testMethodName.removeprefix("test_")[:30], os.urandom(3).hex())

    def user(self, *statements):
        """(name, access key) of a user who may do what the statements allow."""
        iam = self.client("iam")
        name = self.name()
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return name, iam.create_access_key(UserName=name)["AccessKey"]

    def role(self, *statements, trust=TRUST):
        iam = self.client("iam")
        name = self.name()
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return arn

    def function(self, source, role=None, **options):
        client = self.client("lambda")
        name = self.name()
        client.create_function(FunctionName=name, Runtime="python3.11", Handler="function.handler", Role=role or self.role(), Timeout=30,
                               Code={"ZipFile": support.zipped({"function.py": source})}, **options)
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return name

    def invoke(self, client, name, payload=None):
        return json.load(client.invoke(FunctionName=name, Payload=json.dumps(payload))["Payload"])


class Verify(AuthTest):
    mode = "verify"

    def test_root_is_let_in_and_may_do_everything(self):
        self.assertEqual("arn:aws:iam::000000000000:root", self.client("sts").get_caller_identity()["Arn"])
        self.client("sqs").list_queues()

    def test_others_are_refused_in_the_words_of_each_protocol(self):
        key, secret = self.root["AccessKeyId"], self.root["SecretAccessKey"]
        mismatch = "The request signature we calculated does not match the signature you provided"
        self.assertEqual(("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
                         refusal(self.client("lambda", "AKIANOBODY").list_functions))
        self.assertEqual("InvalidClientTokenId", refusal(self.client("sts", "AKIANOBODY").get_caller_identity)[0])
        code, message, status = refusal(self.client("lambda", key, "wrong").list_functions)
        self.assertEqual(("InvalidSignatureException", 403), (code, status))
        self.assertTrue(message.startswith(mismatch), message)
        self.assertEqual("SignatureDoesNotMatch", refusal(self.client("iam", key, "wrong").list_users)[0])
        self.assertEqual("InvalidClientTokenId", refusal(self.client("sqs", "test", "test").list_queues)[0])
        self.assertEqual("UnrecognizedClientException", refusal(self.client("lambda", key, secret, "token").list_functions)[0])
        status, headers, body = self.daemon.request("GET", "/2015-03-31/functions", headers={"Authorization": "Bearer x"})
        self.assertEqual((403, "MissingAuthenticationTokenException"), (status, headers["x-amzn-ErrorType"]), body)
        self.assertEqual({"message": "Missing Authentication Token"}, json.loads(body))

    def test_every_region_is_one_of_ours_and_its_own(self):
        self.client("sqs", region="eu-west-1").create_queue(QueueName="elsewhere")
        self.assertNotIn("QueueUrls", self.client("sqs").list_queues())
        self.assertIn("QueueUrls", self.client("sqs", region="eu-west-1").list_queues())

    def signed(self, method, path, service="lambda", presigned_for=None, body=b"", **headers):
        """A request of botocore's signer, to be sent by hand."""
        from botocore.auth import SigV4Auth, SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        credentials = Credentials(self.root["AccessKeyId"], self.root["SecretAccessKey"])
        request = AWSRequest(method, self.daemon.url + path, data=body, headers={"Host": "%s:%s" % (self.daemon.host, self.daemon.port), **headers})
        if presigned_for is None:
            SigV4Auth(credentials, service, "us-east-1").add_auth(request)
        else:
            SigV4QueryAuth(credentials, service, "us-east-1", expires=presigned_for).add_auth(request)
        return request.prepare()

    def send(self, prepared, **changes):
        url = changes.get("url", prepared.url)
        request = urllib.request.Request(url, method=changes.get("method", prepared.method), data=changes.get("body", prepared.body) or None)
        for name, value in {**prepared.headers, **changes.get("headers", {})}.items():
            request.add_header(name, value if isinstance(value, str) else value.decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def test_a_request_may_be_sent_again_and_not_be_changed(self):
        request = self.signed("GET", "/2015-03-31/functions?MaxItems=7", **{"X-Amz-Meta": "one"})
        self.assertEqual(200, self.send(request)[0])
        self.assertEqual(200, self.send(request)[0])
        for changes in ({"url": request.url.replace("MaxItems=7", "MaxItems=8")}, {"url": request.url + "&Marker=x"}, {"method": "DELETE"},
                        {"headers": {"X-Amz-Meta": "two"}}, {"headers": {"X-Amz-More": "1"}}, {"body": b"x"},
                        {"headers": {"Host": "other"}}, {"headers": {"X-Amz-Date": "20260101T000000Z"}}):
            with self.subTest(changes=changes):
                self.assertEqual(403, self.send(request, **changes)[0])

    def test_presigned_urls(self):
        request = self.signed("GET", "/2015-03-31/functions?MaxItems=7", presigned_for=60)
        self.assertIn("X-Amz-Signature", request.url)
        self.assertEqual(200, self.send(request)[0])
        self.assertEqual(403, self.send(request, url=request.url.replace("MaxItems=7", "MaxItems=8"))[0])
        self.assertEqual(403, self.send(request, url=request.url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))[0])
        status, body = self.send(self.signed("GET", "/2015-03-31/functions", presigned_for=-1))
        self.assertEqual(403, status, body)

    def test_of_the_wrong_service(self):
        status, body = self.send(self.signed("POST", "/", "iam", body=b"{}", **{
            "X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}))
        self.assertEqual((403, "Credential should be scoped to correct service: 'sqs'. "), (status, body["message"]))

    def test_keys_of_users_can_be_turned_off(self):
        iam = self.client("iam")
        name, key = self.user()
        self.assertEqual("arn:aws:iam::000000000000:user/" + name, self.of("sts", key).get_caller_identity()["Arn"])
        self.of("lambda", key).list_functions()
        self.assertEqual("lambda", iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"])
        iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
        self.assertEqual("InvalidClientTokenId", refusal(self.of("sts", key).get_caller_identity)[0])
        iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Active")
        self.of("sts", key).get_caller_identity()
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        self.assertEqual("InvalidClientTokenId", refusal(self.of("sts", key).get_caller_identity)[0])

    def test_temporary_keys_survive_a_restart_and_expire_on_awss_clock(self):
        _, key = self.user()
        given = self.of("sts", key).get_session_token(DurationSeconds=900)["Credentials"]
        self.daemon.restart()
        who = self.of("sts", given).get_caller_identity()
        self.assertIn(":user/", who["Arn"])
        self.assertEqual("AccessDenied", refusal(self.of("sts", given).get_session_token)[0])
        without = {**given, "SessionToken": None}
        self.assertEqual("InvalidClientTokenId", refusal(self.of("sts", without).get_caller_identity)[0])
        # Signatures are judged by the machine's clock, sessions by AWS's.
        self.daemon.advance("15m")
        self.assertEqual(("ExpiredTokenException", "The security token included in the request is expired", 403),
                         refusal(self.of("lambda", given).list_functions))
        self.assertEqual("ExpiredToken", refusal(self.of("sts", given).get_caller_identity)[0])
        self.client("sts").get_caller_identity()

    def test_the_root_key_stays(self):
        path = Path(self.daemon.data, "credentials")
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        self.assertEqual(0o600, Path(self.daemon.data, "session.key").stat().st_mode & 0o777)
        self.daemon.restart()
        self.client("sts").get_caller_identity()
        environment = {**support.CLIENT_ENVIRONMENT, "AWS_SHARED_CREDENTIALS_FILE": str(path)}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del environment[name]
        for program in ([sys.executable, str(Path(sys.executable).with_name("aws"))], ["/usr/bin/aws"]):
            done = subprocess.run([*program, "--endpoint-url", self.daemon.url, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"],
                                  env=environment, capture_output=True, text=True, timeout=60)
            self.assertEqual((0, "arn:aws:iam::000000000000:root\n"), (done.returncode, done.stdout), done.stderr)


class Enforce(AuthTest):
    def test_a_user_may_what_its_policies_allow(self):
        name = self.function(ECHO)
        arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name
        user, key = self.user({"Action": "lambda:InvokeFunction", "Resource": arn})
        client = self.of("lambda", key)
        self.assertEqual({"n": 1}, self.invoke(client, name, {"n": 1}))
        self.assertEqual(
            ("AccessDeniedException", "User: arn:aws:iam::000000000000:user/%s is not authorized to perform: lambda:GetFunction on resource: %s "
             "because no identity-based policy allows the lambda:GetFunction action" % (user, arn), 403),
            refusal(lambda: client.get_function(FunctionName=name)))
        self.assertEqual("AccessDeniedException", refusal(client.list_functions)[0])
        self.assertEqual(("AccessDenied", 403), refusal(self.of("iam", key).list_users)[::2])
        self.assertEqual("AccessDenied", refusal(self.of("sqs", key).list_queues)[0])
        self.client("iam").put_user_policy(UserName=user, PolicyName="deny", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "lambda:*", "Resource": "*"}}))
        message = refusal(lambda: client.invoke(FunctionName=name))[1]
        self.assertTrue(message.endswith("with an explicit deny in an identity-based policy"), message)

    def test_groups_managed_policies_and_boundaries(self):
        iam = self.client("iam")
        user, key = self.user()
        group = self.name()
        iam.create_group(GroupName=group)
        iam.attach_group_policy(GroupName=group, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        client = self.of("lambda", key)
        self.assertEqual("AccessDeniedException", refusal(client.list_functions)[0])
        iam.add_user_to_group(GroupName=group, UserName=user)
        client.list_functions()
        boundary = iam.create_policy(PolicyName=self.name(), PolicyDocument=policy({"Action": "sqs:*"}))["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=boundary)
        self.of("sqs", key).list_queues()
        message = refusal(client.list_functions)[1]
        self.assertTrue(message.endswith("because no permissions boundary allows the lambda:ListFunctions action"), message)
        self.daemon.restart()
        self.of("sqs", key).list_queues()
        self.assertEqual("AccessDeniedException", refusal(self.of("lambda", key).list_functions)[0])

    def test_a_function_needs_a_role_that_lambda_may_assume_and_its_creator_may_pass(self):
        code = {"ZipFile": support.zipped({"function.py": ECHO})}
        create = lambda client, role: client.create_function(  # noqa: E731
            FunctionName=self.name(), Runtime="python3.11", Handler="function.handler", Role=role, Code=code)
        cannot = ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", 400)
        self.assertEqual(cannot, refusal(lambda: create(self.client("lambda"), "arn:aws:iam::000000000000:role/none")))
        other = self.role(trust=TRUST.replace("lambda.amazonaws.com", "ec2.amazonaws.com"))
        self.assertEqual(cannot, refusal(lambda: create(self.client("lambda"), other)))
        role = self.role()
        user, key = self.user({"Action": "lambda:*"})
        code_, message, status = refusal(lambda: create(self.of("lambda", key), role))
        self.assertEqual(("AccessDeniedException", 403), (code_, status))
        self.assertIn("is not authorized to perform: iam:PassRole on resource: %s because" % role, message)
        self.client("iam").put_user_policy(UserName=user, PolicyName="pass", PolicyDocument=policy(
            {"Action": "iam:PassRole", "Resource": role, "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}}))
        create(self.of("lambda", key), role)

    def test_a_function_is_its_role_and_may_what_that_may(self):
        role = self.role({"Action": "sts:GetCallerIdentity"})
        who = self.function(WHO, role)
        root = self.client("lambda")
        self.assertEqual(role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/" + who, self.invoke(root, who))
        queue = self.client("sqs").create_queue(QueueName=self.name())["QueueUrl"]
        sender = self.function(SEND, role)
        refused = self.invoke(root, sender, queue)
        self.assertEqual("AccessDenied", refused["Code"], refused)
        self.assertIn("is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:us-east-1:000000000000:", refused["Message"])
        self.client("iam").put_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyName="send", PolicyDocument=policy({"Action": "sqs:SendMessage"}))
        self.assertEqual("sent", self.invoke(root, sender, queue))

    def test_a_functions_credentials_are_renewed_before_they_expire(self):
        name = self.function(WHO)
        root = self.client("lambda")
        before = self.invoke(root, name)
        self.daemon.advance("13h")
        self.assertEqual(before, self.invoke(root, name))

    def test_a_functions_policy_lets_a_user_in(self):
        name = self.function(ECHO)
        user, key = self.user()
        client = self.of("lambda", key)
        self.assertEqual("AccessDeniedException", refusal(lambda: client.invoke(FunctionName=name))[0])
        self.client("lambda").add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction",
                                             Principal="arn:aws:iam::000000000000:user/" + user)
        self.assertEqual(1, self.invoke(client, name, 1))
        self.client("lambda").remove_permission(FunctionName=name, StatementId="s")
        self.assertEqual("AccessDeniedException", refusal(lambda: client.invoke(FunctionName=name))[0])

    def test_roles_are_assumed_by_whom_they_trust(self):
        user, key = self.user()
        trust = json.dumps({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/" + user}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "secret"}}}]})
        role = self.role({"Action": ["lambda:List*", "sqs:*"]}, trust=trust)
        sts = self.of("sts", key)
        self.assertEqual(
            ("AccessDenied", "User: arn:aws:iam::000000000000:user/%s is not authorized to perform: sts:AssumeRole on resource: %s" % (user, role), 403),
            refusal(lambda: sts.assume_role(RoleArn=role, RoleSessionName="session")))
        narrow = policy({"Action": "lambda:*"})
        given = sts.assume_role(RoleArn=role, RoleSessionName="session", ExternalId="secret", Policy=narrow)["Credentials"]
        self.of("lambda", given).list_functions()
        message = refusal(self.of("sqs", given).list_queues)[1]
        self.assertIn("because no session policy allows the sqs:listqueues action", message)
        self.assertEqual("AccessDenied", refusal(lambda: self.client("sts").assume_role(RoleArn=role, RoleSessionName="session"))[0])
        # A role that has gone, or was made again, is no longer the session's.
        iam = self.client("iam")
        name = role.rsplit("/", 1)[1]
        iam.delete_role_policy(RoleName=name, PolicyName="p")
        iam.delete_role(RoleName=name)
        self.assertEqual("UnrecognizedClientException", refusal(self.of("lambda", given).list_functions)[0])

    def url(self, path, **headers):
        request = urllib.request.Request(self.daemon.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def test_function_urls(self):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        root = self.client("lambda")
        name = self.function("def handler(event, context):\n    return event['requestContext'].get('authorizer', {}).get('iam', {}).get('userArn', 'nobody')\n")
        host = root.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"].split("/")[2]
        self.assertEqual(403, self.url("/", Host=host)[0])
        root.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
        self.assertEqual(403, self.url("/", Host=host)[0], "InvokeFunction is needed too")
        root.add_permission(FunctionName=name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True)
        self.assertEqual((200, b"nobody"), self.url("/", Host=host))
        root.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
        self.assertEqual(403, self.url("/", Host=host)[0])
        user, key = self.user({"Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]})
        _, stranger = self.user()

        def signed(credentials, secret=None):
            request = AWSRequest("GET", "http://%s/" % host, headers={"Host": host})
            SigV4Auth(Credentials(credentials["AccessKeyId"], secret or credentials["SecretAccessKey"]), "lambda", "us-east-1").add_auth(request)
            return self.url("/", **dict(request.headers))

        self.assertEqual((200, b"arn:aws:iam::000000000000:user/" + user.encode()), signed(key))
        self.assertEqual(403, signed(key, "wrong")[0])
        self.assertEqual(403, signed(stranger)[0])

    def test_sdk_for_javascript(self):
        name = self.function(ECHO)
        _, key = self.user({"Action": "lambda:InvokeFunction"})
        done = subprocess.run(["node", str(support.ROOT / "tests/integration/auth_sdk_v3.mjs"), self.daemon.url, name], capture_output=True, text=True,
                              timeout=120, env={**support.CLIENT_ENVIRONMENT, "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                                                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]})
        self.assertEqual((0, "done\n"), (done.returncode, done.stdout), done.stderr)

    def test_command_lines(self):
        name = self.function(ECHO)
        _, key = self.user({"Action": "lambda:InvokeFunction"})
        environment = {**support.CLIENT_ENVIRONMENT, "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        for program in ([sys.executable, str(Path(sys.executable).with_name("aws"))], ["/usr/bin/aws"]):
            with self.subTest(program=program[-1]):
                run = lambda *arguments: subprocess.run(  # noqa: E731
                    [*program, "--endpoint-url", self.daemon.url, *arguments], env=environment, capture_output=True, text=True, timeout=60)
                self.assertEqual(0, run("lambda", "invoke", "--function-name", name, "/dev/null").returncode)
                refused = run("lambda", "list-functions")
                self.assertNotEqual(0, refused.returncode)
                self.assertRegex(refused.stderr, r"\(AccessDeniedException\) when calling the ListFunctions operation.*: User: \S+ is not authorized")


class Off(unittest.TestCase):
    """The default: the whole of the other tests. Here only what sessions say without being verified."""

    def test_a_function_is_its_role_with_any_key(self):
        daemon = support.shared_daemon()
        client = daemon.client("lambda")
        name = "off-" + os.urandom(3).hex()
        support.create_function(client, name, WHO, Timeout=30)
        self.addCleanup(lambda: client.delete_function(FunctionName=name))
        answer = json.load(client.invoke(FunctionName=name)["Payload"])
        self.assertEqual("arn:aws:sts::000000000000:assumed-role/tests/" + name, answer)

    def test_other_addresses_are_refused_without_authentication(self):
        done = subprocess.run([support.LAMBDAD, "serve", "--listen", "0.0.0.0:0", "--ephemeral"], capture_output=True, text=True, timeout=60)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, re.compile(r"Choose --auth verify or enforce"))
