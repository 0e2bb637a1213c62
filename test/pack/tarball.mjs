// The package as it would be published: built, with its prebuilt addons, packed.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../lib/build/files.mjs';
import { npm } from '../../lib/build/npm.mjs';
import { prebuilds } from '../../lib/build/prebuilds.mjs';

/** `npm pack` in `clone`, into `folder`: the tarball's path and what is in it. */
export function pack(clone, folder, options = []) {
  mkdirSync(folder, { recursive: true });
  const answer = npm(['pack', '--json', '--pack-destination', folder, ...options], { cwd: clone });
  // npm 12 has an object by package name, those before an array.
  const [packed] = Object.values(JSON.parse(answer));
  return { file: path.join(folder, packed.filename), packed };
}

/**
 * Builds what is out of date, with the prebuilt addons of `archs`, and packs into `folder` what is
 * there: not the whole package, where these are not all.
 */
export function packTarball(folder, archs) {
  if (!prebuilds(archs)) throw new Error('the prebuilt addons are not fit to be published');
  const builder = path.join(root, 'lib/build/build.mjs');
  execFileSync(process.execPath, [builder, 'typescript', 'cli'], { stdio: 'inherit' });
  return pack(root, folder, ['--ignore-scripts']);
}

/** A clean clone in `folder`, of this tree as it is: what git ignores is not there. */
export function cleanClone(folder) {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const names = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\0');
  for (const name of names.filter((one) => one !== '' && existsSync(path.join(root, one)))) {
    cpSync(path.join(root, name), path.join(folder, name));
  }
  // What `npm ci` would install.
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
}

/** Installs a tarball in a new project at `folder` as a cautious user would: no script is run. */
export function installTarball(folder, tarball, options = []) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const usual = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  npm(['install', ...usual, ...options, tarball], { cwd: folder });
}
