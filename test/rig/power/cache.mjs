// Where downloads and built files go: one folder, so that CI can keep it between runs.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const rigFolder = path.dirname(fileURLToPath(import.meta.url));
export const repository = path.resolve(rigFolder, '../../..');
export const cacheFolder = path.resolve(
  process.env.NODE_CXL_CACHE ?? path.join(repository, '.cache'),
  'power',
);
