/** The backend for real devices: the addon, whose exports are a Binding, and how it is found. */
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { Binding } from '../binding';
import type { RangeLock } from '../binding/configuration-space';
import { withoutPrebuilt } from './machine';

/** The addon: a Binding, and what only native code needs. */
export interface NativeBinding extends Binding {
  readonly lockRange: RangeLock;
  /** Installs the handler of faulting accesses again, if there are mappings. */
  guardFaults(): void;
  /** Does nothing: what the benchmarks compare calls with. */
  nothing(): void;
  /** Bytes of memory that allocate() has mapped, in all environments of the process. */
  mappedMemory(): number;
}

/** What building the addon needs, besides npm's node-gyp. */
const BUILD_PROGRAMS = 'make, g++ and python3';

/** The folder of the package: two above this file, in the sources as in dist. */
const root = path.resolve(__dirname, '../..');

function noNative(reason: string, solutions: string[], cause?: unknown): Error {
  const advice = [...solutions, 'set NODE_CXL_BACKEND=mock to run the program without a card'];
  const message = `node-cxl cannot open real devices: ${reason}\nPossible solutions:\n${advice
    .map((solution) => `  - ${solution}`)
    .join('\n')}`;
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), {
    code: 'ERR_CXL_NO_NATIVE' as const,
  });
}

function load(): NativeBinding {
  if (process.platform !== 'linux') {
    throw noNative(`the cxl driver is part of Linux, and this is ${process.platform}`, [
      'run the program on Linux (POWER8 or POWER9, with the cxl driver of Linux 3.18 to 6.14)',
    ]);
  }
  const { deno, bun } = process.versions;
  if (deno !== undefined || bun !== undefined) {
    // Loading it would end the process in Bun.
    throw noNative(`its compiled addon needs libuv, which ${bun ? 'Bun' : 'Deno'} has not`, [
      'run the program with Node.js',
    ]);
  }
  const machine = `${process.platform}-${process.arch}`;
  const unlike = withoutPrebuilt();
  try {
    // The name of a prebuilt addon's folder tells the processor, but neither byte order nor C library.
    if (unlike !== undefined) return require(path.join(root, 'build/Release/node_cxl.node'));
    return (require('node-gyp-build') as (folder: string) => NativeBinding)(root);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    const absent = /^(Cannot find module|No native build was found)/.test(reason ?? '');
    throw noNative(
      absent
        ? `the package has no compiled addon for ${machine}${unlike === undefined ? '' : ` ${unlike.machine}`}`
        : `its compiled addon does not load on ${machine} (${reason})`,
      [
        `install ${unlike?.programs ?? BUILD_PROGRAMS}, then run \`npx node-cxl build\` (in a clone: \`npm run build\`)`,
      ],
      error,
    );
  }
}

let binding: NativeBinding | undefined;

/**
 * The one binding to this system's devices: an addon built here, else a prebuilt one. Loaded when
 * first asked for.
 *
 * @throws Error with code ERR_CXL_NO_NATIVE, its message saying what can be done
 */
export function nativeBinding(): NativeBinding {
  if (binding === undefined) {
    binding = load();
    if (isMainThread) keepGuard(binding);
  }
  return binding;
}

/**
 * process.on('SIGBUS') has libuv install a handler in place of the addon's, and removing the last
 * listener the default action: a faulting register access would then repeat for ever, or end the
 * process. Node does it in its own listeners of these two events, which come before ours. The
 * addon's handler, installed again, passes other SIGBUS on to libuv's. Signals have listeners in the
 * main thread alone.
 */
function keepGuard({ guardFaults }: NativeBinding): void {
  const onChange = (event: string | symbol) => {
    if (event === 'SIGBUS') guardFaults();
  };
  process.on('newListener', onChange);
  process.on('removeListener', onChange);
}
