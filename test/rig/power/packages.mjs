// The Debian packages the emulated machine is made of: host tools through the host's own apt,
// ppc64el packages through a private apt root, so that the host's package state stays as it is.
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder } from './cache.mjs';
import { has, run } from './command.mjs';

const suite = 'bookworm';
const mirror = process.env.NODE_CXL_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

const hostTools = [
  { package: 'qemu-system-ppc', present: () => has('qemu-system-ppc64') },
  { package: 'qemu-system-data', present: () => fs.existsSync('/usr/share/qemu/vof.bin') },
  {
    package: 'linux-kbuild-6.1',
    present: () => fs.existsSync('/usr/lib/linux-kbuild-6.1/scripts/mod/modpost'),
  },
  { package: 'g++-powerpc64le-linux-gnu', present: () => has('powerpc64le-linux-gnu-g++') },
  { package: 'make', present: () => has('make') },
  { package: 'cpio', present: () => has('cpio') },
];

/** Installs whatever host tool is missing. Throws when it cannot: nothing is left out silently. */
export function installHostTools() {
  const missing = hostTools.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (missing.length === 0) return [];
  if (process.getuid() !== 0) {
    throw new Error(`missing ${missing.join(', ')}: run as root, or apt-get install them`);
  }
  const quiet = ['-qq', '-o', 'DPkg::Lock::Timeout=600'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', [...quiet, 'update'], { env });
  run('apt-get', [...quiet, 'install', '-y', '--no-install-recommends', ...missing], { env });
  const still = hostTools.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (still.length > 0) throw new Error(`installed but not found: ${still.join(', ')}`);
  return missing;
}

const aptRoot = path.join(cacheFolder, 'apt');

/** Options that make apt a stranger to this host: its own lists, state, cache and architecture. */
function aptOptions() {
  const options = {
    'APT::Architecture': 'ppc64el',
    'APT::Architectures': 'ppc64el',
    'APT::Get::List-Cleanup': 'false',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    Dir: aptRoot,
    'Dir::Etc': path.join(aptRoot, 'etc'),
    'Dir::State': path.join(aptRoot, 'state'),
    'Dir::State::Lists': path.join(aptRoot, 'state/lists'),
    'Dir::State::status': path.join(aptRoot, 'state/status'),
    'Dir::Cache': path.join(aptRoot, 'cache'),
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

function prepareAptRoot() {
  for (const folder of [
    'etc/apt.conf.d',
    'etc/preferences.d',
    'state/lists/partial',
    'cache/archives/partial',
  ]) {
    fs.mkdirSync(path.join(aptRoot, folder), { recursive: true });
  }
  fs.writeFileSync(path.join(aptRoot, 'state/status'), '');
  const source = `deb [arch=ppc64el signed-by=${keyring}] ${mirror} ${suite} main\n`;
  fs.writeFileSync(path.join(aptRoot, 'etc/sources.list'), source);
  run('apt-get', [...aptOptions(), '-qq', 'update']);
}

/** The newest kernel of the suite, as `6.1.0-49-powerpc64le`. */
function newestKernel() {
  const names = run('apt-cache', [
    ...aptOptions(),
    'search',
    '--names-only',
    '^linux-image-6\\.1\\.0-[0-9]+-powerpc64le$',
  ]);
  const numbers = [...names.matchAll(/^linux-image-6\.1\.0-(\d+)-powerpc64le /gm)].map((match) =>
    Number(match[1]),
  );
  if (numbers.length === 0) throw new Error(`${suite} has no linux-image-6.1.0-*-powerpc64le`);
  return `6.1.0-${Math.max(...numbers)}-powerpc64le`;
}

/** `6.1.0-49` of `6.1.0-49-powerpc64le`: what the common headers are named by. */
function abiOf(kernel) {
  return kernel.replace(/-powerpc64le$/, '');
}

function unpack(files, target) {
  const temporary = `${target}.part`;
  fs.rmSync(temporary, { recursive: true, force: true });
  fs.mkdirSync(temporary, { recursive: true });
  for (const file of files) run('dpkg', ['-x', file, temporary]);
  fs.rmSync(target, { recursive: true, force: true });
  fs.renameSync(temporary, target);
}

function download(names) {
  const folder = path.join(aptRoot, 'cache/download');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  run('apt-get', [...aptOptions(), '-qq', 'download', ...names], { cwd: folder });
  return fs.readdirSync(folder).map((name) => path.join(folder, name));
}

/** Downloads a package with all it depends on, for the private root alone. */
function downloadWithDependencies(name) {
  const folder = path.join(aptRoot, 'cache/archives');
  run('apt-get', [...aptOptions(), '-qq', 'clean']);
  run('apt-get', [...aptOptions(), '-qq', '-y', '-d', '--no-install-recommends', 'install', name]);
  return fs
    .readdirSync(folder)
    .filter((file) => file.endsWith('.deb'))
    .map((file) => path.join(folder, file));
}

/**
 * Makes sure that the cache holds the kernel, its headers, busybox and Node 18 for ppc64el.
 * `kernel` is the release, the others are folders.
 */
export function fetchGuestPackages() {
  // Only what cannot be known otherwise: the cache may be moved.
  const stamp = path.join(cacheFolder, 'packages.json');
  const root = path.join(cacheFolder, 'kernel');
  const node = path.join(cacheFolder, 'node18');
  const known = fs.existsSync(stamp)
    ? JSON.parse(fs.readFileSync(stamp, 'utf8')).kernel
    : undefined;
  if (known !== undefined) return { kernel: known, abi: abiOf(known), root, node };
  prepareAptRoot();
  const kernel = newestKernel();
  const abi = abiOf(kernel);
  unpack(
    download([
      `linux-image-${kernel}`,
      `linux-headers-${kernel}`,
      `linux-headers-${abi}-common`,
      'busybox-static',
    ]),
    root,
  );
  unpack(downloadWithDependencies('nodejs'), node);
  // It becomes a root in the guest, read-only by then.
  for (const folder of ['dev', 'proc', 'sys', 'tmp', 'share'])
    fs.mkdirSync(path.join(node, folder), { recursive: true });
  fs.writeFileSync(stamp, JSON.stringify({ kernel }));
  return { kernel, abi, root, node };
}
