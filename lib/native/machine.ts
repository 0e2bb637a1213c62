/** Machines for which the package has no compiled addon although it has one for their processor. */
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';

interface Unlike {
  /** What a sentence adds to the processor's name. */
  readonly machine: string;
  /** What building the addon needs there, where it is not the usual. */
  readonly programs?: string;
}

/** What tells this machine from those the package has compiled addons for, apart from the processor. */
export function withoutPrebuilt(): Unlike | undefined {
  if (process.arch === 'ppc64' && endianness() === 'BE') return { machine: '(big-endian)' };
  if (usesMusl(process.execPath)) {
    return {
      machine: 'with the C library musl (Alpine Linux): those it has need glibc',
      programs:
        'make, g++, python3 and the headers of Linux (apk add build-base python3 linux-headers)',
    };
  }
  return undefined;
}

/** Whether a program is linked with musl, by the name of its ELF interpreter (ld-musl-x86_64.so.1). */
function usesMusl(program: string): boolean {
  // Behind the program headers, which come first.
  const start = Buffer.alloc(4096);
  try {
    const file = openSync(program, 'r');
    try {
      readSync(file, start, 0, start.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
  return start.includes('/ld-musl-');
}
