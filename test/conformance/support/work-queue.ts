/** Contexts on the memcpy AFU, and their queues of work elements. */
import type { Context, Cxl, Memory, ProblemState } from 'node-cxl';

const ELEMENT = 32;
const VALID = 0x80;
const WRAP = 0x40;

export const COPY = 0;
export const INTERRUPT = 1;
export const INCREMENT = 4;
export const COMPARE_AND_SWAP = 5;

export const COMPLETE = 0x80;
/** The status after a fault that the driver cannot resolve: it answers the PSL with an address error. */
export const ADDRESS_ERROR = 0x20;
export const INVALID_SOURCE = 0x04;
export const UNDEFINED_COMMAND = 0x01;

export const REGISTERS = {
  wed: 0x00,
  processHandle: 0x08,
  status: 0x10,
  control: 0x18,
  timebase: 0x40,
} as const;

export const STOPPED = 0x0800_0000_0000_0000n;
export const RESTART = 1n << 63n;

export interface Element {
  command: number;
  length?: number;
  extra?: number;
  atomicOperand?: bigint;
  source?: bigint;
  destination?: bigint;
}

/** A queue of `lines` 128-byte cache lines (1 to 4095), four elements each. */
export class WorkQueue {
  readonly memory: Memory;
  readonly wed: bigint;
  readonly #system: Cxl;
  readonly #elements: number;
  #next = 0;
  #wrap = 0;

  constructor(system: Cxl, lines = 32) {
    this.#system = system;
    this.#elements = lines * 4;
    this.memory = system.allocate(lines * 128, { alignment: 65536, endian: 'big' });
    this.wed = this.memory.address | BigInt(lines);
  }

  /** Publishes an element. Returns its offset in the queue. */
  add(element: Element): number {
    const at = this.#next * ELEMENT;
    const { memory } = this;
    memory.store8(at + 1, 0);
    memory.store16(at + 2, element.length ?? 0);
    memory.store8(at + 4, element.extra ?? 0);
    memory.store64(at + 8, element.atomicOperand ?? 0n);
    memory.store64(at + 16, element.source ?? 0n);
    memory.store64(at + 24, element.destination ?? 0n);
    this.#system.memoryBarrier();
    memory.store8(at, VALID | this.#wrap | element.command);
    this.#next += 1;
    if (this.#next === this.#elements) {
      this.#next = 0;
      this.#wrap ^= WRAP;
    }
    return at;
  }

  status(at: number): number {
    return this.memory.load8(at + 1);
  }

  /** Polls an element's status until the AFU has set it. */
  async finished(at: number): Promise<number> {
    await until(() => this.status(at) !== 0, `element at ${at}`);
    return this.status(at);
  }
}

/** Polls until `condition` holds. The default timeout (milliseconds) is for emulated machines. */
export async function until(
  condition: () => boolean,
  what: string,
  timeout = 15_000,
): Promise<void> {
  const end = Date.now() + timeout;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** An attached context with its queue and registers. end() closes and frees them. */
export interface Job {
  context: Context;
  queue: WorkQueue;
  regs: ProblemState;
  end(): Promise<void>;
}

/** Whether the first card is of CAIA 2 (PSL9), where the memcpy AFU copies at most 128 bytes. */
export async function isCaia2(system: Cxl): Promise<boolean> {
  const [adapter] = await system.adapters();
  return (await adapter?.caiaVersion())?.startsWith('2.') ?? false;
}

/** On CAIA 2, whether the memcpy AFU copies for this process element. */
export function canCopy(processElement: number | undefined): boolean {
  return processElement !== undefined && processElement % 4 === 1;
}

/** Starts a job whose process element can copy. */
export async function startCopyJob(
  system: Cxl,
  path: string,
  options: JobOptions = {},
): Promise<Job> {
  const caia2 = await isCaia2(system);
  const rejected: Job[] = [];
  try {
    for (;;) {
      const job = await startJob(system, path, options);
      if (!caia2 || canCopy(job.context.processElement)) return job;
      rejected.push(job);
    }
  } finally {
    // Only now: after an earlier close() the next open() would get the same process element.
    for (const job of rejected) await job.context.close();
    for (const job of rejected) job.queue.memory.free({ force: true });
  }
}

export interface JobOptions {
  interrupts?: number;
  errFf?: boolean;
  lines?: number;
}

export async function startJob(system: Cxl, path: string, options: JobOptions = {}): Promise<Job> {
  const context = await system.open(path);
  const queue = new WorkQueue(system, options.lines);
  const { interrupts, errFf } = options;
  try {
    await context.attach({
      wed: queue.wed,
      holds: [queue.memory],
      ...(interrupts === undefined ? {} : { interrupts }),
      ...(errFf === undefined ? {} : { errFf }),
    });
    const regs = context.mapProblemState({ endian: 'big' });
    return {
      context,
      queue,
      regs,
      async end() {
        await context.close();
        // EBUSY if a test has left a context attached.
        queue.memory.free();
      },
    };
  } catch (error) {
    await context.close();
    queue.memory.free();
    throw error;
  }
}
