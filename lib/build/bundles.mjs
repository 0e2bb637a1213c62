// Bundles of libraries that are no dependencies of the package at run time: made by esbuild, each with a
// list of the files in it beside it (NAME.bundle.json, not shipped). From these lists come the
// notices and the bill of materials.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './files.mjs';

const dist = path.join(root, 'dist');
const suffix = '.bundle.json';

/** Bundles `entry` into `outfile`, both below the root; `options` are esbuild's. */
export async function bundle(entry, outfile, options = {}) {
  const { build } = await import('esbuild');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node18.18',
    format: 'cjs',
    legalComments: 'inline',
    logLevel: 'warning',
    metafile: true,
    ...options,
  });
  const inputs = Object.entries(metafile.outputs[outfile].inputs);
  const files = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file);
  writeFileSync(path.join(root, outfile.replace(/\.js$/, suffix)), JSON.stringify(files));
}

/** The folder of the package that a file belongs to; undefined for one of ours. */
function packageFolder(file) {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
}

/**
 * What other packages have in the tarball: their folders with the files of ours that contain them.
 * Needs dist to be built.
 *
 * @returns {{ folder: string, manifest: Record<string, any>, within: string[] }[]}
 */
export function includedPackages() {
  // The addons have node-addon-api's inline functions.
  const within = new Map([['node_modules/node-addon-api', ['prebuilds/*/*.node']]]);
  for (const list of readdirSync(dist, { recursive: true }).filter((name) =>
    name.endsWith(suffix),
  )) {
    const product = path.join('dist', list.replace(suffix, '.js')).replaceAll(path.sep, '/');
    const inputs = JSON.parse(readFileSync(path.join(dist, list), 'utf8'));
    for (const folder of new Set(inputs.map(packageFolder).filter(Boolean))) {
      within.set(folder, [...(within.get(folder) ?? []), product]);
    }
  }
  return [...within]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([folder, products]) => ({
      folder: path.join(root, folder),
      manifest: JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8')),
      within: products.sort(),
    }));
}
