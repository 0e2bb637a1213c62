/** The seam's memory that an AFU can reach. */

/** How allocate() gets its pages. */
export interface AllocationRequest {
  /** Bytes, at least 1, and no more than a buffer can have (buffer.constants.MAX_LENGTH). */
  readonly size: number;
  /** Power of two. */
  readonly alignment: number;
  /** none: base pages. transparent: madvise. explicit: from the hugetlb pool. */
  readonly hugePages: 'none' | 'transparent' | 'explicit';
  /** NUMA node to bind to, or -1. */
  readonly numaNode: number;
}

/**
 * Memory an AFU can reach: zeroed, aligned, outside V8's heap, at a stable effective address.
 *
 * Loads have acquire order, stores release order. An access takes its offset and byte order, and
 * a store its value, from Binding.operands, and a load leaves its value there.
 */
export interface MemoryRegion {
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  /** The same ArrayBuffer every time; detached by free(). */
  readonly buffer: ArrayBuffer;
  readonly load8: () => void;
  readonly load16: () => void;
  readonly load32: () => void;
  readonly load64: () => void;
  readonly store8: () => void;
  readonly store16: () => void;
  readonly store32: () => void;
  readonly store64: () => void;
  /**
   * 0, or -EBUSY while a context of this process is attached and `force` is false.
   * Idempotent. Without a call, the collector frees the region, but never while a context
   * of this process is attached.
   */
  free(force: boolean): number;
}
