// Debian's own Node for ppc64el, unpacked beside whatever this host has: a private apt root, so
// that the host's package state and architectures stay as they are.
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../../../lib/build/prebuild.mjs';
import { run } from '../power/command.mjs';

const mirror = process.env.NODE_CXL_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
export const ppc64Folder = path.join(cacheFolder, 'ppc64');

/** bookworm's Node is 18, trixie's 20. */
export const suites = { 18: 'bookworm', 20: 'trixie' };

function aptOptions(root) {
  const options = {
    'APT::Architecture': 'ppc64el',
    'APT::Architectures': 'ppc64el',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    Dir: root,
    'Dir::Etc': path.join(root, 'etc'),
    'Dir::State': path.join(root, 'state'),
    'Dir::State::Lists': path.join(root, 'state/lists'),
    'Dir::State::status': path.join(root, 'state/status'),
    'Dir::Cache': path.join(root, 'cache'),
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

function downloadNode(suite, root) {
  for (const folder of ['etc/apt.conf.d', 'etc/preferences.d', 'state/lists/partial']) {
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  }
  fs.mkdirSync(path.join(root, 'cache/archives/partial'), { recursive: true });
  fs.writeFileSync(path.join(root, 'state/status'), '');
  const source = `deb [arch=ppc64el signed-by=${keyring}] ${mirror} ${suite} main\n`;
  fs.writeFileSync(path.join(root, 'etc/sources.list'), source);
  const quiet = [...aptOptions(root), '-qq', '-y'];
  run('apt-get', [...quiet, 'update']);
  run('apt-get', [...quiet, '-d', '--no-install-recommends', 'install', 'nodejs']);
  const archives = path.join(root, 'cache/archives');
  return fs
    .readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => path.join(archives, name));
}

/** Links that packages expect and a package manager would have made. */
function linkLoader(suite, target) {
  if (suite === 'bookworm') {
    fs.mkdirSync(path.join(target, 'lib64'), { recursive: true });
    const loader = path.join(target, 'lib64/ld64.so.2');
    fs.rmSync(loader, { force: true });
    fs.symlinkSync('../lib/powerpc64le-linux-gnu/ld64.so.2', loader);
    return;
  }
  for (const name of ['lib', 'lib64']) {
    const link = path.join(target, name);
    if (!fs.existsSync(link)) fs.symlinkSync(`usr/${name}`, link);
  }
}

/** A folder that has Node `major` for ppc64el and every library it needs. */
export function nodeSysroot(major) {
  const suite = suites[major];
  const target = path.join(ppc64Folder, `node${major}`);
  const stamp = path.join(target, '.complete');
  if (fs.existsSync(stamp)) return target;
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(target, { recursive: true });
  const root = path.join(ppc64Folder, `apt-${suite}`);
  for (const file of downloadNode(suite, root)) run('dpkg', ['-x', file, target]);
  linkLoader(suite, target);
  fs.rmSync(root, { recursive: true, force: true });
  fs.writeFileSync(stamp, '');
  return target;
}
