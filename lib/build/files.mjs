// Where things are, which is newer, and what is in them.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Downloads, and what takes long to build. NODE_CXL_CACHE moves it, so that CI can keep it. */
export const cacheFolder = path.resolve(root, process.env.NODE_CXL_CACHE ?? '.cache');

/** When a file, or of a folder the last file below it, was changed, in milliseconds; 0 for none. */
export function changed(name) {
  const found = statSync(name, { throwIfNoEntry: false });
  if (!found?.isDirectory()) return found?.mtimeMs ?? 0;
  return readdirSync(name)
    .map((inner) => changed(path.join(name, inner)))
    .reduce((a, b) => Math.max(a, b), 0);
}

/** A hash of these files, and of all files below these folders: of their names and contents. */
export function fingerprint(names) {
  const hash = createHash('sha256');
  const add = (name) => {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found?.isDirectory()) {
      for (const inner of readdirSync(name).sort()) add(path.join(name, inner));
    } else if (found !== undefined) {
      hash.update(`${name}\0${found.size}\0`).update(readFileSync(name));
    }
  };
  for (const name of names) add(name);
  return hash.digest('hex');
}
