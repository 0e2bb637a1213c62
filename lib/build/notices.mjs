// dist/THIRD-PARTY-NOTICES.txt: the licenses of what other packages have in the tarball.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { includedPackages } from './bundles.mjs';
import { root } from './files.mjs';

/** The license files of a package, as they are. */
export function licenseTexts(folder) {
  return readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying|notice)/i.test(name))
    .sort()
    .map((name) => readFileSync(path.join(folder, name), 'utf8').trim());
}

function notice({ folder, manifest: { name, version, license }, within }) {
  const texts = licenseTexts(folder);
  if (texts.length === 0) throw new Error(`${name} has no license file, and cannot be bundled`);
  return [`${name} ${version} (${license}), in ${within.join(', ')}`, ...texts].join('\n\n');
}

/** Needs dist to be built. */
export function writeNotices() {
  const introduction =
    'node-cxl contains code of the following packages. Each is followed by its license.';
  const line = `\n\n${'-'.repeat(80)}\n\n`;
  const text = [introduction, ...includedPackages().map(notice)].join(line);
  writeFileSync(path.join(root, 'dist/THIRD-PARTY-NOTICES.txt'), `${text}\n`);
}
