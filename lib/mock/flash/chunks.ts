/**
 * Chunks: a virtual LUN is made of chunks of a LUN, each of chunkBlocks blocks. The model of
 * the block allocator in drivers/scsi/cxlflash/vlun.c.
 */
import { CHUNK_BLOCKS } from '../../flash/sislite';

/** How often a chunk can be cloned: it has one owner and at most this many clones. */
const MAX_CLONES = 255;

/** Which chunks of a LUN are in use, and by how many virtual LUNs. */
export class ChunkAllocator {
  readonly total: number;
  /** Owners of each chunk: 0 free, 1 one virtual LUN, more when cloned. */
  readonly #owners: Uint16Array;
  /** Where the search for a free chunk begins. */
  #next = 0;
  #free: number;

  /** `blocks` is the capacity of the LUN. A remainder smaller than a chunk stays unused. */
  constructor(blocks: bigint) {
    this.total = Number(blocks / CHUNK_BLOCKS);
    this.#owners = new Uint16Array(this.total);
    this.#free = this.total;
  }

  get free(): number {
    return this.#free;
  }

  /**
   * A chunk number, or -1 when none is free. The search begins after the chunk allocated last,
   * so a chunk that was just freed is not reused at once.
   */
  allocate(): number {
    for (let i = 0; i < this.total; i += 1) {
      const chunk = (this.#next + i) % this.total;
      if (this.#owners[chunk] === 0) {
        this.#owners[chunk] = 1;
        this.#free -= 1;
        this.#next = (chunk + 1) % this.total;
        return chunk;
      }
    }
    return -1;
  }

  /** False when the chunk is free, or has MAX_CLONES clones already. */
  clone(chunk: number): boolean {
    const owners = this.references(chunk);
    if (owners === 0 || owners > MAX_CLONES) return false;
    this.#owners[chunk] = owners + 1;
    return true;
  }

  /** Gives one reference back. */
  release(chunk: number): void {
    const owners = this.references(chunk);
    if (owners === 0) return;
    this.#owners[chunk] = owners - 1;
    if (owners === 1) this.#free += 1;
  }

  references(chunk: number): number {
    return this.#owners[chunk] ?? 0;
  }
}

/** How many chunks `size` blocks of 4 KiB take on a LUN with blocks of `blockSize` bytes. */
export function chunksFor(size: bigint, blockSize: number): bigint {
  const blocks = BigInt.asUintN(64, size * 4096n) / BigInt(blockSize);
  return (blocks + CHUNK_BLOCKS - 1n) / CHUNK_BLOCKS;
}

/** The last LBA of so many chunks, in blocks of 4 KiB; ALL_ONES_64 for no chunk. */
export function lastLbaOf(chunks: bigint, blockSize: number): bigint {
  return BigInt.asUintN(64, (chunks * CHUNK_BLOCKS * BigInt(blockSize)) / 4096n - 1n);
}
