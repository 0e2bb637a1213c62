import { type InspectOptions, inspect } from 'node:util';
import type { AfuFile, Binding, NegativeErrno } from '../binding';
import { type AfuIoctls, START_WORK_FLAGS, type StartWork } from '../binding/cxl-ioctls';
import { operandsOf } from '../binding/operands';
import {
  checkEventOptions,
  EVENT_OPTIONS,
  type EventOptions,
  findAny,
  findHardwareEvent,
  SYNC_EVENT_OPTIONS,
  type SyncEventOptions,
} from '../events/event-options';
import type { CxlEvent, EventOfType, EventType } from '../events/events';
import { FAULTS, faultError, isFault } from '../events/faults';
import { EventIterator } from '../events/iterator';
import { EventQueue, type Find, type Subscriber } from '../events/queue';
import {
  checkEventWaitOptions,
  EVENT_WAIT_OPTIONS,
  type EventWaitOptions,
  SYNC_WAIT_OPTIONS,
  type SyncWaitOptions,
} from '../events/wait-options';
import { abortable, checkSignal, throwIfAborted } from '../shared/abort';
import { ALL_ONES_32 } from '../shared/all-ones';
import { ATTACH, CLOSE, WAIT } from '../shared/channels';
import { checkBoolean, checkInteger } from '../shared/checks';
import { debug, debugCall, debugResult } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { stateError, systemError, typeError, unwrap } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import type { Afu } from './afu';
import { type AfuId, decodeAfuId } from './afu-id';
import { type AllocateOptions, allocateMemory, allocatePool } from './allocate';
import {
  ATTACH_OPTIONS,
  ATTACH_SYNC_OPTIONS,
  type AttachOptions,
  type AttachSyncOptions,
  type AttachSyncResult,
  startWork,
} from './attach-options';
import { checkHoldable, checkMemory, HeldMemory, type Holdable } from './held-memory';
import { areaSize, checkMapOptions, type MapOptions } from './map-options';
import type { Memory } from './memory';
import type { MemoryPool } from './memory-pool';
import { ProblemState } from './problem-state';
import { checkWakeupOptions, type WakeupOptions, waitForWakeup } from './wakeup';

/** Of an AFU's device node: card, slice, and the kind of context. */
export const NODE_NAME = /^afu(\d+)\.(\d+)([dms])$/;

/** GET_PROCESS_ELEMENT's value while there is none. */
const NO_PROCESS_ELEMENT = ALL_ONES_32;

/** Bytes from the start of an area, where nothing is ever mapped. */
const BEYOND_ANY_AREA = 2 ** 40;

/** @internal Where a context's file comes from. */
export interface ContextOrigin {
  readonly path: string;
  /** Directory of the node in sysfs, for the size of the area. An adopted anonymous file has none. */
  readonly sysfsPath?: string | undefined;
  /** Bytes of the area, where the program that adopted the file passed them. */
  readonly mmioSize?: number | undefined;
  /** Whether the descriptor was opened elsewhere, and may have been attached there. */
  readonly adopted: boolean;
  /** The AFU with this number and slice. */
  readonly findAfu: (adapter: number, slice: number) => Promise<Afu>;
}

/**
 * A context on an AFU: one process's use of the accelerator. The driver's states are OPENED,
 * then STARTED by attach(), then CLOSED by close(), or by the kernel when the card is reset,
 * recovers from an error or is removed.
 *
 * `Decoded` is the type that the decoder set by decodeDriverEvents() returns.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const memory = cxl.allocate(4096);
 * const context = await cxl.open('/dev/cxl/afu1.0s'); // an echo AFU
 * try {
 *   await context.attach({ wed: 0n, holds: [memory] });
 *   const registers = context.mapProblemState();
 *   registers.write64(0x00, 42n);
 *   registers.write64(0x10, memory.address); // the AFU writes 42 there, and raises interrupt 1
 *   await context.waitForInterrupt(1, { timeout: 1000 });
 *   console.log(memory.load64(0, { endian: 'big' })); // 42n
 * } finally {
 *   await context.close();
 *   memory.free();
 * }
 */
export class Context<Decoded = undefined> extends Uncloneable {
  /** The device node, or a description of an adopted file. */
  readonly path: string;
  readonly #binding: Binding;
  readonly #file: AfuFile;
  readonly #origin: ContextOrigin;
  readonly #events: EventQueue;
  readonly #mappings = new Set<ProblemState>();
  readonly #held: HeldMemory;
  #decoder: ((data: Uint8Array, processElement: number) => Decoded) | undefined;
  #attached: boolean;
  /** AFU interrupts that attach() asked for, where its options say. */
  #interrupts: number | undefined;
  /** By which the AFU wakes the thread that called attachSync(). */
  #tid: number | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Use Cxl.open(), Cxl.adopt() or Afu.open(). */
  constructor(binding: Binding, file: AfuFile, origin: ContextOrigin) {
    super();
    this.#binding = binding;
    this.#file = file;
    this.#origin = origin;
    this.path = origin.path;
    this.#attached = origin.adopted;
    // afu_mmap refuses a context that is not started with EIO, and checks the range afterwards.
    const started = origin.adopted
      ? () => file.map(BEYOND_ANY_AREA, binding.pageSize, 'big') !== -ERRNOS.EIO
      : undefined;
    this.#held = new HeldMemory(origin.path, file, started);
    // A file that was opened elsewhere may never have been started.
    const present = origin.adopted
      ? () => file.ioctlSync('GET_PROCESS_ELEMENT', {}) !== -ERRNOS.EIO
      : undefined;
    this.#events = new EventQueue(file, origin.path, present);
  }

  /** The file descriptor; -1 once closed. The context owns it: do not close it. */
  get fd(): number {
    return this.#closing === undefined ? this.#file.fd : -1;
  }

  /**
   * The name of its device node, such as 'afu0.0s', also for an adopted descriptor: by the AFU
   * that GET_AFU_ID returned. Undefined where the driver had no such ioctl, as OpenCAPI flash, or
   * the adopted context had been detached.
   */
  get name(): string | undefined {
    const { sysfsPath } = this.#origin;
    return sysfsPath?.slice(sysfsPath.lastIndexOf('/') + 1);
  }

  /**
   * The AFU that this is a context of, and so its attributes. Also once the context is detached
   * or closed.
   *
   * @throws where `name` is undefined, as afuId()
   */
  async afu(): Promise<Afu> {
    const numbers = this.name === undefined ? null : NODE_NAME.exec(this.name);
    if (numbers !== null) return this.#origin.findAfu(Number(numbers[1]), Number(numbers[2]));
    const { adapterNumber, slice } = this.afuId();
    return this.#origin.findAfu(adapterNumber, slice);
  }

  /** True once close() has been called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Whether attach() has succeeded. An adopted file counts as attached. */
  get attached(): boolean {
    return this.#attached && !this.closed;
  }

  /**
   * The process element by GET_PROCESS_ELEMENT; undefined while the kernel has none (in a guest
   * before attach, and once the context is detached). Source: afu_ioctl_process_element.
   */
  get processElement(): number | undefined {
    if (this.closed) return undefined;
    const answer = this.#askProcessElement();
    if (typeof answer === 'number' || answer.processElement === NO_PROCESS_ELEMENT)
      return undefined;
    return answer.processElement;
  }

  /**
   * Which AFU this is, by GET_AFU_ID.
   *
   * @throws EIO once detached or while the link is down; EINVAL or ENOTTY where the driver lacks
   *   this ioctl (kernels before 4.3, OpenCAPI flash). Source: afu_ioctl_get_afu_id.
   */
  afuId(): AfuId {
    this.#open();
    const answer = this.#file.ioctlSync('GET_AFU_ID', {});
    debugResult('ioctl(GET_AFU_ID)', this.path, answer);
    return decodeAfuId(unwrap(answer, 'ioctl(GET_AFU_ID)', this.path));
  }

  /**
   * Attaches this process's address space to the AFU and starts it on the work element
   * descriptor. The START_WORK ioctl runs on a thread of the addon, as it can take seconds.
   *
   * @throws AbortError; EIO when attached before or detached; EINVAL interrupts outside irqs_min to
   *   irqs_max; ENOSPC not enough interrupts left; EBUSY adapter being reset, or the AFU does
   *   not respond. Source: afu_ioctl_start_work.
   */
  async attach(options: AttachOptions): Promise<void> {
    this.#open();
    const work = startWork(options, ATTACH_OPTIONS);
    const signal = checkSignal(options.signal);
    throwIfAborted(signal);
    const call = async () => {
      const undo = this.#held.addForStart(this, options.holds ?? []);
      debugCall('ioctl(START_WORK)', this.path, work);
      this.#started(await this.#startWork(work, signal), work, undo);
    };
    const fields = { path: this.path, interrupts: work.numInterrupts };
    await (ATTACH.active ? ATTACH.promise(fields, call) : call());
  }

  /**
   * As attach(), but the ioctl runs on the calling thread, which it can block for seconds. The
   * `tid` option (POWER9) needs this: the AFU can then wake the thread that made the call, for
   * as long as that thread exists.
   *
   * @returns with the `tid` option the thread's id, to be passed to the AFU; 0 on POWER8
   * @throws as attach(); ENODEV or EINVAL where the kernel or processor cannot wake threads
   */
  attachSync(options: AttachSyncOptions): AttachSyncResult {
    this.#open();
    const checked = startWork(options, ATTACH_SYNC_OPTIONS);
    const tid = options.tid === undefined ? false : checkBoolean('options.tid', options.tid);
    const work = tid ? { ...checked, flags: checked.flags | START_WORK_FLAGS.TID } : checked;
    const call = () => {
      const undo = this.#held.addForStart(this, options.holds ?? []);
      debugCall('ioctl(START_WORK)', this.path, work);
      return this.#started(this.#file.ioctlSync('START_WORK', work), work, undo);
    };
    const fields = { path: this.path, interrupts: work.numInterrupts };
    const answer = ATTACH.active ? ATTACH.sync(fields, call) : call();
    this.#tid = tid ? answer.tid : undefined;
    return { tid: this.#tid };
  }

  #started(
    answer: AfuIoctls['START_WORK']['answer'] | NegativeErrno,
    work: StartWork,
    undo: () => void,
  ): AfuIoctls['START_WORK']['answer'] {
    debugResult('ioctl(START_WORK)', this.path, answer);
    if (typeof answer === 'number') {
      undo();
      throw systemError(answer, 'ioctl(START_WORK)', this.path);
    }
    this.#attached = true;
    this.#interrupts = work.numInterrupts;
    return answer;
  }

  /**
   * Maps the problem state area: shared, readable and writable.
   *
   * The first mapping of the process installs a SIGBUS handler, which turns a faulting access
   * into EIO and passes any other SIGBUS on to the handler installed before it. process.on('SIGBUS')
   * keeps working, before the first mapping and after it. A handler that native code installs later
   * replaces it until the next mapping; so does process.on('SIGBUS') where only workers use this
   * package: let the main thread open a context, or ask for an adapter, too.
   *
   * @throws EIO before attach, once detached, or while the link is down; EINVAL past the end of
   *   the area, or when the AFU has none; EBUSY AFU not enabled. Source: cxl_context_iomap.
   */
  mapProblemState(options: MapOptions = {}): ProblemState {
    this.#open();
    const { endian, offset, length: given } = checkMapOptions(options, this.#binding.pageSize);
    if (!this.#attached) throw systemError('EIO', 'mmap', this.path);
    const length = given ?? areaSize(this.#binding.sysfs, this.#origin) - offset;
    if (length <= 0) throw systemError('EINVAL', 'mmap', this.path);
    debug('mmap %s: %d bytes at %d', this.path, length, offset);
    const answer = this.#file.map(offset, length, endian);
    debugResult('mmap', this.path, typeof answer === 'number' ? answer : 0);
    const mapping = unwrap(answer, 'mmap', this.path);
    const state = new ProblemState(mapping, operandsOf(this.#binding.operands), this.path, (gone) =>
      this.#mappings.delete(gone),
    );
    this.#mappings.add(state);
    return state;
  }

  /**
   * Allocates memory for the AFU, as Cxl.allocate(), and holds it.
   *
   * @throws as Cxl.allocate()
   */
  allocate(size: number, options: AllocateOptions = {}): Memory {
    this.#open();
    return this.hold(allocateMemory(this.#binding, size, options));
  }

  /**
   * Allocates a pool of memory for the AFU, as Cxl.allocatePool(), and holds it, and so its pieces.
   *
   * @throws as Cxl.allocate()
   */
  allocatePool(size: number, options: AllocateOptions = {}): MemoryPool {
    this.#open();
    return this.hold(allocatePool(this.#binding, size, options));
  }

  /**
   * Holds memory: while this context is attached, it is neither freed nor collected, even if the
   * program keeps no reference to it or to the context. For memory whose address the AFU gets after
   * attach(); for what it gets before, there is the `holds` option of attach().
   *
   * The context lets go when it is closed, by release(), or when the driver detaches it. A copy of
   * its descriptor that another process has keeps the AFU attached after close(): what it can be led
   * to then is the caller's own risk.
   *
   * @returns `view`
   * @throws ERR_INVALID_STATE for a Memory that was freed
   */
  hold<T extends Holdable>(view: T): T {
    this.#open();
    this.#held.add(this, checkHoldable('view', view));
    return view;
  }

  /**
   * Lets go of memory that this context holds, however it came to hold it: the AFU has finished
   * with it. A Memory that was disposed of is freed then. Does nothing for other memory.
   */
  release(view: Holdable): void {
    this.#held.remove(checkMemory('view', view));
  }

  /**
   * The state of the link to the card, as far as the kernel has noticed: 'down' once it has
   * detached the context or found the link down; a link that just broke may still be 'up'.
   * 'unknown' for an adopted file whose driver does not say.
   */
  linkState(): 'up' | 'down' | 'unknown' {
    this.#open();
    const answer = this.#askProcessElement();
    if (typeof answer !== 'number') return 'up';
    return answer === -ERRNOS.EIO ? 'down' : 'unknown';
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
   * How many AFU-driver events and events of unknown type have been dropped: when waits for other
   * events have passed over 1024 of them, later ones are. Interrupts and faults never are.
   */
  get droppedEvents(): number {
    return this.#events.dropped;
  }

  /**
   * The context's events, in order. The iteration ends when the context is closed; it throws
   * AbortError when the signal aborts, and EIO when the context is detached, after the events
   * that were pending.
   */
  events(options: Omit<EventWaitOptions, 'timeout'> = {}): EventIterator<CxlEvent<Decoded>> {
    checkEventWaitOptions(options, { signal: true, spin: true });
    return new EventIterator(
      this.#events,
      () => this.#claim(),
      () =>
        WAIT.active
          ? WAIT.promise({ path: this.path, call: 'events' }, () => this.#nextEvent(options))
          : this.#nextEvent(options),
    );
  }

  /**
   * The next event, if one is pending now, of any type; undefined otherwise. It does not wait.
   *
   * @throws EIO detached; ERR_INVALID_STATE before attach, once closed, or while another call waits
   *   for events. Source: afu_read.
   */
  takeEvent(): CxlEvent<Decoded> | undefined {
    const reader = this.#claim();
    try {
      const event = this.#events.poll(findAny);
      return event === undefined ? undefined : this.#decode(event);
    } finally {
      this.#events.release(reader);
    }
  }

  /**
   * The next event; with `types`, the next of one of these types. Events of other types stay
   * pending for later calls, but for a data storage fault or an AFU error: unless it is in `types`,
   * it rejects the wait, as what is waited for may then never come.
   *
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * const context = await system.open('/dev/cxl/afu0.0s');
   * await context.attach({ wed: 0n });
   * system.card(0).afu(0).raiseInterrupt(0, 2);
   * const { irq } = await context.waitForEvent({ types: ['afu-interrupt'], timeout: 1000 });
   * console.log(irq); // 2
   * await context.close();
   * @throws AbortError; ETIMEDOUT, with a `timeout` of 0 if no event is pending; EIO detached;
   *   ECANCELED closed; ERR_INVALID_STATE before attach (there are no events yet) or while another
   *   call waits for events; with `types`, EFAULT data storage fault and EREMOTEIO AFU error, with
   *   the event as `event` of the error
   */
  waitForEvent<Type extends EventType = EventType>(
    options: EventOptions<Type> = {},
  ): Promise<EventOfType<Type, Decoded>> {
    if (!WAIT.active) return this.#waitForEvent(options);
    const fields = { path: this.path, call: 'waitForEvent' };
    return WAIT.promise(fields, () => this.#waitForEvent(options));
  }

  async #waitForEvent<Type extends EventType>(
    options: EventOptions<Type>,
  ): Promise<EventOfType<Type, Decoded>> {
    const { types, find } = checkEventOptions(options, EVENT_OPTIONS);
    const reader = this.#claim();
    try {
      const event = await this.#events.wait(find, 'waitForEvent', options);
      return this.#asked(event, types, 'waitForEvent');
    } finally {
      this.#events.release(reader);
    }
  }

  /**
   * As waitForEvent(), but blocks the calling thread: it sleeps in the kernel until the event comes,
   * and no other thread takes part, so that a worker or a command-line program gets it sooner.
   * Meanwhile the thread's event loop stands still: no timer, promise or other event of it is served.
   * So a `signal` could not abort it, but worker.terminate() ends it, and so does the card when it
   * goes into error or is unplugged. A signal that arrives, such as SIGINT, does not end it: without
   * a handler it ends the process as ever; a handler of process.on() runs after the wait. So the main
   * thread of a program that handles SIGINT should wait with a `timeout`, or in a worker.
   *
   * @throws as waitForEvent(), but AbortError and ECANCELED
   */
  waitForEventSync<Type extends EventType = EventType>(
    options: SyncEventOptions<Type> = {},
  ): EventOfType<Type, Decoded> {
    if (!WAIT.active) return this.#waitForEventSync(options);
    const fields = { path: this.path, call: 'waitForEventSync' };
    return WAIT.sync(fields, () => this.#waitForEventSync(options));
  }

  #waitForEventSync<Type extends EventType>(
    options: SyncEventOptions<Type>,
  ): EventOfType<Type, Decoded> {
    const { types, find } = checkEventOptions(options, SYNC_EVENT_OPTIONS);
    const reader = this.#claim();
    try {
      const event = this.#events.waitSync(find, 'waitForEventSync', options);
      return this.#asked(event, types, 'waitForEventSync');
    } finally {
      this.#events.release(reader);
    }
  }

  /** The event, decoded, unless it is a fault that ended a wait for others. */
  #asked<Type extends EventType>(
    event: CxlEvent,
    types: readonly Type[] | undefined,
    syscall: string,
  ): EventOfType<Type, Decoded> {
    if (isFault(event) && types !== undefined && !types.includes(event.type as Type)) {
      throw faultError(event, syscall, this.path);
    }
    return this.#decode(event) as EventOfType<Type, Decoded>;
  }

  /**
   * Waits for AFU interrupt `irq` (1 to the number of interrupts attached with). Other interrupts
   * and driver events stay pending for later calls.
   *
   * @throws as waitForEvent(); and on a data storage fault (EFAULT) or an AFU error
   *   (EREMOTEIO), with the event as `event` of the error; ERR_OUT_OF_RANGE beyond the
   *   `interrupts` of attach()
   */
  waitForInterrupt(irq: number, options: EventWaitOptions = {}): Promise<void> {
    if (!WAIT.active) return this.#waitForInterrupt(irq, options);
    const fields = { path: this.path, call: 'waitForInterrupt', irq };
    return WAIT.promise(fields, () => this.#waitForInterrupt(irq, options));
  }

  async #waitForInterrupt(irq: number, options: EventWaitOptions): Promise<void> {
    const find = this.#findInterrupt(irq);
    checkEventWaitOptions(options, EVENT_WAIT_OPTIONS);
    const reader = this.#claim();
    try {
      const event = await this.#events.wait(find, 'waitForInterrupt', options);
      if (isFault(event)) throw faultError(event, 'waitForInterrupt', this.path);
    } finally {
      this.#events.release(reader);
    }
  }

  /**
   * As waitForInterrupt(), but blocks the calling thread, as waitForEventSync().
   *
   * @example
   * import { cxl } from 'node-cxl';
   *
   * const memory = cxl.allocate(4096);
   * const context = await cxl.open('/dev/cxl/afu1.0s');
   * await context.attach({ wed: 0n, holds: [memory] });
   * context.mapProblemState().write64(0x10, memory.address);
   * // In a worker: the interrupt comes soon, and a core is to spare.
   * context.waitForInterruptSync(1, { timeout: 1000, spin: 50 });
   * await context.close();
   * @throws as waitForInterrupt(), but AbortError and ECANCELED
   */
  waitForInterruptSync(irq: number, options: SyncWaitOptions = {}): void {
    if (!WAIT.active) {
      this.#waitForInterruptSync(irq, options);
      return;
    }
    const fields = { path: this.path, call: 'waitForInterruptSync', irq };
    WAIT.sync(fields, () => this.#waitForInterruptSync(irq, options));
  }

  #waitForInterruptSync(irq: number, options: SyncWaitOptions): void {
    const find = this.#findInterrupt(irq);
    checkEventWaitOptions(options, SYNC_WAIT_OPTIONS);
    const reader = this.#claim();
    try {
      const event = this.#events.waitSync(find, 'waitForInterruptSync', options);
      if (isFault(event)) throw faultError(event, 'waitForInterruptSync', this.path);
    } finally {
      this.#events.release(reader);
    }
  }

  #findInterrupt(irq: number): Find {
    // A wait for an interrupt that the context does not have would never end.
    checkInteger('irq', irq, 1, this.#interrupts ?? 0xffff);
    return (pending) => pending.interrupt(irq, FAULTS);
  }

  /**
   * @internal Subscribes to the events that are no driver events; those stay pending, as they do for
   * waitForInterrupt(). Returns what ends the subscription; it also ends when it fails.
   *
   * @throws ERR_INVALID_STATE as waitForEvent()
   */
  subscribeToHardwareEvents(subscriber: Subscriber): () => void {
    const reader = this.#claim();
    const end = this.#events.subscribe(findHardwareEvent, {
      events: (events) => subscriber.events(events),
      failed: (error) => {
        this.#events.release(reader);
        subscriber.failed(error);
      },
    });
    return () => {
      end();
      this.#events.release(reader);
    };
  }

  /**
   * Blocks the calling thread until the AFU wakes it (POWER9, as cxl_afu_host_thread_wait() of
   * libcxl): with `memory`, until the 64-bit word at `offset` is not 0, which the AFU stores before
   * it wakes the thread; without, until the processor resumes the thread, which an interrupt of the
   * machine causes too, so that the program has to look whether there is something to do. It is
   * faster than an interrupt, as the kernel has no part in it. The event loop does not run meanwhile.
   *
   * @example
   * import { composeAfu, createMockCxl, onStore } from 'node-cxl/mock';
   *
   * // An AFU that wakes the thread whose id is stored to its register.
   * const model = composeAfu(
   *   { name: 'waker' },
   *   onStore(0x00, (tid, process) => process.wakeThread(Number(tid))),
   * );
   * const system = createMockCxl({ cards: [{ afus: [{ model }], caiaVersion: '2.0' }] });
   * const context = await system.open('/dev/cxl/afu0.0s');
   * const { tid = 0 } = context.attachSync({ wed: 0n, tid: true });
   * context.mapProblemState().write64(0x00, BigInt(tid));
   * context.waitForWakeup({ timeout: 1000 });
   * await context.close();
   * @throws ETIMEDOUT; EOPNOTSUPP (ENOTSUP) where the processor or the card cannot: on POWER8, in
   *   guests and on other machines; ERR_INVALID_STATE unless attached by attachSync({ tid: true })
   */
  waitForWakeup(options: WakeupOptions = {}): void {
    const { word, timeout } = checkWakeupOptions(options);
    this.#open();
    const tid = this.#tid;
    if (tid === undefined) {
      throw stateError(
        `${this.path}: only a thread that called attachSync({ tid: true }) is woken`,
      );
    }
    const call = () => waitForWakeup(this.#file, this.path, tid, word, timeout);
    if (WAIT.active) WAIT.sync({ path: this.path, call: 'waitForWakeup' }, call);
    else call();
  }

  /**
   * Ends waits, unmaps, detaches and closes. The close() runs on a thread of the addon: the
   * kernel waits until the hardware has terminated the process element. Idempotent. An adopted
   * descriptor that is not owned stays open. Source: afu_release.
   */
  close(): Promise<void> {
    this.#closing ??= CLOSE.active
      ? CLOSE.promise({ path: this.path }, () => this.#close())
      : this.#close();
    return this.#closing;
  }

  /** As close(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      path: this.path,
      state: this.#state(),
      fd: this.fd,
      mappings: this.#mappings.size,
    });
  }

  /** As far as the library knows: linkState() asks the driver. */
  #state(): 'opened' | 'attached' | 'detached' | 'closed' {
    if (this.closed) return 'closed';
    if (this.#events.detached) return 'detached';
    return this.#attached ? 'attached' : 'opened';
  }

  async #close(): Promise<void> {
    this.#events.close();
    // A live mapping would keep the context attached after close().
    for (const mapping of [...this.#mappings]) mapping.unmap();
    debug('close %s', this.path);
    const answer = await this.#file.close();
    debugResult('close', this.path, answer);
    this.#held.clear();
    if (answer < 0) throw systemError(answer, 'close', this.path);
  }

  #open(): void {
    if (this.closed) throw stateError(`${this.path}: this context is closed`);
  }

  #claim(): symbol {
    this.#open();
    if (!this.#attached) {
      throw stateError(`${this.path}: there are no events before attach()`);
    }
    return this.#events.claim();
  }

  async #nextEvent(options: EventWaitOptions): Promise<CxlEvent<Decoded>> {
    return this.#decode(await this.#events.wait(findAny, 'read', options));
  }

  #askProcessElement(): AfuIoctls['GET_PROCESS_ELEMENT']['answer'] | NegativeErrno {
    const answer = this.#file.ioctlSync('GET_PROCESS_ELEMENT', {});
    debugResult('ioctl(GET_PROCESS_ELEMENT)', this.path, answer);
    return answer;
  }

  #decode(event: CxlEvent): CxlEvent<Decoded> {
    if (event.type !== 'afu-driver' || this.#decoder === undefined) {
      return event as CxlEvent<Decoded>;
    }
    return { ...event, decoded: this.#decoder(event.data, event.processElement) };
  }

  async #startWork(work: StartWork, signal: AbortSignal | undefined) {
    try {
      const running = this.#file.ioctl('START_WORK', work);
      return await abortable(running, signal, async () => {});
    } catch (error) {
      // Only an abort rejects. What is held is let go once the file is closed, after the ioctl.
      this.close().catch((failed) => debug('close %s: %o', this.path, failed));
      throw error;
    }
  }
}
