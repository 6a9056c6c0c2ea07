'use strict';

const { RuntimeApiClient } = require('./client.cjs');
const errors = require('./errors.cjs');
const invocation = require('./invocation.cjs');
const loader = require('./loader.cjs');
const logs = require('./logs.cjs');

// Code that patches the runtime (tracing tools) finds what runs at an empty event loop here.
const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit');
const NOTHING = () => {};

const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;

/**
 * The invocation loop of the runtimes up to nodejs22.x.
 *
 * An invocation ends when the handler's promise settles, when it calls context.done, succeed or fail, or when it has called
 * the callback and, unless context.callbackWaitsForEmptyEventLoop is false, the event loop has run empty. A handler that
 * does none of these answers null at the empty event loop. Node announces an empty loop by `beforeExit`.
 */
class Runtime {
  constructor(client, handler) {
    this.client = client;
    this.handler = handler;
    const { streaming, highWaterMark } = loader.handlerKind(handler);
    this.serveOne = streaming ? this.serveStream : this.serveBuffered;
    if (streaming) {
      const { ResponseStreams } = require('./streaming.cjs');
      this.streams = new ResponseStreams(client, highWaterMark);
    }
    this.scheduleNext = this.scheduleNext.bind(this);
  }

  scheduleNext() {
    setImmediate(() => {
      if (onFatal.reported) return;
      this.serveOne().catch((error) => {
        console.log(`Unexpected Top Level Error: ${error}`);
        onFatal.uncaughtException(error);
      });
    });
  }

  async serveBuffered() {
    const { headers, body } = await this.client.next();
    const requestId = this.begin(headers);
    const { callback, context, answerNull } = this.completions(requestId);
    setAtEmptyLoop(answerNull);
    try {
      const event = JSON.parse(body);
      invocation.publishTraceId(headers);
      Object.assign(context, invocation.contextMembers(headers));
      const result = this.handler(event, context, callback);
      if (isPromise(result)) result.then(context.succeed, context.fail).catch(context.fail);
    } catch (error) {
      callback(error);
    }
  }

  begin(headers) {
    const requestId = headers['lambda-runtime-aws-request-id'];
    logs.setInvocation(requestId, headers['lambda-runtime-aws-tenant-id']);
    onFatal.uncaughtException = (error) => this.postError(requestId, error, false, () => process.exit(EXIT_UNCAUGHT_EXCEPTION));
    onFatal.unhandledRejection = (error) => this.postError(requestId, error, false, () => process.exit(EXIT_UNHANDLED_REJECTION));
    return requestId;
  }

  postError(requestId, error, andNext, then) {
    const report = errors.toReport(error);
    const sent = this.client.postError(requestId, JSON.stringify(report), report.errorType, errors.toXrayCause(error), andNext);
    sent.then(then, onConnectionLost);
  }

  /** The ways a handler can end its invocation; only the first use of any of them counts. */
  completions(requestId) {
    let answered = false;
    let waitsForEmptyLoop = true;
    const postError = (error) => {
      logs.logError('Invoke Error', error);
      this.postError(requestId, error, true, this.scheduleNext);
    };
    const answer = (result) => {
      if (answered) {
        console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
        return;
      }
      answered = true;
      this.client.postResponse(requestId, invocation.stringify(result), true).then(this.scheduleNext, onConnectionLost);
    };
    const done = (error, result) => {
      setAtEmptyLoop(NOTHING);
      if (error !== undefined && error !== null) postError(error);
      else answer(result);
    };
    const callback = (error, result) => {
      setAtEmptyLoop(NOTHING);
      if (error !== undefined && error !== null) postError(error);
      else if (!waitsForEmptyLoop) answer(result);
      else setAtEmptyLoop(() => setImmediate(() => answer(result)));
    };

    let finished = false;
    const firstOnly = (complete) => (...parameters) => {
      if (finished) return;
      complete(...parameters);
      finished = true;
    };
    const context = {
      get callbackWaitsForEmptyEventLoop() {
        return waitsForEmptyLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waitsForEmptyLoop = value;
      },
      succeed: firstOnly((result) => done(null, result)),
      fail: firstOnly((error) => done(error ?? 'handled')),
      done: firstOnly(done),
    };
    return { callback: firstOnly(callback), context, answerNull: () => answer(null) };
  }

  async serveStream() {
    const { headers, body } = await this.client.next();
    const requestId = this.begin(headers);
    const { stream, answered, fail } = this.streams.open(requestId);
    let waitsForEmptyLoop = true;
    const context = {
      get callbackWaitsForEmptyEventLoop() {
        return waitsForEmptyLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waitsForEmptyLoop = value;
      },
    };
    const next = () => {
      if (waitsForEmptyLoop) setAtEmptyLoop(() => setImmediate(this.scheduleNext));
      else this.scheduleNext();
    };
    const failWith = (error) => {
      logs.logError('Invoke Error', error);
      fail(error, next);
    };
    setAtEmptyLoop(this.scheduleNext);
    try {
      invocation.publishTraceId(headers);
      Object.assign(context, invocation.contextMembers(headers));
      const result = this.handler(JSON.parse(body), stream, context);
      if (!isPromise(result)) return failWith('Streaming does not support non-async handlers.');
      if (typeof (await result) !== 'undefined') console.warn('Streaming handlers ignore return values.');
      await answered;
      if (!stream.writableFinished) return failWith('Response stream is not finished.');
      setAtEmptyLoop(NOTHING);
      next();
    } catch (error) {
      failWith(error);
    }
  }
}

/** What an error that nobody caught does: before the first invocation it is an init error, then an invocation error. */
const onFatal = { uncaughtException: undefined, unhandledRejection: undefined, reported: false };

function onConnectionLost(error) {
  console.log(`Unexpected Top Level Error: ${error}`);
  process.exit(EXIT_UNCAUGHT_EXCEPTION);
}

function setAtEmptyLoop(action) {
  globalThis[BEFORE_EXIT] = action;
}

function isPromise(value) {
  return Boolean(value && value.then && typeof value.then === 'function');
}

class UnhandledPromiseRejection extends errors.RuntimeError {
  constructor(reason, promise) {
    super('UnhandledPromiseRejection', reason);
    this.reason = reason;
    this.promise = promise;
  }
}

async function run(runtimeDir) {
  logs.patchConsole();
  invocation.readEnvironment();
  const client = new RuntimeApiClient(process.env.AWS_LAMBDA_RUNTIME_API);
  const failInit = (exitCode) => (error) => {
    const report = errors.toReport(error);
    const exit = () => process.exit(exitCode);
    client.postInitError(JSON.stringify(report), report.errorType).then(exit, exit);
  };
  onFatal.uncaughtException = failInit(EXIT_UNCAUGHT_EXCEPTION);
  onFatal.unhandledRejection = failInit(EXIT_UNHANDLED_REJECTION);

  const uncaught = (error) => {
    onFatal.reported = true;
    logs.logError('Uncaught Exception', error);
    onFatal.uncaughtException(error);
  };
  process.on('uncaughtException', uncaught);
  process.on('unhandledRejection', (reason, promise) => {
    onFatal.reported = true;
    const error = new UnhandledPromiseRejection(reason, promise);
    logs.logError('Unhandled Promise Rejection', error);
    onFatal.unhandledRejection(error);
  });
  setAtEmptyLoop(NOTHING);
  process.on('beforeExit', () => globalThis[BEFORE_EXIT]());

  loader.installGlobals();
  try {
    const taskRoot = process.env.LAMBDA_TASK_ROOT ?? '/var/task';
    const handler = await loader.loadHandler(taskRoot, process.env._HANDLER, runtimeDir);
    new Runtime(client, handler).scheduleNext();
  } catch (error) {
    uncaught(error);
  }
}

module.exports = { run };
