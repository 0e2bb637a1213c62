/**
 * The effective addresses of the process: which bytes an AFU reaches at which address.
 *
 * Addresses only grow and are never reused, and a page stays unmapped after each buffer. So a
 * stale address, or an access past the end of a buffer, is a translation fault and never an access
 * to another buffer. Addresses stay below 2^53, so that inner loops can use numbers for them.
 */

interface MappedBuffer {
  readonly start: number;
  readonly end: number;
  /** Weak, because an address does not keep a buffer alive: its owner does. */
  buffer: WeakRef<ArrayBufferLike>;
}

const FIRST_ADDRESS = 0x7000_0000_0000;
/** The last address that a number holds exactly. */
const LAST_ADDRESS = Number.MAX_SAFE_INTEGER;

/** Where an effective address lies in a buffer. */
export interface Translation {
  readonly buffer: ArrayBufferLike;
  readonly offset: number;
}

export class AddressSpace {
  readonly #pageSize: number;
  /** Ascending, because addresses only grow. */
  readonly #entries: MappedBuffer[] = [];
  readonly #starts = new WeakMap<ArrayBufferLike, number>();
  readonly #collected = new FinalizationRegistry<number>((start) => this.#forget(start));
  #next = FIRST_ADDRESS;
  #recent: MappedBuffer | undefined;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** The address of a buffer's first byte, assigned at the first call. */
  addressOf(buffer: ArrayBufferLike, alignment = this.#pageSize): number {
    const known = this.#starts.get(buffer);
    if (known !== undefined) return known;
    const step = Math.max(alignment, this.#pageSize);
    const start = Math.ceil(this.#next / step) * step;
    const end = start + buffer.byteLength;
    this.#next = Math.ceil(end / this.#pageSize) * this.#pageSize + this.#pageSize;
    this.#entries.push({ start, end, buffer: new WeakRef(buffer) });
    this.#starts.set(buffer, start);
    this.#collected.register(buffer, start, buffer);
    return start;
  }

  /** Unmaps a buffer: accesses to its addresses fault from now on. */
  remove(buffer: ArrayBufferLike): void {
    const start = this.#starts.get(buffer);
    if (start === undefined) return;
    this.#starts.delete(buffer);
    this.#collected.unregister(buffer);
    this.#forget(start);
  }

  /** The addresses of `before` are those of `after` now, which has as many bytes. */
  move(before: ArrayBufferLike, after: ArrayBufferLike): void {
    const start = this.#starts.get(before);
    if (start === undefined) return;
    this.#starts.delete(before);
    this.#collected.unregister(before);
    const entry = this.#entries[this.#lastStartingAtOrBefore(start)]!;
    entry.buffer = new WeakRef(after);
    this.#starts.set(after, start);
    this.#collected.register(after, start, after);
  }

  /** Where `length` bytes at `address` are, or undefined when any of them is not mapped. */
  translate(address: number | bigint, length: number): Translation | undefined {
    const at = Number(address);
    if (at > LAST_ADDRESS) return undefined;
    const entry = this.#find(at);
    const buffer = entry?.buffer.deref();
    // A buffer that was transferred has length 0: nothing is mapped there any more.
    if (entry === undefined || buffer === undefined) return undefined;
    if (at + length - entry.start > buffer.byteLength) return undefined;
    return { buffer, offset: at - entry.start };
  }

  #find(at: number): MappedBuffer | undefined {
    const recent = this.#recent;
    if (recent !== undefined && at >= recent.start && at < recent.end) return recent;
    const index = this.#lastStartingAtOrBefore(at);
    const entry = this.#entries[index];
    if (entry === undefined || at >= entry.end) return undefined;
    this.#recent = entry;
    return entry;
  }

  #lastStartingAtOrBefore(at: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.start <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #forget(start: number): void {
    const index = this.#lastStartingAtOrBefore(start);
    if (this.#entries[index]?.start !== start) return;
    if (this.#recent?.start === start) this.#recent = undefined;
    this.#entries.splice(index, 1);
  }
}
