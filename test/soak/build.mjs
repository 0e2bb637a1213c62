// Bundles the themes into test/soak/build, where any Node from 18.18 runs them: they share the
// targets of the conformance tests, which are TypeScript.
import path from 'node:path';
import { build } from 'esbuild';
import { root } from '../../lib/build/files.mjs';

/** Programs and the workers and processes that they start, by their own names. */
const PROGRAMS = [
  'main.ts',
  'themes/registers/worker.ts',
  'themes/processes/child.ts',
  'flash/main.mjs',
  'memory/main.mjs',
  'memory/worker.mjs',
];

export const folder = path.join(root, 'test/soak/build');

export async function buildThemes() {
  await build({
    entryPoints: PROGRAMS.map((name) => path.join(root, 'test/soak', name)),
    outdir: folder,
    outbase: path.join(root, 'test/soak'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node18.18',
    external: ['node-cxl', 'node-cxl/*'],
    logLevel: 'warning',
  });
}
