/** The files that commands read: regular files, devices, FIFOs, terminals and standard input. */
import fs from 'node:fs';
import net from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';
import tty from 'node:tty';
import { promisify } from 'node:util';
import { throwIfAborted } from '../shared/abort';
import { UsageError } from './failure';

const read = promisify(fs.read);

export interface InputFile {
  readonly stat: fs.Stats;
  /**
   * Fills `target` from the current position. Resolves with the number of bytes, which is smaller
   * only at the end of the file.
   */
  read(target: Uint8Array): Promise<number>;
  close(): void;
}

/**
 * Opens a file for reading; `-` is standard input. Neither opening nor reading blocks a thread: a
 * FIFO without a writer, or a terminal without input, would keep the process alive after Ctrl-C.
 *
 * @throws what fs.open() throws; UsageError for a directory
 */
export function openInput(path: string, signal: AbortSignal): InputFile {
  throwIfAborted(signal);
  if (path === '-') return streamInput(process.stdin, fs.fstatSync(0), signal);
  const fd = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
  try {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory()) throw new UsageError(`${path} is a directory`);
    if (stat.isFIFO()) return streamInput(new net.Socket({ fd, writable: false }), stat, signal);
    if (tty.isatty(fd)) return streamInput(new tty.ReadStream(fd), stat, signal);
    return {
      stat,
      async read(target) {
        let filled = 0;
        while (filled < target.length) {
          throwIfAborted(signal);
          const { bytesRead } = await read(fd, target, filled, target.length - filled, null);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return filled;
      },
      close: () => fs.closeSync(fd),
    };
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

function streamInput(stream: Readable, stat: fs.Stats, signal: AbortSignal): InputFile {
  const chunks: AsyncIterator<Buffer> = addAbortSignal(signal, stream)[Symbol.asyncIterator]();
  let left: Buffer = Buffer.alloc(0);
  return {
    stat,
    async read(target) {
      let filled = 0;
      while (filled < target.length) {
        if (left.length === 0) {
          const next = await chunks.next();
          if (next.done === true) break;
          left = next.value;
        }
        const part = left.subarray(0, target.length - filled);
        target.set(part, filled);
        left = left.subarray(part.length);
        filled += part.length;
      }
      return filled;
    },
    close: () => stream.destroy(),
  };
}

/** The whole contents of a file; `-` is standard input. */
export async function readWhole(path: string, signal: AbortSignal): Promise<Buffer> {
  const input = openInput(path, signal);
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const part = Buffer.alloc(1024 * 1024);
      const length = await input.read(part);
      parts.push(part.subarray(0, length));
      if (length < part.length) return Buffer.concat(parts);
    }
  } finally {
    input.close();
  }
}
