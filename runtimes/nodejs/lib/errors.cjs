'use strict';

const generation = require('./generation.cjs');

const PROBLEM_RETRIEVING =
  'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack';

/** An error the runtime itself recognised; its name is the error type of the report. */
class RuntimeError extends Error {
  constructor(kind, message) {
    super(message);
    // Logs show an error's enumerable members; the newer runtimes' errors have their name among them.
    const enumerable = !generation.acceptsCallbacks;
    Object.defineProperty(this, 'name', { value: `Runtime.${kind}`, configurable: true, writable: true, enumerable });
  }
}

function intoError(value) {
  if (value instanceof Error) return value;
  return generation.acceptsCallbacks ? new Error(value) : new Error(String(value));
}

/** DEL is the one character JSON leaves alone that log and header readers trip over. */
function withoutDelete(text) {
  return text?.replaceAll('\x7f', '%7F');
}

/** Errors of another realm count as errors up to Node 22. */
function isError(value) {
  if (value instanceof Error) return true;
  if (!generation.acceptsCallbacks) return false;
  const { isNativeError } = require('node:util').types;
  return isNativeError(value) || [value?.name, value?.message, value?.stack].every((part) => typeof part === 'string' && part);
}

/** What callers get: {errorType, errorMessage, trace}. */
function toReport(error) {
  try {
    if (isError(error)) {
      return {
        errorType: withoutDelete(error.name),
        errorMessage: withoutDelete(error.message),
        trace: withoutDelete(error.stack)?.split('\n') ?? [],
      };
    }
    const errorMessage = generation.acceptsCallbacks ? error.toString() : String(error);
    return { errorType: typeof error, errorMessage, trace: [] };
  } catch {
    const report = { errorType: 'handled', errorMessage: PROBLEM_RETRIEVING };
    return generation.acceptsCallbacks ? report : { ...report, trace: [] };
  }
}

/** What the log shows after "Invoke Error" and the like: the error with all its own members. */
function toLogText(error) {
  try {
    return '\t' + JSON.stringify(error, (_key, value) => withAllMembers(value));
  } catch {
    return '\t' + JSON.stringify(toReport(error));
  }
}

function withAllMembers(value) {
  if (!(value instanceof Error)) return value;
  const members = Object.assign({ errorType: value.name, errorMessage: value.message, code: value.code }, value);
  if (typeof value.stack === 'string') members.stack = value.stack.split('\n');
  return members;
}

/** The X-Ray cause as JSON text, '' when the error cannot be described. */
function toXrayCause(error) {
  try {
    const stack = withoutDelete(error.stack ?? '').split('\n').slice(1).map(toXrayFrame);
    return JSON.stringify({
      working_directory: process.cwd(),
      exceptions: [{ type: withoutDelete(error.name), message: withoutDelete(error.message), stack }],
      paths: [...new Set(stack.map((frame) => frame.path))],
    });
  } catch {
    return '';
  }
}

/** "    at label (path:line:column)", where the label may be absent. */
function toXrayFrame(text) {
  const line = text.trim().replace(/[()]/g, '').replace(/^\S*\s/, '');
  const space = line.lastIndexOf(' ');
  const [path, number] = line.slice(space + 1).split(':');
  return { path, line: parseInt(number), label: space > 0 ? line.slice(0, space) : 'anonymous' };
}

module.exports = { RuntimeError, intoError, toReport, toLogText, toXrayCause };
