/** Sizes of LUNs, in blocks and in the driver's units, and how transfers are split. */
import { describe, expect, it } from 'vitest';
import {
  endOfPiece,
  geometryOf,
  grantedBlocks,
  SIZE_UNIT,
  toSizeUnits,
} from '../../../lib/flash/geometry';
import { CHUNK_BLOCKS } from '../../../lib/flash/sislite';

const coded = (code: string) => expect.objectContaining({ code });

describe('what ATTACH says about a LUN', () => {
  const geometry = (blockSize: bigint, maxXfer: bigint) =>
    geometryOf({ blockSize, maxXfer, lastLba: 99n } as never, '/dev/sg1');

  it('is taken where transfers are possible', () => {
    expect(geometry(512n, 1n)).toEqual({ blockSize: 512, maxTransfer: 1, blocks: 100n });
    expect(geometry(4096n, 8192n)).toEqual({ blockSize: 4096, maxTransfer: 8192, blocks: 100n });
    // 2^32 - 1 bytes.
    expect(geometry(771n, 5_570_645n).maxTransfer).toBe(5_570_645);
  });

  it('is EBADMSG otherwise, with the path of the LUN', () => {
    for (const [blockSize, maxXfer] of [
      [511n, 1n],
      [4097n, 1n],
      [512n, 0n],
      [512n, -1n],
      [4096n, 1_048_576n],
    ] as const) {
      const failure = expect.objectContaining({ code: 'EBADMSG', path: '/dev/sg1' });
      expect(() => geometry(blockSize, maxXfer)).toThrow(failure);
    }
  });
});

describe('the size of a virtual LUN', () => {
  it('is in units of 4 KiB, rounded up', () => {
    expect([0, 1, 8, 9n].map((blocks) => toSizeUnits('blocks', blocks, 512))).toEqual([
      0n,
      1n,
      1n,
      2n,
    ]);
    // The most is 2^64 - 1 bytes, which 641 divides.
    const most = 2n ** 64n - 1n;
    expect(toSizeUnits('blocks', most / 641n, 641)).toBe(2n ** 64n / SIZE_UNIT);
  });

  it('is refused when it is no number of blocks, or too large', () => {
    for (const blocks of ['1', undefined, null, {}]) {
      expect(() => toSizeUnits('blocks', blocks, 512)).toThrow(coded('ERR_INVALID_ARG_TYPE'));
    }
    for (const blocks of [1.5, Number.NaN, 2 ** 53, -1, -1n, 2n ** 64n / 4096n, 2n ** 64n]) {
      expect(() => toSizeUnits('blocks', blocks, 4096)).toThrow(coded('ERR_OUT_OF_RANGE'));
    }
  });

  it('is granted in chunks of 65536 blocks', () => {
    expect(grantedBlocks(0n, 4096)).toBe(0n);
    expect(grantedBlocks(1n, 4096)).toBe(CHUNK_BLOCKS);
    expect(grantedBlocks(CHUNK_BLOCKS, 4096)).toBe(CHUNK_BLOCKS);
    expect(grantedBlocks(CHUNK_BLOCKS + 1n, 4096)).toBe(2n * CHUNK_BLOCKS);
    // A unit has eight blocks of 512 bytes.
    expect(grantedBlocks(CHUNK_BLOCKS / 8n, 512)).toBe(CHUNK_BLOCKS);
    expect(grantedBlocks(CHUNK_BLOCKS / 8n + 1n, 512)).toBe(2n * CHUNK_BLOCKS);
  });
});

describe('a piece of a transfer', () => {
  it('ends at the most that one command takes, or at the end', () => {
    expect(endOfPiece(5n, 100n, 10n, false)).toBe(15n);
    expect(endOfPiece(95n, 100n, 10n, false)).toBe(100n);
    expect(endOfPiece(90n, 100n, 10n, false)).toBe(100n);
    expect(endOfPiece(CHUNK_BLOCKS - 1n, CHUNK_BLOCKS + 9n, 4n, false)).toBe(CHUNK_BLOCKS + 3n);
    expect(endOfPiece(1n, 4n * CHUNK_BLOCKS, 2n * CHUNK_BLOCKS, false)).toBe(
      2n * CHUNK_BLOCKS + 1n,
    );
  });

  it('of a virtual LUN ends with the chunk as well', () => {
    expect(endOfPiece(5n, 100n, 10n, true)).toBe(15n);
    expect(endOfPiece(CHUNK_BLOCKS - 1n, CHUNK_BLOCKS + 9n, 4n, true)).toBe(CHUNK_BLOCKS);
    expect(endOfPiece(CHUNK_BLOCKS, 3n * CHUNK_BLOCKS, 2n * CHUNK_BLOCKS, true)).toBe(
      2n * CHUNK_BLOCKS,
    );
    expect(endOfPiece(CHUNK_BLOCKS - 4n, CHUNK_BLOCKS + 9n, 4n, true)).toBe(CHUNK_BLOCKS);
  });
});
