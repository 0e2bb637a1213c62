// Debian's packages of any suite and architecture, unpacked into the cache. apt runs with a root of
// its own, so that the host's packages and architectures stay as they are.
import fs from 'node:fs';
import path from 'node:path';
import { run } from './command.mjs';
import { debianFolder } from './folders.mjs';

const mirror = process.env.NODE_CXL_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Options for apt with its own lists, state, cache and architecture. */
function aptOptions(root, architecture) {
  const options = {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
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

/** apt with a root of its own for one suite and architecture. */
class AptRoot {
  #suite;
  #architecture;
  #root;
  #ready = false;

  constructor(suite, architecture) {
    this.#suite = suite;
    this.#architecture = architecture;
    this.#root = path.join(debianFolder, `apt-${suite}-${architecture}`);
  }

  #run(program, args, options) {
    return run(program, [...aptOptions(this.#root, this.#architecture), ...args], options);
  }

  #prepare() {
    if (this.#ready) return;
    const folders = ['etc/apt.conf.d', 'etc/preferences.d', 'state/lists/partial'];
    for (const folder of [...folders, 'cache/archives/partial']) {
      fs.mkdirSync(path.join(this.#root, folder), { recursive: true });
    }
    fs.writeFileSync(path.join(this.#root, 'state/status'), '');
    // The main suite alone: the others lack some architectures.
    const origin = `[arch=${this.#architecture} signed-by=${keyring}] ${mirror}`;
    const source = `deb ${origin} ${this.#suite} main\n`;
    fs.writeFileSync(path.join(this.#root, 'etc/sources.list'), source);
    this.#run('apt-get', ['-qq', 'update']);
    this.#ready = true;
  }

  /** The name with the highest number, of those that `pattern` (one group) matches whole. */
  newest(pattern) {
    this.#prepare();
    const names = this.#run('apt-cache', ['pkgnames']).split('\n');
    const found = names.map((name) => pattern.exec(name)).filter((match) => match !== null);
    found.sort((a, b) => Number(a[1]) - Number(b[1]));
    if (found.length === 0) throw new Error(`${this.#suite} has no package ${pattern}`);
    return found.at(-1)[0];
  }

  /** Downloads the packages alone, or with all they depend on; the files. */
  download(names, withDependencies) {
    this.#prepare();
    const archives = path.join(this.#root, 'cache/archives');
    this.#run('apt-get', ['-qq', 'clean']);
    if (withDependencies) {
      const install = ['-qq', '-y', '-d', '--no-install-recommends', 'install'];
      this.#run('apt-get', [...install, ...names]);
    } else {
      this.#run('apt-get', ['-qq', 'download', ...names], { cwd: archives });
    }
    const files = fs.readdirSync(archives).filter((name) => name.endsWith('.deb'));
    return files.map((name) => path.join(archives, name));
  }

  clean() {
    this.#run('apt-get', ['-qq', 'clean']);
  }
}

/**
 * A folder of the cache with packages unpacked in it, downloaded once. `choose` gives their names
 * and may look for the newest of a kind; `finish` does what installing them would have done.
 */
export function unpackedPackages(
  name,
  { suite, architecture, choose, withDependencies = false, finish = () => {} },
) {
  const target = path.join(debianFolder, name);
  if (fs.existsSync(target)) return target;
  const apt = new AptRoot(suite, architecture);
  const part = `${target}.part`;
  fs.rmSync(part, { recursive: true, force: true });
  fs.mkdirSync(part, { recursive: true });
  for (const file of apt.download(choose(apt), withDependencies)) run('dpkg', ['-x', file, part]);
  finish(part);
  apt.clean();
  // Renamed last, so that a run that was ended leaves no half-unpacked folder.
  fs.renameSync(part, target);
  return target;
}
