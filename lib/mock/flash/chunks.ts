/**
 * Chunks: a virtual LUN is made of chunks of a LUN, each of CHUNK_BLOCKS blocks. The model of
 * the block allocator in drivers/scsi/cxlflash/vlun.c.
 */
import { CHUNK_BLOCKS } from '../../flash/sislite';

/** How often a chunk can be cloned: it has one owner and at most this many clones. */
const MAX_CLONES = 255;

/** Chunks of a word of the driver's bit map. */
const WORD_CHUNKS = 64;

/** Which chunks of a LUN are in use, and by how many virtual LUNs. */
export class ChunkAllocator {
  readonly total: number;
  /** Owners of each chunk: 0 free, 1 one virtual LUN, more when cloned. */
  readonly #owners: Uint16Array;
  /** The first chunk of the word of the driver's bit map where the search for a free one begins. */
  #word = 0;
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
   * A chunk number, or -1 when none is free: the lowest free one of the current word and those
   * after it, else of those before it. So a chunk that was just freed is mostly the next one
   * allocated, with its old data (ba_alloc()).
   */
  allocate(): number {
    let chunk = this.#owners.indexOf(0, this.#word);
    if (chunk < 0) chunk = this.#owners.indexOf(0);
    if (chunk < 0) return -1;
    this.#owners[chunk] = 1;
    this.#free -= 1;
    // The word stays the current one until its last chunk is allocated.
    const inWord = chunk % WORD_CHUNKS;
    this.#word = chunk - inWord + (inWord === WORD_CHUNKS - 1 ? WORD_CHUNKS : 0);
    return chunk;
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
