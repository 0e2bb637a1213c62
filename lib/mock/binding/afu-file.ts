/** The AfuFile part of the seam: a descriptor of a modelled context. */
import type { AfuFile, EventSink, ProblemStateMapping, RawAfuId, StartWork } from '../../binding';
import { errnos } from '../../shared/errors';
import { block } from '../device/faults';
import type { Context, PreparedStart } from '../kernel/context';
import { readMinimum } from '../kernel/event-bytes';
import type { OpenFile } from '../kernel/files';
import type { Kernel } from '../kernel/kernel';
import { MockMapping } from '../kernel/problem-state';
import { later } from './sysfs';

/** Bytes of events in a batch at most: what is left stays in the kernel, which coalesces. */
const batchSize = 16 * readMinimum;

export class MockAfuFile implements AfuFile {
  readonly #kernel: Kernel;
  readonly #file: OpenFile;
  readonly #context: Context;
  readonly #ownsFd: boolean;
  readonly #wait: EventWait;
  #fd: number;
  /** close() has been carried out, not only asked for. */
  #closed = false;
  /** What can block is done in order, as on one control thread. */
  #control: Promise<unknown> = Promise.resolve();

  constructor(kernel: Kernel, file: OpenFile, fd: number, ownsFd: boolean) {
    this.#kernel = kernel;
    this.#file = file;
    this.#context = file.context!;
    this.#fd = fd;
    this.#ownsFd = ownsFd;
    this.#wait = new EventWait(this.#context, () => this.#read);
  }

  get fd(): number {
    return this.#fd;
  }

  /** A descriptor that is not owned can be closed by its owner. */
  get #open(): boolean {
    return this.#fd >= 0 && this.#kernel.files.get(this.#fd) === this.#file;
  }

  startWork(work: StartWork): Promise<number> {
    const fd = this.#fd;
    return this.#onControl(async () => {
      // A close() asked for later comes after it.
      const open = !this.#closed && this.#kernel.files.get(fd) === this.#file;
      const start = open ? this.#prepare(work) : -errnos.EBADF;
      if (typeof start === 'number') return start;
      const delay = this.#attachDelay();
      await later(Math.min(delay, this.#kernel.options.attachTimeout));
      return this.#finish(start, delay);
    });
  }

  startWorkSync(work: StartWork): number {
    const start = this.#open ? this.#prepare(work) : -errnos.EBADF;
    if (typeof start === 'number') return start;
    const delay = this.#attachDelay();
    block(Math.min(delay, this.#kernel.options.attachTimeout));
    return this.#finish(start, delay);
  }

  #prepare(work: StartWork): PreparedStart | number {
    return this.#kernel.faults.refusal('start-work') || this.#context.prepareStart(work);
  }

  #attachDelay(): number {
    return this.#context.afu.takeAttachDelay() + this.#kernel.faults.delay('start-work');
  }

  #finish(start: PreparedStart, delay: number): number {
    if (delay <= this.#kernel.options.attachTimeout) return this.#context.finishStart(start);
    this.#context.abandonStart(start);
    return -errnos.EBUSY;
  }

  processElement(): number {
    if (!this.#open) return -errnos.EBADF;
    return this.#kernel.faults.refusal('process-element') || this.#context.ioctlProcessElement();
  }

  afuId(): RawAfuId | number {
    if (!this.#open) return -errnos.EBADF;
    return this.#kernel.faults.refusal('afu-id') || this.#context.ioctlAfuId();
  }

  map(offset: number, length: number, endian: 'big' | 'little'): ProblemStateMapping | number {
    if (!this.#open) return -errnos.EBADF;
    const refused = this.#kernel.faults.refusal('map') || this.#context.checkMap(offset, length);
    return refused || new MockMapping(this.#context, this.#file, offset, length, endian);
  }

  onEvents(sink: EventSink): void {
    this.#wait.sink = sink;
  }

  arm(): void {
    if (this.#fd >= 0) this.#wait.arm();
  }

  disarm(): void {
    this.#wait.disarm();
  }

  readonly #read = (target: Uint8Array): number =>
    this.#kernel.faults.refusal('read') || this.#context.read(target);

  close(): Promise<number> {
    this.#wait.disarm();
    const fd = this.#fd;
    this.#fd = -1;
    if (fd < 0) return Promise.resolve(0);
    return this.#onControl(async () => {
      await later(this.#kernel.faults.delay('close'));
      this.#closed = true;
      const closed = this.#ownsFd ? this.#kernel.closeFd(fd) : 0;
      return this.#kernel.faults.refusal('close') || closed;
    });
  }

  #onControl<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#control.then(() => later()).then(action);
    this.#control = done.catch(() => undefined);
    return done;
  }
}

/**
 * One request for events at a time. As with poll(), it is answered when the context is
 * readable or in error; a context that dies unstarted wakes nobody.
 */
class EventWait {
  sink: EventSink | undefined;
  readonly #context: Context;
  readonly #reader: () => (target: Uint8Array) => number;
  readonly #buffer = new Uint8Array(batchSize);
  #stopWatching: (() => void) | undefined;
  #keepAlive: NodeJS.Timeout | undefined;
  #delivery: NodeJS.Immediate | undefined;

  constructor(context: Context, reader: () => (target: Uint8Array) => number) {
    this.#context = context;
    this.#reader = reader;
  }

  arm(): void {
    if (this.#stopWatching !== undefined) return;
    this.#stopWatching = this.#context.onWake(() => this.#look());
    // A native wait keeps the process alive; the accelerators' own ticks do not.
    this.#keepAlive = setInterval(() => undefined, 0x7fff_ffff);
    this.#look();
  }

  disarm(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    clearInterval(this.#keepAlive);
    if (this.#delivery !== undefined) clearImmediate(this.#delivery);
    this.#delivery = undefined;
  }

  #look(): void {
    const { readable, error } = this.#context.poll();
    if (!readable && !error) return;
    this.#delivery ??= setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#delivery = undefined;
    const read = this.#reader();
    let length = 0;
    let errno = 0;
    while (errno === 0 && length + readMinimum <= this.#buffer.length) {
      const answer = read(this.#buffer.subarray(length));
      if (answer < 0) errno = answer;
      else length += answer;
    }
    if (errno === -errnos.EAGAIN) errno = 0;
    // Somebody else read what woke us: the wait goes on.
    if (length === 0 && errno === 0) return;
    this.disarm();
    this.sink?.(this.#buffer, length, errno);
  }
}
