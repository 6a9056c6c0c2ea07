'use strict';

const net = require('node:net');

const API = '/2018-06-01/runtime/';
const USER_AGENT = `lambdad-nodejs/${process.versions.node}`;
const HEADER_END = Buffer.from('\r\n\r\n');
const RECEIVE_BYTES = 65536;
const NOTHING = () => {};

/**
 * Runtime API client: HTTP/1.1 over one kept-alive socket, no time limit.
 *
 * One write per request. The answer to an invocation and the `next` after it leave in one write, which spares a round trip
 * and a turn of the event loop per invocation. The socket keeps the event loop alive only while a request is under way, so
 * that `beforeExit` fires when the function has nothing left to do. Rejects when the connection cannot be made or breaks
 * inside an exchange; a request on a kept-alive connection that the server had closed meanwhile is sent again once on a new
 * one.
 */
class RuntimeApiClient {
  #nextRequest;
  #socket = undefined;
  #waiting = []; // requests without an answer, in the order they were sent
  #received = new Received();
  #nextAnswer = undefined; // of a `next` that was sent with an answer

  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.address = address;
    this.hostname = address.slice(0, colon).replace(/^\[|\]$/g, '');
    this.port = Number(address.slice(colon + 1));
    this.#nextRequest = this.#request('GET', 'invocation/next', '', '');
  }

  /** Waits for an invocation: {headers, body}, header names in lower case, body as text. */
  async next() {
    const asked = this.#nextAnswer ?? this.#exchange(this.#nextRequest);
    this.#nextAnswer = undefined;
    const answer = await asked;
    if (answer.status !== 200) {
      throw new Error(`Failed to get next invocation. Http Response code: ${answer.status}`);
    }
    return answer;
  }

  /**
   * The promise of these three is fulfilled with the status; a refused response does not end the environment. With
   * `andNext` the next invocation is asked for at once; next() then waits for that one.
   */
  postResponse(requestId, body, andNext) {
    return this.#post(`invocation/${encodeURIComponent(requestId)}/response`, body, '', andNext);
  }

  postError(requestId, body, errorType, xrayCause, andNext) {
    let headers = errorTypeHeader(errorType);
    if (xrayCause) {
      headers += `Lambda-Runtime-Function-XRay-Error-Cause: ${asHeaderValue(xrayCause)}\r\n`;
    }
    return this.#post(`invocation/${encodeURIComponent(requestId)}/error`, body, headers, andNext);
  }

  postInitError(body, errorType) {
    return this.#post('init/error', body, errorTypeHeader(errorType), false);
  }

  async #post(path, body, headers, andNext) {
    headers += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    return (await this.#exchange(this.#request('POST', path, headers, body), andNext)).status;
  }

  #request(method, path, headers, body) {
    return `${method} ${API}${path} HTTP/1.1\r\nHost: ${this.address}\r\nUser-Agent: ${USER_AGENT}\r\n${headers}\r\n${body}`;
  }

  #exchange(request, andNext = false) {
    // An error nobody caught is reported while `next` or an answer is still under way, on a connection of its own.
    if (this.#waiting.length > 0) return new RuntimeApiClient(this.address).#exchange(request);
    const answered = this.#expectAnswer(request);
    if (andNext) {
      this.#nextAnswer = this.#expectAnswer(this.#nextRequest);
      this.#nextAnswer.catch(NOTHING); // whoever calls next() sees it
    }
    if (this.#socket !== undefined) {
      for (const entry of this.#waiting) entry.mayRetry = true;
      this.#socket.ref();
      this.#socket.write(andNext ? request + this.#nextRequest : request);
    } else {
      this.#connect();
    }
    return answered;
  }

  #expectAnswer(request) {
    return new Promise((resolve, reject) => this.#waiting.push({ request, resolve, reject, mayRetry: false }));
  }

  #connect() {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
      callback: (count, buffer) => {
        if (socket === this.#socket) this.#onData(buffer.subarray(0, count));
        return true;
      },
    };
    const socket = net.connect({ host: this.hostname, port: this.port, noDelay: true, onread });
    this.#socket = socket;
    this.#received.clear();
    socket.on('error', (error) => this.#onLost(socket, error));
    socket.on('close', () => this.#onLost(socket, new Error('the Runtime API closed the connection')));
    socket.write(this.#waiting.map((entry) => entry.request).join(''));
  }

  #onLost(socket, error) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    if (this.#waiting.length === 0) return;
    if (this.#waiting.every((entry) => entry.mayRetry) && this.#received.isEmpty()) {
      for (const entry of this.#waiting) entry.mayRetry = false;
      this.#connect();
    } else {
      for (const entry of this.#waiting.splice(0)) entry.reject(error);
    }
  }

  /** `data` is valid during the call only. */
  #onData(data) {
    if (this.#waiting.length === 0) return this.#drop(); // nobody asked for anything
    this.#received.add(data);
    while (this.#waiting.length > 0) {
      const answer = this.#received.takeAnswer();
      if (answer === undefined) return;
      const { resolve } = this.#waiting.shift();
      for (const entry of this.#waiting) entry.mayRetry = true; // the connection has served
      resolve(answer);
      if (answer.close) {
        this.#drop();
        if (this.#waiting.length > 0) this.#connect();
        return;
      }
    }
    this.#socket.unref();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = undefined;
    socket.destroy();
  }
}

/** Bytes that came and are not part of a taken answer. */
class Received {
  #parts = [];
  #size = 0;
  #needed = 0; // no answer is whole with fewer bytes

  add(data) {
    // Most answers come whole and are taken before the buffer they lie in is used again.
    this.#parts.push(data);
    this.#size += data.length;
  }

  clear() {
    this.#parts = [];
    this.#size = 0;
    this.#needed = 0;
  }

  isEmpty() {
    return this.#size === 0;
  }

  /** {status, headers, body, close}, or undefined while there is no whole answer. */
  takeAnswer() {
    if (this.#size === 0) return undefined;
    if (this.#size < this.#needed) {
      this.#keep();
      return undefined;
    }
    const data = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts, this.#size);
    const answer = parseAnswer(data);
    if (answer.size === undefined) {
      this.#parts = [data];
      this.#needed = answer.needed;
      this.#keep();
      return undefined;
    }
    const rest = data.subarray(answer.size);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    this.#needed = 0;
    return answer;
  }

  /** Copies the newest part out of the receive buffer. */
  #keep() {
    const last = this.#parts.length - 1;
    this.#parts[last] = Buffer.from(this.#parts[last]);
  }
}

/** {status, headers, body, close, size}; while `data` does not hold a whole answer {needed}, the least it will take. */
function parseAnswer(data) {
  const end = data.indexOf(HEADER_END);
  if (end < 0) return { needed: data.length + 1 };
  const lines = data.toString('utf8', 0, end).split('\r\n');
  const headers = {};
  for (let i = 1; i < lines.length; ++i) {
    const line = lines[i];
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const begin = end + HEADER_END.length;
  const status = Number(lines[0].slice(9, 12));
  const close = headers.connection?.toLowerCase() === 'close';
  if (headers['transfer-encoding']?.toLowerCase().includes('chunked')) {
    const chunked = parseChunks(data.subarray(begin));
    if (chunked === undefined) return { needed: data.length + 1 };
    return { status, headers, body: chunked.body.toString('utf8'), close, size: begin + chunked.size };
  }
  const size = begin + Number(headers['content-length'] ?? 0);
  if (data.length < size) return { needed: size };
  return { status, headers, body: data.toString('utf8', begin, size), close, size };
}

/** {body, size} of a chunked body at the begin of `data`, undefined when its end has not come. */
function parseChunks(data) {
  const chunks = [];
  for (let position = 0; ; ) {
    const lineEnd = data.indexOf('\r\n', position);
    if (lineEnd < 0) return undefined;
    const size = parseInt(data.toString('latin1', position, lineEnd), 16);
    position = lineEnd + 2;
    if (size === 0) {
      if (data.indexOf('\r\n', position) === position) return { body: Buffer.concat(chunks), size: position + 2 };
      const end = data.indexOf(HEADER_END, position); // of trailers, which nobody reads
      return end < 0 ? undefined : { body: Buffer.concat(chunks), size: end + HEADER_END.length };
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
