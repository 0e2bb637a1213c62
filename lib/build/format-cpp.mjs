// clang-format over the tracked C and C++ sources: checks, or with --write rewrites.
// Debian's clang-format is used, so that everybody's answer is the same; it is installed when
// it is missing and we are root.
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const write = process.argv.includes('--write');

function present() {
  return spawnSync('clang-format', ['--version'], { stdio: 'ignore' }).status === 0;
}

if (!present()) {
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    const options = { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 };
    const apt = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];
    spawnSync('apt-get', ['update', '-q'], options);
    spawnSync('apt-get', ['install', ...apt, 'clang-format'], options);
  }
  if (!present()) {
    console.error('format-cpp: clang-format is missing: apt-get install clang-format');
    process.exit(1);
  }
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
