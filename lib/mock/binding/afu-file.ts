/** The AfuFile part of the seam: a descriptor of a modeled context. */
import type { AfuFile, EventSink, NegativeErrno, ProblemStateMapping } from '../../binding';
import type { AfuIoctls, StartWork } from '../../binding/cxl-ioctls';
import { ERRNOS } from '../../shared/errno';
import type { CxlContext, PreparedStart } from '../kernel/context';
import { CXL_READ_MIN_SIZE } from '../kernel/event-bytes';
import type { RefusableCall } from '../kernel/fault-spec';
import type { Kernel } from '../kernel/kernel';
import type { OpenFile } from '../kernel/open-file';
import { stackAbove, type Traced } from '../kernel/origin';
import { MockMapping } from '../kernel/problem-state';
import { realTimers } from '../models/real-timers';
import { MockDeviceFile } from './device-file';
import { later } from './sysfs';

/** Bytes of events that a batch has at most. Other events stay in the kernel, which coalesces them. */
const BATCH_SIZE = 16 * CXL_READ_MIN_SIZE;

/** Atomics.wait() on it blocks the thread for its time. */
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

export class MockAfuFile implements AfuFile {
  readonly #kernel: Kernel;
  readonly #file: OpenFile;
  readonly #context: CxlContext;
  readonly #fd: number;
  readonly #wait: EventWait;
  readonly #device: MockDeviceFile<AfuIoctls>;
  /** The ioctls on the calling thread. */
  readonly #ioctls: {
    readonly [Name in keyof AfuIoctls]: (
      input: AfuIoctls[Name]['input'],
    ) => AfuIoctls[Name]['answer'] | NegativeErrno;
  };

  constructor(kernel: Kernel, file: OpenFile, fd: number, ownsFd: boolean) {
    const { faults } = kernel;
    const context = file.context!;
    this.#kernel = kernel;
    this.#file = file;
    this.#context = context;
    this.#fd = fd;
    this.#wait = new EventWait(context, () => this.#read);
    this.#ioctls = {
      START_WORK: (work) => this.#startWorkSync(work),
      GET_PROCESS_ELEMENT: () =>
        faults.refusal('process-element', context.place) || context.ioctlProcessElement(),
      GET_AFU_ID: () => faults.refusal('afu-id', context.place) || context.ioctlAfuId(),
    };
    this.#device = new MockDeviceFile<AfuIoctls>(
      fd,
      (name, input) =>
        name === 'START_WORK' ? this.#startWork(input as StartWork) : this.#ioctls[name](input),
      'in-order',
      async () => {
        await later(faults.delay('close'));
        const { place } = context;
        const closed = ownsFd ? kernel.closeFd(fd) : 0;
        return faults.refusal('close', place) || closed;
      },
    );
  }

  get fd(): number {
    return this.#device.fd;
  }

  /** Whether the descriptor is open: the owner of an adopted one can close it at any time. */
  get #open(): boolean {
    return this.fd >= 0 && this.#kernel.files.get(this.#fd) === this.#file;
  }

  async ioctl<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): Promise<AfuIoctls[Name]['answer'] | NegativeErrno> {
    return this.#open ? this.#device.ioctl(name, input) : -ERRNOS.EBADF;
  }

  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno {
    return this.#open ? this.#ioctls[name](input) : -ERRNOS.EBADF;
  }

  async #startWork(work: StartWork): Promise<AfuIoctls['START_WORK']['answer'] | NegativeErrno> {
    // Its owner may have closed the descriptor meanwhile.
    const open = this.#kernel.files.get(this.#fd) === this.#file;
    const start = open ? this.#prepare(work) : -ERRNOS.EBADF;
    if (typeof start === 'number') return start;
    const delay = this.#attachDelay();
    await later(Math.min(delay, this.#kernel.options.attachTimeout));
    return this.#finish(start, delay);
  }

  #startWorkSync(work: StartWork): AfuIoctls['START_WORK']['answer'] | NegativeErrno {
    const start = this.#prepare(work);
    if (typeof start === 'number') return start;
    // It takes no time, which would block the event loop.
    return this.#finish(start, this.#attachDelay());
  }

  #prepare(work: StartWork): PreparedStart | NegativeErrno {
    return this.#refusal('start-work') || this.#context.prepareStart(work);
  }

  #attachDelay(): number {
    return this.#context.afu.takeAttachDelay() + this.#kernel.faults.delay('start-work');
  }

  #finish(start: PreparedStart, delay: number): AfuIoctls['START_WORK']['answer'] | NegativeErrno {
    if (delay <= this.#kernel.options.attachTimeout) return this.#context.finishStart(start);
    this.#context.abandonStart(start);
    return -ERRNOS.EBUSY;
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    if (!this.#open) return -ERRNOS.EBADF;
    const refused = this.#refusal('map') || this.#context.checkMap(offset, length);
    return refused || new MockMapping(this.#context, this.#file, offset, length, endian);
  }

  onEvents(sink: EventSink): void {
    this.#wait.sink = sink;
  }

  arm(): void {
    if (this.fd >= 0) this.#wait.arm();
  }

  disarm(): void {
    this.#wait.disarm();
  }

  readNow(): boolean {
    if (!this.#open) return false;
    this.#kernel.scheduler.poke();
    return this.#wait.readNow();
  }

  /** The AFU models run meanwhile: they have no thread of their own. */
  waitForWakeup(word: BigUint64Array | undefined, milliseconds: number): number {
    const end = performance.now() + milliseconds;
    for (;;) {
      this.#kernel.scheduler.poke();
      const woken = this.#kernel.takeWakeup();
      if (word === undefined ? woken : word[0] !== 0n) return 0;
      if (performance.now() >= end) return -ERRNOS.EAGAIN;
      Atomics.wait(NEVER_NOTIFIED, 0, 0, 1);
    }
  }

  /** The mock of a worker ends as a whole. */
  closeBeforeMemory(): void {}

  readonly #read = (target: Uint8Array): number =>
    this.#refusal('read') || this.#context.read(target);

  #refusal(name: RefusableCall): number {
    return this.#kernel.faults.refusal(name, this.#context.place);
  }

  close(): Promise<number> {
    this.#wait.disarm();
    return this.#device.close();
  }
}

/**
 * Waits for one batch of events, as poll() does: until the context is readable or in error. The
 * detach of a context that was not started ends no wait.
 */
class EventWait implements Traced {
  /** Of the wait in progress. Its text is made only for an assertion: a program waits often. */
  #stack: Error | undefined;
  sink: EventSink | undefined;
  readonly #context: CxlContext;
  readonly #reader: () => (target: Uint8Array) => number;
  readonly #buffer = new Uint8Array(BATCH_SIZE);
  #stopWatching: (() => void) | undefined;
  #keepAlive: NodeJS.Timeout | undefined;
  #delivery: NodeJS.Immediate | undefined;

  constructor(context: CxlContext, reader: () => (target: Uint8Array) => number) {
    this.#context = context;
    this.#reader = reader;
  }

  get what(): string {
    const { afu, processElement } = this.#context;
    return `a wait for events: ${afu.name}, process element ${processElement}`;
  }

  get origin(): string {
    return this.#stack?.stack ?? '';
  }

  arm(): void {
    if (this.#stopWatching !== undefined) return;
    this.#stack = stackAbove(this.arm);
    this.#stopWatching = this.#context.onWake(() => this.#check());
    this.#context.afu.kernel.waitBegan(this.#context, this);
    // A wait keeps the Node process alive, as in the addon; the timer of the AFU models does not.
    this.#keepAlive = realTimers.setInterval(() => undefined, 0x7fff_ffff);
    this.#check();
  }

  disarm(): void {
    this.#context.afu.kernel.waits.delete(this);
    this.#stack = undefined;
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    realTimers.clearInterval(this.#keepAlive);
    if (this.#delivery !== undefined) realTimers.clearImmediate(this.#delivery);
    this.#delivery = undefined;
  }

  #check(): void {
    const { readable, error } = this.#context.poll();
    if (!readable && !error) return;
    this.#delivery ??= realTimers.setImmediate(() => this.#deliver());
  }

  /** As the event thread's read, at once. False: there was nothing. */
  readNow(): boolean {
    const { readable, error } = this.#context.poll();
    return (readable || error) && this.#deliver();
  }

  #deliver(): boolean {
    this.#delivery = undefined;
    const read = this.#reader();
    let length = 0;
    let errno = 0;
    while (errno === 0 && length + CXL_READ_MIN_SIZE <= this.#buffer.length) {
      const answer = read(this.#buffer.subarray(length));
      if (answer < 0) errno = answer;
      else length += answer;
    }
    if (errno === -ERRNOS.EAGAIN) errno = 0;
    // Another reader took the event: the wait continues.
    if (length === 0 && errno === 0) return false;
    this.disarm();
    this.sink?.(this.#buffer, length, errno);
    return true;
  }
}
