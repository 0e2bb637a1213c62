// The guest's initial file system: busybox, the modules in the order they load, and init.
import fs from 'node:fs';
import path from 'node:path';
import { powerFolder, repository } from '../folders.mjs';
import { newRoot, packRoot } from '../initrd.mjs';

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

/** Writes the initial file system; its image. */
export function buildInitrd(kernel, rigModule) {
  const root = path.join(powerFolder, 'initrd');
  const init = path.join(repository, 'test/rig/power/guest/init.sh');
  newRoot(root, { busybox: kernel.busybox, init });
  const drivers = [...sharing, 'drivers/misc/cxl/cxl.ko'];
  for (const file of [...drivers.map((name) => path.join(kernel.modules, name)), rigModule]) {
    fs.copyFileSync(file, path.join(root, 'modules', path.basename(file)));
  }
  const order = sharing.map((name) => `${path.basename(name)}\n`).join('');
  fs.writeFileSync(path.join(root, 'modules/order'), order);
  return packRoot(root);
}
