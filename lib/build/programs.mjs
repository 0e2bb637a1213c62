// Programs of this host, and the Debian packages that have them. Building and formatting only
// say what is missing; CI and the rigs install it.
//
//   node lib/build/programs.mjs     installs all that are missing
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** A program, or a file where it is no program, and its package. */
const packages = {
  make: 'make',
  strace: 'strace',
  zsh: 'zsh',
  fish: 'fish',
  groff: 'groff-base',
  'clang-format': 'clang-format',
  'clang++': 'clang',
  '/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a': 'libclang-rt-14-dev',
  'x86_64-linux-gnu-g++': 'g++',
  'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu',
  'powerpc64le-linux-gnu-g++': 'g++-powerpc64le-linux-gnu',
  'qemu-ppc64le-static': 'qemu-user-static',
  'qemu-system-ppc64': 'qemu-system-ppc',
  'qemu-system-x86_64': 'qemu-system-x86',
  '/usr/share/qemu/vof.bin': 'qemu-system-data',
  '/usr/lib/linux-kbuild-6.1/scripts/mod/modpost': 'linux-kbuild-6.1',
  '/bin/busybox': 'busybox-static',
  cpio: 'cpio',
  verilator: 'verilator',
  chromium: 'chromium',
  // Of Debian, for every architecture: a benchmark in C hashes as the command line does.
  '/usr/include/openssl/evp.h': 'libssl-dev',
};

function present(program) {
  if (program.startsWith('/')) return existsSync(program);
  return spawnSync('which', [program], { stdio: 'ignore' }).status === 0;
}

/** The packages of those `programs` that are not here. */
function missingPackages(programs) {
  return programs.filter((program) => !present(program)).map((program) => packages[program]);
}

/** Throws an error that says what is missing and how to install it. */
export function needPrograms(programs) {
  const missing = missingPackages(programs);
  if (missing.length === 0) return;
  throw new Error(`missing programs: apt-get install ${missing.join(' ')}`);
}

function aptGet(...args) {
  const result = spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=600', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 600_000,
  });
  if (result.status !== 0) throw new Error(`apt-get ${args.join(' ')} failed`);
}

/** Installs what is missing, and says so. Needs root. */
export function installPrograms(programs = Object.keys(packages)) {
  const missing = missingPackages(programs);
  if (missing.length === 0) return;
  if (process.getuid() === 0) {
    console.log(`apt-get install ${missing.join(' ')}`);
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', ...missing);
  }
  needPrograms(programs);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) installPrograms();
