// What every build of the addon needs: when its sources changed, node-gyp, and a folder of its own
// for a build beside the developer's build/.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { changed, root } from './files.mjs';
import { withNodeHeaders } from './node-headers.cjs';

const sources = ['native', 'binding.gyp'];

/** The last change of the addon's sources. */
export function addonChanged() {
  return Math.max(...sources.map((name) => changed(path.join(root, name))));
}

/** Makes `folder` anew with the addon's sources and what they are built with. */
export function copyAddonSources(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of [...sources, 'package.json']) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  symlinkSync(realpathSync(path.join(root, 'node_modules')), path.join(folder, 'node_modules'));
}

/** Builds the addon in `folder`: build/Release/node_cxl.node. Warnings and errors are always shown. */
export function buildAddon(folder, { environment = process.env, quiet = false } = {}) {
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  // configure each time: binding.gyp lists the sources when it is read.
  const options = ['configure', 'build', '--loglevel=warn', '--jobs=2'];
  execFileSync(process.execPath, [gyp, ...options], {
    cwd: folder,
    stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'],
    env: withNodeHeaders(environment),
  });
}
