// @ts-check
// A slave of an AFU that stops when idle: gives it work, restarts it by its own registers, and polls.
import { setImmediate as turn } from 'node:timers/promises';
import { cxl } from 'node-cxl';

const STATUS = 0x10;
const STOPPED = 0x0800_0000_0000_0000n;
const CONTROL = 0x18;
const RESTART = 1n << 63n;

export class Slave {
  /** @private Use Slave.open(). */
  constructor(/** @type {any} */ parts) {
    /** @type {import('node-cxl').Context} */
    this.context = parts.context;
    /** @type {import('node-cxl').Memory} */
    this.queue = parts.queue;
    /** @type {import('node-cxl').ProblemState} */
    this.registers = parts.registers;
    /** @type {import('node-cxl').Cxl} */
    this.system = parts.system;
    this.elements = 0;
  }

  static async open({ system = cxl, afu = 'afu0.0' } = {}) {
    const context = await system.open(`${afu}s`);
    const queue = context.allocate(4096, { endian: 'big' });
    await context.attach({ wed: queue.address | 32n });
    return new Slave({ system, context, queue, registers: context.mapProblemState() });
  }

  get stopped() {
    return (this.registers.read64(STATUS) & STOPPED) !== 0n;
  }

  /** Has the AFU add 1 to a number. Only for the first 128 of them: the queue is used once. */
  add(/** @type {import('node-cxl').Memory} */ numbers) {
    const at = this.elements * 32;
    this.elements += 1;
    this.queue.store64(at + 16, numbers.address);
    this.queue.store64(at + 24, numbers.address + 4n);
    this.system.memoryBarrier();
    this.queue.store8(at, 0x84); // valid, increment
    return at;
  }

  /** Restarts the AFU until it has taken the element at `at`. Returns the element's status. */
  async finish(/** @type {number} */ at) {
    while (this.queue.load8(at + 1) === 0) {
      if (this.stopped) this.registers.write64(CONTROL, RESTART);
      await turn();
    }
    return this.queue.load8(at + 1);
  }

  async close() {
    await this.context.close();
    this.queue.free();
  }
}
