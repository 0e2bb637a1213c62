// What the machine needs: programs of this host, and Debian's kernel for ppc64el.
import fs from 'node:fs';
import path from 'node:path';
import { unpackedPackages } from '../debian.mjs';

const kbuild = '/usr/lib/linux-kbuild-6.1';

export const programs = [
  'qemu-system-ppc64',
  '/usr/share/qemu/vof.bin',
  `${kbuild}/scripts/mod/modpost`,
  'powerpc64le-linux-gnu-g++',
  'make',
  'cpio',
];

/** The kernel, its headers and a static busybox: `root` has them, `release` is the kernel's. */
export function fetchKernel() {
  const root = unpackedPackages('kernel-ppc64el', {
    suite: 'bookworm',
    architecture: 'ppc64el',
    choose(apt) {
      const image = apt.newest(/^linux-image-6\.1\.0-(\d+)-powerpc64le$/);
      const release = image.replace('linux-image-', '');
      return [
        image,
        `linux-headers-${release}`,
        `linux-headers-${commonTo(release)}`,
        'busybox-static',
      ];
    },
  });
  const [release] = fs.readdirSync(path.join(root, 'lib/modules'));
  prepareHeaders(root, release);
  return {
    root,
    release,
    image: path.join(root, 'boot', `vmlinux-${release}`),
    modules: path.join(root, 'lib/modules', release, 'kernel'),
    headers: path.join(root, 'usr/src', `linux-headers-${release}`),
    busybox: path.join(root, 'bin/busybox'),
  };
}

/** `6.1.0-49-common` of `6.1.0-49-powerpc64le`. */
function commonTo(release) {
  return release.replace(/-powerpc64le$/, '-common');
}

/** The headers expect to be installed at /: points them at where they are, which may change. */
function prepareHeaders(root, release) {
  const sources = path.join(root, 'usr/src');
  const makefile = path.join(sources, `linux-headers-${release}`, 'Makefile');
  const common = path.join(sources, `linux-headers-${commonTo(release)}`);
  fs.writeFileSync(makefile, `include ${common}/Makefile\n`);
  const library = path.join(root, 'usr/lib');
  const link = path.join(library, path.basename(kbuild));
  fs.mkdirSync(library, { recursive: true });
  fs.rmSync(link, { recursive: true, force: true });
  fs.symlinkSync(kbuild, link);
}
