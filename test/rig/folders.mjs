// Where the rigs' files are. Downloads and what is built go to one folder, so that CI can keep
// it: a part for each rig, and what they share.
import path from 'node:path';
import { cacheFolder } from '../../lib/build/files.mjs';

export { root as repository } from '../../lib/build/files.mjs';
export const debianFolder = path.join(cacheFolder, 'debian');
export const doeFolder = path.join(cacheFolder, 'doe');
export const pslseFolder = path.join(cacheFolder, 'pslse');
export const powerFolder = path.join(cacheFolder, 'power');
export const ppc64Folder = path.join(cacheFolder, 'ppc64');
