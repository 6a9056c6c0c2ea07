"""Loops of functions are stopped, unless they are allowed."""

import json

from support import DaemonTest


class Recursion(DaemonTest):
    def chain(self, name, length):
        """Invokes as a function would that passes the header of its own invocation on; the statuses."""
        header, statuses = "", []
        for _ in range(length):
            headers = {"X-Amzn-Trace-Id": header} if header else {}
            status, answer_headers, body = self.daemon.request(
                "POST", "/2015-03-31/functions/%s/invocations" % name, b"{}", headers)
            statuses.append((status, answer_headers.get("x-amzn-ErrorType")))
            if status == 200:
                header = json.loads(body)
        return statuses

    def test_the_seventeenth_invocation_of_a_chain_is_stopped(self):
        name = self.function("import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n")
        self.assertEqual([(200, None)] * 16 + [(400, "RecursiveInvocationException")] * 2, self.chain(name, 18))
        self.assertEqual("Terminate", self.lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"])
        self.lambda_.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
        self.assertEqual([(200, None)] * 20, self.chain(name, 20))

    def test_a_function_that_invokes_itself_comes_to_an_end(self):
        queue = self.queue()
        # boto3 sends the trace header of the running invocation by itself, as on AWS.
        source = ("import boto3, os\n"
                  "def handler(event, context):\n"
                  "    boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody='ran')\n"
                  "    boto3.client('lambda').invoke(FunctionName=context.function_name, InvocationType='Event')\n")
        dead = self.queue(self.name("-dead"))
        name = self.function(source, Timeout=60, MemorySize=512, Environment={"Variables": {"QUEUE": queue}},
                             DeadLetterConfig={"TargetArn": self.queue_arn(dead)})
        self.lambda_.invoke(FunctionName=name, InvocationType="Event")
        letter = self.receive(dead, seconds=20)[0]
        self.assertEqual("400", letter["MessageAttributes"]["ErrorCode"]["StringValue"])
        self.assertEqual(16, len(self.receive_all(queue)))
