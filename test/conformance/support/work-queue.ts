/** The memcpy AFU's work-element queue, as the suite's programs drive it. */
import type { Context, Cxl, Memory, ProblemState } from 'node-cxl';

const ELEMENT = 32;
const VALID = 0x80;
const WRAP = 0x40;

export const COPY = 0;
export const INTERRUPT = 1;
export const INCREMENT = 4;
export const COMPARE_AND_SWAP = 5;

export const COMPLETE = 0x80;
/** The driver answers a fault it cannot resolve with "address error", which the PSL passes on. */
export const ADDRESS_ERROR = 0x20;
export const INVALID_SOURCE = 0x04;
export const UNDEFINED_COMMAND = 0x01;

export const registers = {
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

  /** Publishes an element; answers its offset in the queue. */
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

/** Waits without blocking the event loop; the machines are slow, so the limit is generous. */
export async function until(condition: () => boolean, what: string, limit = 15_000): Promise<void> {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** An attached context with its queue and registers, and what undoes all of it. */
export interface Job {
  context: Context;
  queue: WorkQueue;
  regs: ProblemState;
  end(): Promise<void>;
}

/** Whether the first card is one of CAIA 2 (PSL9), whose memcpy AFU copies less. */
export async function isCaia2(system: Cxl): Promise<boolean> {
  const [adapter] = await system.adapters();
  return (await adapter?.caiaVersion())?.startsWith('2.') ?? false;
}

/** On CAIA 2 these process elements have a port that can copy. */
export function canCopy(processElement: number | undefined): boolean {
  return processElement !== undefined && processElement % 4 === 1;
}

/** A job whose process element can copy, on whatever card. */
export async function startCopyJob(
  system: Cxl,
  path: string,
  options: JobOptions = {},
): Promise<Job> {
  const caia2 = await isCaia2(system);
  const unfit: Job[] = [];
  try {
    for (;;) {
      const job = await startJob(system, path, options);
      if (!caia2 || canCopy(job.context.processElement)) return job;
      unfit.push(job);
    }
  } finally {
    // Not before: the next open would get the same process element.
    for (const job of unfit) await job.context.close();
    for (const job of unfit) job.queue.memory.free({ force: true });
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
        // Other tests' contexts are closed too, or this would be EBUSY.
        queue.memory.free();
      },
    };
  } catch (error) {
    await context.close();
    queue.memory.free();
    throw error;
  }
}
