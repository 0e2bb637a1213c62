import { type InspectOptions, inspect } from 'node:util';
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkPowerOfTwo,
  type OptionNames,
} from '../shared/checks';
import { type Endian, resolveEndian } from '../shared/endian';
import { stateError, systemError } from '../shared/errors';
import { hexadecimal, shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { BuddyBlocks } from './buddy';
import {
  type FreeOptions,
  freeUnlessHeld,
  MEMORY_HOLDERS,
  type MemoryHolder,
  MemoryHolders,
} from './holders';
import { Memory, type MemoryPlace } from './memory';

/** Options of MemoryPool.allocate(). */
export interface PieceOptions {
  /**
   * Bytes, a power of two up to the alignment of the pool. Default: 128, a cache line of POWER. In
   * any case a piece is aligned to its size, rounded up to a power of two, up to that of the pool.
   */
  alignment?: number | undefined;
  /** Whether the piece is filled with zeroes. If not, it has what was there before. Default true. */
  zeroed?: boolean | undefined;
  /** Byte order of load and store unless a call names one. Default: that of the pool. */
  endian?: Endian | undefined;
}
const PIECE_OPTIONS: OptionNames<PieceOptions> = { alignment: true, zeroed: true, endian: true };

const DEFAULT_ALIGNMENT = 128;

/**
 * Memory that is given out in pieces, without a system call for each. A context that holds the pool
 * holds all its pieces.
 *
 *     const pool = context.allocatePool(1 << 20);
 *     const request = pool.allocate(256);   // a Memory: address, load…, store…, bytes
 *     …                                     // the AFU works on it
 *     request.free();                       // the next allocate() may give the same place out
 *
 * A piece takes the next power of two of its size, at least 128 bytes. When it is freed, its place
 * can be given out again at once: the program frees it only when the AFU has finished with it. What
 * a freed piece contained stays there until allocate() gives its place out, zeroed. A piece that the
 * program drops without freeing it stays taken, since `bytes` may be in use: the collector frees no
 * piece, only the whole pool when neither the pool nor a piece of it is referred to or held.
 *
 * No piece outlives its pool: they are freed with it.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const context = await cxl.open('/dev/cxl/afu0.0s');
 * const pool = context.allocatePool(1 << 20); // one system call
 * const request = pool.allocate(256);
 * const answer = pool.allocate(64);
 * console.log(pool.pieces, pool.used); // 2 384
 * request.free(); // its place can be given out again
 * answer.free();
 * await context.close();
 */
export class MemoryPool extends Uncloneable {
  /** Effective address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly #place: MemoryPlace;
  readonly #alignment: number;
  readonly #blocks: BuddyBlocks;
  readonly #pieces = new Set<Piece>();
  readonly #bytes: Uint8Array;
  #used = 0;

  /** @internal Use Cxl.allocatePool() or Context.allocatePool(). */
  constructor(place: MemoryPlace, alignment: number) {
    super();
    this.#place = place;
    this.#alignment = alignment;
    this.#blocks = new BuddyBlocks(place.size);
    this.#bytes = new Uint8Array(place.region.buffer);
    this.address = place.region.address;
    this.size = place.size;
  }

  /** Pieces that are not freed. */
  get pieces(): number {
    return this.#pieces.size;
  }

  /** Bytes that the pieces take, which is more than their sizes. */
  get used(): number {
    return this.#used;
  }

  /** As Memory.freed. */
  get freed(): boolean {
    return this.#place.holders.state === 'freed';
  }

  /** As Memory.disposed. */
  get disposed(): boolean {
    return this.#place.holders.state !== 'allocated';
  }

  /** @internal See MEMORY_HOLDERS. */
  get [MEMORY_HOLDERS](): MemoryHolders {
    return this.#place.holders;
  }

  /**
   * A piece of the pool. It is a Memory with an `address`, a `size` and `bytes` of its own; its
   * `buffer` is refused, as that of the pool has the other pieces as well.
   *
   * @param size bytes, 1 to the size of the pool
   * @throws ENOMEM no free place of that size; ERR_OUT_OF_RANGE; ERR_INVALID_STATE once the pool is
   *   freed or disposed of
   */
  allocate(size: number, options: PieceOptions = {}): Memory {
    if (this.disposed) throw stateError('this MemoryPool has been freed');
    checkInteger('size', size, 1, this.size);
    const {
      alignment = Math.min(DEFAULT_ALIGNMENT, this.#alignment),
      zeroed = true,
      endian = this.#place.endian,
    } = checkOptions(options, PIECE_OPTIONS);
    checkPowerOfTwo('options.alignment', alignment, this.#alignment);
    checkBoolean('options.zeroed', zeroed);
    const order = BuddyBlocks.orderFor(size, alignment);
    const resolved = resolveEndian('options.endian', endian);
    const offset = this.#blocks.take(order);
    if (offset === undefined) {
      const hint = `the pool has no free place of ${2 ** order} bytes: free pieces, or allocate a larger pool`;
      throw systemError('ENOMEM', 'allocate', undefined, hint, this.allocate);
    }
    const piece = new Piece(() => this.#giveBack(piece, offset, order));
    this.#pieces.add(piece);
    this.#place.holders.hold(piece);
    this.#used += 2 ** order;
    const { holders } = piece;
    if (zeroed) this.#bytes.fill(0, offset, offset + 2 ** order);
    return new Memory({ ...this.#place, holders, endian: resolved, offset, size });
  }

  /**
   * Gives the pages back, and frees all pieces. Idempotent.
   *
   * @throws EBUSY while an attached context, or a command in flight, holds the pool or a piece of
   *   it, unless `force`, as for Memory.free()
   */
  free(options: FreeOptions = {}): void {
    freeUnlessHeld(this.#place.holders, options, this.free);
  }

  /** As Memory's: the pages go when nobody holds the pool or a piece of it any more. */
  [Symbol.dispose](): void {
    for (const piece of [...this.#pieces]) piece.holders.dispose();
    this.#place.holders.dispose();
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      address: hexadecimal(this.address),
      size: this.size,
      state: this.#place.holders.state,
      pieces: this.pieces,
      used: this.used,
    });
  }

  #giveBack(piece: Piece, offset: number, order: number): void {
    this.#pieces.delete(piece);
    this.#used -= 2 ** order;
    this.#blocks.give(offset, order);
    this.#place.holders.release(piece);
  }
}

/** A piece as a holder of its pool's memory: while somebody holds the piece. */
class Piece implements MemoryHolder {
  readonly holders: MemoryHolders;

  constructor(giveBack: () => void) {
    this.holders = new MemoryHolders({ detach() {}, free: giveBack });
  }

  get path(): string {
    return this.holders.holding()?.holder.path ?? '';
  }

  get reason(): string | undefined {
    return this.holders.holding()?.reason;
  }

  /** The pool is freed. */
  forget(): void {
    this.holders.free();
  }
}
