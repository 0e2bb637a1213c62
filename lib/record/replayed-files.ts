/** Open device files of a recording. */
import type {
  AfuFile,
  DeviceFile,
  EventSink,
  NegativeErrno,
  ProblemStateMapping,
} from '../binding';
import type { AfuIoctls } from '../binding/cxl-ioctls';
import type { IoctlMap } from '../binding/files';
import type { Operands } from '../binding/operands';
import { later } from '../emulation/later';
import { realTimers } from '../emulation/real-timers';
import { ERRNOS } from '../shared/errno';
import type { CallStep, EventsStep, Lane } from './plan';
import type { ReturnRecord } from './records';
import { ReplayedMapping } from './replayed-mapping';
import type { Replayer } from './replayer';

/** Milliseconds without any call, after which a wait for events that cannot come is a departure. */
const STALL_TIME = 2000;
/** Atomics.wait() on it blocks the thread for its time. */
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

/** What a call returned: the answer, or -errno; nothing where the program cleans up. */
export function answerOf(replayer: Replayer, step: CallStep | undefined): unknown {
  if (step === undefined) return 0;
  if (step.answer === undefined) throw replayer.unfinished(step);
  return step.answer.errno ?? step.answer.answer ?? 0;
}

/** As answerOf(), when as much time has passed as the replay wants. */
export async function laterAnswerOf(
  replayer: Replayer,
  step: CallStep | undefined,
): Promise<unknown> {
  const answer = answerOf(replayer, step);
  await later(step === undefined ? 0 : replayer.duration(step));
  return answer;
}

function fieldsOf(input: object): Record<string, unknown> {
  return { ...input };
}

export class ReplayedFile<Ioctls extends IoctlMap<Ioctls>> implements DeviceFile<Ioctls> {
  protected readonly lane: Lane;
  protected readonly replayer: Replayer;
  readonly #fd: number;
  #closing: Promise<number> | undefined;

  constructor(fd: number, lane: Lane, replayer: Replayer) {
    this.#fd = fd;
    this.lane = lane;
    this.replayer = replayer;
  }

  get fd(): number {
    return this.#closing === undefined ? this.#fd : -1;
  }

  async ioctl<Name extends keyof Ioctls>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer'] | NegativeErrno> {
    const step = this.replayer.call(this.lane, `ioctl(${String(name)})`, fieldsOf(input));
    const answer = (await laterAnswerOf(this.replayer, step)) as object | number;
    // Of AFU_DEBUG: what the driver filled it with.
    const { data } = input as { data?: Uint8Array };
    if (name !== 'AFU_DEBUG' || typeof answer === 'number' || data === undefined) return answer;
    const { data: filled, ...fields } = answer as { data: Uint8Array };
    data.set(filled);
    return fields;
  }

  close(): Promise<number> {
    this.#closing ??= this.ended();
    return this.#closing;
  }

  protected async ended(): Promise<number> {
    return (await laterAnswerOf(
      this.replayer,
      this.replayer.call(this.lane, 'close', {}),
    )) as number;
  }
}

export class ReplayedAfuFile extends ReplayedFile<AfuIoctls> implements AfuFile {
  readonly #operands: Operands;
  #sink: EventSink | undefined;
  #armed = false;
  #keepAlive: NodeJS.Timeout | undefined;
  #delivery: NodeJS.Timeout | undefined;
  #stall: NodeJS.Timeout | undefined;

  constructor(fd: number, lane: Lane, operands: Operands, replayer: Replayer) {
    super(fd, lane, replayer);
    this.#operands = operands;
  }

  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno {
    const call = `ioctl(${name})`;
    const fields = fieldsOf(input);
    if (name === 'START_WORK') {
      return answerOf(this.replayer, this.replayer.call(this.lane, call, fields)) as
        | AfuIoctls[Name]['answer']
        | NegativeErrno;
    }
    return this.#asked(call, 0, fields) as AfuIoctls[Name]['answer'] | NegativeErrno;
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    const input = { offset, length, endian };
    const { replayer, lane } = this;
    // One that failed, as the library asks whether a context is started, may be repeated.
    if (replayer.asksBefore(lane, 'mmap', offset) || !replayer.isNext(lane, 'mmap', input)) {
      const refused = replayer.load(lane, 'mmap', offset);
      if (refused !== undefined) return (refused.record as ReturnRecord).errno ?? -ERRNOS.EIO;
    }
    replayer.call(lane, 'mmap', input);
    return new ReplayedMapping(offset, length, lane, this.#operands, replayer);
  }

  onEvents(sink: EventSink): void {
    this.#sink = sink;
  }

  arm(): number {
    if (this.#armed) return 0;
    const errno = this.#wait('arm')?.answer?.errno;
    if (errno !== undefined) return errno;
    if (this.replayer.nextEvents(this.lane) === 'none' && !this.#waitedInVain()) {
      throw this.replayer.noEvents(this.lane);
    }
    this.#armed = true;
    // A wait keeps the process alive.
    this.#keepAlive = realTimers.setInterval(() => undefined, 0x7fff_ffff);
    this.replayer.onProgress.add(this.#check);
    this.#check();
    return 0;
  }

  disarm(): void {
    this.#armed = false;
    realTimers.clearInterval(this.#keepAlive);
    realTimers.clearTimeout(this.#delivery);
    realTimers.clearTimeout(this.#stall);
    this.#delivery = undefined;
    this.replayer.onProgress.delete(this.#check);
  }

  readSync(milliseconds: number): number {
    const wait = this.#wait('readSync');
    const next = this.replayer.nextEvents(this.lane);
    if (milliseconds === 0) {
      // Whether there was something depended on the time alone.
      if (wait === undefined || wait.answer?.errno !== undefined) return -ERRNOS.EAGAIN;
    } else if (next === 'blocked' || (next === 'none' && !this.#waitedInVain())) {
      // While the thread waits nothing else can be done that they wait for.
      throw this.replayer.noEvents(this.lane);
    }
    if (typeof next === 'number') {
      Atomics.wait(NEVER_NOTIFIED, 0, 0, Math.min(next, milliseconds));
      return next > milliseconds ? -ERRNOS.EAGAIN : -ERRNOS.EINTR;
    }
    if (typeof next !== 'object') return -ERRNOS.EAGAIN;
    this.#deliver(next);
    return 0;
  }

  waitForWakeup(_word: BigUint64Array | undefined, milliseconds: number): number {
    return this.#asked('waitForWakeup', 0, { milliseconds }) as number;
  }

  closeBeforeMemory(): void {}

  protected override ended(): Promise<number> {
    this.disarm();
    return super.ended();
  }

  #asked(name: string, offset: number, input: Record<string, unknown>): unknown {
    const { record } = this.replayer.required(this.lane, name, offset, input);
    const { errno, answer } = record as ReturnRecord;
    return errno ?? answer;
  }

  /** The next wait of this kind that was recorded, where it may come now. */
  #wait(name: 'arm' | 'readSync'): CallStep | undefined {
    const wait = this.lane.waits.find((step) => !step.done && step.name === name);
    if (wait === undefined || wait.seq > this.lane.group.pending) return undefined;
    wait.done = true;
    return wait;
  }

  /** Whether a wait was recorded after the last events: one that ended by itself. */
  #waitedInVain(): boolean {
    const last = this.lane.events.at(-1)?.seq ?? -1;
    return this.lane.waits.some(({ name, seq }) => name !== 'disarm' && seq > last);
  }

  readonly #check = (): void => {
    realTimers.clearTimeout(this.#stall);
    if (!this.#armed || this.#delivery !== undefined) return;
    const next = this.replayer.nextEvents(this.lane);
    if (next === 'none') return;
    if (next === 'blocked') {
      this.#stall = realTimers.setTimeout(() => {
        throw this.replayer.noEvents(this.lane);
      }, STALL_TIME);
      return;
    }
    const left = typeof next === 'number' ? next : 0;
    this.#delivery = realTimers.setTimeout(() => {
      this.#delivery = undefined;
      const now = this.replayer.nextEvents(this.lane);
      if (typeof now === 'object') this.#deliver(now);
      else this.#check();
    }, left);
  };

  #deliver(step: EventsStep): void {
    this.disarm();
    this.replayer.takeEvents(this.lane, step);
    const { bytes, errno } = step.record;
    this.#sink?.(bytes, bytes.length, errno);
  }
}
