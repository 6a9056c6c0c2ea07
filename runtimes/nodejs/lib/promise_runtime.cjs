'use strict';

const { RuntimeApiClient } = require('./client.cjs');
const errors = require('./errors.cjs');
const invocation = require('./invocation.cjs');
const { installInvokeStore } = require('./invoke_store.cjs');
const loader = require('./loader.cjs');
const logs = require('./logs.cjs');

const CALLBACK_REFUSED =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify ' +
  'this function to use a supported handler signature to use Node.js 24 or later. For more information see ' +
  'https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';
const CALLBACK_PARAMETERS = 3;

/**
 * The invocation loop from nodejs24.x on: the handler's result, awaited, is the answer, and the next invocation is asked for
 * at once, whatever else is still going on in the event loop. Errors nobody catches end the process, as in plain Node.
 */
class Runtime {
  constructor(client, handler, store) {
    this.client = client;
    this.handler = handler;
    this.store = store;
    const { streaming, highWaterMark } = loader.handlerKind(handler);
    if (streaming) {
      const { ResponseStreams } = require('./streaming.cjs');
      this.streams = new ResponseStreams(client, highWaterMark);
    } else if (handler.length >= CALLBACK_PARAMETERS) {
      throw new errors.RuntimeError('CallbackHandlerDeprecated', CALLBACK_REFUSED);
    }
  }

  async serve() {
    for (;;) {
      const { headers, body } = await this.client.next();
      const context = invocation.contextMembers(headers);
      invocation.publishTraceId(headers);
      logs.setInvocation(context.awsRequestId, context.tenantId);
      const event = JSON.parse(body);
      await this.store.run(context, () =>
        this.streams ? this.serveStream(event, context) : this.serveBuffered(event, context),
      );
    }
  }

  async serveBuffered(event, context) {
    let text;
    try {
      const result = await this.handler(event, context);
      await eventLoopTurn();
      text = invocation.stringify(result);
    } catch (error) {
      await eventLoopTurn();
      logs.logError('Invoke Error', error);
      const report = errors.toReport(error);
      await this.client.postError(context.awsRequestId, JSON.stringify(report), report.errorType, errors.toXrayCause(error), true);
      return;
    }
    await this.client.postResponse(context.awsRequestId, text, true);
  }

  async serveStream(event, context) {
    const { stream, answered, fail } = this.streams.open(context.awsRequestId);
    try {
      const result = this.handler(event, stream, context);
      if (typeof result?.then !== 'function') throw new Error('Streaming does not support non-async handlers.');
      if (typeof (await result) !== 'undefined') console.warn('Streaming handlers ignore return values.');
      await answered;
      if (!stream.writableFinished) throw new Error('Response stream is not finished.');
    } catch (error) {
      await eventLoopTurn();
      logs.logError('Invoke Error', error);
      await new Promise((resolve) => fail(error, resolve));
    }
  }
}

function eventLoopTurn() {
  return new Promise((resolve) => setImmediate(resolve));
}

async function run(runtimeDir) {
  loader.installGlobals();
  const store = installInvokeStore();
  logs.patchConsole();
  invocation.readEnvironment();
  const client = new RuntimeApiClient(process.env.AWS_LAMBDA_RUNTIME_API);
  let runtime;
  try {
    const taskRoot = process.env.LAMBDA_TASK_ROOT ?? '/var/task';
    runtime = new Runtime(client, await loader.loadHandler(taskRoot, process.env._HANDLER, runtimeDir), store);
  } catch (error) {
    logs.logError('Init Error', error);
    const report = errors.toReport(error);
    await client.postInitError(JSON.stringify(report), report.errorType);
    throw error;
  }
  await runtime.serve();
}

module.exports = { run };
