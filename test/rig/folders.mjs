// Where the rigs' files are. Downloads and what is built go to one folder, so that CI can keep
// it: a part for each rig, and what they share.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../lib/build/prebuild.mjs';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const debianFolder = path.join(cacheFolder, 'debian');
export const doeFolder = path.join(cacheFolder, 'doe');
export const powerFolder = path.join(cacheFolder, 'power');
export const ppc64Folder = path.join(cacheFolder, 'ppc64');
