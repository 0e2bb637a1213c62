/** A tree of directories, symbolic links and files. It is made anew for each access. */
import path from 'node:path';
import { ERRNOS } from '../shared/errno';

export interface Directory {
  readonly kind: 'directory';
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface SymbolicLink {
  readonly kind: 'link';
  /** Relative to the directory it is in, or absolute. */
  readonly target: string;
}

export interface File {
  readonly kind: 'file';
  /** Absent: not readable (EACCES, for root too, as in sysfs). */
  readonly read?: () => Uint8Array;
  /** Returns 0 or -errno. Absent: not writable (EACCES). */
  readonly write?: (text: string) => number;
}

export type Entry = Directory | SymbolicLink | File;

/** A directory of these entries; those that are undefined are left out. */
export function directory(entries: Record<string, Entry | undefined>): Directory {
  const present = Object.entries(entries).filter(
    (entry): entry is [string, Entry] => entry[1] !== undefined,
  );
  return { kind: 'directory', entries: new Map(present) };
}

export function link(target: string): SymbolicLink {
  return { kind: 'link', target };
}

/** A text file: what `show` returns, and a newline. */
export function attribute(show: () => string | number, write?: (text: string) => number): File {
  const read = () => Buffer.from(`${show()}\n`, 'latin1');
  return write === undefined ? { kind: 'file', read } : { kind: 'file', read, write };
}

export function writeOnly(write: (text: string) => number): File {
  return { kind: 'file', write };
}

export function binary(read: () => Uint8Array): File {
  return { kind: 'file', read };
}

/** Symbolic links that a path may go through. */
const MAX_LINKS = 40;

/** Follows a path through all symbolic links: what is there and its real path, or -errno. */
export function resolve(root: Directory, wanted: string): { entry: Entry; real: string } | number {
  let pending = parts(wanted);
  let real: string[] = [];
  let entry: Entry = root;
  let links = 0;
  const directories: Directory[] = [root];
  while (pending.length > 0) {
    const name = pending.shift()!;
    const current: Directory = directories[directories.length - 1]!;
    if (name === '..') {
      if (directories.length > 1) {
        directories.pop();
        real.pop();
      }
      entry = directories[directories.length - 1]!;
      continue;
    }
    if (entry.kind === 'file') return -ERRNOS.ENOTDIR;
    const next = current.entries.get(name);
    if (next === undefined) return -ERRNOS.ENOENT;
    if (next.kind === 'link') {
      links += 1;
      if (links > MAX_LINKS) return -ERRNOS.ENOENT;
      const from = `/${real.join('/')}`;
      pending = [...parts(path.posix.resolve(from, next.target)), ...pending];
      real = [];
      directories.length = 1;
      entry = root;
      continue;
    }
    real.push(name);
    entry = next;
    if (next.kind === 'directory') directories.push(next);
  }
  return { entry, real: `/${real.join('/')}` };
}

function parts(wanted: string): string[] {
  return wanted.split('/').filter((part) => part !== '' && part !== '.');
}
