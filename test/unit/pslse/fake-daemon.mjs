// A PSLSE daemon with an AFU of a few registers, in a worker: the tests block their own thread. It
// checks that its client does nothing that a real daemon does not survive, and fails where it is told.
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * @typedef {object} FakeOptions
 * @property {8 | 9} [psl]
 * @property {'dedicated' | 'directed'} [mode]
 * @property {boolean} [area] whether the AFU has a problem state area
 * @property {number} [contexts]
 * @property {boolean} [dribble] sends byte by byte
 * @property {{ at: string, kind: string }} [fault]
 */
const options = {
  psl: 8,
  mode: 'dedicated',
  area: true,
  contexts: 1,
  dribble: false,
  ...workerData,
};
const { psl, mode, area } = options;
let { fault } = options;

const VERSION = psl === 9 ? [2, 0] : [1, 2];
/** Bytes after the code of the messages that a client can send once it has opened a context. */
const LENGTHS = { 5: 8, 6: 0, 10: 0, 11: 0, 12: 4, 13: 4, 14: 12, 15: 4, 16: 8, 21: 4 };
const REQUESTS = new Set([12, 13, 14, 15, 16, 21]);
const NAMES = { 12: 'map', 13: 'read64', 14: 'write64', 15: 'read32', 16: 'write32', 21: 'ebread' };
const ACCESSES = {
  7: 'memory-read',
  8: 'memory-write',
  9: 'touch',
  33: 'dma-read',
  34: 'dma-write',
  35: 'atomic',
};
/** Milliseconds after which the AFU does what it is to do later. */
const LATER = 50;
/** Milliseconds by which a late answer is late. */
const LATE = 800;
/** Longer than this, and a connection that has not opened a context keeps all others waiting. */
const MAX_IDLE = 1500;

const violations = [];
const log = [];
const taken = new Set();
let connections = 0;
let attached = 0;

const u16 = (value) => [value >> 8, value & 0xff];
const u64 = (value) => [
  ...Buffer.from(BigInt.asUintN(64, value).toString(16).padStart(16, '0'), 'hex'),
];

function query() {
  const bytes = Buffer.alloc(39);
  bytes[0] = 2;
  bytes.writeUInt16LE(4, 1);
  bytes.writeUInt16LE(16, 3);
  bytes.writeUInt16LE(mode === 'directed' ? 0x8004 : 0x8010, 5);
  const control = (area ? 1n : 0n) | (mode === 'directed' ? 2n : 0n);
  bytes.writeBigUInt64LE((control << 56n) | 2n, 7);
  bytes.writeBigUInt64LE(0x4000n, 15);
  bytes.writeBigUInt64LE(64n, 23);
  bytes.writeUInt16BE(0x4350, 31);
  bytes.writeUInt16BE(0x1014, 33);
  bytes.writeUInt32BE(0x12000001, 35);
  return [...bytes];
}

class Client {
  #socket;
  #state = 'greeting';
  #dedicated = false;
  #context = -1;
  #outstanding = 0;
  /** The size of the memory access that is open, and what to do with its data. */
  #memory;
  #accesses = [];
  #error = false;
  #detachSent = false;
  #harmed = false;
  /** Whether the answer to a message that a real daemon has not read yet is under way. */
  #late = false;
  #since = Date.now();
  #registers = new Map();
  #wed = 0n;
  #muted = false;

  constructor(socket) {
    this.#socket = socket;
    connections += 1;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', () => {});
    socket.on('close', () => this.#closed());
  }

  #violation(text) {
    violations.push(`${this.#state}: ${text}`);
  }

  /** Sends a message, or what the fault makes of it. */
  #send(name, bytes) {
    if (this.#muted || this.#socket.destroyed) return;
    if (fault?.at === name) {
      if (fault.kind === 'late') {
        this.#late = true;
        setTimeout(() => {
          this.#late = false;
          this.#socket.write(Buffer.from(bytes));
        }, LATE);
        return;
      }
      this.#harmed = true;
      this.#muted = true;
      if (fault.kind === 'eof') this.#socket.end();
      else if (fault.kind === 'reset') this.#socket.resetAndDestroy();
      else if (fault.kind === 'garbage') this.#socket.write(Buffer.alloc(40, 0xee));
      else if (fault.kind === 'half')
        this.#socket.write(Buffer.from(bytes.slice(0, bytes.length / 2)));
      else if (fault.kind === 'half-eof')
        this.#socket.end(Buffer.from(bytes.slice(0, bytes.length / 2)));
      return;
    }
    if (!options.dribble) {
      this.#socket.write(Buffer.from(bytes));
      return;
    }
    for (const byte of bytes) this.#socket.write(Buffer.of(byte));
  }

  #receive(chunk) {
    let bytes = chunk;
    while (bytes.length > 0) {
      const length = this.#lengthOf(bytes);
      if (length === undefined) {
        this.#violation(`the code ${bytes[0]} ends the daemon`);
        this.#socket.destroy();
        return;
      }
      if (bytes.length < length) {
        this.#violation(`a message in two pieces: ${chunk.toString('hex')}`);
        return;
      }
      this.#handle(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
  }

  #lengthOf(bytes) {
    if (this.#state === 'greeting') return 7;
    if (this.#state === 'greeted') return { 2: 2, 4: 3 }[bytes[0]];
    if (bytes[0] === 10) return 1 + (this.#memory?.reads ?? 0);
    const body = LENGTHS[bytes[0]];
    return body === undefined ? undefined : 1 + body;
  }

  #handle(message) {
    const code = message[0];
    if (this.#state === 'greeting') return this.#greet(message);
    if (this.#state === 'greeted') return code === 2 ? this.#query(message) : this.#open(message);
    if (this.#state === 'opened' && code !== 5) this.#violation(`${code} before ATTACH`);
    if (code === 5) return this.#attach(message);
    if (code === 10 || code === 11) return this.#remembered(message);
    if (this.#detachSent) this.#violation(`${code} after DETACH`);
    if (code === 6) return this.#detach();
    if (REQUESTS.has(code)) this.#request(code, message);
  }

  #greet(message) {
    if (message.subarray(0, 5).toString('latin1') !== 'PSLSE') this.#violation('no greeting');
    if (message[5] !== VERSION[0] || message[6] !== VERSION[1]) {
      this.#harmed = true;
      this.#socket.end(Buffer.of(6));
      return;
    }
    this.#state = 'greeted';
    this.#send('connect', [1, 0x80, 0]);
  }

  #query(message) {
    if (message[1] !== 0) this.#violation(`QUERY of the absent ${message[1]} crashes the daemon`);
    this.#send('query', query());
  }

  #open(message) {
    if (Date.now() - this.#since > MAX_IDLE) this.#violation('kept all others waiting');
    this.#dedicated = message[2] === 0x64;
    if (taken.size >= options.contexts) {
      this.#harmed = true;
      this.#socket.end(Buffer.of(6));
      return;
    }
    for (this.#context = 0; taken.has(this.#context); ) this.#context += 1;
    taken.add(this.#context);
    this.#state = 'opened';
    this.#send('open', [4, this.#context]);
  }

  #attach(message) {
    if (this.#state !== 'opened') this.#violation('a second ATTACH');
    this.#state = 'attached';
    this.#wed = message.readBigUInt64BE(1);
    if (fault?.at === 'attach' && fault.kind === 'refused') {
      this.#state = 'refused';
      this.#socket.write(Buffer.of(6));
      return;
    }
    attached += 1;
    this.#send('attach', [5]);
    log.push(`attach ${message.toString('hex')}`);
  }

  #detach() {
    if (this.#dedicated && this.#state !== 'attached') this.#violation('DETACH without ATTACH');
    if (this.#error) this.#violation('DETACH after an AFU error hangs');
    if (this.#outstanding > 0) this.#violation('DETACH during an access');
    this.#detachSent = true;
    const end = () => {
      taken.delete(this.#context);
      this.#state = 'detached';
      this.#send('detach', [6]);
      if (!this.#muted) this.#socket.end();
    };
    // An AFU ends its command first, for which it needs memory.
    if (this.#registers.has(0x200)) this.#access(7, this.#registers.get(0x200), 8, end);
    else end();
  }

  #request(code, message) {
    if (this.#state !== 'attached') this.#violation(`an access when ${this.#state}`);
    if (this.#outstanding > 0) this.#violation('two accesses at a time');
    if (this.#error) this.#violation('an access after an AFU error');
    if (code === 12 && !area) this.#violation('MAP without an area ends the daemon');
    if (code === 21 && message.readUInt32BE(1) % 8 !== 0) this.#violation('EBREAD unaligned');
    this.#outstanding += 1;
    log.push(NAMES[code]);
    const offset = message.readUInt32BE(1);
    const ack = (data = []) => {
      this.#outstanding -= 1;
      this.#send(NAMES[code], [0x11, ...data]);
    };
    if (code === 12) ack();
    else if (code === 21) ack(Array.from({ length: 8 }, (_, at) => offset + at));
    else if (code === 13) ack(u64(this.#read(offset)));
    else if (code === 15) ack(u64(this.#read(offset)).slice(4));
    else if (code === 14) this.#write(offset, message.readBigUInt64BE(5), ack);
    else this.#write(offset, BigInt(message.readUInt32BE(5)), ack);
  }

  #read(offset) {
    if (offset === 8) return this.#wed;
    return this.#registers.get(offset) ?? 0n;
  }

  #write(offset, value, ack) {
    const set = (register, number) => this.#registers.set(register, number);
    switch (offset) {
      // Reads 8 bytes of memory, before and after the acknowledgement.
      case 0x100:
        this.#access(7, value, 8, (data) => {
          set(0x108, data === undefined ? 0xdeadn : data.readBigUInt64BE(0));
          ack();
          this.#access(7, value, 8, () => {});
        });
        return;
      // Touches, then writes 8 bytes.
      case 0x110:
        this.#access(9, value - (value % 128n), 128, (touched) =>
          touched === undefined
            ? ack()
            : this.#access(8, value, 8, (written) => {
                set(0x118, written === undefined ? 0xdeadn : 1n);
                ack();
              }),
        );
        return;
      case 0x120:
        ack();
        this.#send('interrupt', [0x13, ...u16(Number(value))]);
        return;
      case 0x128:
        ack();
        // Of a directed AFU only the daemon's log tells. Of a dedicated one it may tell twice.
        if (!this.#dedicated) return;
        this.#error = true;
        this.#send('error', [0x14, ...u64(value)]);
        this.#send('error', [0x14, ...u64(value)]);
        return;
      // Reads 512 bytes by DMA.
      case 0x130:
        this.#access(0x21, value, 512, (data) => {
          set(
            0x138,
            data === undefined ? 0xdeadn : BigInt(data.reduce((sum, byte) => sum + byte, 0)),
          );
          ack();
        });
        return;
      // Adds 5 to a little-endian word.
      case 0x140:
        this.#access(0x23, value, 8, (data) => {
          set(0x148, data === undefined ? 0xdeadn : data.readBigUInt64LE(0));
          ack();
        });
        return;
      case 0x150:
        this.#send('stray', [0x11]);
        ack();
        return;
      // Writes 8 bytes by DMA, which is preceded by no touch.
      case 0x158:
        this.#access(0x22, value, 8, ack);
        return;
      // Later, while the program may wait: raises an interrupt; reads memory first; ends.
      case 0x160:
        ack();
        setTimeout(() => this.#send('interrupt', [0x13, ...u16(Number(value))]), LATER);
        return;
      case 0x168:
        ack();
        setTimeout(() => {
          this.#access(7, value, 8, (data) => {
            set(0x108, data.readBigUInt64BE(0));
            this.#send('interrupt', [0x13, 0, 2]);
          });
        }, LATER);
        return;
      case 0x170:
        ack();
        setTimeout(() => this.#socket.destroy(), LATER);
        return;
      case 0x178:
        ack();
        setTimeout(() => this.#access(7, value, 8, () => {}), LATER);
        return;
      default:
        set(offset, value);
        ack();
    }
  }

  /** One memory access at a time. `done` gets the data, or undefined after a failure. */
  #access(code, address, size, done) {
    this.#accesses.push({ code, address, size, done });
    if (this.#memory === undefined) this.#nextAccess();
  }

  #nextAccess() {
    this.#memory = this.#accesses.shift();
    if (this.#memory === undefined) return;
    const { code, address, size } = this.#memory;
    this.#memory.reads = { 7: size, 33: size, 35: size }[code] ?? 0;
    const width = code > 0x20 && code !== 0x23 ? u16(size) : [size];
    let body = [];
    if (code === 8 || code === 0x22) body = Array.from({ length: size }, (_, at) => 0xa0 + at);
    if (code === 0x23) body = [0x80, 5, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    this.#send(ACCESSES[code], [code, ...width, ...u64(address), ...body]);
  }

  #remembered(message) {
    if (this.#memory === undefined) {
      this.#violation('an answer to no memory access');
      return;
    }
    const { done } = this.#memory;
    this.#memory = undefined;
    done(message[0] === 11 ? undefined : Buffer.from(message.subarray(1)));
    if (this.#memory === undefined) this.#nextAccess();
  }

  #closed() {
    connections -= 1;
    if (this.#state === 'greeted' && Date.now() - this.#since > MAX_IDLE && !this.#harmed) {
      this.#violation('kept all others waiting');
    }
    if (this.#state === 'attached' && this.#late) this.#violation('closed before ATTACH was read');
    if (this.#state === 'opened' && !this.#harmed) this.#violation('closed without ATTACH');
    const leaks = this.#state === 'attached' && !this.#dedicated && !this.#detachSent;
    if (leaks && !this.#harmed) this.#violation('closed without DETACH');
    if (this.#dedicated) taken.delete(this.#context);
  }
}

const sockets = new Set();
const server = net.createServer((socket) => {
  sockets.add(socket);
  if (fault?.at === 'accept') {
    connections += 1;
    socket.on('close', () => {
      connections -= 1;
    });
    socket.on('error', () => {});
    if (fault.kind === 'eof') socket.end();
    if (fault.kind === 'reset') socket.resetAndDestroy();
    if (fault.kind === 'garbage') socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    socket.resume();
    return;
  }
  new Client(socket);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));

parentPort.on('message', (message) => {
  if (message === 'status')
    parentPort.postMessage({ violations, log, connections, taken: taken.size, attached });
  if (message.type === 'fail') {
    fault = message.fault;
    taken.clear();
    parentPort.postMessage('failing');
  }
  if (message === 'kill') for (const socket of sockets) socket.destroy();
  if (message === 'stop') {
    for (const socket of sockets) socket.destroy();
    server.close();
    parentPort.close();
  }
});
