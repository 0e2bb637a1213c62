import { types } from 'node:util';
import type { AfuFile } from '../binding';
import { typeError } from '../shared/errors';
import { Memory } from './memory';

/** Memory that an AFU may access while a context is attached. */
export type Holdable = Memory | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** Throws unless `value` is memory that an address can be taken of. */
export function checkHoldable(name: string, value: unknown): Holdable {
  if (value instanceof Memory || ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) {
    return value;
  }
  throw typeError(name, 'Memory, an ArrayBuffer or a view of one', value);
}

/**
 * Roots for the garbage collector. Until its file is closed, a context runs on the AFU even when
 * the program has dropped the last reference to it, so what it holds must outlive the Context.
 */
const roots = new Set<HeldMemory>();

const contexts = new FinalizationRegistry<{ file: AfuFile; held: HeldMemory }>(({ file, held }) => {
  const release = () => held.clear();
  file.close().then(release, release);
});

/** What one context keeps from being collected: Context.hold() and the `holds` of an attach. */
export class HeldMemory {
  readonly #held = new Set<Holdable | readonly Holdable[]>();

  /** Keeps `memory` until clear(). When `owner` is collected before, its file is closed first. */
  add(owner: object, file: AfuFile, memory: Holdable | readonly Holdable[]): void {
    this.#held.add(memory);
    if (roots.has(this)) return;
    roots.add(this);
    contexts.register(owner, { file, held: this }, this);
  }

  /** As add(), for a list that the returned function releases again. */
  addAll(owner: object, file: AfuFile, memory: readonly Holdable[]): () => void {
    if (memory.length === 0) return () => {};
    // The list is one entry, so that releasing it leaves the same memory held by hold().
    const list = [...memory];
    this.add(owner, file, list);
    return () => {
      this.#held.delete(list);
    };
  }

  /** Releases everything. To be called once the file is closed. */
  clear(): void {
    contexts.unregister(this);
    roots.delete(this);
    this.#held.clear();
  }
}
