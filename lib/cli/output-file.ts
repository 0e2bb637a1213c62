/**
 * The files that commands write. A regular file is written beside its place and renamed at the end, so
 * that a command which fails leaves the old file as it was.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AbortError, throwIfAborted } from '../shared/abort';
import { UsageError } from './failure';

export interface OutputFile {
  /** Text about the command must not go to standard output then. */
  readonly isStandardOutput: boolean;
  write(data: Uint8Array): Promise<void>;
  /** Makes what was written the contents of the file. */
  commit(): Promise<void>;
  /** Idempotent. Without commit() before, a regular file stays as it was. */
  close(): Promise<void>;
}

/** How the names of the files end that are written beside their place. */
const SUFFIX = '.node-cxl';
const MAX_LINKS = 40;
/** Milliseconds between attempts to open a FIFO that nothing reads yet. */
const FIFO_INTERVAL = 50;

/**
 * Opens a file for writing; `-` is standard output. Devices, FIFOs and descriptors (/dev/stdout,
 * /dev/fd/3) are written to directly. A symbolic link stays, and the file that it leads to is
 * written.
 *
 * @throws what fs.open() throws; UsageError for a directory
 */
export async function openOutput(name: string, signal: AbortSignal): Promise<OutputFile> {
  throwIfAborted(signal);
  try {
    return await openAny(name, signal);
  } catch (error) {
    throw aboutFile(error, name);
  }
}

/** The error with the name that the user gave, not that of a link's target or of the file beside it. */
function aboutFile(error: unknown, name: string): unknown {
  const { message, code, errno, syscall, path: other } = error as NodeJS.ErrnoException;
  if (other === undefined || other === name) return error;
  const refused = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
  const hint = refused && other.endsWith(SUFFIX) ? ' (its folder gets a new file first)' : '';
  const text = `${message.replace(other, name)}${hint}`;
  return Object.assign(new Error(text, { cause: error }), { code, errno, syscall, path: name });
}

async function openAny(name: string, signal: AbortSignal): Promise<OutputFile> {
  if (name === '-' || (await isDescriptor(name, 1))) return standardOutput(signal);
  const target = await followLinks(name);
  const old = await stat(target ?? name).catch(absent);
  if (old?.isDirectory()) throw new UsageError(`${name} is a directory`);
  if (old?.isFIFO()) return fifoOutput(name, signal);
  if (target === undefined || (old !== undefined && !old.isFile())) return directOutput(name);
  if (old !== undefined) await (await open(target, 'r+')).close(); // Whether it may be written.
  return replacingOutput(target, old);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function isDescriptor(name: string, fd: number): Promise<boolean> {
  if (name === '/dev/stdout') return true;
  const folder = await realpath(path.dirname(name)).catch(() => '');
  return folder === `/proc/${process.pid}/fd` && path.basename(name) === String(fd);
}

/** The path that a chain of symbolic links ends at; undefined where that is a descriptor in /proc. */
async function followLinks(name: string): Promise<string | undefined> {
  let current = name;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const folder = await realpath(path.dirname(current));
    if (folder === '/proc' || folder.startsWith('/proc/')) return undefined;
    current = path.join(folder, path.basename(current));
    const link = await fs.promises.readlink(current).catch(() => undefined);
    if (link === undefined) return current;
    current = path.resolve(folder, link);
  }
  return current;
}

function standardOutput(signal: AbortSignal): OutputFile {
  return {
    isStandardOutput: true,
    async write(data) {
      throwIfAborted(signal);
      if (!process.stdout.write(data)) await once(process.stdout, 'drain', { signal });
    },
    async commit() {},
    async close() {},
  };
}

async function directOutput(name: string): Promise<OutputFile> {
  const file = await open(name, 'w');
  return {
    isStandardOutput: false,
    write: (data) => file.writeFile(data),
    async commit() {},
    close: onlyOnce(() => file.close()),
  };
}

/** Opening waits until something reads the FIFO; a blocking open() could not be aborted. */
async function fifoOutput(name: string, signal: AbortSignal): Promise<OutputFile> {
  const { O_WRONLY, O_NONBLOCK } = fs.constants;
  let fd: number | undefined;
  while (fd === undefined) {
    try {
      fd = fs.openSync(name, O_WRONLY | O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      if (signal.aborted) throw new AbortError(signal);
      await delay(FIFO_INTERVAL, undefined, { signal });
    }
  }
  const socket = new net.Socket({ fd, readable: false, writable: true });
  const abort = () => socket.destroy(new AbortError(signal));
  signal.addEventListener('abort', abort);
  socket.on('error', () => {}); // Told by the callbacks of write().
  return {
    isStandardOutput: false,
    write: (data) =>
      new Promise((resolve, reject) => {
        socket.write(data, (error) => (error ? reject(error) : resolve()));
      }),
    commit: () => new Promise((resolve) => socket.end(resolve)),
    async close() {
      signal.removeEventListener('abort', abort);
      socket.destroy();
    },
  };
}

/** Calls `run` at the first call only. */
function onlyOnce(run: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => {
    result ??= run();
    return result;
  };
}

async function replacingOutput(target: string, old: fs.Stats | undefined): Promise<OutputFile> {
  const folder = path.dirname(target);
  const random = randomBytes(4).toString('hex');
  const beside = path.join(folder, `.${path.basename(target)}.${random}${SUFFIX}`);
  // Nobody else may read what may become a file that only its owner may read.
  const file = await open(beside, 'wx', old === undefined ? 0o666 : 0o600);
  let committed = false;
  return {
    isStandardOutput: false,
    write: (data) => file.writeFile(data),
    async commit() {
      if (old !== undefined) await adoptOwner(file, old);
      await file.sync();
      await rename(beside, target);
      committed = true;
      await syncFolder(folder);
    },
    close: onlyOnce(async () => {
      await file.close();
      if (!committed) await rm(beside, { force: true });
    }),
  };
}

/** Owner, group and permissions of the old file. Only root can give a file to another owner. */
async function adoptOwner(file: FileHandle, old: fs.Stats): Promise<void> {
  const now = await file.stat();
  let { mode } = old;
  if (now.uid !== old.uid || now.gid !== old.gid) {
    try {
      await file.chown(old.uid, old.gid);
    } catch {
      mode &= ~0o6000; // setuid and setgid were meant for the old owner.
    }
  }
  await file.chmod(mode & 0o7777);
}

/** Makes the rename survive a crash; not all file systems can, which is no failure. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file itself is there.
  }
}
