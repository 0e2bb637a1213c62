// Where things are, and which is newer.
import { readdirSync, statSync } from 'node:fs';
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
