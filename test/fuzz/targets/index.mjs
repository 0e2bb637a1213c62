import path from 'node:path';
import { root } from '../../../lib/build/files.mjs';

/** What is fuzzed: the modules of this folder. */
export const TARGETS = [
  'events',
  'cdat',
  'doe-device',
  'pci-capabilities',
  'lspci-dump',
  'sysfs',
  'mock-config',
  'recording',
  'flash-answers',
  'sense',
  'flash-status',
];

/** Where a target's inputs are kept. */
export function corpusFolder(name) {
  return path.join(root, 'test/fuzz/corpus', name);
}
