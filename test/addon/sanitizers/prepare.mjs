// Programs over the simulated device with an addon that a sanitizer instruments, or under valgrind.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { buildAddon, copyAddonSources } from '../../../lib/build/addon.mjs';
import { root } from '../../../lib/build/files.mjs';

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
    // that name the addon count. With the longest history, most reports have both stacks.
    env: { TSAN_OPTIONS: 'exitcode=0:handle_segv=0:handle_sigbus=0:history_size=7' },
    // Its shadow memory needs the mappings where a process without randomization has them.
    launcher: ['setarch', '-R'],
  },
};

/** What is to be run under: a sanitizer's name, or valgrind. */
export const tools = [...Object.keys(kinds), 'valgrind'];

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
 * A race between Node's own reads of files, as at the start of a worker, and a descriptor that had the
 * same number later. The simulated device opens attributes by memfd_create(), which the thread
 * sanitizer does not see: it takes both descriptors for one. Node's file reads never concern a device.
 * Of a read that is too long ago the report has no stack.
 */
function isReusedNumber(report) {
  const ofNode =
    /\buv__(?:fs_|slurp\b)|Previous read of [^\n]*\n\s*\[failed to restore the stack\]/;
  return /Location is file descriptor/.test(report) && ofNode.test(report);
}

/** A race of V8's own threads, found while the addon had called it: it is not instrumented. */
function isOfV8(report) {
  return /#1 v8::platform::/.test(report);
}

/**
 * Reports of valgrind that name the addon: Node's own are about V8's tricks. Not accesses to registers
 * of the simulated device: it keeps them without permissions, and makes the access when it faults.
 */
function valgrindReports(text) {
  return text
    .replaceAll(/^==\d+== ?/gm, '')
    .split(/\n\s*\n/)
    .filter((block) => /Invalid|uninitialised|definitely lost|Mismatched/.test(block))
    .filter((block) => /node_cxl|cxl::/.test(block))
    .filter((block) => !/is in a --- mapped file \/memfd:cxlsim-area/.test(block));
}

const done = new Map();

/**
 * How to run a program under a tool: `launcher` and, after `env` with the `environment`, `inner` come
 * before it. `judge()` returns what a process's standard error reports about the addon. The
 * instrumented addon is built at the first call.
 */
export function prepared(name) {
  const known = done.get(name);
  if (known !== undefined) return known;
  const made = name === 'valgrind' ? underValgrind() : underSanitizer(name);
  done.set(name, made);
  return made;
}

function underValgrind() {
  return {
    launcher: [],
    environment: { LD_PRELOAD: simulatedDevice },
    inner: ['valgrind', '--error-limit=no', '--vex-guest-max-insns=25', '--smc-check=all-non-file'],
    judge: valgrindReports,
  };
}

function underSanitizer(name) {
  const kind = kinds[name];
  const folder = build(name, kind);
  const runtime = execFileSync(compiler, [`-print-file-name=${kind.runtime}`], {
    encoding: 'utf8',
  }).trim();
  return {
    launcher: kind.launcher ?? [],
    environment: {
      ...kind.env,
      LD_PRELOAD: kind.preload(runtime).join(':'),
      // Where node-gyp-build looks instead of the package's own folder.
      NODE_CXL_PREBUILD: folder,
    },
    inner: [],
    judge: (text) =>
      text
        .split(/^=+$/m)
        .filter((report) => /Sanitizer:|runtime error/.test(report))
        .filter((report) => name !== 'thread' || /cxl::|cxl_|node_cxl/.test(report))
        .filter((report) => !isReusedNumber(report) && !isOfV8(report)),
  };
}
