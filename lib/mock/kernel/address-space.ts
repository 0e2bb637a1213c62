/**
 * The effective-address space of the process: which bytes an AFU reaches at which address.
 *
 * Addresses are handed out upwards and never reused, with a page left unmapped after each
 * buffer, so that a stale address or an overrun is a translation fault and not somebody
 * else's memory. They stay below 2^53, which lets the inner loops work on numbers.
 */

interface Entry {
  readonly start: number;
  readonly end: number;
  /** Weak: an address must not keep a buffer alive. The owner, or a pin, does. */
  readonly buffer: WeakRef<ArrayBufferLike>;
}

const firstAddress = 0x7000_0000_0000;
/** Above any real `int *` cast gone wrong, and still exact as a number. */
const lastAddress = Number.MAX_SAFE_INTEGER;

/** Where an effective address lies in a buffer. */
export interface Translation {
  readonly buffer: ArrayBufferLike;
  readonly offset: number;
}

export class AddressSpace {
  readonly #pageSize: number;
  /** Ascending, because addresses only grow. */
  readonly #entries: Entry[] = [];
  readonly #starts = new WeakMap<ArrayBufferLike, number>();
  readonly #collected = new FinalizationRegistry<number>((start) => this.#forget(start));
  #next = firstAddress;
  #recent: Entry | undefined;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** The address of a buffer's first byte: given once, the same ever after. */
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

  /** Unmaps a buffer; its addresses fault from now on. */
  remove(buffer: ArrayBufferLike): void {
    const start = this.#starts.get(buffer);
    if (start === undefined) return;
    this.#starts.delete(buffer);
    this.#collected.unregister(buffer);
    this.#forget(start);
  }

  /** Where `length` bytes at `address` are, or undefined when any of them is not mapped. */
  translate(address: number | bigint, length: number): Translation | undefined {
    const at = Number(address);
    if (at > lastAddress) return undefined;
    const entry = this.#find(at);
    const buffer = entry?.buffer.deref();
    // A buffer that was transferred is empty: nothing is mapped there any more.
    if (entry === undefined || buffer === undefined) return undefined;
    if (at + length - entry.start > buffer.byteLength) return undefined;
    return { buffer, offset: at - entry.start };
  }

  #find(at: number): Entry | undefined {
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
