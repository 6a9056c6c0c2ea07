// The AWS SDK for JavaScript v3 against lambdad: sdk_v3.mjs ENDPOINT FUNCTION QUEUE. Prints "done".
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../build/release/runtimes/nodejs/", import.meta.url));
const { LambdaClient, InvokeCommand, InvokeWithResponseStreamCommand, GetFunctionCommand, paginateListFunctions } = require("@aws-sdk/client-lambda");
const sqs = require("@aws-sdk/client-sqs");

const [endpoint, name, queueName] = process.argv.slice(2);
const options = { endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1 };
const lambda = new LambdaClient(options);

const answer = await lambda.send(new InvokeCommand({ FunctionName: name, Payload: JSON.stringify({ n: 41 }), LogType: "Tail" }));
assert.equal(answer.StatusCode, 200);
assert.equal(answer.FunctionError, undefined);
assert.deepEqual(JSON.parse(Buffer.from(answer.Payload).toString()), { n: 42 });
assert.match(Buffer.from(answer.LogResult, "base64").toString(), /heard 41[^]*REPORT RequestId:/);
const stream = await lambda.send(new InvokeWithResponseStreamCommand({ FunctionName: name, Payload: JSON.stringify({ n: 1 }), LogType: "Tail" }));
const events = [];
for await (const event of stream.EventStream) events.push(event);
assert.deepEqual(JSON.parse(Buffer.concat(events.filter((e) => e.PayloadChunk).map((e) => e.PayloadChunk.Payload)).toString()), { n: 2 });
assert.match(Buffer.from(events.at(-1).InvokeComplete.LogResult, "base64").toString(), /heard 1[^]*REPORT RequestId:/);
assert.equal((await lambda.send(new InvokeCommand({ FunctionName: name, Payload: "{}", InvocationType: "Event" }))).StatusCode, 202);
assert.equal((await lambda.send(new InvokeCommand({ FunctionName: name, InvocationType: "DryRun" }))).StatusCode, 204);
assert.equal((await lambda.send(new GetFunctionCommand({ FunctionName: name }))).Configuration.State, "Active");
await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: "no-such" })), { name: "ResourceNotFoundException" });
const names = [];
for await (const page of paginateListFunctions({ client: lambda, pageSize: 1 }, {})) names.push(...page.Functions.map((f) => f.FunctionName));
assert.ok(names.includes(name));

const queues = new sqs.SQSClient(options);
const { QueueUrl } = await queues.send(new sqs.CreateQueueCommand({ QueueName: queueName }));
await queues.send(new sqs.SendMessageCommand({ QueueUrl, MessageBody: "ä & b" }));
const { Messages } = await queues.send(new sqs.ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
assert.equal(Messages[0].Body, "ä & b");
await queues.send(new sqs.DeleteMessageCommand({ QueueUrl, ReceiptHandle: Messages[0].ReceiptHandle }));
await queues.send(new sqs.DeleteQueueCommand({ QueueUrl }));
console.log("done");
