// Builds the addon with the address and undefined-behavior sanitizers, then with the thread
// sanitizer, and runs each through exercise.mjs over the simulated device. Arguments: `address`
// or `thread` for one of them.
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon, copyAddonSources } from '../../../lib/build/addon.mjs';
import { root } from '../../../lib/build/files.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const simulatedDevice = path.join(root, 'test/simulated-device/build/libcxlsim.so');
const compiler = process.env.CXX ?? 'g++';

const kinds = {
  address: {
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    runtime: 'libasan.so',
    // This library refuses to run unless it is the first.
    preload: (runtime) => [runtime, simulatedDevice],
    env: {
      // Node does not free what lives as long as the process, and V8 has its own SIGSEGV handler.
      ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:handle_sigbus=0:abort_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  },
  thread: {
    flags: ['-fsanitize=thread'],
    runtime: 'libtsan.so',
    // After the simulated device: before it, the fstat of this library would call itself.
    preload: (runtime) => [simulatedDevice, runtime],
    // Node itself is not instrumented, and what it does with atomics looks like races: only reports
    // that name the addon count.
    env: { TSAN_OPTIONS: 'exitcode=0:handle_segv=0:handle_sigbus=0' },
    // Its shadow memory needs the mappings where a process without randomization has them.
    launcher: ['setarch', '-R'],
  },
};

/** Builds the addon as binding.gyp says, with the sanitizer's flags added; its folder. */
function build(name, { flags }) {
  const folder = path.join(root, `test/addon/build/${name}`);
  copyAddonSources(folder);
  const environment = {
    ...process.env,
    CXXFLAGS: ['-g', '-O1', '-fno-omit-frame-pointer', ...flags].join(' '),
    LDFLAGS: flags.join(' '),
  };
  buildAddon(folder, { environment, quiet: true });
  return folder;
}

/**
 * A race between Node's own reads of files and a descriptor that had the same number later. The
 * simulated device opens attributes by memfd_create(), which the thread sanitizer does not see: it
 * takes both descriptors for one. Node's file reads never concern a device.
 */
function isReusedNumber(report) {
  return /Location is file descriptor/.test(report) && /\buv__fs_/.test(report);
}

function run(name) {
  const kind = kinds[name];
  const folder = build(name, kind);
  const runtime = execFileSync(compiler, [`-print-file-name=${kind.runtime}`], {
    encoding: 'utf8',
  }).trim();
  const environment = Object.entries({
    ...kind.env,
    LD_PRELOAD: kind.preload(runtime).join(':'),
    // Where node-gyp-build looks instead of the package's own folder.
    NODE_CXL_PREBUILD: folder,
  }).map(([variable, value]) => `${variable}=${value}`);
  // By env, so that the launchers before it are not run with the preloaded libraries.
  const [program, ...launched] = [...(kind.launcher ?? []), 'env', ...environment];
  const exercise = [process.execPath, '--expose-gc', path.join(here, 'exercise.mjs')];
  const result = spawnSync(program, [...launched, ...exercise], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    timeout: 300_000,
  });
  const reports = result.stderr
    .split(/^=+$/m)
    .filter((text) => /Sanitizer:|runtime error/.test(text))
    .filter((text) => name !== 'thread' || /cxl::|cxl_|node_cxl/.test(text))
    .filter((text) => !isReusedNumber(text));
  const finished = result.status === 0 && result.stdout.endsWith('exit\n');
  const clean = finished && reports.length === 0;
  console.log(`${name}: ${result.stdout.trim().split('\n').join(', ')}`);
  if (!finished)
    console.error(`${name}: ended by ${result.signal ?? result.status}`, result.stderr);
  if (!clean) console.error(reports.join('\n'));
  console.log(`${name} sanitizer: ${clean ? 'clean' : 'FAILED'}`);
  return clean;
}

const wanted = process.argv.slice(2);
const names = Object.keys(kinds).filter((name) => wanted.length === 0 || wanted.includes(name));
process.exitCode = names.map(run).every(Boolean) ? 0 : 1;
