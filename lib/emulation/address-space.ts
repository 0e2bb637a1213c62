/**
 * The effective addresses of the process: which bytes an AFU reaches at which address.
 *
 * Addresses only grow and are never reused, and a page stays unmapped after each buffer. So a
 * stale address, or an access past the end of a buffer, is a translation fault and never an access
 * to another buffer. Addresses stay below 2^53, so that inner loops can use numbers for them.
 */

/** Bytes that their owner can replace, or give up before the end of the turn of the event loop. */
export interface Backing {
  bytes: ArrayBufferLike | undefined;
}

interface Mapped {
  readonly start: number;
  readonly end: number;
  /**
   * A buffer or a Backing. Weak, because an address keeps neither alive: its owner does. A WeakRef
   * keeps what it refers to until the end of the turn, which for a Backing is not the bytes.
   */
  readonly memory: WeakRef<ArrayBufferLike | Backing>;
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
  readonly #entries: Mapped[] = [];
  readonly #starts = new WeakMap<ArrayBufferLike, number>();
  readonly #collected = new FinalizationRegistry<number>((start) => this.#forget(start));
  #next = FIRST_ADDRESS;
  #recent: Mapped | undefined;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** The address of a buffer's first byte, assigned at the first call. */
  addressOf(buffer: ArrayBufferLike): number {
    return this.#starts.get(buffer) ?? this.#map(buffer, buffer, this.#pageSize);
  }

  /** Assigns an address to the bytes of `backing`. */
  map(backing: Backing & { bytes: ArrayBufferLike }, alignment: number): number {
    return this.#map(backing, backing.bytes, alignment);
  }

  #map(memory: ArrayBufferLike | Backing, bytes: ArrayBufferLike, alignment: number): number {
    const step = Math.max(alignment, this.#pageSize);
    const start = Math.ceil(this.#next / step) * step;
    const end = start + bytes.byteLength;
    this.#next = Math.ceil(end / this.#pageSize) * this.#pageSize + this.#pageSize;
    this.#entries.push({ start, end, memory: new WeakRef(memory) });
    this.#starts.set(bytes, start);
    this.#collected.register(memory, start, memory);
    return start;
  }

  /** Unmaps what map() mapped at `start`: accesses to its addresses fault from now on. */
  unmap(backing: Backing, start: number): void {
    this.#collected.unregister(backing);
    this.#forget(start);
  }

  /** Where `length` bytes at `address` are, or undefined when any of them is not mapped. */
  translate(address: number | bigint, length: number): Translation | undefined {
    const at = Number(address);
    if (at > LAST_ADDRESS) return undefined;
    const entry = this.#find(at);
    const memory = entry?.memory.deref();
    const buffer = memory !== undefined && 'bytes' in memory ? memory.bytes : memory;
    // A buffer that was transferred has length 0: nothing is mapped there any more.
    if (entry === undefined || buffer === undefined) return undefined;
    if (at + length - entry.start > buffer.byteLength) return undefined;
    return { buffer, offset: at - entry.start };
  }

  /**
   * As translate(), but by pages, as hardware translates: the rest of a buffer's last page is mapped,
   * though it has no bytes. The bytes that the range has in the buffer from its start, which may be
   * none; undefined when a page of it is not mapped.
   */
  translatePages(address: bigint, length: number): Uint8Array | undefined {
    if (address + BigInt(length) > BigInt(LAST_ADDRESS)) return undefined;
    const at = Number(address);
    // A buffer begins at a page of its own.
    const found = this.translate(at - (at % this.#pageSize), 1);
    if (found === undefined) return undefined;
    const offset = found.offset + (at % this.#pageSize);
    const { byteLength } = found.buffer;
    const mapped = Math.ceil(byteLength / this.#pageSize) * this.#pageSize;
    if (offset + length > mapped) return undefined;
    const start = Math.min(offset, byteLength);
    return new Uint8Array(found.buffer, start, Math.min(offset + length, byteLength) - start);
  }

  #find(at: number): Mapped | undefined {
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
