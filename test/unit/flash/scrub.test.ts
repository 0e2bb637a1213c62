/** Which commands overwrite blocks with zeros, over a queue that does what a test says. */
import { describe, expect, it } from 'vitest';
import type { Command, Operation } from '../../../lib/flash/command';
import type { CommandQueue } from '../../../lib/flash/command-queue';
import type { Resource } from '../../../lib/flash/resource';
import { scrub } from '../../../lib/flash/scrub';
import { systemError } from '../../../lib/shared/errors';

const ENOENT = -2;
const CHUNK = 65_536n;
const BLOCK_SIZE = 512;

interface Setup {
  /** VPD page 0xb2; without it, there is none. */
  readonly page?: Uint8Array;
  readonly unmapSupported?: boolean;
  /** Blocks that the bounce buffer has room for, and that the LUN takes at once. */
  readonly bounceBlocks?: number;
  readonly maxTransfer?: number;
  /** The error of a command; undefined: it succeeds. */
  readonly outcome?: (command: Command, batch: number) => unknown;
}

/** Unmap by WRITE SAME(16), and unmapped blocks read as zeros. */
const ZEROING_PAGE = Uint8Array.of(0, 0xb2, 0, 4, 0, 0x44, 2, 0);

/** Scrubs blocks: the commands of each batch. */
async function scrubbed(from: bigint, to: bigint, setup: Setup = {}): Promise<Command[][]> {
  const { page, bounceBlocks = 16, maxTransfer = 64, unmapSupported = false } = setup;
  const read: string[] = [];
  const sysfs = {
    realpath: async () => ENOENT,
    read: async (path: string) => {
      read.push(path);
      return page ?? ENOENT;
    },
  };
  const lun = { path: '/dev/sg1', system: { binding: { sysfs } } };
  const resource = { blockSize: BLOCK_SIZE, maxTransfer, lun } as unknown as Resource;
  const batches: Command[][] = [];
  const queue = {
    unmapSupported,
    ring: { bounceBytes: bounceBlocks * BLOCK_SIZE },
    submit: (commands: readonly Command[]) => {
      const number = batches.push([...commands]);
      for (const command of commands) {
        const error = setup.outcome?.(command, number);
        queueMicrotask(() => command.owner.settled(error));
      }
    },
  } as unknown as CommandQueue;
  try {
    await scrub(resource, queue, from, to);
  } catch (error) {
    throw Object.assign(error as Error, { batches });
  }
  expect(read).toEqual(
    unmapSupported && from < to ? ['/sys/class/scsi_generic/sg1/device/vpd_pgb2'] : [],
  );
  return batches;
}

/** Operation, first block and number of blocks of each command. */
const pieces = (batches: readonly Command[][]): [Operation, bigint, number][] =>
  batches.flat().map(({ name, lba, blocks }) => [name, lba, blocks]);

const canceled = () => systemError('ECANCELED', 'write');

describe('a scrub', () => {
  it('writes zeros, as many blocks at once as fit, not over the end of a chunk', async () => {
    const from = CHUNK - 20n;
    const batches = await scrubbed(from, CHUNK + 5n);
    expect(pieces(batches)).toEqual([
      ['write', from, 16],
      ['write', from + 16n, 4],
      ['write', CHUNK, 5],
    ]);
    for (const { data, blocks, priority } of batches.flat()) {
      expect(priority).toBe('low');
      expect(data).toMatchObject({ memory: undefined, address: 0n, length: blocks * BLOCK_SIZE });
      expect(data.bytes).toEqual(new Uint8Array(blocks * BLOCK_SIZE));
    }
    const small = await scrubbed(0n, 20n, { bounceBlocks: 64, maxTransfer: 8 });
    expect(pieces(small)).toEqual([
      ['write', 0n, 8],
      ['write', 8n, 8],
      ['write', 16n, 4],
    ]);
  });

  it('has at most 64 commands in flight', async () => {
    const batches = await scrubbed(3n, 3n + 16n * 65n);
    expect(batches.map(({ length }) => length)).toEqual([64, 1]);
    expect(pieces(batches).at(-1)).toEqual(['write', 3n + 16n * 64n, 16]);
  });

  it('does nothing where there are no blocks', async () => {
    expect(await scrubbed(7n, 7n, { unmapSupported: true, page: ZEROING_PAGE })).toEqual([]);
    expect(await scrubbed(8n, 7n)).toEqual([]);
  });

  it('unmaps a chunk at once where the LUN says that unmapped blocks read as zeros', async () => {
    const setup = { unmapSupported: true, page: ZEROING_PAGE };
    const batches = await scrubbed(5n, 2n * CHUNK, setup);
    expect(pieces(batches)).toEqual([
      ['unmap', 5n, 65_531],
      ['unmap', CHUNK, 65_536],
    ]);
    // Each has the data of one block, which the LUN repeats.
    for (const { data } of batches.flat()) {
      expect(data).toMatchObject({ bytes: new Uint8Array(BLOCK_SIZE), length: BLOCK_SIZE });
    }
  });

  it('writes zeros where it does not, or where that cannot be read', async () => {
    const flags = [0x40, 0x04, 0x00];
    const pages = [...flags.map((byte) => Uint8Array.of(0, 0xb2, 0, 4, 0, byte)), undefined];
    for (const page of [...pages, Uint8Array.of(0x44, 0x44)]) {
      const setup = { unmapSupported: true, ...(page === undefined ? {} : { page }) };
      expect(pieces(await scrubbed(0n, 1n, setup))).toEqual([['write', 0n, 1]]);
    }
  });

  it('writes zeros over all of it where an unmap fails', async () => {
    const outcome = ({ name, lba }: Command) =>
      name === 'unmap' && lba >= CHUNK ? systemError('EIO', 'unmap') : undefined;
    const setup = { unmapSupported: true, page: ZEROING_PAGE, outcome };
    const batches = await scrubbed(CHUNK - 1n, CHUNK + 1n, setup);
    expect(pieces(batches)).toEqual([
      ['unmap', CHUNK - 1n, 1],
      ['unmap', CHUNK, 1],
      ['write', CHUNK - 1n, 1],
      ['write', CHUNK, 1],
    ]);
  });

  it('begins a batch again that a reset ended, up to four times', async () => {
    const outcome = (_: Command, batch: number) => (batch < 5 ? canceled() : undefined);
    const batches = await scrubbed(0n, 1n, { outcome });
    expect(pieces(batches)).toEqual(Array.from({ length: 5 }, () => ['write', 0n, 1]));
    const failed = await scrubbed(0n, 1n, { outcome: canceled }).catch((error) => error);
    expect([failed.code, failed.batches.length]).toEqual(['ECANCELED', 5]);
  });

  it('fails with any other error at once, and writes nothing more', async () => {
    for (const error of [
      systemError('EIO', 'write'),
      Object.assign(new Error('not of the driver'), { code: 'ECANCELED' }),
    ]) {
      const outcome = () => error;
      const failed = await scrubbed(0n, 16n * 65n, { outcome }).catch((reason) => reason);
      expect(failed).toBe(error);
      expect(failed.batches).toHaveLength(1);
    }
  });
});
