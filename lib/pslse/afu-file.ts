/** The AfuFile part of the seam: a context of the daemon. */
import type { AfuFile, EventSink, NegativeErrno, ProblemStateMapping } from '../binding';
import type { AfuIoctls, StartWork } from '../binding/cxl-ioctls';
import { QueuedDeviceFile } from '../emulation/device-file';
import { EventWait } from '../emulation/event-wait';
import { realTimers } from '../emulation/real-timers';
import { ERRNOS } from '../shared/errno';
import { callAsync } from './answer';
import type { PslseContext } from './context';
import { PslseMapping } from './mapping';
import type { Shared } from './shared-state';

/** There are no descriptors: these numbers are above those that a process has. */
const FIRST_FD = 1 << 21;
let nextFd = FIRST_FD;

export class PslseAfuFile implements AfuFile {
  readonly #shared: Shared;
  readonly #context: PslseContext;
  readonly #wait: EventWait;
  readonly #device: QueuedDeviceFile<AfuIoctls>;

  constructor(shared: Shared, context: PslseContext) {
    this.#shared = shared;
    this.#context = context;
    this.#wait = new EventWait(context);
    this.#device = new QueuedDeviceFile<AfuIoctls>(
      nextFd++,
      (name, input) =>
        name === 'START_WORK'
          ? callAsync(context.start(input as StartWork))
          : this.#ask(name as 'GET_AFU_ID' | 'GET_PROCESS_ELEMENT'),
      'in-order',
      async () => {
        await callAsync(context.stop());
        await context.ended;
        return 0;
      },
    );
  }

  get fd(): number {
    return this.#device.fd;
  }

  ioctl<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): Promise<AfuIoctls[Name]['answer'] | NegativeErrno> {
    return this.#device.ioctl(name, input);
  }

  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno {
    if (this.fd < 0) return -ERRNOS.EBADF;
    return name === 'START_WORK'
      ? this.#shared.pump.callSync(this.#context.start(input as StartWork))
      : this.#ask(name as 'GET_AFU_ID' | 'GET_PROCESS_ELEMENT');
  }

  #ask(name: 'GET_AFU_ID' | 'GET_PROCESS_ELEMENT') {
    return name === 'GET_AFU_ID' ? this.#context.ioctlAfuId() : this.#context.ioctlProcessElement();
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    if (this.fd < 0) return -ERRNOS.EBADF;
    const refused = this.#context.checkMap(offset, length);
    return refused || new PslseMapping(this.#shared, this.#context, offset, length, endian);
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

  /** An event takes the daemon milliseconds: spinning would gain nothing. */
  readSync(milliseconds: number): number {
    if (this.fd < 0) return -ERRNOS.EBADF;
    const end = realTimers.now() + milliseconds;
    const read = () => this.#wait.readNow();
    const came = this.#shared.pump.blockUntil(read, () => end - realTimers.now());
    return came ? 0 : -ERRNOS.EAGAIN;
  }

  /** The daemon cannot wake threads. */
  waitForWakeup(): number {
    return -ERRNOS.EOPNOTSUPP;
  }

  /** Memory is this thread's, and so is the connection that serves it. */
  closeBeforeMemory(): void {}

  close(): Promise<number> {
    this.#wait.disarm();
    return this.#device.close();
  }
}
