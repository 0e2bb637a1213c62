/**
 * A whole job through the memcpy AFU: a queue of work elements in memory the AFU reaches,
 * published, executed, and told finished by an interrupt or by polling.
 */

import type { Memory, ProblemState } from '../index';
import { AbortError, type Afu, type Context, type Cxl, CxlError } from '../index';
import { errnos } from '../shared/errno';

/** The AFU's registers in the per-process area: byte offsets, 64 bits, big-endian. */
const register = { processHandle: 0x08, status: 0x10, control: 0x18 } as const;
const stopped = 0x0800_0000_0000_0000n;
const restart = 1n << 63n;

/** The queue: 32-byte elements; its depth counts cache lines of 128 bytes. */
const queueLines = 4095;
const queueBytes = queueLines * 128;
const elementBytes = 32;
const elements = queueBytes / elementBytes;
const field = { command: 0, status: 1, length: 2, source: 16, target: 24 } as const;
const valid = 0x80;
const wrapBit = 0x40;
const command = { copy: 0, interrupt: 1 } as const;
const complete = 0x80;

const statusBits: readonly (readonly [number, string])[] = [
  [0x40, 'translation fault'],
  [0x20, 'aerror'],
  [0x10, 'derror'],
  [0x08, 'PSL fault'],
  [0x04, 'invalid interrupt source'],
  [0x02, 'process terminated'],
  [0x01, 'undefined command, or more than this PSL can copy'],
];

/** What a PSL9 copies at once, and all other images: a 16-bit length, whole cache lines. */
const psl9Copy = 128;
const longestCopy = 0xff80;
/** On a PSL9 only these process elements have a port that can copy. */
const psl9Port = (processElement: number) => processElement % 4 === 1;
const psl9Attempts = 8;

const interrupt = 1;
const defaultTimeout = 60_000;
/** Looks at a register or status before other work of the program gets its turn. */
const looksATurn = 64;

/** Configuration record of a card with the memcpy AFU. */
export const memcpyIdentity = { vendor: 0x1014, device: 0x4350 } as const;

/** Whether an AFU's configuration record says that it is the memcpy AFU. */
export async function isMemcpyAfu(afu: Afu): Promise<boolean> {
  const [record] = await afu.configurationRecords();
  return (
    (await record?.vendor()) === memcpyIdentity.vendor &&
    (await record?.device()) === memcpyIdentity.device
  );
}

/** The first AFU that is one by its configuration record. */
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

/** Bytes, elements and events so far. */
export interface MemcpyCounts {
  bytes: number;
  elements: number;
  events: number;
  /** Milliseconds from publishing the work to its end, file input and output not counted. */
  busy: number;
}

/** One context on a memcpy AFU, with its queue. */
export class MemcpyJob {
  readonly counts: MemcpyCounts = { bytes: 0, elements: 0, events: 0, busy: 0 };
  /** By the AFU's own register: a guest's kernel may number it otherwise. */
  readonly processElement: number;
  readonly #system: Cxl;
  readonly #context: Context;
  readonly #registers: ProblemState;
  readonly #queue: Memory;
  readonly #options: MemcpyOptions;
  readonly #longest: number;
  #next = 0;
  #wrap = 0;

  private constructor(
    system: Cxl,
    context: Context,
    queue: Memory,
    registers: ProblemState,
    options: MemcpyOptions,
    longest: number,
  ) {
    this.#system = system;
    this.#context = context;
    this.#queue = queue;
    this.#registers = registers;
    this.#options = options;
    this.#longest = longest;
    this.processElement = Number(registers.read64(register.processHandle) >> 48n);
  }

  /** Opens and attaches a context, on a PSL9 one whose port can copy. */
  static async start(system: Cxl, afu: Afu, options: MemcpyOptions = {}): Promise<MemcpyJob> {
    const adapters = await system.adapters();
    const version = await adapters
      .find((adapter) => adapter.number === afu.adapterNumber)
      ?.caiaVersion();
    const psl9 = version?.startsWith('2.') ?? false;
    const unfit: MemcpyJob[] = [];
    try {
      for (;;) {
        const job = await MemcpyJob.#open(system, afu, options, psl9 ? psl9Copy : longestCopy);
        if (!psl9 || psl9Port(job.processElement)) return job;
        unfit.push(job);
        if (unfit.length === psl9Attempts) {
          throw new CxlError(
            -errnos.EBUSY,
            'attach',
            afu.name,
            'no process element with a port that copies',
          );
        }
      }
    } finally {
      // Closed only now: else the next open would get the same process element again.
      for (const job of unfit) await job.close();
    }
  }

  static async #open(
    system: Cxl,
    afu: Afu,
    options: MemcpyOptions,
    longest: number,
  ): Promise<MemcpyJob> {
    const context = await afu.open();
    try {
      const queue = system.allocate(queueBytes, { endian: 'big' });
      await context.attach({ wed: (queue.address & ~0xfffn) | BigInt(queueLines), holds: [queue] });
      const registers = context.mapProblemState({ endian: 'big' });
      return new MemcpyJob(system, context, queue, registers, options, longest);
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  /** Most bytes that one copy() can queue. */
  get capacity(): number {
    return (elements - 1) * this.#longest;
  }

  /**
   * Has the AFU copy the first `length` bytes.
   *
   * @throws ETIMEDOUT; EFAULT, a data storage fault; EREMOTEIO, an AFU error or an element that
   *   did not complete; EIO detached; AbortError
   */
  async copy(source: Memory, target: Memory, length: number): Promise<void> {
    const first = this.#next;
    const pass = this.#wrap;
    for (let at = 0; at < length; at += this.#longest) {
      this.#add(command.copy, Math.min(this.#longest, length - at), {
        source: source.address + BigInt(at),
        target: target.address + BigInt(at),
        held: at === 0,
      });
    }
    const count = Math.ceil(length / this.#longest);
    if (this.#options.poll !== true) this.#add(command.interrupt, interrupt);
    const started = performance.now();
    // All is in place before the AFU may see the first element's valid bit.
    this.#system.memoryBarrier();
    this.#queue.store8(first * elementBytes + field.command, valid | pass | command.copy);
    if (this.#options.poll === true) {
      const last = (first + count - 1) % elements;
      await this.#until(
        () => this.#status(last) !== 0,
        () => this.#resume(first),
      );
    } else {
      await this.#interrupted(first);
    }
    // What the AFU wrote is read only after its status was.
    this.#system.memoryBarrier();
    // A faulting element does not stop the queue, so every one is looked at.
    for (let n = 0; n < count; n += 1) this.#check((first + n) % elements);
    this.counts.busy += performance.now() - started;
    this.counts.bytes += length;
    this.counts.elements += count;
  }

  async close(): Promise<void> {
    await this.#context.close();
    // No AFU reaches it any more, whatever other contexts this process has.
    this.#queue.free({ force: true });
  }

  /** Writes an element; unless `held`, one that is valid once those before it are. */
  #add(code: number, length: number, { source = 0n, target = 0n, held = false } = {}): void {
    const at = this.#next * elementBytes;
    const queue = this.#queue;
    queue.store8(at + field.status, 0);
    queue.store16(at + field.length, length);
    queue.store64(at + field.source, source);
    queue.store64(at + field.target, target);
    this.#system.memoryBarrier();
    if (!held) queue.store8(at + field.command, valid | this.#wrap | code);
    this.#next += 1;
    if (this.#next === elements) {
      this.#next = 0;
      this.#wrap ^= wrapBit;
    }
  }

  /**
   * An AFU that is set to stop at invalid elements has stopped behind the last batch, and needs
   * to be told of the next. It is not to be mistaken for one that has done this batch.
   */
  #resume(first: number): void {
    if (this.#isStopped() && this.#status(first) === 0) {
      this.#registers.write64(register.control, restart);
    }
  }

  #isStopped(): boolean {
    return (this.#registers.read64(register.status) & stopped) !== 0n;
  }

  async #interrupted(first: number): Promise<void> {
    const { signal, timeout = defaultTimeout } = this.#options;
    const deadline = performance.now() + timeout;
    for (;;) {
      this.#resume(first);
      const left = Math.max(0, Math.ceil(deadline - performance.now()));
      try {
        await this.#context.waitForInterrupt(interrupt, {
          // In slices: the AFU may have stopped just after it was last looked at.
          timeout: Math.min(left, 1000),
          ...(signal === undefined ? {} : { signal }),
        });
        break;
      } catch (error) {
        if ((error as CxlError).code !== 'ETIMEDOUT' || left === 0) throw error;
      }
    }
    this.counts.events += 1;
    // After an interrupt element the AFU stops, by and by, and is restarted.
    await this.#until(() => this.#isStopped());
    this.#registers.write64(register.control, restart);
  }

  #status(index: number): number {
    return this.#queue.load8(index * elementBytes + field.status);
  }

  #check(index: number): void {
    const status = this.#status(index);
    if (status === complete) return;
    const names = statusBits.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name);
    const what = names.join(', ') || 'the AFU has not come to it';
    const hint = `work element ${index} has status 0x${status.toString(16)}: ${what}`;
    throw new CxlError(-errnos.EREMOTEIO, 'memcpy', this.#context.path, hint);
  }

  /** Looks again and again, letting the rest of the program run in between. */
  async #until(done: () => boolean, eachTurn?: () => void): Promise<void> {
    const { signal, timeout = defaultTimeout } = this.#options;
    const deadline = performance.now() + timeout;
    for (;;) {
      eachTurn?.();
      for (let look = 0; look < looksATurn; look += 1) if (done()) return;
      if (signal?.aborted) throw new AbortError(signal);
      if (performance.now() > deadline) {
        const hint = `the AFU has not finished within ${timeout} ms`;
        throw new CxlError(-errnos.ETIMEDOUT, 'memcpy', this.#context.path, hint);
      }
      await new Promise(setImmediate);
    }
  }
}
