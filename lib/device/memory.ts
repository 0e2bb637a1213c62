import { type InspectOptions, inspect } from 'node:util';
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import { checkInteger, checkOptions, checkUint64, type OptionNames } from '../shared/checks';
import { type Endian, HOST_IS_LITTLE_ENDIAN, resolveEndian } from '../shared/endian';
import { rangeError, stateError, typeError } from '../shared/errors';
import { hexadecimal, shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import {
  type FreeOptions,
  freeUnlessHeld,
  holdersOf,
  MEMORY_HOLDERS,
  type MemoryHolder,
  type MemoryHolders,
} from './holders';

/** Options of the load and store methods of Memory. */
export interface AccessOptions {
  /** Byte order of this access. */
  endian?: Endian | undefined;
}

const ACCESS_OPTIONS: OptionNames<AccessOptions> = { endian: true };

/** @internal Where a Memory lies: in a region of its own, or that of its pool. */
export interface MemoryPlace {
  readonly region: MemoryRegion;
  readonly holders: MemoryHolders;
  readonly operands: Operands;
  readonly endian: 'big' | 'little';
  /** Bytes from the start of the region. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * Memory that an AFU can reach by its effective address: zeroed, aligned, outside V8's heap.
 *
 * Loads have acquire and stores release order, so a store that publishes work is seen after
 * everything stored before it.
 *
 * It belongs to the contexts that hold it: those it was passed to by the `holds` of attach() or by
 * hold(), and the one whose allocate() made it. While one of them is attached, the memory is not
 * freed, neither by free() nor by the collector. What no context holds can be freed at any time,
 * also while an AFU uses its address: whatever an AFU can be led to must be held.
 *
 * It cannot be cloned, nor posted to a worker.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const memory = cxl.allocate(4096, { endian: 'big' }); // zeroed, aligned to a page
 * memory.store64(8, 0x1122n);
 * console.log(memory.load64(8), memory.bytes[15]); // 4386n 34
 * memory.free();
 */
export class Memory extends Uncloneable {
  /** Effective address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly #region: MemoryRegion;
  readonly #operands: Operands;
  /** Operands.swap of an access that names no byte order. */
  readonly #swap: number;
  readonly #holders: MemoryHolders;
  /** Bytes from the start of the region. */
  readonly #start: number;
  #bytes: Uint8Array | undefined;

  /** @internal Use Cxl.allocate(), Context.allocate() or MemoryPool.allocate(). */
  constructor(place: MemoryPlace) {
    super();
    this.#region = place.region;
    this.#operands = place.operands;
    this.#swap = swapFor(place.endian);
    this.#holders = place.holders;
    this.#start = place.offset;
    this.address = place.region.address + BigInt(place.offset);
    this.size = place.size;
  }

  /**
   * The bytes. JavaScript's own accesses to them are unordered: publish through store and
   * memoryBarrier(). Freeing detaches the array, except for a piece of a pool: there, do not use it
   * once the piece is freed.
   *
   * @throws ERR_INVALID_STATE once freed or disposed of
   */
  get bytes(): Uint8Array {
    this.#alive();
    this.#bytes ??= new Uint8Array(this.#region.buffer, this.#start, this.size);
    return this.#bytes;
  }

  /**
   * As `bytes`, as an ArrayBuffer. It cannot be transferred: transfer() is ERR_INVALID_STATE;
   * structuredClone() and postMessage() with it in their transfer list throw a DataCloneError, and
   * before Node 21 copy it. Without a transfer list they copy the bytes.
   *
   * @throws ERR_INVALID_STATE once freed or disposed of, and for a piece of a MemoryPool, which is a
   *   part of a buffer: use `bytes`
   */
  get buffer(): ArrayBuffer {
    this.#alive();
    const { buffer } = this.#region;
    if (this.#holders !== holdersOf(buffer)) {
      throw stateError('a piece of a MemoryPool has no buffer of its own: use `bytes`');
    }
    return buffer;
  }

  /**
   * True once the pages have gone back: by free(), by the disposal of a Memory that no attached
   * context holds, or when the last one that held a disposed Memory was closed.
   */
  get freed(): boolean {
    return this.#holders.state === 'freed';
  }

  /**
   * True once the program has given the memory up, by free() or by disposal. Every access is
   * refused from then on, also while a context that holds the memory keeps its pages.
   */
  get disposed(): boolean {
    return this.#holders.state !== 'allocated';
  }

  /** @internal See MEMORY_HOLDERS. */
  get [MEMORY_HOLDERS](): MemoryHolders {
    return this.#holders;
  }

  /**
   * @internal Keeps the pages for as long as `holder` has a reason, until release(): for
   * whatever uses the address for a time. Neither makes a system call.
   */
  hold(holder: MemoryHolder): void {
    this.#alive();
    this.#holders.hold(holder);
  }

  /** @internal Undoes one hold(). A Memory that was disposed of meanwhile may be freed by it. */
  release(holder: MemoryHolder): void {
    this.#holders.release(holder);
  }

  /**
   * Byte at `offset` (bytes, 0 to size - 1).
   *
   * @throws ERR_OUT_OF_RANGE; ERR_INVALID_STATE once freed. So do all loads and stores.
   */
  load8(offset: number): number {
    this.#at(offset, 1, undefined);
    this.#region.load8();
    return this.#operands.value32[0]!;
  }

  /** 16 bits at `offset` (bytes, a multiple of 2). */
  load16(offset: number, options?: AccessOptions): number {
    this.#at(offset, 2, options);
    this.#region.load16();
    return this.#operands.value32[0]!;
  }

  /** 32 bits at `offset` (bytes, a multiple of 4). */
  load32(offset: number, options?: AccessOptions): number {
    this.#at(offset, 4, options);
    this.#region.load32();
    return this.#operands.value32[0]!;
  }

  /** 64 bits at `offset` (bytes, a multiple of 8). */
  load64(offset: number, options?: AccessOptions): bigint {
    this.#at(offset, 8, options);
    this.#region.load64();
    return this.#operands.value64[0]!;
  }

  /** Stores a byte (0 to 255) at `offset` (bytes, 0 to size - 1). */
  store8(offset: number, value: number): void {
    checkInteger('value', value, 0, 0xff);
    this.#at(offset, 1, undefined);
    this.#operands.value32[0] = value;
    this.#region.store8();
  }

  /** Stores 16 bits (0 to 65535) at `offset` (bytes, a multiple of 2). */
  store16(offset: number, value: number, options?: AccessOptions): void {
    checkInteger('value', value, 0, 0xffff);
    this.#at(offset, 2, options);
    this.#operands.value32[0] = value;
    this.#region.store16();
  }

  /** Stores 32 bits (0 to 2^32 - 1) at `offset` (bytes, a multiple of 4). */
  store32(offset: number, value: number, options?: AccessOptions): void {
    checkInteger('value', value, 0, 0xffff_ffff);
    this.#at(offset, 4, options);
    this.#operands.value32[0] = value;
    this.#region.store32();
  }

  /** Stores 64 bits (0n to 2^64 - 1) at `offset` (bytes, a multiple of 8). */
  store64(offset: number, value: bigint, options?: AccessOptions): void {
    checkUint64('value', value);
    this.#at(offset, 8, options);
    this.#operands.value64[0] = value;
    this.#region.store64();
  }

  /**
   * Detaches `buffer` and gives the pages back, at once; of a piece, back to its pool. Idempotent.
   *
   * @throws EBUSY while an attached context holds this memory, or commands that transfer to or from
   *   it are in flight, unless `force`; `path` of the error and its message say which. With
   *   `force` the caller vouches that no AFU reaches these pages any more.
   */
  free(options: FreeOptions = {}): void {
    freeUnlessHeld(this.#holders, options, this.free);
  }

  /**
   * As free(), but while an attached context holds the memory, its pages stay until the last such
   * context is closed. Never throws. The order in which a `using` block ends does not matter.
   */
  [Symbol.dispose](): void {
    this.#holders.dispose();
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      address: hexadecimal(this.address),
      size: this.size,
      state: this.#holders.state,
    });
  }

  #alive(): void {
    if (this.#holders.state !== 'allocated') throw stateError('this Memory has been freed');
  }

  /** Checks where and how an access goes, and makes it its operands. */
  #at(offset: number, width: number, options: AccessOptions | undefined): void {
    this.#alive();
    if (typeof offset !== 'number') throw typeError('offset', 'a number', offset);
    // Written so that NaN and fractions fail.
    if (!(offset >= 0 && offset <= this.size - width && offset % width === 0)) {
      throw rangeError('offset', `a multiple of ${width} from 0 to ${this.size - width}`, offset);
    }
    const endian = options === undefined ? undefined : checkOptions(options, ACCESS_OPTIONS).endian;
    this.#operands.swap[0] =
      endian === undefined ? this.#swap : swapFor(resolveEndian('options.endian', endian));
    this.#operands.offset[0] = this.#start + offset;
  }
}

function swapFor(endian: 'big' | 'little'): number {
  return (endian === 'little') === HOST_IS_LITTLE_ENDIAN ? 0 : 1;
}
