'use strict';

const fs = require('node:fs');
const path = require('node:path');
const module_ = require('node:module');
const { pathToFileURL } = require('node:url');
const generation = require('./generation.cjs');
const { RuntimeError } = require('./errors.cjs');

const HANDLER_STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HANDLER_HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const STREAM_RESPONSE = 'response';

/** Installs the global `awslambda`, with what streaming handlers are declared by. */
function installGlobals() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[HANDLER_STREAMING] = STREAM_RESPONSE;
      if (typeof options?.highWaterMark === 'number') {
        handler[HANDLER_HIGH_WATER_MARK] = parseInt(options.highWaterMark);
      }
      return handler;
    },
    HttpResponseStream: class HttpResponseStream {
      /** Makes `stream` begin with `prelude` (status, headers, cookies as JSON) and eight NULs. */
      static from(stream, prelude) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        const text = JSON.stringify(prelude);
        stream._onBeforeFirstWrite = (write) => {
          write(text);
          write(new Uint8Array(8));
        };
        return stream;
      }
    },
  };
}

/**
 * The function that `handlerName` ("dir/module.export.path") names. Throws RuntimeError MalformedHandlerName,
 * ImportModuleError, UserCodeSyntaxError or HandlerNotFound, or whatever the module threw.
 */
async function loadHandler(taskRoot, handlerName, runtimeDir) {
  if (handlerName.includes('..')) {
    throw new RuntimeError(
      'MalformedHandlerName',
      `'${handlerName}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const fileAndExport = path.basename(handlerName);
  const directory = handlerName.slice(0, handlerName.indexOf(fileAndExport));
  const match = /^([^.]*)\.(.*)$/.exec(fileAndExport);
  if (match === null) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  const [, moduleName, exportPath] = match;

  resolveImportsThroughNodePath(taskRoot);
  const loaded = await loadModule(taskRoot, directory, moduleName, runtimeDir);
  let handler = findExport(loaded, exportPath);
  if (!handler && !generation.acceptsCallbacks && typeof loaded === 'object' && loaded !== null && 'default' in loaded) {
    handler = findExport(loaded.default, exportPath);
  }
  if (!handler) throw new RuntimeError('HandlerNotFound', `${handlerName} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${handlerName} is not a function`);
  return handler;
}

function findExport(loaded, exportPath) {
  return exportPath.split('.').reduce((parent, name) => parent && parent[name], loaded);
}

async function loadModule(taskRoot, directory, moduleName, runtimeDir) {
  // What `require` names as its caller in messages; there is no such file, as on AWS the entry point is called so.
  const require_ = module_.createRequire(path.join(runtimeDir, 'index.mjs'));
  const file = path.resolve(taskRoot, directory, moduleName);
  try {
    const load = generation.acceptsCallbacks ? loadByPackageType : loadByExtension;
    const loaded = await load(file, require_);
    if (loaded) return loaded;
    const base = generation.acceptsCallbacks ? directory : path.join(taskRoot, directory);
    return require_(require_.resolve(moduleName, { paths: [taskRoot, base] }));
  } catch (error) {
    if (error instanceof SyntaxError) {
      const wrapped = new RuntimeError('UserCodeSyntaxError', String(error));
      if (!generation.acceptsCallbacks) wrapped.stack = error.stack;
      throw wrapped;
    }
    if (error?.code === 'MODULE_NOT_FOUND') throw new RuntimeError('ImportModuleError', String(error));
    throw error;
  }
}

/** Up to Node 22: CommonJS first, unless the nearest package.json says that .js files are ES modules. */
async function loadByPackageType(file, require_) {
  const isModule = fs.existsSync(`${file}.js`) && hasModuleType(path.dirname(file));
  return (
    requireIfExists(file, require_) ||
    (!isModule && requireIfExists(`${file}.js`, require_)) ||
    (isModule && (await importIfExists(`${file}.js`))) ||
    (await importIfExists(`${file}.mjs`)) ||
    requireIfExists(`${file}.cjs`, require_)
  );
}

/** From Node 24 on everything is imported; Node tells the kinds apart. */
async function loadByExtension(file) {
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    const loaded = await importIfExists(file + extension);
    if (loaded) return loaded;
  }
  return undefined;
}

function requireIfExists(file, require_) {
  return fs.existsSync(file) ? require_(file) : undefined;
}

async function importIfExists(file) {
  return fs.existsSync(file) ? await import(pathToFileURL(file).href) : undefined;
}

function hasModuleType(directory) {
  if (directory.endsWith('/node_modules')) return false;
  const file = path.join(directory, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return directory !== '/' && hasModuleType(path.dirname(directory));
}

/**
 * Lets ES modules import by bare name what NODE_PATH offers to `require`, as on AWS.
 *
 * Nothing is needed for directories that the function reaches anyway by walking up (the launcher links
 * /var/node_modules and /node_modules to them). For others a resolver is installed: in this thread where Node can do that
 * (22.15, 23.5), else in a loader thread, which costs about 25 ms.
 */
function resolveImportsThroughNodePath(taskRoot) {
  const directories = (process.env.NODE_PATH ?? '').split(':').filter((name) => name.endsWith('/node_modules') && fs.existsSync(name));
  const reached = new Set();
  for (let parent = taskRoot; ; parent = path.dirname(parent)) {
    try {
      reached.add(fs.realpathSync(path.join(parent, 'node_modules')));
    } catch {}
    if (parent === path.dirname(parent)) break;
  }
  const missing = directories.filter((name) => !reached.has(fs.realpathSync(name)));
  if (missing.length === 0) return;
  if (typeof module_.registerHooks === 'function') {
    module_.registerHooks(require('./node_path_resolver.cjs').synchronous(missing));
  } else if (typeof module_.register === 'function') {
    module_.register(pathToFileURL(path.join(__dirname, 'node_path_loader.mjs')), { data: missing });
  }
}

/** {streaming, highWaterMark} of a handler. Throws RuntimeError MalformedStreamingHandler for an unknown declaration. */
function handlerKind(handler) {
  const declared = handler[HANDLER_STREAMING];
  const isDeclared = generation.acceptsCallbacks ? ![undefined, null, false].includes(declared) : Boolean(declared);
  if (isDeclared && declared !== STREAM_RESPONSE) {
    throw new RuntimeError('MalformedStreamingHandler', 'Only response streaming is supported.');
  }
  const highWaterMark = Number(handler[HANDLER_HIGH_WATER_MARK]);
  return { streaming: isDeclared, highWaterMark: highWaterMark || undefined };
}

module.exports = { installGlobals, loadHandler, handlerKind };
