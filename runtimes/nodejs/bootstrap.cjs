// Entry point of the managed Node.js runtimes (nodejs18.x to nodejs24.x); see runtimes/README.md for how it is launched.
//
// lib/client.cjs      Runtime API over one raw socket
// lib/logs.cjs        console, text and JSON events, log sinks
// lib/errors.cjs      error reports and the runtime's own error types
// lib/loader.cjs      handler lookup, module resolution through NODE_PATH
// lib/invocation.cjs  the context argument, what an invocation carries in its headers
// lib/callback_runtime.cjs  the invocation loop up to Node 22: callbacks, waiting for an empty event loop
// lib/promise_runtime.cjs   the invocation loop from Node 24 on: async handlers only
// lib/spare.cjs      waiting to be told which function this process is
// lib/streaming.cjs   response streams; loaded for streaming handlers only, as it needs node:http
'use strict';

const generation = require('./lib/generation.cjs');

const runtime = generation.acceptsCallbacks ? './lib/callback_runtime.cjs' : './lib/promise_runtime.cjs';
const { run } = require(runtime);
if (process.env._LAMBDAD_SPARE !== undefined) require('./lib/spare.cjs').becomeFunction(Number(process.env._LAMBDAD_SPARE));
run(__dirname);
