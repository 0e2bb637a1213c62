// Single-block reads of a whole LUN into memory that the AFU uses directly, so many at a time.
import { openLun } from 'node-cxl/flash';

/** Milliseconds before a measurement, in which V8 compiles what runs often. */
const WARM_UP = 500;

export class Lanes {
  #commands = 0;

  static async open(node, depth, completion) {
    const lanes = new Lanes();
    lanes.depth = depth;
    lanes.lun = await openLun(node);
    await lanes.lun.enableSuperpipe();
    lanes.context = await lanes.lun.attach({ completion, queueDepth: depth });
    lanes.device = (await lanes.context.openDirect()).blockDevice();
    lanes.memory = lanes.lun.system.allocate(depth * lanes.device.blockSize);
    await lanes.rate(WARM_UP);
    return lanes;
  }

  async #lane(number, end) {
    const length = this.device.blockSize;
    const buffer = { memory: this.memory, offset: number * length, length };
    while (performance.now() < end) {
      await this.device.read(this.#commands % 1000, buffer);
      this.#commands += 1;
    }
  }

  /** Commands a second. */
  async rate(milliseconds) {
    const start = performance.now();
    this.#commands = 0;
    const lanes = Array.from({ length: this.depth }, (_, number) =>
      this.#lane(number, start + milliseconds),
    );
    await Promise.all(lanes);
    return this.#commands / ((performance.now() - start) / 1000);
  }

  async close() {
    await this.context.close();
    this.memory.free();
    await this.lun.close();
  }
}
