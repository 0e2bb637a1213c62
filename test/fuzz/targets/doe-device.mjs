// A device that answers over its mailbox what the input says: data objects, and the registers
// themselves. Afterwards it is honest: the mailbox must be usable again.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { few, load, outcomeOf } from './support.mjs';

const { Doe, Compliance, readCdat, readCdatBytes, spdmVersions } = load('doe/index.js');
const { ERRNOS } = load('shared/errno.js');

const ADDRESS = '0000:0d:00.0';
const AT = 0x100;
const READY = 0x8000_0000;
const PROTOCOLS = {
  discovery: 0x0000_0001,
  spdm: 0x0001_0001,
  compliance: 0x0000_1e98,
  table: 0x0002_1e98,
};

/** One function with one mailbox. */
class Device {
  locks = 0;
  opened = 0;
  #input;
  #honest = false;
  #version;
  #sent = [];
  #answer = [];

  constructor(input) {
    this.#input = input;
    this.#version = input.below(4);
  }

  becomeHonest() {
    this.#honest = true;
    this.#answer = [];
  }

  readDword(offset) {
    if (offset === 0) return 0x1d931e98;
    if (offset === AT) return (0x2e | (this.#version << 16)) >>> 0;
    if (offset === AT + 0x0c) return this.#status();
    if (offset === AT + 0x14) return this.#answer[0] ?? (this.#honest ? 0 : this.#input.uint32());
    return 0;
  }

  writeDword(offset, value) {
    if (offset === AT + 0x10) this.#sent.push(value);
    if (offset === AT + 0x14) this.#answer.shift();
    if (offset === AT + 0x08 && value === 1) {
      this.#answer = [];
      this.#sent = [];
    }
    if (offset === AT + 0x08 && value === READY) {
      const [protocol, , index = 0] = this.#sent;
      this.#answer = this.#honest
        ? [protocol, 3, 0x1234_5678]
        : this.#respond(protocol, index & 0xff);
      this.#sent = [];
    }
    return 0;
  }

  /** Mostly as a mailbox is. */
  #status() {
    const usual = this.#answer.length > 0 ? READY : 0;
    if (this.#honest) return usual;
    const choice = this.#input.below(32);
    if (choice === 31) return this.#input.uint32();
    if (choice === 30) return 0xffff_ffff;
    return choice === 29 ? (usual ^ READY) >>> 0 : usual;
  }

  #respond(protocol, index) {
    const input = this.#input;
    const kind = input.below(16);
    if (protocol === PROTOCOLS.discovery && kind < 14) {
      // An honest list of what the library asks for, so that more than discovery is reached.
      const names = [PROTOCOLS.discovery, PROTOCOLS.spdm, PROTOCOLS.compliance, PROTOCOLS.table];
      const next = index + 1 < names.length ? index + 1 : 0;
      return [protocol, 3, ((names[index] ?? 0xffff) | (next << 24)) >>> 0];
    }
    const length = kind === 15 ? input.uint16() : input.below(24);
    const words = Array.from({ length: Math.min(length, 80) }, () => input.uint32());
    const type = kind === 14 ? input.uint32() : protocol;
    const said = input.below(16) === 15 ? input.uint32() : words.length + 2;
    return [type, said, ...words];
  }
}

const CALLS = [
  (mailbox) => mailbox.discover(),
  (mailbox) => readCdat(mailbox, { verify: false }),
  (mailbox) => readCdat(mailbox),
  (mailbox) => readCdatBytes(mailbox),
  (mailbox) => new Compliance(mailbox).capabilities(),
  (mailbox) => new Compliance(mailbox).status(),
  (mailbox) => new Compliance(mailbox).request({ request: 'halt-all' }),
  (mailbox) => spdmVersions(mailbox),
  (mailbox) => mailbox.exchange({ vendorId: 1, type: 1 }, Buffer.alloc(8), { maxLength: 16 }),
  (mailbox) => mailbox.exchange({ vendorId: 1, type: 9 }),
  (mailbox) => mailbox.reset(),
];

export const target = {
  maxLength: 600,
  modules: ['cdat', 'compliance', 'discovery', 'exchange', 'mailbox', 'registers', 'spdm'].map(
    (name) => `doe/${name}.js`,
  ),
  dictionary: [Buffer.from([0xff, 0xff]), Buffer.from([0x10, 0x04, 0, 0, 0, 1, 0, 0x11])],
  run: (bytes) => withoutPauses(() => run(bytes)),
};

/** Each look at a register takes the next of the input: nothing changes in a pause between two. */
async function withoutPauses(call) {
  const { setTimeout, clearTimeout } = globalThis;
  globalThis.setTimeout = (callback) => setImmediate(callback);
  globalThis.clearTimeout = clearImmediate;
  try {
    return await call();
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

async function run(bytes) {
  const input = new Input(bytes);
  const call = input.below(CALLS.length);
  const device = new Device(input);
  const doe = new Doe(busOf(device));
  const [mailbox] = await doe.mailboxes(ADDRESS);
  const outcome = await outcomeOf(() => CALLS[call](mailbox), describe);
  assert.equal(device.locks, 0, 'a lock is left');
  assert.equal(device.opened, 0, 'configuration space is left open');
  const { phase } = mailbox;
  assert.match(phase, /^(?:idle|dead)$/);
  await checkUsable(device, doe, mailbox);
  return `${call} ${outcome} ${phase}`;
}

async function checkUsable(device, doe, mailbox) {
  device.becomeHonest();
  if (mailbox.phase === 'dead') await mailbox.reset();
  const [again] = await doe.mailboxes(ADDRESS);
  for (const each of [mailbox, again]) {
    const answer = await each.exchange({ vendorId: 1, type: 9 }, Buffer.alloc(4));
    assert.equal(answer.readUInt32LE(), 0x1234_5678);
  }
}

function describe(answer) {
  if (Array.isArray(answer)) return few(answer.length);
  if (Buffer.isBuffer(answer)) return few(answer.length >> 2);
  if (answer === undefined) return 'ok';
  const { structures, cut, checksumValid, bytes, header } = answer;
  if (structures === undefined) return 'ok';
  if (cut === undefined) assert.equal(bytes.length, Math.max(16, header.length));
  return `${few(structures.length)} ${cut !== undefined} ${checksumValid}`;
}

function busOf(device) {
  return {
    kind: 'mock',
    functions: async () => [ADDRESS],
    path: (address) => address,
    owner: async () => ({ kernelFeatures: [], kernelTables: [] }),
    driver: async () => undefined,
    open() {
      let open = true;
      let locked = false;
      device.opened += 1;
      return {
        size: 4096,
        readDword: (offset) => (open ? device.readDword(offset) : -ERRNOS.EBADF),
        writeDword: (offset, value) => (open ? device.writeDword(offset, value) : -ERRNOS.EBADF),
        lock() {
          if (device.locks > 0) return -ERRNOS.EAGAIN;
          locked = true;
          device.locks += 1;
          return 0;
        },
        unlock() {
          if (locked) device.locks -= 1;
          locked = false;
          return 0;
        },
        close() {
          if (open) device.opened -= 1;
          open = false;
          this.unlock();
        },
      };
    },
  };
}
