/** A mapped problem state area whose accesses an observer gets. */
import { types } from 'node:util';
import type { BlockArray, ProblemStateMapping } from '../binding';
import type { Operands } from '../binding/operands';
import type { AccessName } from './call';
import type { Observer, Subject } from './observer';

export class ObservedMapping implements ProblemStateMapping {
  readonly length: number;
  readonly #mapping: ProblemStateMapping;
  /** Bytes of the area before the mapping: the observer gets offsets in the area. */
  readonly #start: number;
  readonly #subject: Subject;
  readonly #operands: Operands;
  readonly #observer: Observer;
  #mapped = true;

  constructor(
    mapping: ProblemStateMapping,
    start: number,
    subject: Subject,
    operands: Operands,
    observer: Observer,
  ) {
    this.#mapping = mapping;
    this.length = mapping.length;
    this.#start = start;
    this.#subject = subject;
    this.#operands = operands;
    this.#observer = observer;
  }

  readonly read32 = (): boolean => {
    const done = this.#mapping.read32();
    if (this.#observer.wantsAccesses) this.#load('read32', done, this.#operands.value32[0]);
    return done;
  };

  readonly read64 = (): boolean => {
    const done = this.#mapping.read64();
    if (this.#observer.wantsAccesses) this.#load('read64', done, this.#operands.value64[0]);
    return done;
  };

  readonly write32 = (): boolean => {
    const done = this.#mapping.write32();
    if (this.#observer.wantsAccesses) this.#store('write32', done, this.#operands.value32[0]);
    return done;
  };

  readonly write64 = (): boolean => {
    const done = this.#mapping.write64();
    if (this.#observer.wantsAccesses) this.#store('write64', done, this.#operands.value64[0]);
    return done;
  };

  readBlock(offset: number, target: BlockArray): number {
    const moved = this.#mapping.readBlock(offset, target);
    if (this.#observer.wantsAccesses) {
      const input = { offset: this.#start + offset, ...describeBlock(target) };
      const answer = moved < target.length ? SIGBUS : [...target];
      this.#observer.access('readBlock', this.#subject, input, answer);
    }
    return moved;
  }

  writeBlock(offset: number, source: BlockArray): number {
    const moved = this.#mapping.writeBlock(offset, source);
    if (this.#observer.wantsAccesses) {
      const block = { ...describeBlock(source), values: [...source] };
      const input = { offset: this.#start + offset, ...block };
      const answer = moved < source.length ? SIGBUS : undefined;
      this.#observer.access('writeBlock', this.#subject, input, answer);
    }
    return moved;
  }

  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    const call = this.#observer.begin('munmap', this.#subject, { offset: this.#start });
    this.#mapping.unmap();
    this.#observer.end(call, undefined);
  }

  #load(name: AccessName, done: boolean, value: unknown): void {
    const input = { offset: this.#start + this.#operands.offset[0]! };
    this.#observer.access(name, this.#subject, input, done ? value : SIGBUS);
  }

  #store(name: AccessName, done: boolean, value: unknown): void {
    const input = { offset: this.#start + this.#operands.offset[0]!, value };
    this.#observer.access(name, this.#subject, input, done ? undefined : SIGBUS);
  }
}

const SIGBUS = 'SIGBUS';

function describeBlock(block: BlockArray) {
  const wide = types.isBigUint64Array(block) || types.isBigInt64Array(block);
  return { width: wide ? 64 : 32, count: block.length };
}
