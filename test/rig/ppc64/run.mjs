// `npm run test:ppc64`: the packed tarball as POWER8 code. The unit and conformance tests run under
// Debian's Node 18 and Node 20 for ppc64el in qemu's user mode, where QEMU_CPU=power8 makes a POWER9
// instruction illegal; and the instructions of the addon are searched for their barriers.
//
//   node test/rig/ppc64/run.mjs [18] [20] [PART-OF-A-FILE-NAME…]
//   node test/rig/ppc64/run.mjs --bench NAME     rows of test/bench instead, under Node 20
//
// Tests start children, which needs qemu registered as the interpreter of ppc64le programs.
// That is done in a user namespace, so that nothing stays on the host.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { root } from '../../../lib/build/files.mjs';
import { unstrippedAddon } from '../../../lib/build/prebuilds.mjs';
import { installPrograms } from '../../../lib/build/programs.mjs';
import { installTarball, packTarball } from '../../pack/tarball.mjs';
import { bundleTests, driverConformance, testFiles } from '../bundle-tests.mjs';
import { run, stage } from '../command.mjs';
import { ppc64Folder } from '../folders.mjs';
import { nodeRoot, suites } from '../node-root.mjs';
import { runFiles } from '../run-tests.mjs';
import { checkDisassembly } from './disassembly.mjs';

const programs = ['qemu-ppc64le-static', 'powerpc64le-linux-gnu-g++', 'make'];
const app = path.join(ppc64Folder, 'app');
const inside = 'CXL_PPC64_INSIDE';

const ofThisHost =
  'terminals, shells, signals and files of the host, which are the same under any processor';
const overSockets =
  'talks to a daemon over sockets, in JavaScript alone, which is the same under any processor';
const needsFakeTimers = 'needs the fake timers of vitest, which work only within it';
const needsCompiler = 'needs the TypeScript compiler, which is not in the package';

/** Tests of what is not in the package, or that need all of vitest. */
const importsCommands =
  'imports a part of the command line; the package has the whole, in one file';
const replacesTimers = 'replaces timers, and is of code that is the same on every processor';
const importsBackends =
  'imports modules by their paths, among them one whose decoder only the build of the package makes';
const leftOut = {
  'test/unit/cli/flash-in-process.test.ts': importsCommands,
  'test/unit/cli/memcpy-job.test.ts': importsCommands,
  'test/unit/trace/bad-input.test.ts': importsCommands,
  'test/unit/trace/diff.test.ts': importsCommands,
  'test/unit/trace/stats.test.ts': importsCommands,
  'test/unit/trace/text.test.ts': importsCommands,
  'test/unit/trace/timeline.test.ts': importsCommands,
  'test/unit/cli/completion.test.ts': ofThisHost,
  'test/unit/cli/doctor.test.ts': ofThisHost,
  'test/unit/cli/files.test.ts': ofThisHost,
  'test/unit/cli/help.test.ts': ofThisHost,
  'test/unit/cli/output.test.ts': ofThisHost,
  'test/unit/cli/settings.test.ts': ofThisHost,
  'test/unit/examples.test.ts': needsCompiler,
  'test/unit/exports.test.ts': needsCompiler,
  'test/unit/error-codes.test.ts': 'reads sources, which are not in the package',
  'test/unit/notices.test.ts': 'compares with node_modules, of which the package has a part',
  'test/unit/readme.test.ts': needsCompiler,
  'test/unit/guides/documents.test.ts': needsCompiler,
  'test/unit/guides/tables.test.ts': 'reads documents, of which the package has a part',
  'test/unit/guides/first-program.test.ts': 'reads documents, of which the package has a part',
  'test/unit/guides/programs.test.ts': needsCompiler,
  'test/examples/afu-manager/afu-manager.test.ts':
    'sockets, signals and processes, which are the same under any processor',
  'test/examples/upload-server/upload-server.test.ts':
    'sockets, signals and threads, which are the same under any processor',
  'test/unit/testing-guide.test.ts': 'runs vitest, and reads sources that are not in the package',
  'test/unit/cli/record.test.ts': 'runs vitest',
  'test/unit/pslse/client.test.ts': overSockets,
  'test/unit/pslse/differences.test.ts': overSockets,
  'test/unit/pslse/exit.test.ts': overSockets,
  'test/unit/pslse/faults.test.ts': overSockets,
  'test/unit/pslse/sync-waits.test.ts': overSockets,
  'test/unit/pslse/table.test.ts': 'reads a README and a test, which are not in the package',
  'test/unit/record/guide.test.ts': 'runs vitest',
  'test/unit/record/fixtures.test.ts': 'reads recordings that are not in the package',
  'test/unit/fuzz.test.ts': 'reads files of the repository, and modules of it by their paths',
  'test/unit/flash/command-queue.test.ts': replacesTimers,
  'test/unit/flash/completion-monitor.test.ts': replacesTimers,
  'test/unit/flash/context.test.ts': replacesTimers,
  'test/unit/flash/context-recovery.test.ts': replacesTimers,
  'test/unit/flash/context-close.test.ts': replacesTimers,
  'test/unit/flash/discovery.test.ts': importsBackends,
  'test/unit/flash/lun-path.test.ts': importsBackends,
  'test/unit/flash/multipath-limits.test.ts': replacesTimers,
  'test/unit/flash/nodes.test.ts': importsBackends,
  'test/unit/flash/opening.test.ts': importsBackends,
  'test/unit/flash/queue-model.test.ts': replacesTimers,
  'test/unit/flash/resource.test.ts': replacesTimers,
  'test/unit/flash/retry.test.ts': replacesTimers,
  'test/unit/flash/transfer.test.ts': replacesTimers,
  'test/unit/flash-batches.test.ts': 'measures the time of the processor, which the emulator takes',
  'test/unit/doe/timeouts.test.ts': needsFakeTimers,
  'test/unit/event-queue.test.ts': needsFakeTimers,
  'test/unit/mock-sync-waits.test.ts': needsFakeTimers,
  'test/unit/fake-timers.test.ts': needsFakeTimers,
};

/** Run first, so that none of them is the only one left at the end. */
const longest = [
  'test/unit/cli/commands.test.ts',
  'test/unit/cli/flash.test.ts',
  'test/conformance/flash-processes.test.ts',
  'test/unit/doe/cli.test.ts',
];

/**
 * Of test/addon and test/simulated-device: what depends on the processor, which is faults, trapped
 * accesses and C structures. The rest is about threads and lifetimes, the same code everywhere, and
 * takes many minutes in emulation.
 */
const ofTheProcessor = [
  'test/addon/receivers.test.ts',
  'test/addon/fault-guard.test.ts',
  'test/simulated-device/simulated-device.test.ts',
  'test/simulated-device/trap/trap.test.ts',
];

/**
 * The tests that run under Node `major`. The driver's conformance tests run under both on the
 * machines (../power/run.mjs), where the driver is a PowerVM guest's; here they run once, under
 * Node 20, with the simulated device as bare metal.
 */
function testsOf(major) {
  const elsewhere = major === '18' ? driverConformance() : [];
  const all = [
    ...testFiles('test/unit'),
    ...testFiles('test/examples'),
    ...testFiles('test/conformance').filter((file) => !elsewhere.includes(file)),
    ...ofTheProcessor,
  ].filter((file) => !(file in leftOut));
  return all.sort((a, b) => longest.includes(b) - longest.includes(a));
}

/**
 * The environment of a file's process. Conformance runs on the addon: over the mock it would show
 * nothing of the processor that the unit tests do not.
 */
function environmentOf(file) {
  if (/^test\/(unit|examples)\//.test(file)) return {};
  const device = path.join(app, 'test/simulated-device/build/libcxlsim.so');
  // qemu's user mode has no mbind(), and not all of mmap().
  return { CXL_TARGET: 'simulated', LD_PRELOAD: device, CXL_EMULATED: 'qemu-user' };
}

/** The tarball installed as a user would, with the bundled tests beside it. */
async function prepareApp() {
  const { file } = packTarball(path.join(ppc64Folder, 'tarball'), ['ppc64']);
  fs.rmSync(app, { recursive: true, force: true });
  installTarball(app, file, ['--cpu=ppc64', '--os=linux']);
  // Tests reach some internals by path; it is the installed package's they shall reach.
  fs.symlinkSync('node_modules/node-cxl/dist', path.join(app, 'dist'));
  const bundled = await bundleTests(app, [...new Set(Object.keys(suites).flatMap(testsOf))]);
  for (const folder of ['test/unit', 'test/conformance', 'test/examples']) {
    fs.cpSync(path.join(root, folder), path.join(app, folder), {
      recursive: true,
      filter: (name) => !name.endsWith('.ts'),
    });
  }
  const build = path.join(app, 'test/simulated-device/build');
  run('make', [
    ...['-s', '-j2', '-C', path.join(root, 'test/simulated-device'), `BUILD=${build}`],
    ...['CC=powerpc64le-linux-gnu-gcc', 'CFLAGS=-O2 -g -mcpu=power8'],
  ]);
  return bundled.length;
}

/** ELF, 64 bits, little-endian, executable or shared, for PowerPC 64. */
function registration(interpreter) {
  const magic =
    '\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x15\\x00';
  const mask =
    '\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\x00';
  return `:node-cxl-ppc64le:M::${magic}:${mask}:${interpreter}:OCF`;
}

/** This program again, where a ppc64le program is started as any other. */
function runInside(args) {
  const qemu = run('which', ['qemu-ppc64le-static']).trim();
  const script = `
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 71
    printf '%s' "$1" > /proc/sys/fs/binfmt_misc/register || exit 71
    shift
    exec "$@"`;
  const self = path.join(root, 'test/rig/ppc64/run.mjs');
  const result = spawnSync(
    'unshare',
    [
      ...['-Urm', '--propagation', 'private', '--kill-child', 'sh', '-c', script, 'sh'],
      ...[registration(qemu), process.execPath, self, ...args],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, [inside]: '1' } },
  );
  if (result.status === 71) {
    throw new Error('binfmt_misc in a user namespace needs Linux 6.7 and user namespaces allowed');
  }
  return result.status ?? 1;
}

/** Node `major`, and the environment that it runs in as POWER8 code. */
function emulated(major) {
  const sysroot = nodeRoot(major);
  const [node] = ['node', 'nodejs']
    .map((name) => path.join(sysroot, 'usr/bin', name))
    .filter((file) => fs.existsSync(file));
  const base = {
    ...process.env,
    QEMU_CPU: 'power8',
    QEMU_LD_PREFIX: sysroot,
    NODE_CXL_BACKEND: '',
    CXL_TEST_TIME_SCALE: '40',
  };
  return { node, base };
}

/** The benchmarks in the package's place, with their programs in C as POWER8 code. */
function bench(name) {
  for (const folder of ['test/bench', 'test/simulated-device']) {
    // But for what is built for this host.
    const filter = (name) => path.basename(name) !== 'build';
    fs.cpSync(path.join(root, folder), path.join(app, folder), { recursive: true, filter });
  }
  // For the structures of the driver's interface.
  fs.symlinkSync('node_modules/node-cxl/native', path.join(app, 'native'));
  const { node, base } = emulated('20');
  const { status } = spawnSync(node, ['test/bench/run.mjs', '--quick', '--only', name], {
    cwd: app,
    env: { ...base, CC: 'powerpc64le-linux-gnu-gcc' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status ?? 1;
}

async function runSuites(majors, parts) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const major of majors) {
    const { node, base } = emulated(major);
    const version = run(node, ['-p', 'process.version + " " + process.arch'], { env: base }).trim();
    const chosen = testsOf(major)
      .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
      .map((file) => file.replace(/\.ts$/, '.mjs'));
    await stage(`Node ${version}`, async () => {
      const sum = await runFiles(chosen, {
        command: [node],
        cwd: app,
        environment: (file) => ({ ...base, ...environmentOf(file) }),
        timeout: 1_800_000,
        jobs: 2,
      });
      for (const key of Object.keys(total)) total[key] += sum[key];
      const { passed, failed, skipped } = sum;
      console.log(`Node ${version}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    });
  }
  return total;
}

async function disassembly() {
  const { complaints, functions, accesses, barriers } = checkDisassembly(unstrippedAddon('ppc64'));
  for (const complaint of complaints) console.error(`FAIL ${complaint}`);
  console.log(
    `${functions} functions, ${accesses} device accesses, ${barriers} barriers, each taken out once: ${complaints.length} complaints`,
  );
  return complaints.length;
}

async function main() {
  const args = process.argv.slice(2);
  const majors = args.filter((arg) => arg in suites);
  const parts = args.filter((arg) => !(arg in suites));
  if (process.env[inside] === '1') {
    if (parts[0] === '--bench') return bench(parts[1]);
    const { passed, failed, skipped } = await runSuites(
      majors.length > 0 ? majors : Object.keys(suites),
      parts,
    );
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    return failed === 0 ? 0 : 1;
  }
  await stage('programs of this host', () => installPrograms(programs));
  await stage('Node for ppc64el', () => {
    for (const major of majors.length > 0 ? majors : Object.keys(suites)) nodeRoot(major);
  });
  await stage('package and tests', async () => {
    console.log(`${await prepareApp()} test files`);
  });
  for (const [file, why] of Object.entries(leftOut)) console.log(`left out: ${file}: ${why}`);
  const complaints = await stage('disassembly', disassembly);
  console.log(`${complaints === 0 ? 1 : 0} passed, ${complaints} failed`);
  const status = runInside(args);
  return complaints === 0 ? status : 1;
}

process.exitCode = await main();
