// C programs for the guest: statically linked, so that they need nothing of it.
import fs from 'node:fs';
import path from 'node:path';
import { rigFolder } from './cache.mjs';
import { run } from './command.mjs';

/** Compiles the C check into `target`. */
export function buildCheck(target) {
  const folder = path.join(rigFolder, 'check');
  const sources = fs.readdirSync(folder).filter((name) => name.endsWith('.c'));
  run('powerpc64le-linux-gnu-gcc', [
    '-std=gnu11',
    '-O2',
    '-static',
    '-mcpu=power8',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    target,
    ...sources.map((name) => path.join(folder, name)),
  ]); // prettier-ignore
}
