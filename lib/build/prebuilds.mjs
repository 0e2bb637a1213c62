// `npm run prebuilds`: the package's compiled addons, prebuilds/linux-{x64,arm64,ppc64}, made with
// prebuildify and Debian's cross compilers, and checked to ask for no library newer than versions.mjs
// says.
//
//   node lib/build/prebuilds.mjs [--force] [x64] [arm64] [ppc64]
//
// Each is built in a folder of its own below .cache/prebuilds, so that the developer's own build/
// stays; the unstripped file stays there, for the check of the disassembly.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { addonChanged, copyAddonSources } from './addon.mjs';
import { cacheFolder, changed, root } from './files.mjs';
import { withNodeHeaders } from './node-headers.cjs';
import { needPrograms } from './programs.mjs';
import { requirements } from './versions.mjs';

const require = createRequire(import.meta.url);

/** ppc64 is little-endian here: Node's name for the architecture does not tell. */
const triples = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  ppc64: 'powerpc64le-linux-gnu',
};

export const ARCHS = Object.keys(triples);

/** The programs that build the addons of `archs`. */
export function compilers(archs) {
  return [...archs.map((arch) => `${triples[arch]}-g++`), 'make'];
}

function build(arch, product) {
  const triple = triples[arch];
  const folder = path.dirname(unstrippedAddon(arch));
  copyAddonSources(folder);
  const sources = path.join(folder, 'native');
  execFileSync(
    process.execPath,
    [
      require.resolve('prebuildify/bin.js'),
      ...['--napi', '--platform', 'linux', '--arch', arch, '--target', process.versions.node],
      ...['--cwd', sources, '--out', folder, '--name', 'node-cxl', '--quiet'],
    ],
    {
      cwd: sources,
      stdio: 'inherit',
      env: {
        ...withNodeHeaders(process.env),
        ...{ CC: `${triple}-gcc`, CXX: `${triple}-g++`, AR: `${triple}-ar`, JOBS: '2' },
      },
    },
  );
  cpSync(path.join(folder, `prebuilds/linux-${arch}/node-cxl.node`), unstrippedAddon(arch));
  mkdirSync(path.dirname(product), { recursive: true });
  execFileSync(`${triple}-strip`, ['--strip-all', '-o', product, unstrippedAddon(arch)]);
}

function prebuild(arch, force) {
  const product = path.join(root, `prebuilds/linux-${arch}/node-cxl.node`);
  const sources = Math.max(addonChanged(), changed(fileURLToPath(import.meta.url)));
  const done = [product, unstrippedAddon(arch)].every((file) => changed(file) > sources);
  needPrograms(compilers([arch]));
  const started = Date.now();
  if (!done || force) build(arch, product);
  const { required, complaints } = requirements(product, `${triples[arch]}-objdump`);
  const size = Math.round(statSync(product).size / 1024);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const how = done && !force ? 'up to date' : `built in ${seconds} s`;
  const versions = Object.entries(required).map((pair) => pair.join('_'));
  console.log(`prebuilds: linux-${arch}: ${how}, ${size} KiB, asks for ${versions.join(', ')}`);
  for (const complaint of complaints) console.error(`prebuilds: linux-${arch}: ${complaint}`);
  return complaints.length === 0;
}

/** The file with its symbols, for looking at what was compiled. */
export function unstrippedAddon(arch) {
  return path.join(cacheFolder, `prebuilds/linux-${arch}/node-cxl.unstripped.node`);
}

/** Builds what is missing or out of date; false when one asks too much of the system. */
export function prebuilds(archs = ARCHS, force = false) {
  return archs.map((arch) => prebuild(arch, force)).every(Boolean);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const archs = args.filter((arg) => arg !== '--force');
  const unknown = archs.filter((arch) => !(arch in triples));
  if (unknown.length > 0) {
    console.error(`prebuilds: ${unknown.join(' ')}? One of: ${ARCHS.join(' ')}`);
    process.exit(2);
  }
  try {
    const good = prebuilds(archs.length > 0 ? archs : undefined, args.includes('--force'));
    process.exit(good ? 0 : 1);
  } catch (error) {
    console.error(`prebuilds: ${error.message}`);
    process.exit(1);
  }
}
