// @ts-check
// One context of the memcpy AFU, with the memory that it works on: copies bytes.
import { setImmediate as turn } from 'node:timers/promises';
import { cxl } from 'node-cxl';

const ELEMENT_BYTES = 32;
const ELEMENTS = 1024;
/** The queue's length in cache lines of 128 bytes: the low 12 bits of the work element descriptor. */
const QUEUE_LINES = (ELEMENTS * ELEMENT_BYTES) / 128;
const VALID = 0x80;
const WRAP = 0x40;
const COPY = 0;
const INTERRUPT = 1;
const COMPLETE = 0x80;

const PROCESS_HANDLE = 0x08;
const STATUS_REGISTER = 0x10;
const STOPPED = 0x0800_0000_0000_0000n;
const CONTROL_REGISTER = 0x18;
const RESTART = 1n << 63n;

/** The AFU interrupt that ends a batch. */
const DONE = 1;

/** On a POWER9 (CAIA 2) the AFU copies 128 bytes at most, for one process element in four. */
const CAIA_2 = { bytes: 128, modulus: 4, remainder: 1 };
/** The largest multiple of a cache line that an element's 16 bits of length can have. */
const MOST_BYTES = 0xff80;

/** What the AFU said of a work element, with the code that callers tell errors apart by. */
class ElementError extends Error {
  code = 'ERR_WORK_ELEMENT';
}

/**
 * Closes a context, and frees its memory whatever happens.
 *
 * @param {import('node-cxl').Context} context
 * @param {import('node-cxl').Memory[]} memories
 */
async function end(context, memories) {
  try {
    await context.close();
  } finally {
    for (const memory of memories) memory.free();
  }
}

/**
 * A context that is attached, with a queue and two buffers of so many bytes.
 *
 * @param {import('node-cxl').Afu} afu
 * @param {number} bytes
 */
async function attach(afu, bytes) {
  const context = await afu.open('slave');
  /** @type {import('node-cxl').Memory[]} */
  const memories = [];
  try {
    const queue = context.allocate(ELEMENTS * ELEMENT_BYTES, { endian: 'big' });
    memories.push(queue);
    const source = context.allocate(bytes);
    memories.push(source);
    const target = context.allocate(bytes);
    memories.push(target);
    await context.attach({ wed: queue.address | BigInt(QUEUE_LINES), interrupts: 4 });
    const registers = context.mapProblemState({ endian: 'big' });
    return { context, registers, queue, source, target, memories };
  } catch (error) {
    await end(context, memories);
    throw error;
  }
}

export class Copier {
  #system;
  #attached;
  #timeout;
  /** Bytes of an element. */
  #limit;
  #next = 0;
  #wrap = 0;

  /**
   * @private Use Copier.open().
   * @param {import('node-cxl').Cxl} system
   * @param {Awaited<ReturnType<typeof attach>>} attached
   * @param {number} limit
   * @param {number} timeout
   */
  constructor(system, attached, limit, timeout) {
    this.#system = system;
    this.#attached = attached;
    this.#limit = limit;
    this.#timeout = timeout;
  }

  /**
   * Opens a context that can copy.
   *
   * @param {object} [options]
   * @param {import('node-cxl').Cxl} [options.system]
   * @param {string} [options.afu] such as 'afu0.0'
   * @param {number} [options.bytes] of each of the two buffers; longer copies take several batches
   * @param {number} [options.timeout] milliseconds of a batch
   * @returns {Promise<Copier>}
   */
  static async open({ system = cxl, afu = 'afu0.0', bytes = 1 << 20, timeout = 5000 } = {}) {
    const found = (await system.afus()).find(({ name }) => name === afu);
    // As open() of a node that is not there: the card recovers, or is gone.
    if (found === undefined) {
      throw Object.assign(new Error(`ENOENT: no AFU ${afu}`), { code: 'ENOENT' });
    }
    const adapters = await system.adapters();
    const adapter = adapters.find(({ number }) => number === found.adapterNumber);
    const caia2 = (await adapter?.caiaVersion())?.startsWith('2.') ?? false;
    const limit = caia2 ? CAIA_2.bytes : MOST_BYTES;
    const unfit = [];
    try {
      for (;;) {
        const attached = await attach(found, bytes);
        const element = Number(attached.registers.read64(PROCESS_HANDLE) >> 48n);
        if (!caia2 || element % CAIA_2.modulus === CAIA_2.remainder) {
          return new Copier(system, attached, limit, timeout);
        }
        unfit.push(attached);
      }
    } finally {
      // Only now: the next open() would get the process element that was closed before it.
      for (const { context, memories } of unfit) await end(context, memories);
    }
  }

  /**
   * The copy that the AFU makes of these bytes. After an error, close this copier: the AFU may still
   * use its memory.
   *
   * @param {Uint8Array} bytes
   * @returns {Promise<Uint8Array>}
   */
  async copy(bytes) {
    const { source, target } = this.#attached;
    const copy = new Uint8Array(bytes.length);
    const batch = Math.min(source.size, (ELEMENTS - 1) * this.#limit);
    for (let at = 0; at < bytes.length; at += batch) {
      const part = bytes.subarray(at, at + batch);
      source.bytes.set(part);
      await this.#run(part.length);
      copy.set(target.bytes.subarray(0, part.length), at);
    }
    return copy;
  }

  /** Detaches, and gives the memory back. */
  async close() {
    await end(this.#attached.context, this.#attached.memories);
  }

  /** Has the AFU copy the first bytes of the source, and waits for its interrupt. */
  async #run(/** @type {number} */ length) {
    const { context, registers, queue } = this.#attached;
    const elements = [];
    for (let at = 0; at < length; at += this.#limit) {
      elements.push(this.#add(COPY, Math.min(this.#limit, length - at), BigInt(at)));
    }
    this.#add(INTERRUPT, DONE, 0n);
    const end = performance.now() + this.#timeout;
    await context.waitForInterrupt(DONE, { timeout: this.#timeout });
    // The AFU stops some time after an interrupt element, and takes no other until a restart.
    while ((registers.read64(STATUS_REGISTER) & STOPPED) === 0n) {
      if (performance.now() > end) throw new ElementError('the AFU has not stopped');
      await turn();
    }
    registers.write64(CONTROL_REGISTER, RESTART);
    // load8() has acquire order: the copy is read after the status.
    for (const at of elements) {
      const status = queue.load8(at + 1);
      if (status !== COMPLETE) throw new ElementError(`status 0x${status.toString(16)}`);
    }
  }

  /** Gives the AFU a work element. Returns its place in the queue. */
  #add(/** @type {number} */ command, /** @type {number} */ length, /** @type {bigint} */ offset) {
    const { queue, source, target } = this.#attached;
    const at = this.#next * ELEMENT_BYTES;
    queue.store8(at + 1, 0);
    queue.store16(at + 2, length);
    queue.store64(at + 16, source.address + offset);
    queue.store64(at + 24, target.address + offset);
    this.#system.memoryBarrier(); // the AFU must see these before the valid bit
    queue.store8(at, VALID | this.#wrap | command);
    this.#next += 1;
    if (this.#next === ELEMENTS) {
      this.#next = 0;
      this.#wrap ^= WRAP;
    }
    return at;
  }
}
