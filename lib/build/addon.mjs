// What every build of the addon needs: when its sources changed, node-gyp, and a folder of its own
// for a build beside the developer's build/.
import { cpSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { changed, root } from './files.mjs';
import { buildAddon as runNodeGyp } from './from-source.cjs';

/** Where the addon's sources are, and node-gyp's output below them. */
const sources = path.join(root, 'native');
const output = path.join(sources, 'build');

/** The last change of the addon's sources. */
export function addonChanged() {
  const names = readdirSync(sources).map((name) => path.join(sources, name));
  return Math.max(...names.filter((name) => name !== output).map(changed));
}

/** Makes `folder` anew with the addon's sources and what they are built with. */
export function copyAddonSources(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const filter = (name) => name !== output;
  cpSync(sources, path.join(folder, 'native'), { recursive: true, filter });
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  symlinkSync(realpathSync(path.join(root, 'node_modules')), path.join(folder, 'node_modules'));
}

/** Builds the addon in `folder`: build/Release/node_cxl.node. Warnings and errors are always shown. */
export function buildAddon(folder, { environment = process.env, quiet = false } = {}) {
  runNodeGyp(folder, {
    gyp: createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js'),
    // configure each time: binding.gyp lists the sources when it is read.
    args: ['configure', 'build', '--loglevel=warn', '--jobs=2'],
    stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'],
    environment,
  });
}
