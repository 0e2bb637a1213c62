// clang-format over the tracked C and C++ sources: checks, or with --write rewrites.
import { execFileSync, spawnSync } from 'node:child_process';
import { root } from './files.mjs';
import { needPrograms } from './programs.mjs';

const write = process.argv.includes('--write');
try {
  needPrograms(['clang-format']);
} catch (error) {
  console.error(`format-cpp: ${error.message}`);
  process.exit(1);
}

// Kernel modules keep the kernel's own style, which clang-format only approximates.
const kernelStyle = /^test\/rig\/(.*\/)?module\//;
const tracked = execFileSync('git', ['ls-files', '-z', '--', '*.cc', '*.h', '*.c'], { cwd: root })
  .toString()
  .split('\0')
  .filter((file) => file !== '');
const skipped = tracked.filter((file) => kernelStyle.test(file));
const sources = tracked.filter((file) => !kernelStyle.test(file));
if (skipped.length > 0) {
  console.log(`format-cpp: left alone, kernel style: ${skipped.join(' ')}`);
}

let status = 0;
if (sources.length > 0) {
  const mode = write ? ['-i'] : ['--dry-run', '--Werror'];
  const result = spawnSync('clang-format', [...mode, '--style=file', ...sources], {
    cwd: root,
    stdio: 'inherit',
  });
  status = result.status ?? 1;
}
console.log(
  `format-cpp: ${sources.length} files ${write ? 'formatted' : status === 0 ? 'as they should be' : 'checked: run npm run format'}`,
);
process.exit(status);
