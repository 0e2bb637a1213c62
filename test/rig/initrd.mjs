// An initial file system: a folder with busybox and init, to be filled and packed.
import fs from 'node:fs';
import path from 'node:path';
import { run } from './command.mjs';
import { repository } from './folders.mjs';

/** An empty root at `folder` that starts `init`, a script for busybox. */
export function newRoot(folder, { busybox, init }) {
  fs.rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'dev', 'proc', 'sys', 'tmp', 'modules', 'etc']) {
    fs.mkdirSync(path.join(folder, name), { recursive: true });
  }
  fs.copyFileSync(busybox, path.join(folder, 'bin/busybox'));
  fs.copyFileSync(path.join(repository, 'test/rig/guest.sh'), path.join(folder, 'guest.sh'));
  fs.copyFileSync(init, path.join(folder, 'init'));
  fs.chmodSync(path.join(folder, 'init'), 0o755);
}

/** Packs the root; the image, beside it. Not compressed: that would take longer than it saves. */
export function packRoot(folder) {
  const image = `${folder}.cpio`;
  run('sh', ['-c', `cd "${folder}" && find . | cpio --quiet -o -H newc -R 0:0 > "${image}"`]);
  return image;
}
