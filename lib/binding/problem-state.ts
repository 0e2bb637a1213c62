/** The seam's mapped problem state areas. */

/**
 * A mapped problem state area, with the endianness it was mapped with. Offsets are in bytes
 * and aligned to the width. A full barrier precedes each store and follows each load.
 *
 * An access takes its offset, and a store its value, from Binding.operands, and a load leaves its
 * value there. It answers false when it faulted (SIGBUS), or when the area is no longer mapped.
 */
export interface ProblemStateMapping {
  /** Bytes. */
  readonly length: number;
  readonly read32: () => boolean;
  readonly read64: () => boolean;
  readonly write32: () => boolean;
  readonly write64: () => boolean;
  /**
   * Moves whole elements, in ascending order, one barrier for the block. Elements are
   * converted as by read32/read64. The number of elements moved before a fault (all when
   * there was none).
   */
  readBlock(offset: number, target: BlockArray): number;
  writeBlock(offset: number, source: BlockArray): number;
  /** Idempotent. */
  unmap(): void;
}

/** What block transfers move: 32- or 64-bit elements. */
export type BlockArray = Uint32Array | Int32Array | BigUint64Array | BigInt64Array;
