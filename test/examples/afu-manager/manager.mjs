// @ts-check
// A master context of the memcpy AFU: sets what its slaves cannot, and sees what they do.
import { cxl } from 'node-cxl';

/** Registers of the AFU as a whole, which only a master maps. */
const CONFIGURATION = 0x00;
/** An AFU that finds no valid work element stops, and waits for a restart. It polls memory otherwise. */
const STOP_WHEN_IDLE = 0x2000_0000_0000_0000n;

/** Registers of a process, from the start of its area. */
const WED = 0x00;
const PROCESS_HANDLE = 0x08;
const STATUS = 0x10;
const STOPPED = 0x0800_0000_0000_0000n;
const CONTROL = 0x18;
const RESTART = 1n << 63n;

const ALL_ONES = 0xffff_ffff_ffff_ffffn;

export class AfuManager {
  /** The master's own process element. */
  processElement;
  #context;
  #registers;
  #offset;
  #length;

  /**
   * @private Use AfuManager.open().
   * @param {import('node-cxl').Context} context
   * @param {number} offset of the first process's area, in bytes
   * @param {number} length of each
   */
  constructor(context, offset, length) {
    this.#context = context;
    this.#registers = context.mapProblemState({ endian: 'big' });
    this.#offset = offset;
    this.#length = length;
    this.processElement = context.processElement;
  }

  /**
   * Attaches a master context. Its node belongs to root: it reaches the registers of every process.
   *
   * @param {object} [options]
   * @param {import('node-cxl').Cxl} [options.system]
   * @param {string} [options.afu] such as 'afu0.0'
   */
  static async open({ system = cxl, afu: name = 'afu0.0' } = {}) {
    const afu = (await system.afus()).find((one) => one.name === name);
    if (afu === undefined) throw new Error(`no AFU ${name}`);
    const context = await afu.open('master');
    try {
      // A WED of 0: this process gives the AFU no work of its own.
      await context.attach({ wed: 0n });
      const offset = await afu.perProcessMmioOffset();
      const length = await afu.perProcessMmioLength();
      if (offset === undefined || length === undefined) {
        throw new Error(`${name}: the driver does not say where the areas of processes are`);
      }
      return new AfuManager(context, offset, length);
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  get stopWhenIdle() {
    return (this.#registers.read64(CONFIGURATION) & STOP_WHEN_IDLE) !== 0n;
  }

  /** For all processes, and until the AFU is reset. */
  set stopWhenIdle(stop) {
    const others = this.#registers.read64(CONFIGURATION) & ~STOP_WHEN_IDLE;
    this.#registers.write64(CONFIGURATION, stop ? others | STOP_WHEN_IDLE : others);
  }

  /**
   * What a process does now.
   *
   * @param {number} processElement as its program's context.processElement
   * @returns {{ wed: bigint, stopped: boolean } | undefined} undefined: no such process is attached
   */
  inspect(processElement) {
    const area = this.#areaOf(processElement);
    const handle = this.#registers.read64(area + PROCESS_HANDLE);
    // All ones as well while the link is down.
    if (handle === ALL_ONES || Number(handle >> 48n) !== processElement) return undefined;
    const stopped = (this.#registers.read64(area + STATUS) & STOPPED) !== 0n;
    return { wed: this.#registers.read64(area + WED), stopped };
  }

  /** Has the AFU look at the queue of a process again. */
  restart(/** @type {number} */ processElement) {
    this.#registers.write64(this.#areaOf(processElement) + CONTROL, RESTART);
  }

  /** The slaves stay attached, and the configuration stays as it is. */
  close() {
    return this.#context.close();
  }

  #areaOf(/** @type {number} */ processElement) {
    return this.#offset + processElement * this.#length;
  }
}
