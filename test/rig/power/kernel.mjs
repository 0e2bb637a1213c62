// The guest's kernel: builds our module against the unpacked headers of Debian's.
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder, rigFolder } from './cache.mjs';
import { run } from './command.mjs';

const kbuild = '/usr/lib/linux-kbuild-6.1';

/** The headers expect to be installed at /: points them at where they were unpacked. */
function prepareHeaders({ root, kernel, abi }) {
  const sources = path.join(root, 'usr/src');
  const headers = path.join(sources, `linux-headers-${kernel}`);
  const common = path.join(sources, `linux-headers-${abi}-common`);
  fs.writeFileSync(path.join(headers, 'Makefile'), `include ${common}/Makefile\n`);
  const library = path.join(root, 'usr/lib');
  fs.mkdirSync(library, { recursive: true });
  fs.rmSync(path.join(library, path.basename(kbuild)), { recursive: true, force: true });
  fs.symlinkSync(kbuild, path.join(library, path.basename(kbuild)));
  return headers;
}

/** Builds the module in the cache; the path of cxl_rig.ko. */
export function buildModule(packages) {
  const headers = prepareHeaders(packages);
  const build = path.join(cacheFolder, 'module');
  fs.rmSync(build, { recursive: true, force: true });
  fs.cpSync(path.join(rigFolder, 'module'), build, { recursive: true });
  run('make', [
    '-C',
    headers,
    `M=${build}`,
    'ARCH=powerpc',
    'CROSS_COMPILE=powerpc64le-linux-gnu-',
    'CC=powerpc64le-linux-gnu-gcc',
    'modules',
  ]); // prettier-ignore
  return path.join(build, 'cxl_rig.ko');
}
