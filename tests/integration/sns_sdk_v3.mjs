// The AWS SDK for JavaScript v3 against SNS: sns_sdk_v3.mjs ENDPOINT TOPIC QUEUE_URL QUEUE_ARN. Prints "done".
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../build/release/runtimes/nodejs/", import.meta.url));
const sns = require("@aws-sdk/client-sns");
const sqs = require("@aws-sdk/client-sqs");

const [endpoint, name, QueueUrl, queueArn] = process.argv.slice(2);
const options = { endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1 };
const topics = new sns.SNSClient(options);
const queues = new sqs.SQSClient(options);

const { TopicArn } = await topics.send(new sns.CreateTopicCommand({ Name: name, Tags: [{ Key: "k", Value: "v" }] }));
const { SubscriptionArn } = await topics.send(new sns.SubscribeCommand({
  TopicArn, Protocol: "sqs", Endpoint: queueArn, Attributes: { RawMessageDelivery: "true", FilterPolicy: JSON.stringify({ kind: ["x", { prefix: "y" }] }) },
}));
const attributes = (kind) => ({ kind: { DataType: "String", StringValue: kind } });
const { MessageId } = await topics.send(new sns.PublishCommand({ TopicArn, Message: "ä & <b>", MessageAttributes: attributes("yes") }));
assert.match(MessageId, /^[0-9a-f-]{36}$/);
const batch = await topics.send(new sns.PublishBatchCommand({
  TopicArn, PublishBatchRequestEntries: [{ Id: "1", Message: "no", MessageAttributes: attributes("z") }, { Id: "2", Message: "" }],
}));
assert.deepEqual(batch.Successful.map((entry) => entry.Id), ["1"]);
assert.deepEqual(batch.Failed.map((entry) => [entry.Id, entry.Code, entry.SenderFault]), [["2", "InvalidParameter", true]]);
const { Messages } = await queues.send(new sqs.ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, MessageAttributeNames: ["All"], MaxNumberOfMessages: 10 }));
assert.deepEqual(Messages.map((message) => [message.Body, message.MessageAttributes.kind.StringValue]), [["ä & <b>", "yes"]]);
const got = await topics.send(new sns.GetSubscriptionAttributesCommand({ SubscriptionArn }));
assert.equal(got.Attributes.FilterPolicyScope, "MessageAttributes");
await assert.rejects(topics.send(new sns.PublishCommand({ TopicArn: TopicArn + "x", Message: "m" })), { name: "NotFoundException", message: "Topic does not exist" });
await assert.rejects(topics.send(new sns.PublishCommand({ TopicArn, Message: "" })), { name: "InvalidParameterException" });
await topics.send(new sns.DeleteTopicCommand({ TopicArn }));
console.log("done");
