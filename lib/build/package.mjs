// npm's `prepack`: builds all that the package contains, and checks that it is there. A clean clone
// so packs whole, or not at all. Prints on stderr: stdout is for npm.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './files.mjs';

/** Every text in exports, bin and the like: the files that package.json promises. */
function texts(value) {
  if (typeof value === 'string') return [value];
  return value === undefined ? [] : Object.values(value).flatMap(texts);
}

/** What package.json or `archs` promise, and npm would not pack. */
function missingFiles(archs, packed) {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const { main, types, exports, typesVersions, bin, man, files } = manifest;
  const promised = [
    ...texts([main, types, exports, typesVersions, bin, man]),
    ...files.filter((name) => !name.startsWith('!')),
    ...archs.map((arch) => `prebuilds/linux-${arch}/node-cxl.node`),
    ...['dist/THIRD-PARTY-NOTICES.txt', 'dist/sbom.cdx.json', 'LICENSE', 'README.md'],
  ].map((name) => path.posix.normalize(name));
  const isPacked = (name) => packed.some((file) => file === name || file.startsWith(`${name}/`));
  return [...new Set(promised)].filter((name) => !isPacked(name));
}

async function main() {
  if (process.platform !== 'linux') throw new Error('the addons can be built on Linux alone');
  if (!existsSync(path.join(root, 'node_modules/esbuild'))) throw new Error('run `npm ci` first');
  const { ARCHS, compilers } = await import('./prebuilds.mjs');
  const { writeBillOfMaterials } = await import('./bill-of-materials.mjs');
  const { npm } = await import('./npm.mjs');
  const { needPrograms } = await import('./programs.mjs');
  // All at once, before anything is built.
  needPrograms(compilers(ARCHS));
  const build = (script, ...args) =>
    execFileSync(process.execPath, [path.join(root, 'lib/build', script), ...args], {
      stdio: ['ignore', 2, 2],
    });
  build('build.mjs', 'typescript', 'cli');
  build('prebuilds.mjs');
  console.error(`package: bill of materials of ${writeBillOfMaterials()}`);
  const answer = JSON.parse(
    npm(['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root }),
  );
  // npm 12 has an object by package name, those before an array.
  const [{ files }] = Object.values(answer);
  const missing = missingFiles(
    ARCHS,
    files.map((file) => file.path),
  );
  if (missing.length > 0) throw new Error(`not in the package: ${missing.join(', ')}`);
}

try {
  await main();
} catch (error) {
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
}
