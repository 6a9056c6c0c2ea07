// Runs aws-lambda-ric from npm without its compiled part: argv[2] is the package's directory.
//
// The package talks to the Runtime API through a native addon that needs a C++ tool chain to build. The addon is three
// functions, which this preloads in JavaScript: `next` answers a promise; `done` and `error` block until the answer is there.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import http from 'node:http';
import module from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
const KEPT = /^lambda-runtime-(deadline-ms|aws-request-id|trace-id|invoked-function-arn|client-context|cognito-identity|aws-tenant-id)$/;

function post(url, body, headers) {
  const options = headers.flatMap((header) => ['-H', header]);
  execFileSync('curl', ['-s', '-o', '/dev/null', '-H', 'Content-Type: application/json', '-H', 'Expect:', ...options, '--data-binary', '@-', url], {
    input: body,
  });
}

const addon = {
  next: () =>
    new Promise((resolve, reject) => {
      const request = http.get(api + 'next', { agent: false }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const headers = Object.fromEntries(Object.entries(response.headers).filter(([name]) => KEPT.test(name)));
          headers['lambda-runtime-deadline-ms'] = Number(headers['lambda-runtime-deadline-ms']);
          resolve({ bodyJson: Buffer.concat(chunks).toString('utf8'), headers });
        });
      });
      request.on('error', reject);
    }),
  done: (id, body) => {
    if (typeof body !== 'string') throw new TypeError('Wrong arguments');
    post(`${api}${id}/response`, body, []);
  },
  error: (id, body, cause) => {
    const printable = cause.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
    post(`${api}${id}/error`, body, cause ? [`Lambda-Runtime-Function-XRay-Error-Cause: ${printable}`] : []);
  },
};

const load = module._load;
module._load = (request, ...rest) => (request.endsWith('rapid-client.node') ? addon : load(request, ...rest));

const directory = process.argv[2];
const library = path.join(directory, 'dist/index.mjs');
if (existsSync(library)) {
  const { run } = await import(pathToFileURL(library).href);
  await run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
} else {
  await import(pathToFileURL(path.join(directory, 'index.mjs')).href);
}
