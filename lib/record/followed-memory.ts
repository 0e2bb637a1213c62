/** Memory whose contents are recorded: what has changed since it was last looked at. */
import type { MemoryAddress, MemoryRange } from './records';

/** Bytes that are compared at a time. */
const PAGE = 4096;
const WORD = 8;

/** A memory that an AFU can reach: one that was allocated, or a buffer whose address was taken. */
export class FollowedMemory {
  readonly id: number;
  readonly address: bigint;
  readonly size: number;
  /** Weak, as recording a program must not keep its memory. */
  readonly #buffer: WeakRef<ArrayBufferLike>;
  readonly #start: number;
  /** The contents as they were recorded. */
  readonly #shadow: Uint8Array;
  readonly #page = Buffer.allocUnsafe(PAGE);

  /** `bytes`: the memory, whose contents now count as zeros. */
  constructor(id: number, address: bigint, bytes: Uint8Array) {
    this.id = id;
    this.address = address;
    this.size = bytes.length;
    this.#buffer = new WeakRef(bytes.buffer);
    this.#start = bytes.byteOffset;
    this.#shadow = Buffer.alloc(bytes.length);
  }

  /** The bytes; undefined once they were collected, detached or freed. */
  get bytes(): Uint8Array | undefined {
    const buffer = this.#buffer.deref();
    if (buffer === undefined || buffer.byteLength < this.#start + this.size) return undefined;
    return new Uint8Array(buffer, this.#start, this.size);
  }

  /** A store that is recorded itself is no change. */
  put(offset: number, width: 1 | 2 | 4 | 8, value: bigint | number, little: boolean): void {
    const view = new DataView(this.#shadow.buffer, this.#shadow.byteOffset + offset, width);
    putValue(view, width, value, little);
  }

  /** What has changed; the shadow has it afterwards. Undefined when the bytes are gone. */
  changes(): { offset: number; bytes: Uint8Array }[] | undefined {
    const { bytes } = this;
    if (bytes === undefined) return undefined;
    if (Buffer.compare(bytes, this.#shadow) === 0) return [];
    const ranges: { offset: number; bytes: Uint8Array }[] = [];
    for (let at = 0; at < this.size; at += PAGE) {
      const length = Math.min(PAGE, this.size - at);
      // A copy, since the device may be writing.
      this.#page.set(bytes.subarray(at, at + length));
      const page = this.#page.subarray(0, length);
      const before = this.#shadow.subarray(at, at + length);
      if (Buffer.compare(page, before) === 0) continue;
      for (const [start, end] of changedWords(page, before)) {
        const last = ranges.at(-1);
        const part = Buffer.from(page.subarray(start, end));
        if (last !== undefined && last.offset + last.bytes.length === at + start) {
          last.bytes = Buffer.concat([last.bytes, part]);
        } else {
          ranges.push({ offset: at + start, bytes: part });
        }
      }
      before.set(page);
    }
    return ranges;
  }
}

/** Stores a value of so many bytes at the start of `view`. */
export function putValue(
  view: DataView,
  width: 1 | 2 | 4 | 8,
  value: bigint | number,
  little: boolean,
): void {
  if (typeof value === 'bigint') view.setBigUint64(0, value, little);
  else if (width === 4) view.setUint32(0, value, little);
  else if (width === 2) view.setUint16(0, value, little);
  else view.setUint8(0, value);
}

/** The runs of 8-byte words that differ. */
function changedWords(page: Uint8Array, before: Uint8Array): [start: number, end: number][] {
  const runs: [number, number][] = [];
  for (let at = 0; at < page.length; at += WORD) {
    const end = Math.min(at + WORD, page.length);
    let same = true;
    for (let n = at; n < end && same; n += 1) same = page[n] === before[n];
    if (same) continue;
    const last = runs.at(-1);
    if (last !== undefined && last[1] === at) last[1] = end;
    else runs.push([at, end]);
  }
  return runs;
}

/** Where the memories of a recording lie. */
export class AddressMap {
  readonly #memories = new Map<number, { address: bigint; end: bigint }>();
  #lowest = 0n;
  #highest = 0n;

  add(id: number, address: bigint, size: number): void {
    const end = address + BigInt(size);
    if (this.#memories.size === 0 || address < this.#lowest) this.#lowest = address;
    if (this.#memories.size === 0 || end > this.#highest) this.#highest = end;
    this.#memories.set(id, { address, end });
  }

  delete(id: number): void {
    this.#memories.delete(id);
  }

  /** The memory that an address lies in: the newest, as an older one may have been given back. */
  find(address: bigint): MemoryAddress | undefined {
    if (address < this.#lowest || address >= this.#highest) return undefined;
    let found: MemoryAddress | undefined;
    for (const [memory, { address: start, end }] of this.#memories) {
      if (address >= start && address < end) found = { memory, offset: Number(address - start) };
    }
    return found;
  }

  /** A range of a memory, with the words of it that are addresses, in either byte order. */
  range(offset: number, bytes: Uint8Array): MemoryRange {
    const addresses: NonNullable<MemoryRange['addresses']>[number][] = [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + WORD <= bytes.length; at += WORD) {
      const little = this.find(view.getBigUint64(at, true));
      if (little !== undefined) addresses.push({ at, ...little, endian: 'little' });
      const big = little === undefined ? this.find(view.getBigUint64(at, false)) : undefined;
      if (big !== undefined) addresses.push({ at, ...big, endian: 'big' });
    }
    return { offset, bytes, ...(addresses.length === 0 ? {} : { addresses }) };
  }
}
