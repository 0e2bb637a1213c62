/** `node-cxl flash read` and `flash write`: between the blocks of a LUN and a file. */
import { SingleBar } from 'cli-progress';
import type { BlockDevice } from '../flash';
import { throwIfAborted } from '../shared/abort';
import { rangeError, valueError } from '../shared/errors';
import { UsageError } from './failure';
import { type AccessOptions, withDevice } from './flash-device';
import { type InputFile, openInput } from './input-file';
import { show } from './output';
import { openOutput } from './output-file';
import type { Session } from './session';

export interface ReadOptions extends AccessOptions {
  readonly lba: bigint;
  readonly count: number;
  readonly out: string;
}

export interface WriteOptions extends AccessOptions {
  readonly lba: bigint;
  readonly in: string;
  readonly pad?: boolean;
  readonly yes?: boolean;
}

/** Blocks of one read() or write() call; the block device splits it into commands. */
const BLOCKS_PER_CALL = 256;

export async function read(session: Session, node: string, options: ReadOptions): Promise<void> {
  const { signal } = session;
  const { lba, count, out } = options;
  // Opened first: if this fails, the mode of the LUN has not been changed.
  const file = await openOutput(out, signal);
  try {
    const bytes = await withDevice(session, node, options, { access: 'read' }, async (device) => {
      checkRange(device, lba, count);
      await forEachPart('read', count, signal, async (done, blocks) => {
        await file.write(await device.read(lba + BigInt(done), blocks, { signal }));
      });
      return count * device.blockSize;
    });
    await file.commit();
    if (file.isStandardOutput) return;
    show(
      options,
      { bytes, blocks: count, file: out },
      { text: () => `${bytes} bytes, ${count} blocks, read to ${out}` },
    );
  } finally {
    await file.close();
  }
}

export async function write(session: Session, node: string, options: WriteOptions): Promise<void> {
  if (options.yes !== true) {
    throw new UsageError(`this overwrites blocks of ${node}: pass --yes to confirm`);
  }
  const { signal } = session;
  const file = openInput(options.in, signal);
  try {
    if (!file.stat.isFile()) {
      throw new UsageError(`--in ${options.in} is not a regular file, so its length is unknown`);
    }
    const { size } = file.stat;
    const blocks = await withDevice(session, node, options, {}, async (device) => {
      const count = Math.ceil(size / device.blockSize);
      if (size % device.blockSize !== 0 && options.pad !== true) {
        const whole = `whole blocks of ${device.blockSize} bytes, or --pad`;
        throw valueError(options.in, whole, `${size} bytes`);
      }
      checkRange(device, options.lba, count);
      await forEachPart('write', count, signal, async (done, part) => {
        const data = new Uint8Array(part * device.blockSize);
        const start = done * device.blockSize;
        await readPart(file, options.in, data, start, Math.min(data.length, size - start));
        await device.write(options.lba + BigInt(done), data, { signal });
      });
      return count;
    });
    show(
      options,
      { bytes: size, blocks, file: options.in },
      { text: () => `${size} bytes, ${blocks} blocks, written from ${options.in}` },
    );
  } finally {
    file.close();
  }
}

/** Reads `length` bytes; that fewer are left means that the file has shrunk. */
async function readPart(
  file: InputFile,
  name: string,
  data: Uint8Array,
  start: number,
  length: number,
): Promise<void> {
  const got = await file.read(data.subarray(0, length));
  if (got === length) return;
  throw new Error(
    `${name} has shrunk to ${start + got} bytes while it was read: the first ${start} have been written`,
  );
}

function checkRange(device: BlockDevice, lba: bigint, count: number): void {
  if (lba + BigInt(count) <= device.blocks) return;
  throw rangeError('lba', `so that ${count} blocks from it end below ${device.blocks}`, lba);
}

/** Calls `move` for parts of up to BLOCKS_PER_CALL blocks, with a progress bar on a terminal. */
async function forEachPart(
  label: string,
  count: number,
  signal: AbortSignal,
  move: (done: number, blocks: number) => Promise<void>,
): Promise<void> {
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: `${label} [{bar}] {percentage}%`,
        stream: process.stderr,
        // Ctrl-C must not end the process before the LUN is restored.
        gracefulExit: false,
      })
    : undefined;
  bar?.start(count, 0);
  try {
    for (let done = 0; done < count; done += BLOCKS_PER_CALL) {
      throwIfAborted(signal);
      await move(done, Math.min(BLOCKS_PER_CALL, count - done));
      bar?.update(Math.min(count, done + BLOCKS_PER_CALL));
    }
  } finally {
    bar?.stop();
  }
}
