'use strict';

const http = require('node:http');
const net = require('node:net');
const { RuntimeError, toReport } = require('./errors.cjs');

const METHODS = [
  'cork', 'destroy', 'end', 'uncork', 'write',
  'addListener', 'emit', 'eventNames', 'getMaxListeners', 'listenerCount', 'listeners', 'off', 'on', 'once',
  'prependListener', 'prependOnceListener', 'rawListeners', 'removeAllListeners', 'removeListener', 'setMaxListeners',
  'setContentType',
];
const WRITABLE_PROPERTIES = ['destroyed', 'writable', '_onBeforeFirstWrite'];
const READABLE_PROPERTIES = [
  'writableFinished', 'writableObjectMode', 'writableBuffer', 'writableEnded', 'writableNeedDrain',
  'writableHighWaterMark', 'writableCorked', 'writableLength',
];

/** Opens response streams on a connection of their own, kept alive between invocations. */
class ResponseStreams {
  constructor(client, highWaterMark) {
    this.client = client;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    this.agent.createConnection = (options, onConnect) => net.createConnection({ ...options, highWaterMark }, onConnect);
  }

  /** {stream, answered, fail}: what the handler writes to, the platform's answer, and how to end with an error. */
  open(requestId) {
    let resolveAnswered;
    let rejectAnswered;
    const answered = new Promise((resolve, reject) => {
      resolveAnswered = resolve;
      rejectAnswered = reject;
    });
    // Nobody may be waiting yet when the connection breaks; the handler sees the stream's own 'error'.
    answered.catch(() => {});

    const request = http.request({
      agent: this.agent,
      method: 'POST',
      hostname: this.client.hostname,
      port: this.client.port,
      path: `/2018-06-01/runtime/invocation/${encodeURIComponent(requestId)}/response`,
      headers: {
        'Lambda-Runtime-Function-Response-Mode': 'streaming',
        Trailer: ['Lambda-Runtime-Function-Error-Type', 'Lambda-Runtime-Function-Error-Body'],
        'Content-Type': 'application/octet-stream',
        'Transfer-Encoding': 'chunked',
      },
    });
    request.on('response', (response) => {
      response.on('data', () => {});
      response.on('aborted', rejectAnswered);
      response.on('end', resolveAnswered);
    });
    request.on('error', (error) => {
      rejectAnswered(error);
      request.destroy(error);
    });
    const fail = (error, done) => {
      const report = toReport(error);
      request.addTrailers({
        'Lambda-Runtime-Function-Error-Type': String(report.errorType),
        'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(report)).toString('base64'),
      });
      request.end(done);
    };
    return { stream: asHandlerStream(request), answered, fail };
  }
}

/** The part of `request` that handlers may use, with AWS's additions. */
function asHandlerStream(request) {
  let written = false;
  request.setContentType = (contentType) => {
    if (written) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    request.setHeader('Content-Type', contentType);
  };
  const write = request.write.bind(request);
  request.write = (chunk, encoding, callback) => {
    const isRaw = typeof chunk === 'string' || Buffer.isBuffer(chunk) || chunk instanceof Uint8Array;
    const data = isRaw ? chunk : JSON.stringify(chunk);
    if (!written && typeof request._onBeforeFirstWrite === 'function') {
      request._onBeforeFirstWrite((first) => write(first));
    }
    written = true;
    return write(data, encoding, callback);
  };

  const stream = {};
  for (const name of METHODS) stream[name] = request[name].bind(request);
  for (const name of WRITABLE_PROPERTIES) {
    Object.defineProperty(stream, name, { get: () => request[name], set: (value) => (request[name] = value) });
  }
  for (const name of READABLE_PROPERTIES) Object.defineProperty(stream, name, { get: () => request[name] });
  return stream;
}

module.exports = { ResponseStreams };
