// The guest's initial file system: busybox, the modules in the order they load, and init.
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder, rigFolder } from '../cache.mjs';
import { run } from '../command.mjs';

// What virtio-9p needs, dependencies first.
const sharing = [
  'drivers/virtio/virtio.ko',
  'drivers/virtio/virtio_ring.ko',
  'drivers/virtio/virtio_pci_legacy_dev.ko',
  'drivers/virtio/virtio_pci_modern_dev.ko',
  'drivers/virtio/virtio_pci.ko',
  'net/9p/9pnet.ko',
  'net/9p/9pnet_virtio.ko',
  'fs/netfs/netfs.ko',
  'fs/fscache/fscache.ko',
  'fs/9p/9p.ko',
];

/** Writes the initial file system; its path. */
export function buildInitrd(packages, rigModule) {
  const root = path.join(cacheFolder, 'initrd');
  fs.rmSync(root, { recursive: true, force: true });
  for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules'])
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  fs.copyFileSync(path.join(packages.root, 'bin/busybox'), path.join(root, 'bin/busybox'));
  fs.copyFileSync(path.join(rigFolder, 'guest/init.sh'), path.join(root, 'init'));
  fs.chmodSync(path.join(root, 'init'), 0o755);

  const modules = path.join(packages.root, 'lib/modules', packages.kernel, 'kernel');
  for (const module of [...sharing, 'drivers/misc/cxl/cxl.ko']) {
    fs.copyFileSync(path.join(modules, module), path.join(root, 'modules', path.basename(module)));
  }
  fs.writeFileSync(
    path.join(root, 'modules/order'),
    `${sharing.map((module) => path.basename(module)).join('\n')}\n`,
  );
  fs.copyFileSync(rigModule, path.join(root, 'modules/cxl_rig.ko'));

  const image = path.join(cacheFolder, 'initrd.cpio');
  run('sh', ['-c', `cd "${root}" && find . | cpio --quiet -o -H newc -R 0:0 > "${image}"`]);
  return image;
}
