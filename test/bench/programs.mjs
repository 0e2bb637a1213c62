// Builds the programs in C, and runs these and their counterparts: each is a process of its own that
// prints one line of JSON.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
const built = path.join(here, 'build');
const simulated = path.join(root, 'test/simulated-device/build/libcxlsim.so');

export const hardware = process.env.CXL_TARGET === 'hardware';
export const node = process.env.CXL_DEVICE ?? '/dev/cxl/afu0.0s';
export const flashNode = process.env.CXL_FLASH_DEVICE ?? (hardware ? undefined : '/dev/sg90');

/** Of the simulated device: its AFUs never sleep, and 512 contexts have interrupts enough. */
const SIMULATED = {
  LD_PRELOAD: simulated,
  CXLSIM_SPIN: '1',
  CXLSIM_PROCESSES: '512',
  CXLSIM_IRQS_MIN: '1',
};

/** The environment of the programs: the simulated device or a card. */
export const environment = hardware ? process.env : { ...process.env, ...SIMULATED };

/** What they are linked with. */
const LIBRARIES = { memcpy: ['-lcrypto'] };
const upToDate = new Set();

/** The path of a program in C, which is built at its first use. */
function build(name) {
  const output = path.join(built, name);
  if (upToDate.has(name)) return output;
  mkdirSync(built, { recursive: true });
  const source = path.join(here, 'c', `${name}.c`);
  const flags = ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-o', output];
  execFileSync(process.env.CC ?? 'cc', [...flags, source, ...(LIBRARIES[name] ?? [])]);
  upToDate.add(name);
  return output;
}

/** Bytes of the area of a context of the memcpy AFU, which a program in C passes to mmap(). */
export const AREA_SIZE = 65536;

export function c(name, ...words) {
  return { inC: name, words: words.map(String) };
}

export function js(name, ...words) {
  const file = path.join(here, 'programs', `${name}.mjs`);
  return [process.execPath, '--expose-gc', file, ...words.map(String)];
}

/** What a program prints, parsed; and in `milliseconds` how long it took. */
export function run(program, env = environment) {
  const [file, ...words] = Array.isArray(program)
    ? program
    : [build(program.inC), ...program.words];
  const start = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(file, words, {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 2 ** 26,
  });
  const milliseconds = performance.now() - start;
  if (status !== 0) {
    throw new Error(`${path.basename(words[0] ?? file)} ended with ${status ?? signal}: ${stderr}`);
  }
  const text = stdout.trim();
  return { milliseconds, ...(text.startsWith('{') ? JSON.parse(text) : {}) };
}
