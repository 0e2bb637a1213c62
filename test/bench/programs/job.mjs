// What the programs have in common: a context of the memcpy AFU that raises interrupt 1 by a work
// element, as their counterparts in C do (c/job.h).
import { cxl } from 'node-cxl';

const NODE = process.env.CXL_DEVICE ?? '/dev/cxl/afu0.0s';
const AREA_SIZE = 65536;
const ELEMENT_BYTES = 32;
/** Elements of one cache line of the queue. */
const ELEMENTS = 4;
const VALID_INTERRUPT = 0x81;
const WRAP = 0x40;
const CONTROL = 0x18;
const RESTART = 1n << 63n;

export class Job {
  next = 0;
  wrap = 0;

  static async open() {
    const job = new Job();
    job.context = await cxl.open(NODE);
    job.queue = cxl.allocate(cxl.pageSize, { endian: 'big' });
    const { address } = job.queue;
    await job.context.attach({ wed: address | 1n, holds: [job.queue] });
    // As in C, where the size of the area is known beforehand.
    job.area = job.context.mapProblemState({ endian: 'big', length: AREA_SIZE });
    return job;
  }

  /** The AFU is stopped after each interrupt. */
  raise() {
    const at = this.next * ELEMENT_BYTES;
    this.queue.store8(at + 1, 0);
    this.queue.store16(at + 2, 1);
    this.queue.store8(at, VALID_INTERRUPT | this.wrap);
    this.next += 1;
    if (this.next === ELEMENTS) {
      this.next = 0;
      this.wrap ^= WRAP;
    }
    this.area.write64(CONTROL, RESTART);
  }

  async close() {
    await this.context.close();
    this.queue.free();
  }
}

export function print(result) {
  console.log(JSON.stringify(result));
}
