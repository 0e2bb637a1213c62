/**
 * An example of an AFU model: an accelerator that compresses.
 *
 * A model has three parts. The *descriptor* is what the driver reads when it finds the slice.
 * The *AFU* is made at power-on and at each reset, and holds what all processes share. The
 * *process logic* is made at each attach: what its registers do, and one bounded step of work.
 * The compression itself is zlib's; a model describes only what the hardware adds to it.
 *
 * The program gives a job as a 64-byte block in its memory, whose address is the work element
 * descriptor, and rings the doorbell. All fields are big-endian.
 *
 * | block | field | meaning |
 * | --- | --- | --- |
 * | 0 | source u64 | effective address of the bytes to compress |
 * | 8 | length u64 | how many |
 * | 16 | target u64 | where the gzip file goes |
 * | 24 | capacity u64 | bytes there |
 * | 32 | produced u64 | written by the AFU: bytes of the gzip file |
 * | 40 | status u32 | written last: 1 done, 2 the target is too small, 3 an address cannot be reached |
 *
 * | register | meaning |
 * | --- | --- |
 * | 0x00 DOORBELL | a store starts the job, unless one is running |
 * | 0x08 RUNNING | 1 while a job runs |
 * | 0x10 LEVEL | compression level, 1 to 9; anything else is an AFU error, and no job starts until it is valid |
 *
 * Interrupt 1 is raised when a job has ended; a data storage fault instead when an address is invalid.
 */
import { gzipSync } from 'node:zlib';
import {
  type AfuModel,
  type AfuProcess,
  type MmioWidth,
  type ProcessLogic,
  Registers,
} from 'node-cxl/mock';

const STATUS = { done: 1, tooSmall: 2, unreachable: 3 } as const;

const BLOCK_SIZE = 64;
/** Bytes of input for each step. Each step makes one member; a gzip file may have many. */
const BYTES_PER_STEP = 64 * 1024;
const AREA_SIZE = 0x10000;

export function gzipAfu(): AfuModel {
  return {
    name: 'gzip',
    descriptor: {
      processes: 4,
      interruptsMinimum: 1,
      modes: ['directed'],
      // The first area is the AFU's own; each process has one after it.
      problemStateSize: AREA_SIZE * 5,
      perProcess: { offset: AREA_SIZE, size: AREA_SIZE },
      configRecords: [{ vendor: 0x1014, device: 0x0602, class: 0x120000 }],
    },
    // The processes share nothing, so the AFU has no state.
    powerOn: () => ({ attach: (process) => new GzipProcess(process) }),
  };
}

interface Job {
  source: bigint;
  left: bigint;
  target: bigint;
  room: bigint;
  produced: bigint;
}

class GzipProcess implements ProcessLogic {
  readonly #process: AfuProcess;
  #job: Job | undefined;
  #level = 6;

  readonly #registers = new Registers({
    0: { write: () => this.#start() },
    8: { read: () => (this.#job === undefined ? 0n : 1n) },
    16: { read: () => BigInt(this.#level), write: (value) => this.#setLevel(value) },
  });

  constructor(process: AfuProcess) {
    this.#process = process;
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }

  /** Called at each access of the program to registers or memory, and on every tick. */
  step(): boolean {
    const job = this.#job;
    if (job === undefined) return false;
    const length = Math.min(Number(job.left), BYTES_PER_STEP);
    // access() raises a data storage fault for an invalid address.
    const source = this.#process.access(job.source, length, 'read');
    if (source === undefined) return this.#end(job, STATUS.unreachable);
    const member = gzipSync(source, { level: this.#level });
    if (BigInt(member.length) > job.room) return this.#end(job, STATUS.tooSmall);
    const target = this.#process.access(job.target, member.length, 'write');
    if (target === undefined) return this.#end(job, STATUS.unreachable);
    target.set(member);
    this.#job = {
      source: job.source + BigInt(length),
      left: job.left - BigInt(length),
      target: job.target + BigInt(member.length),
      room: job.room - BigInt(member.length),
      produced: job.produced + BigInt(member.length),
    };
    if (this.#job.left > 0n) return true;
    return this.#end(this.#job, STATUS.done);
  }

  get #levelIsGood(): boolean {
    return this.#level >= 1 && this.#level <= 9;
  }

  #start(): void {
    if (this.#job !== undefined || !this.#levelIsGood) return;
    const block = this.#block('read');
    if (block === undefined) return;
    this.#job = {
      source: block.getBigUint64(0),
      left: block.getBigUint64(8),
      target: block.getBigUint64(16),
      room: block.getBigUint64(24),
      produced: 0n,
    };
  }

  #end(job: Job, result: number): false {
    this.#job = undefined;
    const block = this.#block('write');
    block?.setBigUint64(32, job.produced);
    // The status last: a program that polls it may read the rest when it changes.
    block?.setUint32(40, result);
    if (result !== STATUS.unreachable) this.#process.raiseInterrupt(1);
    return false;
  }

  #setLevel(value: bigint): void {
    this.#level = Number(value);
    if (!this.#levelIsGood) this.#process.afuError(value);
  }

  #block(direction: 'read' | 'write'): DataView | undefined {
    const bytes = this.#process.access(this.#process.wed, BLOCK_SIZE, direction);
    return bytes && new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
