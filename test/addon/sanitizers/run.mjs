// Builds the addon with the address and undefined-behaviour sanitizers, then with the thread
// sanitizer, and runs each through exercise.mjs over the simulated device. Arguments: `address`
// or `thread` for one of them.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const simulatedDevice = path.join(root, 'test/simulated-device/build/libcxlsim.so');
const compiler = process.env.CXX ?? 'g++';

const kinds = {
  address: {
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    runtime: 'libasan.so',
    // This run-time insists on being the first library.
    preload: (runtime) => [runtime, simulatedDevice],
    env: {
      // Node leaves what lives as long as the process, and V8 has its own SIGSEGV handler.
      ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:handle_sigbus=0:abort_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  },
  thread: {
    flags: ['-fsanitize=thread'],
    runtime: 'libtsan.so',
    // Before the simulated device this one's fstat would call itself for ever.
    preload: (runtime) => [simulatedDevice, runtime],
    // Node itself is not instrumented, and what it does with atomics looks like races: the
    // reports that name the addon are the ones that count.
    env: { TSAN_OPTIONS: 'exitcode=0:handle_segv=0:handle_sigbus=0' },
    // Its shadow memory needs the mappings where a process without randomisation has them.
    launcher: ['setarch', '-R'],
  },
};

function headers() {
  const folders = [
    process.env.npm_config_nodedir,
    path.resolve(path.dirname(process.execPath), '..'),
  ].map((folder) => folder && path.join(folder, 'include/node'));
  return folders.find((folder) => folder && existsSync(path.join(folder, 'node_api.h')));
}

function build(name, { flags }) {
  const include = headers();
  if (include === undefined)
    throw new Error("Node's headers are not beside it: set npm_config_nodedir");
  const folder = path.join(root, `test/addon/build/${name}/build/Release`);
  mkdirSync(folder, { recursive: true });
  const sources = readdirSync(path.join(root, 'native'), { recursive: true })
    .filter((file) => file.endsWith('.cc'))
    .map((file) => path.join(root, 'native', file));
  execFileSync(
    compiler,
    [
      ...['-shared', '-fPIC', '-g', '-O1', '-std=c++17', '-fno-exceptions', '-fno-rtti'],
      ...['-fno-omit-frame-pointer', '-fvisibility=hidden', '-Wall', '-Wextra', ...flags],
      ...['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=node_cxl', '-D_FILE_OFFSET_BITS=64'],
      ...['-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      ...[`-I${include}`, `-I${path.join(root, 'node_modules/node-addon-api')}`, ...sources],
      ...['-o', path.join(folder, 'node_cxl.node')],
    ],
    { stdio: 'inherit' },
  );
  return path.join(root, `test/addon/build/${name}`);
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
  // By env, so that the launchers before it are spared the run-time.
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
    .filter((text) => name !== 'thread' || /cxl::|cxl_|node_cxl/.test(text));
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
