// The AWS SDK for JavaScript v3 with real credentials: auth_sdk_v3.mjs ENDPOINT FUNCTION. AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY are a user's who may invoke FUNCTION and nothing else. Prints "done".
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../build/release/runtimes/nodejs/", import.meta.url));
const { LambdaClient, InvokeCommand, ListFunctionsCommand } = require("@aws-sdk/client-lambda");

const [endpoint, name] = process.argv.slice(2);
const options = { endpoint, region: "us-east-1", maxAttempts: 1 };
const lambda = new LambdaClient(options);
const answer = await lambda.send(new InvokeCommand({ FunctionName: name, Payload: '"ä + b"' }));
assert.equal(JSON.parse(Buffer.from(answer.Payload).toString()), "ä + b");
// The ARN's colons are escaped in the path, and escaped again in what is signed.
const arn = `arn:aws:lambda:us-east-1:000000000000:function:${name}`;
assert.equal((await lambda.send(new InvokeCommand({ FunctionName: arn, Payload: "1" }))).StatusCode, 200);
await assert.rejects(lambda.send(new ListFunctionsCommand({})), { name: "AccessDeniedException" });
const wrong = { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "wrong" };
await assert.rejects(new LambdaClient({ ...options, credentials: wrong }).send(new ListFunctionsCommand({})), { name: "InvalidSignatureException" });
console.log("done");
