import { type InspectOptions, inspect } from 'node:util';
import * as workerThreads from 'node:worker_threads';
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkUint64,
  type OptionNames,
} from '../shared/checks';
import { type Endian, HOST_IS_LITTLE_ENDIAN, resolveEndian } from '../shared/endian';
import { rangeError, stateError, systemError, typeError, valueError } from '../shared/errors';
import { hexadecimal, shown } from '../shared/inspection';
import { MEMORY_HOLDERS, type MemoryHolder, MemoryHolders } from './holders';

export interface AllocateOptions {
  /** Bytes, a power of two up to 1 GiB. Default: the system's page size. */
  alignment?: number | undefined;
  /**
   * `transparent` asks the kernel to back the memory with huge pages where it can;
   * `explicit` takes them from the hugetlb pool (ENOMEM when it is empty). Default `none`.
   */
  hugePages?: 'none' | 'transparent' | 'explicit' | undefined;
  /** NUMA node to bind the pages to. Default: the kernel's choice. */
  numaNode?: number | undefined;
  /** Byte order of load and store unless a call names one. Default `host`. */
  endian?: Endian | undefined;
}

const ALLOCATE_OPTIONS: OptionNames<AllocateOptions> = {
  alignment: true,
  hugePages: true,
  numaNode: true,
  endian: true,
};

export interface AccessOptions {
  /** Byte order of this access. */
  endian?: Endian | undefined;
}

const ACCESS_OPTIONS: OptionNames<AccessOptions> = { endian: true };

export interface FreeOptions {
  /**
   * Free it even while a context of this process is attached: the caller vouches that no AFU
   * reaches these pages any more. Default false.
   */
  force?: boolean | undefined;
}
const FREE_OPTIONS: OptionNames<FreeOptions> = { force: true };

/** @internal */
export function checkAllocation(size: unknown, options: AllocateOptions, pageSize: number) {
  const {
    alignment = pageSize,
    hugePages = 'none',
    numaNode = -1,
  } = checkOptions(options, ALLOCATE_OPTIONS);
  checkInteger('size', size, 1, 2 ** 40);
  checkInteger('options.alignment', alignment, 1, 2 ** 30);
  if ((alignment & (alignment - 1)) !== 0) {
    throw rangeError('options.alignment', 'a power of two', alignment);
  }
  if (hugePages !== 'none' && hugePages !== 'transparent' && hugePages !== 'explicit') {
    throw valueError('options.hugePages', "'none', 'transparent' or 'explicit'", hugePages);
  }
  checkInteger('options.numaNode', numaNode, -1, 1023);
  const endian = resolveEndian('options.endian', options.endian ?? 'host');
  return { size: size as number, alignment, hugePages, numaNode, endian };
}

/**
 * Memory an AFU can reach by its effective address: zeroed, aligned, outside V8's heap.
 *
 * Loads have acquire and stores release order, so a store that publishes work is seen after
 * everything stored before it. The collector never frees one while a context of this process
 * is attached: the AFU may hold its address.
 */
export class Memory {
  /** Effective address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly #region: MemoryRegion;
  readonly #operands: Operands;
  /** Operands.swap of an access that names no byte order. */
  readonly #swap: number;
  readonly #holders: MemoryHolders;

  /** @internal Use Cxl.allocate(). */
  constructor(region: MemoryRegion, operands: Operands, endian: 'big' | 'little') {
    this.#region = region;
    this.#operands = operands;
    this.#swap = swapFor(endian);
    this.#holders = new MemoryHolders({
      detach: () => {
        if (isDetachable(region.buffer)) region.detach();
      },
      free: () => region.free(),
    });
    // A new owner of the bytes would not know when the memory is freed.
    for (const method of ['transfer', 'transferToFixedLength']) {
      Object.defineProperty(region.buffer, method, { value: refuseTransfer });
    }
    Object.defineProperty(region.buffer, MEMORY_HOLDERS, { value: this.#holders });
    this.address = region.address;
    this.size = region.size;
  }

  /**
   * The bytes, as an ArrayBuffer that cannot be transferred. JavaScript's own accesses to it
   * are unordered: publish through store and memoryBarrier().
   */
  get buffer(): ArrayBuffer {
    this.#alive();
    return this.#region.buffer;
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
   * Detaches `buffer` and gives the pages back, at once. Idempotent.
   *
   * @throws EBUSY while an attached context holds this memory, or commands that transfer to or from
   *   it are in flight, unless `force`; `path` of the error and its message say which. With
   *   `force` the caller vouches that no AFU reaches these pages any more.
   */
  free(options: FreeOptions = {}): void {
    const { force = false } = checkOptions(options, FREE_OPTIONS);
    checkBoolean('options.force', force);
    if (this.freed) return;
    const found = force ? undefined : this.#holders.holding();
    if (found !== undefined) {
      const { holder, reason, others } = found;
      const more = others === 0 ? '' : `, and so do ${others} other holders`;
      throw systemError(
        'EBUSY',
        'munmap',
        holder.path,
        `${reason} holds this memory${more}: close it first, or free({ force: true })`,
        this.free,
      );
    }
    this.#holders.free();
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
      freed: this.freed,
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
    this.#operands.offset[0] = offset;
  }
}

function swapFor(endian: 'big' | 'little'): number {
  return (endian === 'little') === HOST_IS_LITTLE_ENDIAN ? 0 : 1;
}

/** From Node 24 on, a buffer that is marked as untransferable cannot be detached, not even by us. */
const MARK_PREVENTS_DETACHING = (() => {
  const buffer = new ArrayBuffer(1);
  workerThreads.markAsUntransferable(buffer);
  try {
    (buffer as { transfer?: () => void }).transfer?.();
    return false;
  } catch {
    return true;
  }
})();

/** If not, the pages go when the buffer is collected. */
function isDetachable(buffer: ArrayBuffer): boolean {
  if (!MARK_PREVENTS_DETACHING) return true;
  // Since Node 21.
  const { isMarkedAsUntransferable } = workerThreads as {
    isMarkedAsUntransferable?: (value: object) => boolean;
  };
  return isMarkedAsUntransferable?.(buffer) !== true;
}

function refuseTransfer(): never {
  throw Object.assign(new TypeError('the buffer of a Memory cannot be transferred'), {
    code: 'ERR_INVALID_STATE',
  });
}
