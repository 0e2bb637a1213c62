/** The last contents of a recording's memories, as far as their changes were recorded. */
import type { MemoryPlace, TraceEntry } from './entry';

const WORD = 8;

interface Word {
  readonly text: string;
  /** Microseconds: when it was recorded. */
  readonly time: number;
}

/** A memory whose last contents differ between two runs. */
export interface MemoryDifference {
  readonly memory: string;
  /** How many 8-byte words differ. */
  readonly words: number;
  /** Bytes from the start of the memory to the first of them. */
  readonly offset: number;
  /** That word: hexadecimal, or where it points to. Undefined: that run did not change it. */
  readonly a: Word | undefined;
  readonly b: Word | undefined;
}

interface Range {
  readonly at: MemoryPlace;
  readonly bytes: Uint8Array;
  readonly addresses: readonly { readonly at: number; readonly to: MemoryPlace }[];
}

export class MemoryContents {
  /** By memory, and the offset of the word. */
  readonly #memories = new Map<string, Map<number, Word>>();

  take({ input, time }: TraceEntry, prefix: string): void {
    for (const { at, bytes, addresses } of input['ranges'] as readonly Range[]) {
      const name = prefix + at.memory;
      const words = this.#memories.get(name) ?? new Map<number, Word>();
      this.#memories.set(name, words);
      const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let offset = 0; offset < data.length; offset += WORD) {
        const text = data.toString('hex', offset, Math.min(offset + WORD, data.length));
        words.set(at.offset + offset, { text, time });
      }
      // Addresses differ from run to run.
      for (const { at: within, to } of addresses) {
        words.set(at.offset + within, { text: `&${to}`, time });
      }
    }
  }

  differences(other: MemoryContents): MemoryDifference[] {
    const names = new Set([...this.#memories.keys(), ...other.#memories.keys()]);
    return [...names].flatMap((memory) => {
      const a = this.#memories.get(memory) ?? new Map<number, Word>();
      const b = other.#memories.get(memory) ?? new Map<number, Word>();
      const offsets = [...new Set([...a.keys(), ...b.keys()])]
        .filter((offset) => textAt(a, offset) !== textAt(b, offset))
        .sort((one, another) => one - another);
      const [offset] = offsets;
      if (offset === undefined) return [];
      return [{ memory, words: offsets.length, offset, a: a.get(offset), b: b.get(offset) }];
    });
  }
}

/** A memory begins with zeros. */
function textAt(words: ReadonlyMap<number, Word>, offset: number): string {
  const text = words.get(offset)?.text ?? '';
  return /^0*$/.test(text) ? '' : text;
}
