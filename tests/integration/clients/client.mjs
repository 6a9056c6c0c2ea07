// The story of test_sdks.py, told by the AWS SDK for JavaScript v3: client.mjs ENDPOINT NAME DIRECTORY. Prints "done".
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(new URL("../../../build/release/runtimes/nodejs/", import.meta.url));
const sdk = require("@aws-sdk/client-lambda");

const [endpoint, FunctionName, directory] = process.argv.slice(2);
const client = new sdk.LambdaClient({ endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1 });
const quick = { client, minDelay: 0.02, maxDelay: 1, maxWaitTime: 60 };
const file = (name) => readFileSync(join(directory, name));
const call = (operation, input = {}) => client.send(new sdk[`${operation}Command`]({ FunctionName, ...input }));
const updated = () => sdk.waitUntilFunctionUpdatedV2(quick, { FunctionName });

async function invoke(payload, input = {}) {
  const answer = await call("Invoke", { Payload: JSON.stringify(payload), ...input });
  const text = answer.Payload ? Buffer.from(answer.Payload).toString() : "";
  return [text === "" ? undefined : JSON.parse(text), answer];
}

async function functions() {
  const made = await call("CreateFunction", {
    Runtime: "python3.11", Handler: "app.handler", Role: "arn:aws:iam::000000000000:role/r", Code: { ZipFile: file("one.zip") }, Timeout: 10,
    Tags: { team: "a" }, Environment: { Variables: { COLOUR: "blue" } },
  });
  assert.equal(made.State, "Pending");
  await sdk.waitUntilFunctionActiveV2(quick, { FunctionName });
  const [document, answer] = await invoke({ n: 41 }, { LogType: "Tail" });
  assert.deepEqual([answer.StatusCode, answer.FunctionError, document.n, document.colour], [200, undefined, 42, "blue"]);
  assert.match(Buffer.from(answer.LogResult, "base64").toString(), /REPORT RequestId:/);
  assert.equal((await invoke({ n: "no number" }))[1].FunctionError, "Unhandled");
  assert.equal((await invoke({ n: 1 }, { InvocationType: "Event" }))[1].StatusCode, 202);
  assert.equal((await invoke({}, { InvocationType: "DryRun" }))[1].StatusCode, 204);
  await call("UpdateFunctionConfiguration", { Environment: { Variables: { COLOUR: "red" } } });
  await updated();
  assert.equal((await invoke({ n: 1 }))[0].colour, "red");
  assert.deepEqual((await call("ListTags", { Resource: made.FunctionArn })).Tags, { team: "a" });
  const config = await call("PutFunctionEventInvokeConfig", { MaximumRetryAttempts: 0 });
  assert.ok(Math.abs(Date.now() - config.LastModified.getTime()) < 3600_000);
}

async function versions() {
  assert.equal((await call("PublishVersion", { Description: "first" })).Version, "1");
  await call("UpdateFunctionCode", { ZipFile: file("two.zip") });
  await updated();
  await call("PublishVersion");
  const alias = await call("CreateAlias", { Name: "live", FunctionVersion: "1", RoutingConfig: { AdditionalVersionWeights: { 2: 1 } } });
  assert.deepEqual(alias.RoutingConfig, { AdditionalVersionWeights: { 2: 1 } });
  const [document, answer] = await invoke({ n: 1 }, { Qualifier: "live" });
  assert.deepEqual([answer.ExecutedVersion, document.n], ["2", 101]);
  await call("UpdateAlias", { Name: "live", RevisionId: alias.RevisionId, RoutingConfig: { AdditionalVersionWeights: {} } });
  assert.equal((await invoke({ n: 1 }, { Qualifier: "live" }))[1].ExecutedVersion, "1");
  await assert.rejects(call("UpdateAlias", { Name: "live", RevisionId: alias.RevisionId }), sdk.PreconditionFailedException);
  const numbers = [];
  for await (const page of sdk.paginateListVersionsByFunction({ client, pageSize: 1 }, { FunctionName })) numbers.push(...page.Versions.map((v) => v.Version));
  assert.deepEqual(numbers, ["$LATEST", "1", "2"]);
}

async function layers() {
  const layer = await call("PublishLayerVersion", { LayerName: FunctionName, Content: { ZipFile: file("layer.zip") }, CompatibleRuntimes: ["python3.11"] });
  await call("UpdateFunctionConfiguration", { Layers: [layer.LayerVersionArn] });
  await updated();
  assert.equal((await invoke({ n: 1 }))[0].layer, "from the layer");
  assert.equal((await call("GetLayerVersionByArn", { Arn: layer.LayerVersionArn })).Content.CodeSha256, layer.Content.CodeSha256);
  await call("DeleteLayerVersion", { LayerName: FunctionName, VersionNumber: layer.Version });
}

async function policies() {
  await call("AddPermission", { StatementId: "s3", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com", SourceArn: "arn:aws:s3:::bucket" });
  const policy = await call("GetPolicy");
  assert.equal(JSON.parse(policy.Policy).Statement[0].Sid, "s3");
  await call("RemovePermission", { StatementId: "s3", RevisionId: policy.RevisionId });
  await assert.rejects(call("GetPolicy"), sdk.ResourceNotFoundException);
}

async function refusals() {
  await assert.rejects(call("GetFunction", { FunctionName: "no-such" }), (error) => {
    assert.ok(error instanceof sdk.ResourceNotFoundException);
    assert.equal(error.message, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:no-such");
    assert.deepEqual([error.Type, error.$metadata.httpStatusCode], ["User", 404]);
    return true;
  });
  await assert.rejects(call("CreateAlias", { Name: "live", FunctionVersion: "1" }), sdk.ResourceConflictException);
  await assert.rejects(call("UpdateFunctionConfiguration", { MemorySize: 1 }), { name: "ValidationException" });
  await call("PutFunctionConcurrency", { ReservedConcurrentExecutions: 0 });
  await assert.rejects(call("Invoke"), (error) => {
    assert.ok(error instanceof sdk.TooManyRequestsException);
    assert.equal(error.Reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
    return true;
  });
  await call("DeleteFunctionConcurrency");
}

async function stream() {
  const events = [];
  for await (const event of (await call("InvokeWithResponseStream", { Payload: JSON.stringify({ n: 1 }) })).EventStream) events.push(event);
  const chunks = events.filter((event) => event.PayloadChunk).map((event) => event.PayloadChunk.Payload);
  assert.equal(JSON.parse(Buffer.concat(chunks).toString()).n, 101);
  assert.equal(events.at(-1).InvokeComplete.ErrorCode, undefined);
}

for (const part of [functions, versions, layers, policies, refusals, stream]) await part();
await call("DeleteFunction");
console.log("done");
