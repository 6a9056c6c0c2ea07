"""Functions whose behaviour under AWS's Node clients is known and must be the same under ours."""

from harness import Case, invocation

INDEX = "index.js"


def _returns(name, expression, prelude="", **options):
    return Case(name, {INDEX: "%s\nexports.handler = async (event, context) => (%s);\n" % (prelude, expression)}, **options)


def _streams(name, body, **options):
    source = "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {\n%s\n});\n" % body
    return Case(name, {INDEX: source}, **options)


# For every generation.
COMMON = [
    _returns("echo", "event", invocations=[invocation({"a": [1, 2.5, None, True, "x"], "ü": "\u2028 日本 \U0001f600"})]),
    _returns("several invocations", "event", invocations=[invocation(n) for n in range(4)]),
    _returns("undefined", "undefined"),
    _returns("string", "'text'"),
    _returns("buffer", "Buffer.from('ab')"),
    _returns("dates and maps", "[new Date(0), new Map([[1, 2]]), NaN, Infinity, () => 1]"),
    _returns("function as result", "() => 1"),
    _returns("big integer", "({ n: 10n })"),
    _returns("circular", "(() => { const a = {}; a.a = a; return a; })()"),
    _returns("big event and result", "event + event", invocations=[invocation("x" * 1_500_000)]),
    Case("throws", {INDEX: "exports.handler = async () => { throw new TypeError('bad \\u00e4\\x7f'); };\n"}, [invocation(1), invocation(2)]),
    Case("throws own error", {INDEX: "class Own extends Error { constructor(m) { super(m); this.name = 'Own'; this.extra = { a: 1 }; this.code = 'E1'; } }\nexports.handler = async () => { throw new Own('m'); };\n"}),
    Case("throws string", {INDEX: "exports.handler = async () => { throw 'text'; };\n"}),
    Case("throws object", {INDEX: "exports.handler = async () => { throw { a: 1 }; };\n"}),
    Case("throws synchronously", {INDEX: "exports.handler = () => { throw new Error('now'); };\n"}),
    Case("rejects with cause", {INDEX: "exports.handler = async () => { throw new Error('outer', { cause: new Error('inner') }); };\n"}),
    Case("thenable", {INDEX: "exports.handler = () => ({ then: (resolve) => setTimeout(() => resolve('later'), 5) });\n"}),
    Case(
        "console",
        {
            INDEX: """
            console.log('at load');
            exports.handler = async (event) => {
              console.log('text %s %d', 'a', 1, { b: [2] });
              console.info('two\\nlines');
              console.warn('w'); console.error('e'); console.debug('d'); console.trace('t');
              console.log(); console.log(undefined, null); console.log({ a: { b: { c: { d: 1 } } } });
              process.stdout.write('raw\\n');
            };
            """
        },
        [invocation(1), invocation(2)],
    ),
    Case(
        "json log",
        {
            INDEX: """
            exports.handler = async (event) => {
              console.debug('hidden'); console.log({ an: 'object' }); console.log('two', { p: 1 }); console.warn('w');
              console.error(new RangeError('r').message, new RangeError('range')); console.error(new RangeError('alone'));
              const c = {}; c.c = c; console.log(c);
              throw new TypeError('end');
            };
            """
        },
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
    ),
    Case("log level", {INDEX: "exports.handler = async () => { console.info('no'); console.warn('yes'); };\n"}, env={"AWS_LAMBDA_LOG_LEVEL": "warn"}),
    Case("mjs", {"index.mjs": "import fs from 'node:fs';\nexport const handler = async () => typeof fs.readFileSync;\n"}),
    Case("cjs", {"index.cjs": "exports.handler = async () => 'cjs';\n"}),
    Case("js with type module", {"index.js": "export const handler = async () => import.meta.url.slice(-8);\n", "package.json": '{"type":"module"}'}),
    Case("js in a folder", {"src/app.js": "exports.handler = async () => 'src';\n"}, handler="src/app.handler"),
    Case("nested export", {INDEX: "exports.a = { b: { handler: async () => 'deep' } };\n"}, handler="index.a.b.handler"),
    Case("top-level await", {"index.mjs": "const v = await Promise.resolve(7);\nexport const handler = async () => v;\n"}),
    Case("parent directory", {INDEX: ""}, [], handler="../index.handler", exits=True),
    Case("no dot", {INDEX: ""}, [], handler="index", exits=True),
    Case("missing module", {"other.js": ""}, [], exits=True),
    Case("missing handler", {INDEX: "exports.x = 1;\n"}, [], exits=True),
    Case("handler is no function", {INDEX: "exports.handler = 'x';\n"}, [], exits=True),
    Case("module throws", {INDEX: "throw new Error('at load');\n"}, [], exits=True),
    Case("esm missing import", {"index.mjs": "import x from 'not-there';\n"}, [], exits=True),
    Case("handler exits", {INDEX: "exports.handler = async () => process.exit(3);\n"}, exits=True),
    Case("module exits", {INDEX: "process.exit(4);\n"}, [], exits=True),
    _returns(
        "context",
        "[context.functionName, context.functionVersion, context.invokedFunctionArn, context.memoryLimitInMB, context.awsRequestId, "
        "context.logGroupName, context.logStreamName, context.identity, context.clientContext, context.tenantId, "
        "context.getRemainingTimeInMillis() > 50000, context.getRemainingTimeInMillis() <= 60000]",
    ),
    _returns("context as json", "context"),
    _returns(
        "context with client and identity",
        "[context.identity, context.clientContext, context.tenantId]",
        invocations=[
            invocation(
                1,
                headers={
                    "Lambda-Runtime-Client-Context": '{"custom":{"k":"v"}}',
                    "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
                    "Lambda-Runtime-Aws-Tenant-Id": "tenant-1",
                },
            )
        ],
    ),
    _returns(
        "trace id",
        "String(process.env._X_AMZN_TRACE_ID)",
        "console.log(process.env._X_AMZN_TRACE_ID)",
        invocations=[invocation(1), invocation(2), invocation(3, headers={"Lambda-Runtime-Trace-Id": None})],
    ),
    _streams("stream", "stream.write('a'); stream.write(Buffer.from('b')); stream.write(new Uint8Array([99])); stream.end();", invocations=[invocation(1), invocation(2)]),
    _streams("stream with content type", "stream.setContentType('text/plain'); stream.write('a'); stream.end();"),
    _streams("stream of objects", "stream.write({ a: 1 }); stream.end();"),
    _streams(
        "stream with prelude",
        "stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' }, cookies: ['c'] });\n"
        "stream.write('body'); stream.end();",
    ),
    _streams("stream by pipeline", "await require('node:stream/promises').pipeline(require('node:stream').Readable.from(['x', 'y', 'z']), stream);"),
    _streams("stream fails midway", "stream.write('part'); throw new TypeError('midway');", invocations=[invocation(1), invocation(2)]),
    _streams("stream fails at once", "throw new Error('at once');"),
    _streams("stream returns a value", "stream.end('x'); return 5;"),
    _streams("stream sets content type too late", "stream.write('a'); stream.setContentType('text/plain');"),
    Case("stream handler is not async", {INDEX: "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.end('x'); });\n"}),
]

# Up to Node 22.
CALLBACK = [
    Case("syntax error", {INDEX: "exports.handler = ;\n"}, [], exits=True),
    Case("missing require", {INDEX: "require('not-there');\n"}, [], exits=True),
    Case("callback", {INDEX: "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, 'late'), 5); };\n"}, [invocation(1), invocation(2)]),
    Case("callback error", {INDEX: "exports.handler = (event, context, callback) => callback(new Error('cb'));\n"}),
    Case("callback error string", {INDEX: "exports.handler = (event, context, callback) => callback('cb');\n"}),
    Case(
        "callback waits for the event loop",
        {INDEX: "exports.handler = (event, context, callback) => { setTimeout(() => console.log('before the answer'), 30); callback(null, 1); };\n"},
    ),
    Case(
        "callback does not wait",
        {INDEX: "let n = 0;\nexports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); callback(null, ++n); };\n"},
        [invocation(1), invocation(2)],
    ),
    Case("async does not wait", {INDEX: "exports.handler = async () => { setInterval(() => {}, 1000); return 1; };\n"}, [invocation(1), invocation(2)]),
    Case("no callback, no promise", {INDEX: "exports.handler = () => { setTimeout(() => console.log('done'), 10); };\n"}, [invocation(1), invocation(2)]),
    Case("callback twice", {INDEX: "exports.handler = (event, context, callback) => { callback(null, 1); callback(null, 2); context.succeed(3); };\n"}),
    Case("succeed", {INDEX: "exports.handler = (event, context) => context.succeed({ a: 1 });\n"}),
    Case("fail", {INDEX: "exports.handler = (event, context) => context.fail(new Error('f'));\n"}),
    Case("fail with nothing", {INDEX: "exports.handler = (event, context) => context.fail();\n"}),
    Case("done", {INDEX: "exports.handler = (event, context) => context.done(null, 'd');\n"}),
    Case("done with error", {INDEX: "exports.handler = (event, context) => context.done('e');\n"}),
    Case("uncaught exception", {INDEX: "exports.handler = () => { setTimeout(() => { throw new RangeError('loose'); }, 1); };\n"}, exits=True),
    Case("unhandled rejection", {INDEX: "exports.handler = () => { Promise.reject(new RangeError('loose')); };\n"}, exits=True),
    Case("unhandled rejection at load", {INDEX: "Promise.reject(new Error('early'));\nexports.handler = () => {};\n"}, [], exits=True),
    Case("never settles", {INDEX: "exports.handler = () => new Promise(() => {});\n"}, [invocation(1), invocation(2)]),
    Case("bad client context", {INDEX: "exports.handler = async () => 1;\n"}, [invocation(1, headers={"Lambda-Runtime-Client-Context": "{nope"})]),
    Case("json log with tenant", {INDEX: "exports.handler = async () => console.log('x');\n"}, [invocation(1, headers={"Lambda-Runtime-Aws-Tenant-Id": "t1"})], env={"AWS_LAMBDA_LOG_FORMAT": "JSON"}),
    Case("emit before exit", {INDEX: "exports.handler = (e, c, cb) => { cb(null, { undefined: undefined }); };\n"}),
    Case("no global", {INDEX: "exports.handler = async () => typeof awslambda;\n"}, env={"AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA": "true"}),
]

# From Node 24 on.
PROMISE = [
    Case("unknown streaming", {INDEX: "exports.handler = async () => {};\nexports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';\n"}, [], exits=True),
    Case("syntax error", {"index.mjs": "export const handler = ;\n"}, [], exits=True),
    Case("missing require", {INDEX: "require('not-there');\n"}, [], exits=True),
    Case("default export", {"index.mjs": "export default { handler: async () => 'from default' };\n"}),
    Case("synchronous result", {INDEX: "exports.handler = () => 'sync';\n"}),
    Case("callback refused", {INDEX: "exports.handler = (event, context, callback) => callback(null, 1);\n"}, [], exits=True),
    Case("no completion functions", {INDEX: "exports.handler = async (e, c) => [typeof c.succeed, typeof c.done, typeof c.fail, 'callbackWaitsForEmptyEventLoop' in c];\n"}),
    Case("does not wait for the event loop", {INDEX: "exports.handler = async () => { setInterval(() => {}, 1000); return 1; };\n"}, [invocation(1), invocation(2)]),
    Case("uncaught exception", {INDEX: "exports.handler = () => new Promise(() => { setTimeout(() => { throw new RangeError('loose'); }, 1); });\n"}, exits=True),
    Case("unhandled rejection", {INDEX: "exports.handler = async () => { Promise.reject(new RangeError('loose')); await new Promise((r) => setTimeout(r, 50)); };\n"}, exits=True),
    Case(
        "invoke store",
        {INDEX: "exports.handler = async () => { const s = awslambda.InvokeStore; s.set('k', 1); let e; try { s.set(Symbol.for('_AWS_LAMBDA_REQUEST_ID'), 1); } catch (x) { e = x.message; } return [s.getRequestId(), s.getXRayTraceId(), s.get('k'), s.hasContext(), e]; };\n"},
    ),
]
