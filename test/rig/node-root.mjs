// Debian's own Node for ppc64el with every library it needs, as a root of its own: for qemu's
// user mode, and for the emulated machine.
import fs from 'node:fs';
import path from 'node:path';
import { unpackedPackages } from './debian.mjs';

/** bookworm's Node is 18, trixie's 20. */
export const suites = { 18: 'bookworm', 20: 'trixie' };

/** Links that the packages expect and a package manager would have made. */
function linkLoader(suite, root) {
  if (suite === 'bookworm') {
    fs.mkdirSync(path.join(root, 'lib64'), { recursive: true });
    const loader = path.join(root, 'lib64/ld64.so.2');
    fs.rmSync(loader, { force: true });
    fs.symlinkSync('../lib/powerpc64le-linux-gnu/ld64.so.2', loader);
    return;
  }
  for (const name of ['lib', 'lib64']) {
    const link = path.join(root, name);
    if (!fs.existsSync(link)) fs.symlinkSync(`usr/${name}`, link);
  }
}

/** The folder of Node `major`. */
export function nodeRoot(major) {
  const suite = suites[major];
  return unpackedPackages(`node${major}-ppc64el`, {
    suite,
    architecture: 'ppc64el',
    choose: () => ['nodejs'],
    withDependencies: true,
    finish: (root) => linkLoader(suite, root),
  });
}
