// Our own programs for the guest: the kernel module, and the check in C.
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../command.mjs';
import { powerFolder, repository } from '../folders.mjs';

const sources = path.join(repository, 'test/rig/power');

/** Builds the module against the kernel's headers; the path of cxl_rig.ko. */
export function buildModule({ headers }) {
  const build = path.join(powerFolder, 'module');
  fs.rmSync(build, { recursive: true, force: true });
  fs.cpSync(path.join(sources, 'module'), build, { recursive: true });
  const cross = 'powerpc64le-linux-gnu-';
  const settings = [`M=${build}`, 'ARCH=powerpc', `CROSS_COMPILE=${cross}`, `CC=${cross}gcc`];
  run('make', ['-C', headers, ...settings, 'modules']);
  return path.join(build, 'cxl_rig.ko');
}

/** Compiles the C check into `target`, statically: it needs nothing of the guest. */
export function buildCheck(target) {
  const check = path.join(sources, 'check');
  const files = fs.readdirSync(check).filter((name) => name.endsWith('.c'));
  run('powerpc64le-linux-gnu-gcc', [
    ...['-std=gnu11', '-O2', '-static', '-mcpu=power8', '-Wall', '-Wextra', '-Werror'],
    ...['-o', target, ...files.map((name) => path.join(check, name))],
  ]);
}
