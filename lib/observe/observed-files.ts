/** Open device files whose calls an observer gets. */
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
import { type CxlEvent, parseEvents } from '../events/events';
import type { CallName } from './call';
import { ObservedMapping } from './observed-mapping';
import type { Observer, Subject } from './observer';

/** An observed file of any driver. */
export class ObservedFile<Ioctls extends IoctlMap<Ioctls>> implements DeviceFile<Ioctls> {
  readonly subject: Subject;
  readonly #file: DeviceFile<Ioctls>;
  readonly #observer: Observer;
  #closing: Promise<number> | undefined;

  constructor(file: DeviceFile<Ioctls>, path: string, observer: Observer) {
    this.#file = file;
    this.#observer = observer;
    this.subject = { path, fd: file.fd };
  }

  get fd(): number {
    return this.#file.fd;
  }

  async ioctl<Name extends keyof Ioctls>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer'] | NegativeErrno> {
    const call = this.#observer.begin(ioctlName(name), this.subject, inputFields(input));
    const answer = await this.#file.ioctl(name, input);
    this.#observer.end(call, answer);
    return answer;
  }

  close(): Promise<number> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<number> {
    const call = this.#observer.begin('close', this.subject, {});
    const result = await this.#file.close();
    this.#observer.end(call, result < 0 ? result : undefined);
    return result;
  }
}

function inputFields(input: object): Readonly<Record<string, unknown>> {
  return { ...input };
}

function ioctlName(name: PropertyKey): CallName {
  return `ioctl(${String(name)})` as CallName;
}

/** An observed file of an AFU: a context. */
export class ObservedAfuFile implements AfuFile {
  readonly #file: AfuFile;
  readonly #common: ObservedFile<AfuIoctls>;
  readonly #observer: Observer;
  readonly #operands: Operands;

  constructor(file: AfuFile, path: string, operands: Operands, observer: Observer) {
    this.#file = file;
    this.#common = new ObservedFile<AfuIoctls>(file, path, observer);
    this.#observer = observer;
    this.#operands = operands;
  }

  get fd(): number {
    return this.#file.fd;
  }

  ioctl<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): Promise<AfuIoctls[Name]['answer'] | NegativeErrno> {
    return this.#common.ioctl(name, input);
  }

  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno {
    const call = this.#observer.begin(ioctlName(name), this.#common.subject, inputFields(input));
    const answer = this.#file.ioctlSync(name, input);
    this.#observer.end(call, answer);
    return answer;
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    const { subject } = this.#common;
    const call = this.#observer.begin('mmap', subject, { offset, length, endian });
    const mapping = this.#file.map(offset, length, endian);
    this.#observer.end(call, typeof mapping === 'number' ? mapping : undefined);
    if (typeof mapping === 'number') return mapping;
    return new ObservedMapping(mapping, offset, subject, this.#operands, this.#observer);
  }

  onEvents(sink: EventSink): void {
    this.#file.onEvents((bytes, length, errno) => {
      const events: CxlEvent[] = [];
      parseEvents(bytes, length, (event) => events.push(event));
      this.#observer.events(this.#common.subject, events, errno);
      sink(bytes, length, errno);
    });
  }

  arm(): number {
    return this.#file.arm();
  }

  disarm(): void {
    this.#file.disarm();
  }

  readSync(milliseconds: number, spin: number): number {
    return this.#file.readSync(milliseconds, spin);
  }

  waitForWakeup(word: BigUint64Array | undefined, milliseconds: number): number {
    return this.#file.waitForWakeup(word, milliseconds);
  }

  closeBeforeMemory(): void {
    this.#file.closeBeforeMemory();
  }

  close(): Promise<number> {
    return this.#common.close();
  }
}
