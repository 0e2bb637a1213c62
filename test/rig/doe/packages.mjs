// What the machine needs: programs of this host, and Debian's kernel.
import fs from 'node:fs';
import path from 'node:path';
import { unpackedPackages } from '../debian.mjs';

export const programs = ['qemu-system-x86_64', '/bin/busybox', 'cpio'];

/** The unpacked kernel: its release, image and modules. */
export function fetchKernel() {
  const root = unpackedPackages('kernel-amd64', {
    suite: 'bookworm',
    architecture: 'amd64',
    choose: (apt) => [apt.newest(/^linux-image-6\.1\.0-(\d+)-cloud-amd64$/)],
  });
  const [release] = fs.readdirSync(path.join(root, 'lib/modules'));
  return {
    release,
    image: path.join(root, 'boot', `vmlinuz-${release}`),
    modules: path.join(root, 'lib/modules', release),
  };
}
