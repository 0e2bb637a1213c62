// The Debian packages the machine is made of: host tools are installed by the host's apt, the
// kernel is only downloaded and unpacked.
import fs from 'node:fs';
import path from 'node:path';
import { has, run } from '../power/command.mjs';
import { cacheFolder } from './folders.mjs';

const hostTools = [
  { package: 'qemu-system-x86', present: () => has('qemu-system-x86_64') },
  { package: 'busybox-static', present: () => fs.existsSync('/bin/busybox') },
  { package: 'cpio', present: () => has('cpio') },
];
const kernelPackage = 'linux-image-cloud-amd64';

function apt(...args) {
  run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=600', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** Installs whatever host tool is missing; their names. Throws when it cannot. */
export function installHostTools() {
  const missing = hostTools.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (missing.length === 0) return [];
  if (process.getuid() !== 0) {
    throw new Error(`missing ${missing.join(', ')}: run as root, or apt-get install them`);
  }
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...missing);
  const still = hostTools.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (still.length > 0) throw new Error(`installed but not found: ${still.join(', ')}`);
  return missing;
}

/** What the kernel's metapackage stands for today: linux-image-6.1.0-NN-cloud-amd64. */
function currentKernel() {
  const find = () =>
    /Depends: (linux-image-\S+-cloud-amd64)/.exec(
      run('apt-cache', ['depends', kernelPackage]),
    )?.[1];
  const found = find();
  if (found !== undefined) return found;
  apt('update');
  const after = find();
  if (after === undefined) throw new Error(`apt knows no ${kernelPackage}: is this Debian?`);
  return after;
}

/** The unpacked kernel: its release, image and modules. Downloaded once. */
export function fetchKernel() {
  const root = path.join(cacheFolder, 'kernel');
  if (!fs.existsSync(root)) {
    const name = currentKernel();
    const downloads = path.join(cacheFolder, 'download');
    const part = `${root}.part`;
    for (const folder of [downloads, part]) {
      fs.rmSync(folder, { recursive: true, force: true });
      fs.mkdirSync(folder, { recursive: true });
    }
    run('apt-get', ['-qq', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: downloads });
    const [file] = fs.readdirSync(downloads).filter((entry) => entry.endsWith('.deb'));
    run('dpkg', ['-x', path.join(downloads, file), part]);
    fs.renameSync(part, root);
    fs.rmSync(downloads, { recursive: true });
  }
  const [release] = fs.readdirSync(path.join(root, 'lib/modules'));
  return {
    release,
    image: path.join(root, 'boot', `vmlinuz-${release}`),
    modules: path.join(root, 'lib/modules', release),
  };
}
