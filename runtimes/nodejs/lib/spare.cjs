'use strict';

// Waiting, with everything loaded that does not depend on the function, to be told which function this process is. What the
// function can observe is as if the process had been started for it; runtimes/README.md, "Spares", has the list of
// differences. The other end of the control socket is read and written by lambdad only.

const fs = require('node:fs');
const net = require('node:net');
const { RuntimeApiClient } = require('./client.cjs');

// Of Node's own modules, what most functions and the AWS SDK load.
const PRELOADED = ['buffer', 'crypto', 'events', 'fs/promises', 'http', 'https', 'os', 'path', 'stream', 'url', 'util', 'zlib'];

/** `control`: the descriptor. Returns as the function's process; ends the process when lambdad does not want it. */
function becomeFunction(control) {
  for (const name of PRELOADED) require(`node:${name}`);
  warmUp();
  let block;
  try {
    fs.writeSync(control, 'R');
    block = fs.readFileSync(control); // until its end
  } catch {
    process.exit(0);
  }
  if (!block.subarray(-2).equals(Buffer.alloc(2))) process.exit(0);
  fs.closeSync(control);
  takeOver(block.subarray(0, -1));
  // The function's directory now stands where this process was started.
  process.chdir('/var/task');
}

/** Runs once, to no effect, what every start runs, so that V8 has compiled it: 4 ms. */
function warmUp() {
  const own = Object.entries(process.env).map(([name, value]) => `${name}=${value}\0`).join('');
  takeOver(Buffer.from(own));
  const nothing = () => {};
  for (const event of ['uncaughtException', 'unhandledRejection', 'beforeExit']) {
    process.on(event, nothing);
    process.off(event, nothing);
  }
  const { hostname, port } = new RuntimeApiClient('127.0.0.1:9001');
  // Never gets as far as connecting.
  net.connect({ host: hostname, port, noDelay: true, onread: { buffer: Buffer.alloc(1), callback: nothing } }).destroy();
}

/** Makes the environment that of `block`: NAME=VALUE, each ended by a NUL. */
function takeOver(block) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const entry of block.toString('utf8', 0, block.length - 1).split('\0')) {
    const equals = entry.indexOf('=');
    process.env[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  // Nothing points into the first environment any more: /proc/self/environ shows the new one.
  const stat = fs.readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const begin = Number(fields[47]);
  const room = Buffer.alloc(Number(fields[48]) - begin);
  if (block.length > room.length) return;
  block.copy(room);
  const memory = fs.openSync('/proc/self/mem', 'r+');
  fs.writeSync(memory, room, 0, room.length, begin);
  fs.closeSync(memory);
}

module.exports = { becomeFunction };
