/** Open device files whose calls are recorded. */
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
import { RecordedMapping } from './recorded-mapping';
import type { Recorder } from './recorder';
import type { RecordedCallName } from './records';

/** A recorded file of any driver. */
export class RecordedFile<Ioctls extends IoctlMap<Ioctls>> implements DeviceFile<Ioctls> {
  protected readonly id: number;
  protected readonly recorder: Recorder;
  readonly #file: DeviceFile<Ioctls>;
  #closing: Promise<number> | undefined;

  constructor(file: DeviceFile<Ioctls>, id: number, recorder: Recorder) {
    this.#file = file;
    this.id = id;
    this.recorder = recorder;
  }

  get fd(): number {
    return this.#file.fd;
  }

  async ioctl<Name extends keyof Ioctls>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer'] | NegativeErrno> {
    const call = this.beginIoctl(name, input);
    const answer = await this.#file.ioctl(name, input);
    // Of AFU_DEBUG: the driver may have filled it.
    const { data } = input as { data?: Uint8Array };
    const filled = name === 'AFU_DEBUG' && typeof answer !== 'number' && data !== undefined;
    this.endIoctl(name, call, filled ? { ...(answer as object), data } : answer);
    return answer;
  }

  close(): Promise<number> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<number> {
    const call = this.recorder.begin('close', this.id, {});
    const answer = await this.#file.close();
    this.recorder.closed(this.id);
    this.recorder.end(call, answer);
    return answer;
  }

  protected beginIoctl(name: PropertyKey, input: object): number {
    if (name === 'START_WORK') {
      this.recorder.compare('program');
      // The device may run before the call returns.
      this.recorder.started(this.id);
    }
    return this.recorder.begin(ioctlName(name), this.id, copied(input));
  }

  protected endIoctl(name: PropertyKey, call: number, answer: unknown): void {
    if (name === 'START_WORK' && typeof answer === 'number') this.recorder.closed(this.id);
    this.recorder.end(call, answer);
  }
}

function ioctlName(name: PropertyKey): RecordedCallName {
  return `ioctl(${String(name)})`;
}

/** Recorded at once, so that bytes need no copy. */
function copied(input: object): Record<string, unknown> {
  return { ...input };
}

/** A recorded file of an AFU: a context. */
export class RecordedAfuFile extends RecordedFile<AfuIoctls> implements AfuFile {
  readonly #file: AfuFile;
  readonly #operands: Operands;
  #armed = false;

  constructor(file: AfuFile, id: number, operands: Operands, recorder: Recorder) {
    super(file, id, recorder);
    this.#file = file;
    this.#operands = operands;
  }

  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno {
    const call = this.beginIoctl(name, input);
    const answer = this.#file.ioctlSync(name, input);
    this.endIoctl(name, call, answer);
    return answer;
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    const call = this.recorder.begin('mmap', this.id, { offset, length, endian });
    const mapping = this.#file.map(offset, length, endian);
    if (typeof mapping === 'number') {
      this.recorder.end(call, mapping);
      return mapping;
    }
    const id = this.recorder.newObject();
    this.recorder.end(call, { length: mapping.length }, id);
    return new RecordedMapping(mapping, offset, id, this.#operands, this.recorder);
  }

  onEvents(sink: EventSink): void {
    this.#file.onEvents((bytes, length, errno) => {
      this.#armed = false;
      this.recorder.compare('device');
      const time = this.recorder.now();
      const batch = bytes.subarray(0, length);
      this.recorder.write({ type: 'events', time, object: this.id, bytes: batch, errno });
      sink(bytes, length, errno);
    });
  }

  arm(): number {
    // Idempotent while armed.
    if (this.#armed) return this.#file.arm();
    const call = this.recorder.begin('arm', this.id, {});
    const answer = this.#file.arm();
    this.#armed = answer === 0;
    this.recorder.end(call, answer);
    return answer;
  }

  disarm(): void {
    if (this.#armed) this.recorder.end(this.recorder.begin('disarm', this.id, {}), undefined);
    this.#armed = false;
    this.#file.disarm();
  }

  readSync(milliseconds: number, spin: number): number {
    const call = this.recorder.begin('readSync', this.id, { milliseconds, spin });
    const answer = this.#file.readSync(milliseconds, spin);
    this.recorder.end(call, answer);
    return answer;
  }

  waitForWakeup(word: BigUint64Array | undefined, milliseconds: number): number {
    const call = this.recorder.begin('waitForWakeup', this.id, { milliseconds });
    const answer = this.#file.waitForWakeup(word, milliseconds);
    this.recorder.compare('device');
    this.recorder.end(call, answer);
    return answer;
  }

  closeBeforeMemory(): void {
    this.#file.closeBeforeMemory();
  }
}
