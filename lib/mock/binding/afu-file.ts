/** The AfuFile part of the seam: a descriptor of a modeled context. */
import type { AfuFile, EventSink, NegativeErrno, ProblemStateMapping } from '../../binding';
import type { AfuIoctls, StartWork } from '../../binding/cxl-ioctls';
import { QueuedDeviceFile } from '../../emulation/device-file';
import { type EventSource, EventWait } from '../../emulation/event-wait';
import { later } from '../../emulation/later';
import { stackAbove, type Traced } from '../../emulation/origin';
import { realTimers } from '../../emulation/real-timers';
import { ERRNOS } from '../../shared/errno';
import type { CxlContext, PreparedStart } from '../kernel/context';
import type { RefusableCall } from '../kernel/fault-spec';
import type { Kernel } from '../kernel/kernel';
import type { OpenFile } from '../kernel/open-file';
import { MockMapping } from '../kernel/problem-state';

/** Atomics.wait() on it blocks the thread for its time. */
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

export class MockAfuFile implements AfuFile {
  readonly #kernel: Kernel;
  readonly #file: OpenFile;
  readonly #context: CxlContext;
  readonly #fd: number;
  readonly #wait: TracedWait;
  readonly #device: QueuedDeviceFile<AfuIoctls>;
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
    this.#wait = new TracedWait(context, {
      poll: () => context.poll(),
      onWake: (callback) => context.onWake(callback),
      read: (target) => this.#read(target),
    });
    this.#ioctls = {
      START_WORK: (work) => this.#startWorkSync(work),
      GET_PROCESS_ELEMENT: () =>
        faults.refusal('process-element', context.place) || context.ioctlProcessElement(),
      GET_AFU_ID: () => faults.refusal('afu-id', context.place) || context.ioctlAfuId(),
    };
    this.#device = new QueuedDeviceFile<AfuIoctls>(
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

  arm(): number {
    if (this.fd < 0) return -ERRNOS.EBADF;
    this.#wait.arm();
    return 0;
  }

  disarm(): void {
    this.#wait.disarm();
  }

  readSync(milliseconds: number, spin: number): number {
    const read = () => this.#open && this.#wait.readNow();
    return this.#block(read, milliseconds, spin) ? 0 : -ERRNOS.EAGAIN;
  }

  waitForWakeup(word: BigUint64Array | undefined, milliseconds: number): number {
    const woken = () => {
      const called = this.#kernel.takeWakeup();
      return word === undefined ? called : word[0] !== 0n;
    };
    return this.#block(woken, milliseconds, 0) ? 0 : -ERRNOS.EAGAIN;
  }

  /**
   * Blocks the thread until `over` returns true, or so many milliseconds have passed: false. The AFU
   * models, and the kernel's timers, run meanwhile: they have no thread of their own.
   */
  #block(over: () => boolean, milliseconds: number, spin: number): boolean {
    const start = realTimers.now();
    for (;;) {
      this.#kernel.scheduler.poke();
      this.#kernel.timers.runDue();
      if (over()) return true;
      const elapsed = realTimers.now() - start;
      if (elapsed >= milliseconds) return false;
      if (elapsed * 1000 >= spin) Atomics.wait(NEVER_NOTIFIED, 0, 0, 1);
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

/** A wait that assertions on what is left over can name. */
class TracedWait extends EventWait implements Traced {
  /** Of the wait in progress. Its text is made only for an assertion: a program waits often. */
  #stack: Error | undefined;
  readonly #context: CxlContext;

  constructor(context: CxlContext, source: EventSource) {
    super(source);
    this.#context = context;
  }

  get what(): string {
    const { afu, processElement } = this.#context;
    return `a wait for events: ${afu.name}, process element ${processElement}`;
  }

  get origin(): string {
    return this.#stack?.stack ?? '';
  }

  override arm(): void {
    if (this.armed) return;
    this.#stack = stackAbove(this.arm);
    super.arm();
    this.#context.afu.kernel.waitBegan(this.#context, this);
  }

  override disarm(): void {
    this.#context.afu.kernel.waits.delete(this);
    this.#stack = undefined;
    super.disarm();
  }
}
