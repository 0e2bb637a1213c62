// Compiled parts for the package: prebuilds/linux-{x64,arm64,ppc64}, made with prebuildify and
// Debian's cross compilers, and checked to ask nothing of a newer glibc than 2.28.
//
//   node lib/build/prebuild.mjs [--force] [x64] [arm64] [ppc64]
//
// Each is built in a folder of its own below .cache/prebuild (NODE_CXL_CACHE moves .cache), so
// that the developer's own build/ stays; the unstripped file stays there, for the check of
// the disassembly.
//
// package.json has it as `preprebuild`: npm would run a script named `prebuild` before every
// `npm run build` too.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const cacheFolder = path.resolve(root, process.env.NODE_CXL_CACHE ?? '.cache');
const require = createRequire(import.meta.url);

/** What a distribution of 2018 has: Debian 10, RHEL 8, Ubuntu 18.10. */
const newestGlibc = [2, 28];

/** ppc64 is little-endian here: Node's name for the architecture does not tell. */
const targets = {
  x64: { triple: 'x86_64-linux-gnu', packages: ['g++', 'make'] },
  arm64: { triple: 'aarch64-linux-gnu', packages: ['g++-aarch64-linux-gnu', 'make'] },
  ppc64: { triple: 'powerpc64le-linux-gnu', packages: ['g++-powerpc64le-linux-gnu', 'make'] },
};

/** Installs Debian packages when `command` is missing and we may; else says what is missing. */
export function needCommand(command, packages) {
  const present = () => spawnSync('which', [command], { stdio: 'ignore' }).status === 0;
  if (present()) return;
  if (process.getuid?.() === 0) {
    const options = { stdio: ['ignore', 'ignore', 'inherit'], timeout: 600_000 };
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const apt = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
    spawnSync('apt-get', ['update', '-q'], { ...options, env });
    spawnSync('apt-get', ['install', ...apt, ...packages], { ...options, env });
    if (present()) return;
  }
  throw new Error(`${command} is missing: apt-get install ${packages.join(' ')}`);
}

function newest(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs)
    .reduce((a, b) => Math.max(a, b), 0);
}

/** The dynamic symbols' glibc versions: [] or a line for each that is too new. */
function glibcComplaints(file, objdump) {
  const symbols = execFileSync(objdump, ['-T', file], { encoding: 'utf8' });
  const complaints = [];
  let highest = [0, 0];
  for (const line of symbols.split('\n')) {
    const version = /\(?GLIBC_(\d+)\.(\d+)/.exec(line);
    if (!version) continue;
    const [major, minor] = [Number(version[1]), Number(version[2])];
    if (major > highest[0] || (major === highest[0] && minor > highest[1])) {
      highest = [major, minor];
    }
    if (major > newestGlibc[0] || (major === newestGlibc[0] && minor > newestGlibc[1])) {
      complaints.push(`needs a glibc newer than ${newestGlibc.join('.')}: ${line.trim()}`);
    }
  }
  const needed = execFileSync(objdump, ['-p', file], { encoding: 'utf8' });
  for (const [, library] of needed.matchAll(/NEEDED\s+(\S+)/g)) {
    if (/stdc\+\+|libgcc/.test(library)) complaints.push(`links ${library}, which may be absent`);
  }
  return { complaints, highest: highest.join('.') };
}

function prebuild(arch, force) {
  const { triple, packages } = targets[arch];
  const product = path.join(root, `prebuilds/linux-${arch}/node-cxl.node`);
  const scratch = path.join(cacheFolder, `prebuild/linux-${arch}`);
  const unstripped = path.join(scratch, 'node-cxl.unstripped.node');
  const sources = Math.max(
    newest(path.join(root, 'native')),
    statSync(path.join(root, 'binding.gyp')).mtimeMs,
    statSync(fileURLToPath(import.meta.url)).mtimeMs,
  );
  const done = [product, unstripped].every(
    (file) => existsSync(file) && statSync(file).mtimeMs > sources,
  );
  needCommand(`${triple}-g++`, packages);
  const started = Date.now();
  if (!done || force) {
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { recursive: true });
    for (const item of ['native', 'binding.gyp', 'package.json']) {
      cpSync(path.join(root, item), path.join(scratch, item), { recursive: true });
    }
    symlinkSync(realpathSync(path.join(root, 'node_modules')), path.join(scratch, 'node_modules'));
    const prefix = path.resolve(path.dirname(process.execPath), '..');
    const headers = existsSync(path.join(prefix, 'include/node/node_api.h'));
    execFileSync(
      process.execPath,
      [
        require.resolve('prebuildify/bin.js'),
        ...['--napi', '--platform', 'linux', '--arch', arch, '--target', process.versions.node],
        ...['--cwd', scratch, '--out', scratch, '--name', 'node-cxl', '--quiet'],
      ],
      {
        cwd: scratch,
        stdio: 'inherit',
        env: {
          ...process.env,
          CC: `${triple}-gcc`,
          CXX: `${triple}-g++`,
          AR: `${triple}-ar`,
          JOBS: '2',
          // The headers that came with this Node, where they did, rather than a download.
          ...(headers && !process.env.npm_config_nodedir ? { npm_config_nodedir: prefix } : {}),
        },
      },
    );
    cpSync(path.join(scratch, `prebuilds/linux-${arch}/node-cxl.node`), unstripped);
    mkdirSync(path.dirname(product), { recursive: true });
    execFileSync(`${triple}-strip`, ['--strip-all', '-o', product, unstripped]);
  }
  const { complaints, highest } = glibcComplaints(product, `${triple}-objdump`);
  const size = Math.round(statSync(product).size / 1024);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const how = done && !force ? 'up to date' : `built in ${seconds} s`;
  console.log(`prebuild: linux-${arch}: ${how}, ${size} KiB, glibc ${highest} or newer`);
  for (const complaint of complaints) console.error(`prebuild: linux-${arch}: ${complaint}`);
  return complaints.length === 0;
}

/** The file with its symbols, for looking at what was compiled. */
export function unstrippedAddon(arch) {
  return path.join(cacheFolder, `prebuild/linux-${arch}/node-cxl.unstripped.node`);
}

/** Builds what is missing or out of date; false when one asks too much of the system. */
export function prebuilds(archs = Object.keys(targets), force = false) {
  return archs.map((arch) => prebuild(arch, force)).every(Boolean);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const archs = args.filter((arg) => arg !== '--force');
  const unknown = archs.filter((arch) => !(arch in targets));
  if (unknown.length > 0) {
    console.error(`prebuild: ${unknown.join(' ')}? One of: ${Object.keys(targets).join(' ')}`);
    process.exit(2);
  }
  const good = prebuilds(archs.length > 0 ? archs : undefined, args.includes('--force'));
  process.exit(good ? 0 : 1);
}
