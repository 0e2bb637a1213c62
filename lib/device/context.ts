import { types } from 'node:util';
import type { AfuFile, Binding } from '../binding';
import { AFU_ID_FLAGS, START_WORK_FLAGS, type StartWork } from '../binding/cxl-ioctls';
import { operandsOf } from '../binding/operands';
import type { AfuErrorEvent, CxlEvent, DataStorageEvent } from '../events/events';
import { EventIterator } from '../events/iterator';
import { EventQueue } from '../events/queue';
import { checkWaitOptions, type WaitOptions } from '../shared/abort';
import { checkBoolean, checkInteger, checkOptions, checkUint64 } from '../shared/checks';
import { debug } from '../shared/debug';
import { type Endian, resolveEndian } from '../shared/endian';
import { errnos } from '../shared/errno';
import {
  type CxlError,
  stateError,
  systemError,
  typeError,
  unwrap,
  valueError,
} from '../shared/errors';
import { Attributes } from '../sysfs/attributes';
import { Memory } from './memory';
import { ProblemState } from './problem-state';

/** What an AFU may reach while a context is attached. */
export type Holdable = Memory | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

export interface AttachOptions {
  /** Work element descriptor: 64 bits the AFU gets and gives their meaning, often an address. */
  wed: bigint;
  /** AFU interrupts to allocate, irqs_min to irqs_max. Default: irqs_min. */
  interrupts?: number;
  /** Authority mask register: which storage keys the AFU may use. Default: the process's own. */
  amr?: bigint;
  /**
   * CXL_START_WORK_ERR_FF: once the context is detached by an error, its mapping reads as all
   * ones instead of faulting. Default false.
   */
  errFf?: boolean;
  /** Kept alive until the context is closed, even when nothing refers to the context any more. */
  holds?: readonly Holdable[];
}

export interface MapOptions {
  /** Byte order of the AFU's registers. Default `big`, as most AFUs are. */
  endian?: Endian;
  /** Bytes from the start of the area; a multiple of the page size. Default 0. */
  offset?: number;
  /** Bytes. Default: the rest of the area, as sysfs has its size now. */
  length?: number;
}

/** GET_AFU_ID's answer. */
export interface AfuId {
  /** Whether this is a slave context's file. */
  readonly slave: boolean;
  /** The X of afuX.Y. */
  readonly adapterNumber: number;
  /** The Y of afuX.Y. */
  readonly slice: number;
  /** The AFU's programming model. */
  readonly mode: 'dedicated_process' | 'afu_directed' | 'unknown';
}

/** A data storage fault or AFU error that ended a wait for something else. */
export type FaultError = CxlError & { readonly event: DataStorageEvent | AfuErrorEvent };

/** What one context holds: views one by one, and those that an attach brought. */
type Held = Set<Holdable | readonly Holdable[]>;

/**
 * What AFUs may reach, strongly: a context that its program has let go of runs until it is
 * closed, and what it holds must not be collected together with it.
 */
const inReach = new Set<Held>();
const abandoned = new FinalizationRegistry<{ file: AfuFile; held: Held }>(({ file, held }) => {
  const release = () => inReach.delete(held);
  file.close().then(release, release);
});

const NO_PROCESS_ELEMENT = 0xffff_ffff;
const afuModes = { 1: 'dedicated_process', 2: 'afu_directed' } as const;

/** @internal What Cxl knows of the file when it makes a Context. */
export interface ContextOrigin {
  readonly path: string;
  /** Directory of the node in sysfs, for the size of the area; none for an adopted anonymous file. */
  readonly sysfsPath?: string | undefined;
  /** Bytes of the area, where the program that adopted the file knows them. */
  readonly mmioSize?: number | undefined;
  /** Somebody else may have attached it already. */
  readonly adopted: boolean;
}

/**
 * A context on an AFU: one process's use of the accelerator. OPENED, then STARTED by attach(),
 * then CLOSED by close(), or by the kernel when the card is reset, recovers or goes away.
 *
 * `Decoded` is what the decoder given to decodeDriverEvents() makes of its events.
 */
export class Context<Decoded = undefined> {
  /** The device node, or a description of an adopted file. */
  readonly path: string;
  readonly #binding: Binding;
  readonly #file: AfuFile;
  readonly #origin: ContextOrigin;
  readonly #events: EventQueue;
  readonly #mappings = new Set<ProblemState>();
  readonly #held: Held = new Set();
  #decoder: ((data: Uint8Array, processElement: number) => Decoded) | undefined;
  #attached: boolean;
  /** AFU interrupts attached with, where attach() was told. */
  #interrupts: number | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Use Cxl.open(), Cxl.adopt() or Afu.open(). */
  constructor(binding: Binding, file: AfuFile, origin: ContextOrigin) {
    this.#binding = binding;
    this.#file = file;
    this.#origin = origin;
    this.path = origin.path;
    this.#attached = origin.adopted;
    // What somebody else opened may never have been started.
    const present = origin.adopted
      ? () => file.ioctlSync('GET_PROCESS_ELEMENT', {}) !== -errnos.EIO
      : undefined;
    this.#events = new EventQueue(file, origin.path, present);
  }

  /** The file descriptor; -1 once closed. It stays the context's: do not close it. */
  get fd(): number {
    return this.#closing === undefined ? this.#file.fd : -1;
  }

  /** True from the call of close() on. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Whether attach() has succeeded. An adopted file counts as attached. */
  get attached(): boolean {
    return this.#attached && !this.closed;
  }

  /**
   * The process element by GET_PROCESS_ELEMENT; undefined while the kernel has none to tell
   * (in a guest before attach, and once the context is detached).
   */
  get processElement(): number | undefined {
    if (this.closed) return undefined;
    const answer = this.#file.ioctlSync('GET_PROCESS_ELEMENT', {});
    if (typeof answer === 'number' || answer.processElement === NO_PROCESS_ELEMENT)
      return undefined;
    return answer.processElement;
  }

  /**
   * Which AFU this is, by GET_AFU_ID.
   *
   * @throws EIO once detached or while the link is down; EINVAL or ENOTTY where the driver has
   *   no such call (kernels before 4.3, OpenCAPI flash)
   */
  afuId(): AfuId {
    this.#open();
    const raw = unwrap(this.#file.ioctlSync('GET_AFU_ID', {}), 'ioctl(GET_AFU_ID)', this.path);
    return {
      slave: (raw.flags & AFU_ID_FLAGS.SLAVE) !== 0n,
      adapterNumber: raw.cardId,
      slice: raw.afuOffset,
      mode: afuModes[raw.afuMode as 1 | 2] ?? 'unknown',
    };
  }

  /**
   * Attaches this process's memory to the AFU and starts it on the work element descriptor
   * (START_WORK, on the control thread: it can take seconds).
   *
   * @throws EIO when attached before or detached; EINVAL interrupts outside irqs_min to
   *   irqs_max; ENOSPC not enough interrupts left; EBUSY adapter being reset, or the AFU does
   *   not answer. Source: afu_ioctl_start_work.
   */
  async attach(options: AttachOptions): Promise<void> {
    const work = this.#checkAttach(options);
    const release = this.#holdAll(options.holds ?? []);
    debug('START_WORK %s: %o', this.path, work);
    const answer = await this.#file.ioctl('START_WORK', work);
    if (typeof answer === 'number') {
      release();
      throw systemError(answer, 'ioctl(START_WORK)', this.path);
    }
    this.#attached = true;
    this.#interrupts = work.numInterrupts;
  }

  /**
   * As attach(), on the calling thread, which it can block for seconds. Only so can the AFU
   * wake the thread (`tid`, POWER9): the kernel binds the thread that makes the call, and that
   * must live on.
   *
   * @returns `tid`: what the AFU is to be told, where it was asked for; 0 on POWER8
   * @throws as attach(); ENODEV or EINVAL where the kernel or processor cannot wake threads
   */
  attachSync(options: AttachOptions & { tid?: boolean }): { tid: number | undefined } {
    const checked = this.#checkAttach(options);
    const tid = options.tid === undefined ? false : checkBoolean('options.tid', options.tid);
    const work = tid ? { ...checked, flags: checked.flags | START_WORK_FLAGS.TID } : checked;
    const release = this.#holdAll(options.holds ?? []);
    debug('START_WORK %s: %o', this.path, work);
    const answer = this.#file.ioctlSync('START_WORK', work);
    if (typeof answer === 'number') {
      release();
      throw systemError(answer, 'ioctl(START_WORK)', this.path);
    }
    this.#attached = true;
    this.#interrupts = work.numInterrupts;
    return { tid: tid ? answer.tid : undefined };
  }

  /**
   * Maps the problem state area: shared, readable and writable.
   *
   * The first mapping of the process installs a SIGBUS handler, which turns a faulting access
   * into EIO and hands any other SIGBUS to the handler that was there. One that is installed
   * later (process.on('SIGBUS')) takes its place, and faults then: install yours first.
   *
   * @throws EIO before attach, once detached, or while the link is down; EINVAL past the end of
   *   the area, or when the AFU has none; EBUSY AFU not enabled. Source: cxl_context_iomap.
   */
  mapProblemState(options: MapOptions = {}): ProblemState {
    this.#open();
    checkOptions(options);
    const endian = resolveEndian('options.endian', options.endian ?? 'big');
    const offset = checkInteger('options.offset', options.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
    if (offset % this.#binding.pageSize !== 0) {
      throw valueError('options.offset', `a multiple of ${this.#binding.pageSize}`, offset);
    }
    if (options.length !== undefined) {
      checkInteger('options.length', options.length, 1, Number.MAX_SAFE_INTEGER);
    }
    if (!this.#attached) throw systemError('EIO', 'mmap', this.path);
    const length = options.length ?? this.#areaSize() - offset;
    if (length <= 0) throw systemError('EINVAL', 'mmap', this.path);
    debug('mmap %s: %d bytes at %d', this.path, length, offset);
    const mapping = unwrap(this.#file.map(offset, length, endian), 'mmap', this.path);
    const state = new ProblemState(mapping, operandsOf(this.#binding.operands), this.path, (gone) =>
      this.#mappings.delete(gone),
    );
    this.#mappings.add(state);
    return state;
  }

  /**
   * Keeps something the AFU may reach alive until the context is closed, even when nothing
   * refers to the context any more. Returns it.
   */
  hold<T extends Holdable>(view: T): T {
    this.#open();
    this.#keep(checkHoldable('view', view));
    return view;
  }

  /**
   * What the kernel has *noticed*: 'down' once it has detached the context or found the link
   * to the card down; a link that just broke may still be 'up'. 'unknown' where an adopted
   * file cannot tell.
   */
  linkState(): 'up' | 'down' | 'unknown' {
    this.#open();
    const answer = this.#file.ioctlSync('GET_PROCESS_ELEMENT', {});
    if (typeof answer !== 'number') return this.#events.detached ? 'down' : 'up';
    return answer === -errnos.EIO ? 'down' : 'unknown';
  }

  /**
   * Sets the decoder of this context's driver events: those of type 'afu-driver', which an
   * in-kernel AFU driver queues on the files it hands out. What `decode` returns is the event's
   * `decoded`. The bytes do not say which driver they come from, so each context has a decoder
   * of its own; a later one replaces it.
   *
   * @param decode gets the bytes that follow the event's header, and its process element
   * @returns this context, with `decoded` typed
   */
  decodeDriverEvents<T>(decode: (data: Uint8Array, processElement: number) => T): Context<T> {
    if (typeof decode !== 'function') throw typeError('decode', 'a function', decode);
    const typed = this as unknown as Context<T>;
    typed.#decoder = decode;
    return typed;
  }

  /**
   * Events as they come, without end: until the signal aborts (AbortError), the context is
   * detached (EIO, after what was pending), or closed (it just ends).
   */
  events(options: Pick<WaitOptions, 'signal'> = {}): EventIterator<CxlEvent<Decoded>> {
    checkWaitOptions(options);
    return new EventIterator(
      this.#events,
      () => this.#claim(),
      () => this.#next(options, 'read'),
    );
  }

  /**
   * The next event, whatever it is.
   *
   * @throws AbortError; ETIMEDOUT; EIO detached; ECANCELED closed; ERR_INVALID_STATE before
   *   attach (no event can come) or while somebody else waits
   */
  async waitForEvent(options: WaitOptions = {}): Promise<CxlEvent<Decoded>> {
    checkWaitOptions(options);
    return this.#once(() => this.#next(options, 'waitForEvent'));
  }

  /**
   * Waits for AFU interrupt `irq` (1 to the number attached with). Other interrupts, and
   * events of an AFU driver, stay pending for the next reader.
   *
   * @throws as waitForEvent(); and on a data storage fault (EFAULT) or an AFU error
   *   (EREMOTEIO), with the event as `event` of the error; ERR_OUT_OF_RANGE beyond the number
   *   that attach() was told
   */
  async waitForInterrupt(irq: number, options: WaitOptions = {}): Promise<void> {
    // One that the context does not have would be waited for without end.
    checkInteger('irq', irq, 1, this.#interrupts ?? 0xffff);
    checkWaitOptions(options);
    return this.#once(async () => {
      await this.#events.wait(
        (pending) => takeInterrupt(pending, irq, this.path),
        'waitForInterrupt',
        options,
      );
    });
  }

  /**
   * @internal The next event that is not an AFU driver's: those stay pending, as they do for
   * waitForInterrupt(). For a reader in this library that has nothing to do with them.
   */
  async waitForHardwareEvent(options: WaitOptions = {}): Promise<HardwareEvent> {
    return this.#once(() => this.#events.wait(takeHardwareEvent, 'waitForEvent', options));
  }

  /**
   * Ends waits, unmaps, detaches and closes, on the control thread: the kernel waits until the
   * hardware has let go. Idempotent. An adopted file that is not owned stays open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#events.close();
    // A live mapping would keep the context attached after close().
    for (const mapping of [...this.#mappings]) mapping.unmap();
    debug('close %s', this.path);
    const answer = await this.#file.close();
    abandoned.unregister(this);
    inReach.delete(this.#held);
    this.#held.clear();
    if (answer < 0) throw systemError(answer, 'close', this.path);
  }

  #open(): void {
    if (this.closed) throw stateError(`${this.path}: this context is closed`);
  }

  #claim(): symbol {
    this.#open();
    if (!this.#attached) {
      throw stateError(`${this.path}: no event can come before attach()`);
    }
    return this.#events.claim();
  }

  async #once<T>(wait: () => Promise<T>): Promise<T> {
    const reader = this.#claim();
    try {
      return await wait();
    } finally {
      this.#events.release(reader);
    }
  }

  async #next(options: WaitOptions, syscall: string): Promise<CxlEvent<Decoded>> {
    const event = await this.#events.wait((pending) => pending.shift(), syscall, options);
    if (event.type !== 'afu-driver' || this.#decoder === undefined) {
      return event as CxlEvent<Decoded>;
    }
    return { ...event, decoded: this.#decoder(event.data, event.processElement) };
  }

  #checkAttach(options: AttachOptions): StartWork {
    this.#open();
    if (typeof options !== 'object' || options === null) {
      throw typeError('options', 'an object with a wed', options);
    }
    const { wed, interrupts, amr, errFf, holds } = options;
    checkUint64('options.wed', wed);
    if (interrupts !== undefined) checkInteger('options.interrupts', interrupts, 0, 0x7fff);
    if (amr !== undefined) checkUint64('options.amr', amr);
    if (errFf !== undefined) checkBoolean('options.errFf', errFf);
    if (holds !== undefined) {
      if (!Array.isArray(holds)) throw typeError('options.holds', 'an array', holds);
      for (const view of holds) checkHoldable('options.holds', view);
    }
    const flags =
      (amr === undefined ? 0n : START_WORK_FLAGS.AMR) |
      (interrupts === undefined ? 0n : START_WORK_FLAGS.NUM_IRQS) |
      (errFf === true ? START_WORK_FLAGS.ERR_FF : 0n);
    return { flags, workElementDescriptor: wed, amr, numInterrupts: interrupts };
  }

  /** Held before the kernel knows of the work, and let go again when it refuses. */
  #holdAll(views: readonly Holdable[]): () => unknown {
    if (views.length === 0) return () => undefined;
    // As one: what a refused attach lets go of may be held for another reason, too.
    const brought = [...views];
    this.#keep(brought);
    return () => this.#held.delete(brought);
  }

  #keep(what: Holdable | readonly Holdable[]): void {
    this.#held.add(what);
    if (inReach.has(this.#held)) return;
    inReach.add(this.#held);
    abandoned.register(this, { file: this.#file, held: this.#held }, this);
  }

  #areaSize(): number {
    const { mmioSize, sysfsPath } = this.#origin;
    if (mmioSize !== undefined) return mmioSize;
    if (sysfsPath === undefined) {
      throw valueError(
        'options.length',
        'given: an adopted file has no sysfs of its own to tell the size of its area',
        undefined,
      );
    }
    // Read each time: in a guest the size changes at the first attach.
    const size =
      new Attributes(this.#binding.sysfs, sysfsPath, 1).numberSync('mmio_size') ??
      new Attributes(this.#binding.sysfs, `${sysfsPath}/device`, 1).numberSync('mmio_size');
    if (size === undefined) throw systemError('ENOENT', 'read', `${sysfsPath}/mmio_size`);
    return size;
  }
}

type HardwareEvent = Exclude<CxlEvent, { readonly type: 'afu-driver' }>;

function takeHardwareEvent(pending: CxlEvent[]): HardwareEvent | undefined {
  const index = pending.findIndex((event) => event.type !== 'afu-driver');
  return index < 0 ? undefined : (pending.splice(index, 1)[0] as HardwareEvent);
}

function takeInterrupt(pending: CxlEvent[], irq: number, path: string): true | undefined {
  for (const [index, event] of pending.entries()) {
    if (event.type === 'afu-interrupt' && event.irq === irq) {
      pending.splice(index, 1);
      return true;
    }
    if (event.type === 'data-storage' || event.type === 'afu-error') {
      pending.splice(index, 1);
      throw faultError(event, path);
    }
  }
  return undefined;
}

function faultError(event: DataStorageEvent | AfuErrorEvent, path: string): FaultError {
  const error =
    event.type === 'data-storage'
      ? systemError(
          'EFAULT',
          'waitForInterrupt',
          path,
          `data storage fault at 0x${event.address.toString(16)}: the AFU touched an address that this process has not mapped`,
        )
      : systemError(
          'EREMOTEIO',
          'waitForInterrupt',
          path,
          `AFU error 0x${event.error.toString(16)}: its meaning is the AFU's`,
        );
  return Object.assign(error, { event });
}

function checkHoldable(name: string, view: unknown): Holdable {
  if (view instanceof Memory || ArrayBuffer.isView(view) || types.isAnyArrayBuffer(view)) {
    return view;
  }
  throw typeError(name, 'Memory, an ArrayBuffer or a view of one', view);
}
