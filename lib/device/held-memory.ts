import { types } from 'node:util';
import type { AfuFile } from '../binding';
import { ERRNOS } from '../shared/errno';
import { stateError, typeError } from '../shared/errors';
import { holdersOf, type MemoryHolder, type MemoryHolders } from './holders';
import type { Memory } from './memory';
import type { MemoryPool } from './memory-pool';

/** Memory that an AFU may access while a context is attached. */
export type Holdable = Memory | MemoryPool | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** What is kept from being collected: bytes of the caller's own, or a Memory by its holders. */
type Kept = MemoryHolders | ArrayBufferLike;

/** Throws unless `value` is memory that an address can be taken of. */
export function checkMemory(name: string, value: unknown): Holdable {
  if (isMemory(value) || isBytes(value)) return value;
  throw typeError(name, 'Memory, a MemoryPool, an ArrayBuffer or a view of one', value);
}

/** As checkMemory(), for memory that is to be held: it must not be freed. */
export function checkHoldable(name: string, value: unknown): Holdable {
  const memory = checkMemory(name, value);
  const state = holdersOf(memory)?.state ?? 'allocated';
  if (state !== 'allocated') throw stateError(`${name}: this memory has been freed`);
  return memory;
}

/** Whether it is a Memory or a MemoryPool, of any copy of the package. */
export function isMemory(value: unknown): value is Memory | MemoryPool {
  if (typeof value !== 'object' || value === null) return false;
  return !isBytes(value) && holdersOf(value) !== undefined;
}

function isBytes(value: unknown): value is Exclude<Holdable, Memory | MemoryPool> {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}

function keptOf(memory: Holdable): Kept {
  const holders = holdersOf(memory);
  if (holders !== undefined) return holders;
  return ArrayBuffer.isView(memory) ? memory.buffer : (memory as ArrayBufferLike);
}

/** By what it is not: the class of another copy of the package is another. */
function isHolders(kept: Kept): kept is MemoryHolders {
  return !types.isAnyArrayBuffer(kept);
}

/**
 * Roots for the garbage collector. Until its file is closed, a context runs on the AFU even when
 * the program has dropped the last reference to it, so what it holds must outlive the Context.
 */
const roots = new Set<HeldMemory>();

const contexts = new FinalizationRegistry<HeldMemory>((held) => {
  const clear = () => held.clear();
  held.file.close().then(clear, clear);
});

/**
 * What one context holds: Context.hold(), Context.allocate() and the `holds` of an attach. It has no
 * reference to the Context, so that the Context can be collected.
 */
export class HeldMemory implements MemoryHolder {
  readonly path: string;
  readonly file: AfuFile;
  /** How often START_WORK has succeeded, or may have: the AFU may run before the call returns. */
  #starts: number;
  readonly #started: (() => boolean) | undefined;
  /** How often each is held. */
  readonly #kept = new Map<Kept, number>();

  /** `started`: of an adopted file, which may have been started elsewhere, whether it is. */
  constructor(path: string, file: AfuFile, started: (() => boolean) | undefined) {
    this.path = path;
    this.file = file;
    this.#started = started;
    this.#starts = started === undefined ? 0 : 1;
  }

  /** As MemoryHolder says. Once the driver has detached the context, its AFU reaches nothing. */
  get reason(): string | undefined {
    if (this.#starts === 0 || this.#started?.() === false) return undefined;
    const answer = this.file.ioctlSync('GET_PROCESS_ELEMENT', {});
    if (answer === -ERRNOS.EIO) return undefined;
    return typeof answer === 'number'
      ? 'this context'
      : `process element ${answer.processElement} of this context`;
  }

  /** Keeps `memory` until clear(). When `owner` is collected before, its file is closed first. */
  add(owner: object, memory: Holdable): void {
    const kept = keptOf(memory);
    const count = this.#kept.get(kept) ?? 0;
    this.#kept.set(kept, count + 1);
    if (count === 0 && isHolders(kept)) {
      kept.hold(this);
      this.file.closeBeforeMemory();
    }
    if (roots.has(this)) return;
    roots.add(this);
    contexts.register(owner, this, this);
  }

  /**
   * Adds the `holds` of a START_WORK, which is to be made next.
   *
   * @returns what undoes that, for a START_WORK that fails
   */
  addForStart(owner: object, holds: readonly Holdable[]): () => void {
    const list = [...holds];
    for (const memory of list) this.add(owner, memory);
    this.#starts += 1;
    return () => {
      if (this.#starts > 0) this.#starts -= 1;
      for (const memory of list) this.#undoAdd(keptOf(memory));
    };
  }

  /** Lets go of `memory`, however often it was added. */
  remove(memory: Holdable): void {
    this.#letGo(keptOf(memory));
  }

  forget(holders: MemoryHolders): void {
    this.#kept.delete(holders);
  }

  /** Releases everything. To be called once the file is closed. */
  clear(): void {
    this.#starts = 0;
    contexts.unregister(this);
    roots.delete(this);
    for (const kept of [...this.#kept.keys()]) this.#letGo(kept);
  }

  #undoAdd(kept: Kept): void {
    const count = this.#kept.get(kept);
    if (count === undefined) return;
    if (count > 1) this.#kept.set(kept, count - 1);
    else this.#letGo(kept);
  }

  #letGo(kept: Kept): void {
    if (this.#kept.delete(kept) && isHolders(kept)) kept.release(this);
  }
}
