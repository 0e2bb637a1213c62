// Where the rig's files are: downloads and what is built go to one folder that CI can keep.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const rigFolder = path.dirname(fileURLToPath(import.meta.url));
export const repository = path.resolve(rigFolder, '../../..');
export const cacheFolder = path.resolve(
  process.env.NODE_CXL_CACHE ?? path.join(repository, '.cache'),
  'doe',
);
