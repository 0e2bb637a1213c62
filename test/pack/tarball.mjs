// The package as it would be published: built, with its prebuilt addons, packed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../lib/build/files.mjs';
import { prebuilds } from '../../lib/build/prebuilds.mjs';

/** npm, also where it was not npm that started us. */
export function npm(args, options = {}) {
  const script = process.env.npm_execpath;
  const direct = script !== undefined && /\.[cm]?js$/.test(script);
  const command = direct ? process.execPath : 'npm';
  return execFileSync(command, direct ? [script, ...args] : args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
    env: { ...process.env, npm_config_loglevel: 'error', ...options.env },
  });
}

/**
 * Builds what is out of date, with the prebuilt addons of `archs` (all of them), and packs into
 * `folder`: the tarball's path and what is in it.
 */
export function packTarball(folder, archs) {
  if (!prebuilds(archs)) throw new Error('the prebuilt addons are not fit to be published');
  const builder = path.join(root, 'lib/build/build.mjs');
  execFileSync(process.execPath, [builder, 'typescript', 'cli'], { stdio: 'inherit' });
  mkdirSync(folder, { recursive: true });
  const answer = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  });
  const parsed = JSON.parse(answer);
  // npm 11 has an array, some later ones an object by package name.
  const [packed] = Array.isArray(parsed) ? parsed : Object.values(parsed);
  return { file: path.join(folder, packed.filename), packed };
}

/** Installs a tarball in a new project at `folder` as a cautious user would: no script is run. */
export function installTarball(folder, tarball, options = []) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const usual = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  npm(['install', ...usual, ...options, tarball], { cwd: folder });
}
