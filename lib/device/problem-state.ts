import { type InspectOptions, inspect, types } from 'node:util';
import type { BlockArray, ProblemStateMapping } from '../binding';
import type { Operands } from '../binding/operands';
import { checkUint64 } from '../shared/checks';
import type { CxlError } from '../shared/errors';
import { rangeError, stateError, systemError, typeError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';

/**
 * A mapped problem state area: the AFU's registers.
 *
 * Only aligned 32- and 64-bit accesses are legal. Each store is preceded and each load
 * followed by a full barrier (POWER `sync`); no access makes a system call. An access that
 * faults throws EIO. All-ones is data: ask Context.linkState() whether the link is down.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const context = await cxl.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * const registers = context.mapProblemState({ endian: 'big' });
 * console.log('process element', registers.read64(0x08) >> 48n); // process element 0n
 * registers.write64(0x18, 1n << 63n); // restarts the memcpy AFU
 * await context.close(); // unmaps too
 */
export class ProblemState extends Uncloneable {
  /** Bytes mapped. */
  readonly length: number;
  readonly #mapping: ProblemStateMapping;
  readonly #operands: Operands;
  readonly #path: string;
  readonly #onUnmap: (state: ProblemState) => void;
  #mapped = true;

  /** @internal Use Context.mapProblemState(). */
  constructor(
    mapping: ProblemStateMapping,
    operands: Operands,
    path: string,
    onUnmap: (state: ProblemState) => void,
  ) {
    super();
    this.#mapping = mapping;
    this.#operands = operands;
    this.#path = path;
    this.#onUnmap = onUnmap;
    this.length = mapping.length;
  }

  /** False once unmapped, by unmap() or by closing the context. */
  get mapped(): boolean {
    return this.#mapped;
  }

  /**
   * The 32-bit register at `offset` (bytes, a multiple of 4).
   *
   * @throws EIO when the access faults; ERR_OUT_OF_RANGE; ERR_INVALID_STATE once unmapped.
   */
  read32(offset: number): number {
    this.#check(offset, 4, 4);
    this.#operands.offset[0] = offset;
    if (!this.#mapping.read32()) throw this.#fault(this.read32);
    return this.#operands.value32[0]!;
  }

  /** The 64-bit register at `offset` (bytes, a multiple of 8). Errors as read32. */
  read64(offset: number): bigint {
    this.#check(offset, 8, 8);
    this.#operands.offset[0] = offset;
    if (!this.#mapping.read64()) throw this.#fault(this.read64);
    return this.#operands.value64[0]!;
  }

  /** Stores 32 bits (0 to 2^32 - 1). Errors as read32. */
  write32(offset: number, value: number): void {
    this.#check(offset, 4, 4);
    if (typeof value !== 'number') throw typeError('value', 'a number', value);
    if (value >>> 0 !== value) throw rangeError('value', 'an integer from 0 to 2^32 - 1', value);
    this.#operands.offset[0] = offset;
    this.#operands.value32[0] = value;
    if (!this.#mapping.write32()) throw this.#fault(this.write32);
  }

  /** Stores 64 bits (0n to 2^64 - 1). Errors as read32. */
  write64(offset: number, value: bigint): void {
    this.#check(offset, 8, 8);
    checkUint64('value', value);
    this.#operands.offset[0] = offset;
    this.#operands.value64[0] = value;
    if (!this.#mapping.write64()) throw this.#fault(this.write64);
  }

  /**
   * Loads consecutive registers into `target`, element by element in ascending order, each as
   * read32 or read64 would (so in the mapping's byte order), with one barrier for the block.
   *
   * @throws EIO when an access faults: the elements before it have been stored.
   */
  readBlock(offset: number, target: BlockArray): void {
    this.#checkBlock(offset, 'target', target);
    if (this.#mapping.readBlock(offset, target) !== target.length) {
      throw this.#fault(this.readBlock);
    }
  }

  /** Stores consecutive registers from `source`; the counterpart of readBlock. */
  writeBlock(offset: number, source: BlockArray): void {
    this.#checkBlock(offset, 'source', source);
    if (this.#mapping.writeBlock(offset, source) !== source.length) {
      throw this.#fault(this.writeBlock);
    }
  }

  /** Idempotent. Closing the context does it too. */
  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#mapping.unmap();
    this.#onUnmap(this);
  }

  /** As unmap(): for `using`. */
  [Symbol.dispose](): void {
    this.unmap();
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      path: this.#path,
      length: this.length,
      mapped: this.#mapped,
    });
  }

  #fault(above: (...args: never[]) => unknown): CxlError {
    return systemError('EIO', 'mmio', this.#path, undefined, above);
  }

  #check(offset: number, width: number, bytes: number): void {
    if (!this.#mapped) throw stateError('this problem state area has been unmapped');
    if (typeof offset !== 'number') throw typeError('offset', 'a number', offset);
    // Written so that NaN and fractions fail.
    if (!(offset >= 0 && offset <= this.length - bytes && offset % width === 0)) {
      throw rangeError(
        'offset',
        `a multiple of ${width} with ${bytes} bytes from it within the ${this.length} mapped`,
        offset,
      );
    }
  }

  #checkBlock(offset: number, name: string, block: BlockArray): void {
    if (
      !(
        types.isBigUint64Array(block) ||
        types.isBigInt64Array(block) ||
        types.isUint32Array(block) ||
        types.isInt32Array(block)
      )
    ) {
      throw typeError(
        name,
        'a Uint32Array, Int32Array, BigUint64Array or BigInt64Array: registers are moved as 32- or 64-bit elements',
        block,
      );
    }
    this.#check(offset, block.BYTES_PER_ELEMENT, block.byteLength);
  }
}
