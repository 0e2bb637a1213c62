import type { AttachAnswer } from '../binding/flash';
import { rangeError, systemError, typeError } from '../shared/errors';
import { CHUNK_BLOCKS } from './sislite';

/** What ATTACH says about a LUN. */
export interface Geometry {
  /** Bytes, 512 to 4096. */
  readonly blockSize: number;
  /** Blocks of the whole LUN. */
  readonly blocks: bigint;
  /** Blocks that one command can transfer. */
  readonly maxTransfer: number;
}

/** Bytes; the driver's unit for the size of a virtual LUN. */
export const SIZE_UNIT = 4096n;
const MAX_BYTES = (1n << 64n) - 1n;

/** Bytes of a block: the smallest of a disk, and the unit of bounce buffers. */
const BLOCK_BYTES = { least: 512n, most: SIZE_UNIT } as const;
/** The field for the length of a command's data has 32 bits. */
const MAX_COMMAND_BYTES = 2n ** 32n - 1n;

/**
 * @internal What ATTACH answered about the LUN at `path`: the driver passes on what the LUN itself
 * answered to READ CAPACITY, without checks.
 *
 * @throws EBADMSG no transfer is possible with it
 */
export function geometryOf({ blockSize, maxXfer, lastLba }: AttachAnswer, path: string): Geometry {
  const { least, most } = BLOCK_BYTES;
  const possible = blockSize >= least && blockSize <= most && maxXfer > 0n;
  if (!possible || blockSize * maxXfer > MAX_COMMAND_BYTES) {
    const hint = `the LUN says that a block has ${blockSize} bytes, and the driver that a command transfers up to ${maxXfer} blocks; blocks have ${least} to ${most} bytes`;
    throw systemError('EBADMSG', 'ioctl(ATTACH)', path, hint);
  }
  return { blockSize: Number(blockSize), maxTransfer: Number(maxXfer), blocks: lastLba + 1n };
}

/** @internal The blocks that a virtual LUN gets for so many units, where that many are free. */
export function grantedBlocks(units: bigint, blockSize: number): bigint {
  const blocks = (units * SIZE_UNIT) / BigInt(blockSize);
  return ((blocks + CHUNK_BLOCKS - 1n) / CHUNK_BLOCKS) * CHUNK_BLOCKS;
}

/**
 * @internal Where the piece that begins at `at` ends, when the blocks to below `end` are split into
 * pieces of at most `most`. In a virtual LUN none crosses the end of a chunk.
 */
export function endOfPiece(at: bigint, end: bigint, most: bigint, virtual: boolean): bigint {
  let to = at + most;
  const chunkEnd = (at / CHUNK_BLOCKS + 1n) * CHUNK_BLOCKS;
  if (virtual && to > chunkEnd) to = chunkEnd;
  return to > end ? end : to;
}

/** @internal A number of blocks in the driver's unit of 4 KiB, rounded up. */
export function toSizeUnits(name: string, blocks: unknown, blockSize: number): bigint {
  if (typeof blocks !== 'number' && typeof blocks !== 'bigint') {
    throw typeError(name, 'a number or bigint', blocks);
  }
  if (typeof blocks === 'number' && !Number.isSafeInteger(blocks)) {
    throw rangeError(name, 'an integer', blocks);
  }
  const bytes = BigInt(blocks) * BigInt(blockSize);
  if (bytes < 0n || bytes > MAX_BYTES) throw rangeError(name, 'from 0 to 2^64 bytes', blocks);
  return (bytes + SIZE_UNIT - 1n) / SIZE_UNIT;
}
