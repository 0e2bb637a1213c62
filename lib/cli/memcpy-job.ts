/**
 * Copies memory by the memcpy AFU: the program writes work elements into a queue, the AFU executes
 * them, and an interrupt or polling tells that they are complete.
 */

import type { Memory, ProblemState } from '../index';
import { AbortError, type Afu, type Context, type Cxl, type CxlError } from '../index';
import { systemError } from '../shared/errors';

/** Byte offsets of the AFU's registers in the problem state area: 64 bits, big-endian. */
const REGISTERS = { processHandle: 0x08, status: 0x10, control: 0x18 } as const;
const STOPPED = 0x0800_0000_0000_0000n;
const RESTART = 1n << 63n;

/** The queue's size in cache lines of 128 bytes, as the work element descriptor has it. */
const QUEUE_LINES = 4095;
const QUEUE_SIZE = QUEUE_LINES * 128;
const ELEMENT_SIZE = 32;
const ELEMENTS = QUEUE_SIZE / ELEMENT_SIZE;
const FIELDS = { command: 0, status: 1, length: 2, source: 16, target: 24 } as const;
const VALID = 0x80;
const WRAP_BIT = 0x40;
const COMMANDS = { copy: 0, interrupt: 1 } as const;
const COMPLETE = 0x80;

const STATUS_BITS: readonly (readonly [number, string])[] = [
  [0x40, 'translation fault'],
  [0x20, 'aerror'],
  [0x10, 'derror'],
  [0x08, 'PSL fault'],
  [0x04, 'invalid interrupt source'],
  [0x02, 'process terminated'],
  [0x01, 'undefined command, or more than this PSL can copy'],
];

/** Most bytes of a work element: the largest multiple of a cache line that fits 16 bits. */
const MAX_COPY_SIZE = 0xff80;
/** The same with a PSL9 (CAIA 2). */
const PSL9_MAX_COPY_SIZE = 128;
/** Contexts opened to get one that can copy with a PSL9. */
const PSL9_ATTEMPTS = 8;

/** With a PSL9, the AFU copies only for these process elements. */
function canCopyWithPsl9(processElement: number): boolean {
  return processElement % 4 === 1;
}

/** The AFU interrupt that an interrupt work element raises. */
const INTERRUPT = 1;
/** Milliseconds. */
const DEFAULT_TIMEOUT = 60_000;
/** Milliseconds of one wait for an interrupt, after which the AFU's state is checked again. */
const WAIT_SLICE = 1000;
/** Milliseconds within which the AFU stops after an interrupt, unless it was restarted meanwhile. */
const STOP_TIME = 100;
/** Polls of a register or status before the event loop runs. */
const POLLS_PER_ITERATION = 64;

/** Ids in the configuration record of the memcpy AFU. */
const IDENTITY = { vendor: 0x1014, device: 0x4350 } as const;

/** Whether an AFU's configuration record says that it is the memcpy AFU. */
export async function isMemcpyAfu(afu: Afu): Promise<boolean> {
  const [record] = await afu.configurationRecords();
  return (
    (await record?.vendor()) === IDENTITY.vendor && (await record?.device()) === IDENTITY.device
  );
}

/** The first AFU whose configuration record says that it is the memcpy AFU. */
export async function findMemcpyAfu(system: Cxl): Promise<Afu | undefined> {
  for (const afu of await system.afus()) if (await isMemcpyAfu(afu)) return afu;
  return undefined;
}

export interface MemcpyOptions {
  /** Poll the last element's status instead of waiting for an interrupt. */
  readonly poll?: boolean;
  /** Milliseconds a batch may take. Default 60000. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** Totals since the job started. */
export interface MemcpyCounts {
  bytes: number;
  elements: number;
  events: number;
  /** Milliseconds spent in the AFU's work, without file input and output. */
  busy: number;
}

/** An attached context on a memcpy AFU, with its queue. */
export class MemcpyJob {
  readonly counts: MemcpyCounts = { bytes: 0, elements: 0, events: 0, busy: 0 };
  /** As in the AFU's register. In a PowerVM guest the kernel's number can be another. */
  readonly processElement: number;
  readonly #system: Cxl;
  readonly #context: Context;
  readonly #registers: ProblemState;
  readonly #queue: Memory;
  readonly #options: MemcpyOptions;
  readonly #maxCopySize: number;
  #next = 0;
  #wrap = 0;

  private constructor(
    system: Cxl,
    context: Context,
    queue: Memory,
    registers: ProblemState,
    options: MemcpyOptions,
    maxCopySize: number,
  ) {
    this.#system = system;
    this.#context = context;
    this.#queue = queue;
    this.#registers = registers;
    this.#options = options;
    this.#maxCopySize = maxCopySize;
    this.processElement = Number(registers.read64(REGISTERS.processHandle) >> 48n);
  }

  /** Opens and attaches a context; with a PSL9, one that can copy. */
  static async start(system: Cxl, afu: Afu, options: MemcpyOptions = {}): Promise<MemcpyJob> {
    const adapters = await system.adapters();
    const version = await adapters
      .find((adapter) => adapter.number === afu.adapterNumber)
      ?.caiaVersion();
    const psl9 = version?.startsWith('2.') ?? false;
    const rejected: MemcpyJob[] = [];
    try {
      for (;;) {
        const job = await MemcpyJob.#open(
          system,
          afu,
          options,
          psl9 ? PSL9_MAX_COPY_SIZE : MAX_COPY_SIZE,
        );
        if (!psl9 || canCopyWithPsl9(job.processElement)) return job;
        rejected.push(job);
        if (rejected.length === PSL9_ATTEMPTS) {
          throw systemError(
            'EBUSY',
            'attach',
            afu.name,
            'got no process element that can copy with this PSL',
          );
        }
      }
    } finally {
      // Only now: after an earlier close() the next open() would get the same process element.
      for (const job of rejected) await job.close();
    }
  }

  static async #open(
    system: Cxl,
    afu: Afu,
    options: MemcpyOptions,
    maxCopySize: number,
  ): Promise<MemcpyJob> {
    const { signal } = options;
    const context = await system.open(afu.name, { signal });
    try {
      const queue = system.allocate(QUEUE_SIZE, { endian: 'big' });
      await context.attach({
        wed: (queue.address & ~0xfffn) | BigInt(QUEUE_LINES),
        holds: [queue],
        signal,
      });
      const registers = context.mapProblemState({ endian: 'big' });
      return new MemcpyJob(system, context, queue, registers, options, maxCopySize);
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  /** Most bytes of one copy(): the queue holds no more work elements. */
  get capacity(): number {
    return (ELEMENTS - 1) * this.#maxCopySize;
  }

  /**
   * Copies the first `length` bytes.
   *
   * @throws ETIMEDOUT; EFAULT data storage fault; EREMOTEIO AFU error, or a work element that
   *   did not complete; EIO detached; AbortError
   */
  async copy(source: Memory, target: Memory, length: number): Promise<void> {
    const first = this.#next;
    const pass = this.#wrap;
    for (let at = 0; at < length; at += this.#maxCopySize) {
      this.#add(COMMANDS.copy, Math.min(this.#maxCopySize, length - at), {
        source: source.address + BigInt(at),
        target: target.address + BigInt(at),
        publish: at !== 0,
      });
    }
    const count = Math.ceil(length / this.#maxCopySize);
    if (this.#options.poll !== true) this.#add(COMMANDS.interrupt, INTERRUPT);
    const started = performance.now();
    // The AFU must see the whole batch once it sees the first element's valid bit.
    this.#system.memoryBarrier();
    this.#queue.store8(first * ELEMENT_SIZE + FIELDS.command, VALID | pass | COMMANDS.copy);
    if (this.#options.poll === true) {
      const last = (first + count - 1) % ELEMENTS;
      await this.#poll(
        () => this.#status(last) !== 0,
        () => this.#resume(first),
      );
    } else {
      await this.#waitForInterrupt(first);
    }
    // The copied bytes must be read after the status.
    this.#system.memoryBarrier();
    // An element that fails does not stop the queue, so each status is checked.
    for (let n = 0; n < count; n += 1) this.#check((first + n) % ELEMENTS);
    this.counts.busy += performance.now() - started;
    this.counts.bytes += length;
    this.counts.elements += count;
  }

  async close(): Promise<void> {
    await this.#context.close();
    // Forced, as the process may have other contexts; none of them uses the queue.
    this.#queue.free({ force: true });
  }

  /**
   * Writes a work element, and with `publish` its valid bit. The AFU executes elements in order,
   * so it executes none before the first one is published.
   */
  #add(code: number, length: number, { source = 0n, target = 0n, publish = true } = {}): void {
    const at = this.#next * ELEMENT_SIZE;
    const queue = this.#queue;
    queue.store8(at + FIELDS.status, 0);
    queue.store16(at + FIELDS.length, length);
    queue.store64(at + FIELDS.source, source);
    queue.store64(at + FIELDS.target, target);
    this.#system.memoryBarrier();
    if (publish) queue.store8(at + FIELDS.command, VALID | this.#wrap | code);
    this.#next += 1;
    if (this.#next === ELEMENTS) {
      this.#next = 0;
      this.#wrap ^= WRAP_BIT;
    }
  }

  /**
   * Restarts the AFU if it has stopped before this batch, as images do that stop at an invalid
   * element. If the batch's first element has a status, it stopped after it. Returns whether it
   * restarted the AFU.
   */
  #resume(first: number): boolean {
    if (!this.#isStopped() || this.#status(first) !== 0) return false;
    this.#registers.write64(REGISTERS.control, RESTART);
    return true;
  }

  #isStopped(): boolean {
    return (this.#registers.read64(REGISTERS.status) & STOPPED) !== 0n;
  }

  async #waitForInterrupt(first: number): Promise<void> {
    const { signal, timeout = DEFAULT_TIMEOUT } = this.#options;
    const deadline = performance.now() + timeout;
    let resumed = false;
    for (;;) {
      resumed = this.#resume(first) || resumed;
      const left = Math.max(0, Math.ceil(deadline - performance.now()));
      try {
        await this.#context.waitForInterrupt(INTERRUPT, {
          // Short, to call #resume() again: the AFU may have stopped right after the last call.
          timeout: Math.min(left, WAIT_SLICE),
          ...(signal === undefined ? {} : { signal }),
        });
        break;
      } catch (error) {
        if ((error as CxlError).code !== 'ETIMEDOUT') throw error;
        // That error has the time of the last short wait.
        if (left === 0) throw this.#timedOut('interrupted');
      }
    }
    this.counts.events += 1;
    // The AFU stops some time after an interrupt element, and has to be restarted. An AFU that takes its
    // time can show the stop of the last batch as this one begins: then it was restarted twice, the
    // second time perhaps for this stop, and runs.
    const end = performance.now() + STOP_TIME;
    let stopped = false;
    await this.#poll(() => {
      stopped = this.#isStopped();
      return stopped || (resumed && performance.now() > end);
    });
    if (stopped) this.#registers.write64(REGISTERS.control, RESTART);
  }

  #status(index: number): number {
    return this.#queue.load8(index * ELEMENT_SIZE + FIELDS.status);
  }

  #check(index: number): void {
    const status = this.#status(index);
    if (status === COMPLETE) return;
    const names = STATUS_BITS.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name);
    const what = names.join(', ') || 'the AFU has not executed it';
    const hint = `work element ${index} has status 0x${status.toString(16)}: ${what}`;
    throw systemError('EREMOTEIO', 'memcpy', this.#context.path, hint);
  }

  /** Polls until `done`, letting the event loop run in between. */
  async #poll(done: () => boolean, beforeEach?: () => void): Promise<void> {
    const { signal, timeout = DEFAULT_TIMEOUT } = this.#options;
    const deadline = performance.now() + timeout;
    for (;;) {
      beforeEach?.();
      for (let n = 0; n < POLLS_PER_ITERATION; n += 1) if (done()) return;
      if (signal?.aborted) throw new AbortError(signal);
      if (performance.now() > deadline) {
        throw this.#timedOut('finished');
      }
      await new Promise(setImmediate);
    }
  }

  #timedOut(what: string): CxlError {
    const { timeout = DEFAULT_TIMEOUT } = this.#options;
    const hint = `the AFU has not ${what} within ${timeout} ms`;
    return systemError('ETIMEDOUT', 'memcpy', this.#context.path, hint);
  }
}
