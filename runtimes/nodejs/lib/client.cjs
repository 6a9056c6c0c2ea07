'use strict';

const net = require('node:net');

const API = '/2018-06-01/runtime/';
const USER_AGENT = `lambdad-nodejs/${process.versions.node}`;
const HEADER_END = Buffer.from('\r\n\r\n');
const EMPTY = Buffer.alloc(0);

/**
 * Runtime API client: HTTP/1.1 over one kept-alive socket, one write per request, no time limit.
 *
 * The socket keeps the event loop alive only while a request is under way, so that `beforeExit` fires when the function has
 * nothing left to do. Rejects when the connection cannot be made or breaks inside an exchange; a request on a kept-alive
 * connection that the server had closed meanwhile is sent again once on a new one.
 */
class RuntimeApiClient {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.address = address;
    this.hostname = address.slice(0, colon).replace(/^\[|\]$/g, '');
    this.port = Number(address.slice(colon + 1));
    this.socket = undefined;
    this.pending = undefined;
  }

  /** Waits for an invocation: {headers, body}, header names in lower case, body as text. */
  async next() {
    const answer = await this.#exchange(this.#request('GET', 'invocation/next', '', ''));
    if (answer.status !== 200) {
      throw new Error(`Failed to get next invocation. Http Response code: ${answer.status}`);
    }
    return { headers: answer.headers, body: answer.body.toString('utf8') };
  }

  /** The promise of these three is fulfilled with the status; a refused response does not end the environment. */
  postResponse(requestId, body) {
    return this.#post(`invocation/${encodeURIComponent(requestId)}/response`, body, '');
  }

  postError(requestId, body, errorType, xrayCause) {
    let headers = errorTypeHeader(errorType);
    if (xrayCause) {
      headers += `Lambda-Runtime-Function-XRay-Error-Cause: ${asHeaderValue(xrayCause)}\r\n`;
    }
    return this.#post(`invocation/${encodeURIComponent(requestId)}/error`, body, headers);
  }

  postInitError(body, errorType) {
    return this.#post('init/error', body, errorTypeHeader(errorType));
  }

  async #post(path, body, headers) {
    headers += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    return (await this.#exchange(this.#request('POST', path, headers, body))).status;
  }

  #request(method, path, headers, body) {
    return `${method} ${API}${path} HTTP/1.1\r\nHost: ${this.address}\r\nUser-Agent: ${USER_AGENT}\r\n${headers}\r\n${body}`;
  }

  #exchange(request) {
    // An error nobody caught is reported while `next` or an answer is still under way, on a connection of its own.
    if (this.pending !== undefined) return new RuntimeApiClient(this.address).#exchange(request);
    return new Promise((resolve, reject) => {
      const reused = this.socket !== undefined;
      this.pending = { request, resolve, reject, received: EMPTY, mayRetry: reused };
      if (reused) {
        this.socket.ref();
        this.socket.write(request);
      } else {
        this.#connect();
      }
    });
  }

  #connect() {
    const socket = net.connect({ host: this.hostname, port: this.port, noDelay: true });
    this.socket = socket;
    socket.on('data', (data) => this.#onData(data));
    socket.on('error', (error) => this.#onLost(socket, error));
    socket.on('close', () => this.#onLost(socket, new Error('the Runtime API closed the connection')));
    socket.write(this.pending.request);
  }

  #onLost(socket, error) {
    if (socket !== this.socket) return;
    this.socket = undefined;
    const pending = this.pending;
    if (pending === undefined) return;
    if (pending.mayRetry && pending.received.length === 0) {
      pending.mayRetry = false;
      this.#connect();
    } else {
      this.pending = undefined;
      pending.reject(error);
    }
  }

  #onData(data) {
    const pending = this.pending;
    if (pending === undefined) return this.#drop();
    pending.received = pending.received.length === 0 ? data : Buffer.concat([pending.received, data]);
    const answer = parseAnswer(pending.received);
    if (answer === undefined) return;
    this.pending = undefined;
    if (answer.close) this.#drop();
    else this.socket.unref();
    pending.resolve(answer);
  }

  #drop() {
    const socket = this.socket;
    this.socket = undefined;
    socket.destroy();
  }
}

/** {status, headers, body, close}, or undefined while `data` does not hold a whole answer. */
function parseAnswer(data) {
  const end = data.indexOf(HEADER_END);
  if (end < 0) return undefined;
  const [statusLine, ...lines] = data.toString('utf8', 0, end).split('\r\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const rest = data.subarray(end + HEADER_END.length);
  let body;
  if (headers['transfer-encoding']?.toLowerCase().includes('chunked')) {
    body = parseChunks(rest);
    if (body === undefined) return undefined;
  } else {
    const size = Number(headers['content-length'] ?? 0);
    if (rest.length < size) return undefined;
    body = rest.subarray(0, size);
  }
  const close = headers.connection?.toLowerCase() === 'close';
  return { status: Number(statusLine.slice(9, 12)), headers, body, close };
}

function parseChunks(data) {
  const chunks = [];
  for (let position = 0; ; ) {
    const lineEnd = data.indexOf('\r\n', position);
    if (lineEnd < 0) return undefined;
    const size = parseInt(data.toString('latin1', position, lineEnd), 16);
    position = lineEnd + 2;
    if (size === 0) {
      const hasEnd = data.indexOf('\r\n', position) === position || data.indexOf(HEADER_END, position) >= 0;
      return hasEnd ? Buffer.concat(chunks) : undefined;
    }
    if (data.length < position + size + 2) return undefined;
    chunks.push(data.subarray(position, position + size));
    position += size + 2;
  }
}

function errorTypeHeader(errorType) {
  return `Lambda-Runtime-Function-Error-Type: ${asHeaderValue(String(errorType))}\r\n`;
}

/** A class may be called anything; a header may not contain anything. */
function asHeaderValue(text) {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

module.exports = { RuntimeApiClient };
