/**
 * Which chunks of a LUN belong to virtual LUNs, and to how many (vlun.c, the block
 * allocator). A chunk is 65536 blocks of the LUN.
 */
export const blocksPerChunk = 65536;

/** A chunk has one owner and at most this many clones. */
const mostClones = 255;

export class ChunkAllocator {
  readonly total: number;
  /** Owners of each chunk: 0 free, 1 one virtual LUN, more when cloned. */
  private readonly owners: Uint16Array;
  private next = 0;
  private freeCount: number;

  /** `blocks` is the capacity of the LUN; what is left over after whole chunks stays unused. */
  constructor(blocks: bigint) {
    this.total = Number(blocks / BigInt(blocksPerChunk));
    this.owners = new Uint16Array(this.total);
    this.freeCount = this.total;
  }

  get free(): number {
    return this.freeCount;
  }

  /** A chunk number, or -1 when none is free. Goes round, so that a freed chunk rests. */
  allocate(): number {
    for (let i = 0; i < this.total; i += 1) {
      const chunk = (this.next + i) % this.total;
      if (this.owners[chunk] === 0) {
        this.owners[chunk] = 1;
        this.freeCount -= 1;
        this.next = (chunk + 1) % this.total;
        return chunk;
      }
    }
    return -1;
  }

  /** False when the chunk is free, or has as many clones as can be counted. */
  clone(chunk: number): boolean {
    const owners = this.owners[chunk] ?? 0;
    if (owners === 0 || owners > mostClones) return false;
    this.owners[chunk] = owners + 1;
    return true;
  }

  /** Gives one reference back; false when the chunk was free. */
  release(chunk: number): boolean {
    const owners = this.owners[chunk] ?? 0;
    if (owners === 0) return false;
    this.owners[chunk] = owners - 1;
    if (owners === 1) this.freeCount += 1;
    return true;
  }

  references(chunk: number): number {
    return this.owners[chunk] ?? 0;
  }
}
