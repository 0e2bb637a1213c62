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
  /** The same ArrayBuffer every time. */
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
   * Detaches `buffer`; the pages stay. For a buffer that can be detached: Node ends the process for
   * one that cannot.
   */
  detach(): void;
  /**
   * Gives the pages back, whoever can reach them: that is the caller's to know. Idempotent. Of a
   * buffer that is not detached the pages go when it is collected. So do those of a region that
   * nothing refers to.
   */
  free(): void;
}
