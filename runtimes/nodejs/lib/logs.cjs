'use strict';

const util = require('node:util');
const fs = require('node:fs');
const generation = require('./generation.cjs');
const errors = require('./errors.cjs');

const LEVELS = {
  TRACE: { name: 'TRACE', priority: 1, bits: 0x04 },
  DEBUG: { name: 'DEBUG', priority: 2, bits: 0x08 },
  INFO: { name: 'INFO', priority: 3, bits: 0x0c },
  WARN: { name: 'WARN', priority: 4, bits: 0x10 },
  ERROR: { name: 'ERROR', priority: 5, bits: 0x14 },
  FATAL: { name: 'FATAL', priority: 6, bits: 0x18 },
};
const FRAME_TEXT = 0xa55a0003;
const FRAME_JSON = 0xa55a0002;

// Where other code (log libraries, tracing) looks for the invocation under way.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

let asJson = false; // known once the console is patched

function setInvocation(requestId, tenantId) {
  globalThis[REQUEST_ID] = requestId;
  globalThis[TENANT_ID] = tenantId;
}

function currentRequestId() {
  return globalThis[REQUEST_ID] ?? (generation.acceptsCallbacks ? undefined : '-');
}

function formatText(time, level, parameters) {
  return `${time}\t${currentRequestId()}\t${level.name}\t${util.format(...parameters)}`;
}

function formatJson(time, level, parameters) {
  const event = { timestamp: time, level: level.name, requestId: currentRequestId() };
  const tenantId = globalThis[TENANT_ID];
  if (tenantId !== undefined && tenantId !== null) event.tenantId = tenantId;
  if (parameters.length === 1) {
    event.message = parameters[0];
    try {
      return JSON.stringify(event, describeErrors);
    } catch {
      event.message = util.format(event.message);
      return JSON.stringify(event);
    }
  }
  event.message = util.format(...parameters);
  const error = parameters.find((parameter) => parameter instanceof Error);
  if (error !== undefined) {
    event.errorType = error.constructor?.name ?? 'UnknownError';
    event.errorMessage = error.message;
    event.stackTrace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
  }
  return JSON.stringify(event);
}

function describeErrors(_key, value) {
  if (!(value instanceof Error)) return value;
  const description = {
    errorType: value.constructor?.name ?? 'UnknownError',
    errorMessage: value.message,
    stackTrace: typeof value.stack === 'string' ? value.stack.split('\n') : value.stack,
  };
  return Object.assign(description, value);
}

/** One line per event on standard output; \r inside a line stands for a line break. */
function toStandardOutput(level, parameters) {
  const time = new Date().toISOString();
  const text = asJson ? formatJson(time, level, parameters) : formatText(time, level, parameters);
  process.stdout.write(text.replace(/\n/g, '\r') + '\n');
}

/** Events as type (4 bytes), length (4), microseconds since the epoch (8), text; big-endian. */
function toDescriptor(fd) {
  return (level, parameters) => {
    const now = new Date();
    const time = now.toISOString();
    const text = asJson ? formatJson(time, level, parameters) : formatText(time, level, parameters) + '\n';
    const frame = Buffer.allocUnsafe(16 + Buffer.byteLength(text));
    frame.writeUInt32BE(((asJson ? FRAME_JSON : FRAME_TEXT) | level.bits) >>> 0, 0);
    frame.writeUInt32BE(frame.length - 16, 4);
    frame.writeBigInt64BE(BigInt(now.valueOf()) * 1000n, 8);
    frame.write(text, 16);
    for (let written = 0; written < frame.length; ) written += fs.writeSync(fd, frame, written);
  };
}

function openSink() {
  const fd = process.env._LAMBDA_TELEMETRY_LOG_FD;
  if (fd === undefined) return toStandardOutput;
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  return toDescriptor(Number(fd));
}

/** Makes the console write the runtime's log events, from AWS_LAMBDA_LOG_LEVEL on. */
function patchConsole() {
  asJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const sink = openSink();
  const minimum = LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE;
  for (const level of Object.values(LEVELS)) {
    // The message counts as given even if the caller passes nothing: console.log() writes "undefined".
    const write = (message, ...parameters) => sink(level, [message, ...parameters]);
    console[level.name.toLowerCase()] = level.priority >= minimum.priority ? write : () => {};
  }
  console.log = console.info;
}

/** Logs an error that ended an invocation or the start. */
function logError(title, error) {
  if (asJson) console.error(errors.intoError(error));
  else console.error(title, errors.toLogText(errors.intoError(error)));
}

module.exports = { patchConsole, logError, setInvocation };
