'use strict';

const generation = require('./generation.cjs');

function parseHeader(headers, name, title) {
  const text = headers[name];
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(
      generation.acceptsCallbacks ? `Cannot parse ${title} as json: ${error}` : `Failed to parse ${name} as JSON: ${error.message}`,
    );
  }
}

let members; // that every context of this process has

/** Before the function is loaded, which may change the environment. */
function readEnvironment() {
  const { env } = process;
  members = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

/** The members of the context that both generations have; their order shows when a context is printed. */
function contextMembers(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const clientContext = parseHeader(headers, 'lambda-runtime-client-context', 'ClientContext');
  const identity = parseHeader(headers, 'lambda-runtime-cognito-identity', 'CognitoIdentity');
  const invokedFunctionArn = headers['lambda-runtime-invoked-function-arn'];
  const awsRequestId = headers['lambda-runtime-aws-request-id'];
  const tenantId = headers['lambda-runtime-aws-tenant-id'];
  const getRemainingTimeInMillis = () => deadline - Date.now();
  const { functionVersion, functionName, memoryLimitInMB, logGroupName, logStreamName } = members;
  if (generation.acceptsCallbacks) {
    return {
      functionVersion, functionName, memoryLimitInMB, logGroupName, logStreamName,
      clientContext, identity, invokedFunctionArn, awsRequestId, tenantId, getRemainingTimeInMillis,
    };
  }
  const xRayTraceId = headers['lambda-runtime-trace-id'];
  return {
    clientContext, identity, invokedFunctionArn, awsRequestId, tenantId, xRayTraceId, getRemainingTimeInMillis,
    functionName, functionVersion, memoryLimitInMB, logGroupName, logStreamName,
  };
}

/** Sets _X_AMZN_TRACE_ID, which the X-Ray SDK reads, to this invocation's or removes the last one's. */
function publishTraceId(headers) {
  const traceId = headers['lambda-runtime-trace-id'];
  if (traceId) process.env._X_AMZN_TRACE_ID = traceId;
  else delete process.env._X_AMZN_TRACE_ID;
}

/** JSON text of a handler's result. Throws for what JSON cannot hold. */
function stringify(result) {
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result);
  } catch {
    if (generation.acceptsCallbacks) throw new Error('Unable to stringify response body');
    const { RuntimeError } = require('./errors.cjs');
    throw new RuntimeError('JSONStringifyError', 'Unable to stringify response body');
  }
  if (text === undefined) throw new TypeError('Wrong arguments'); // a function or a symbol; AWS's words
  return text;
}

module.exports = { readEnvironment, contextMembers, publishTraceId, stringify };
