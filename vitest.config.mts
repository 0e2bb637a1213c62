import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { LIVE_FILES } from './test/conformance/support/replayable.mjs';

const simulatedDevice = path.resolve('test/simulated-device/build/libcxlsim.so');

/** What concerns the cxl driver alone, whose backends differ; not flash, not mailboxes. */
const driverConformance = [
  'closing',
  'driver-rules',
  'events',
  'life-table',
  'memcpy',
  'memory',
  'model-based',
  'problem-state',
  'sysfs',
].map((name) => `test/conformance/${name}.test.ts`);

/** What a card of CAIA 2 does in a way of its own. */
const ofCaia2 = ['driver-rules', 'memcpy'].map((name) => `test/conformance/${name}.test.ts`);

/** Example programs that use a card: the mock's in the project `unit`. */
const examplesWithDevices = ['afu-manager', 'upload-server'].map(
  (name) => `test/examples/${name}/*.test.ts`,
);

// Tests import the package by its name, as its users do, and so run what was built.
const server = { deps: { external: [/\/dist\//] } };

// Tests of a busy machine must not be taken for ones that hang.
const common = { server, testTimeout: 20_000, hookTimeout: 20_000 };

// Every test makes a mock of its own: files can share a process, whose start is most of their time.
const sharedProcess = { isolate: false };

/** Unit tests that change what is one in a process: each has one of its own. */
const changingProcess = [
  'argument-fuzz', // NODE_CXL_BACKEND, which is read once
  'doe/timeouts', // fake timers, which a module that is first loaded meanwhile keeps
  'event-queue', // the same
  'fake-timers', // the same
  'global-system', // the backend, which is chosen once
  'mock-memory', // the flags of V8
  'mock-sync-waits', // fake timers
  'record/format', // functions of node:fs
  'record/record', // functions of node:fs, descriptors, warnings
].map((name) => `test/unit/${name}.test.ts`);

/** A card with the memcpy AFU; part of a run only when it is asked for. */
const hardware = {
  test: {
    name: 'hardware',
    ...common,
    include: driverConformance,
    // The AFU is one; files that ran side by side would take each other's process elements.
    fileParallelism: false,
    env: { CXL_TARGET: 'hardware' },
  },
};

/** The memcpy AFU in Verilog, which test/rig/pslse starts. Its daemon is one, as its AFU. */
const pslse = {
  test: {
    name: 'pslse',
    ...common,
    include: driverConformance,
    fileParallelism: false,
    pool: 'forks' as const,
    testTimeout: 60_000,
    env: { CXL_TARGET: 'pslse' },
  },
};

const liveFiles = Object.keys(LIVE_FILES).map((name) => `test/conformance/${name}.test.ts`);

/** The conformance tests on a recorded target, then on its recordings: test/conformance/support/recordings.ts. */
function recordings(name: string, target: 'mock' | 'simulated', include: string[], device = {}) {
  const env = { CXL_RECORDED: `build/recordings/${name}` };
  const files = { include, exclude: liveFiles };
  const recorded = { ...common, ...files, pool: 'forks' as const };
  return [
    {
      test: {
        name: `${name}-recorded`,
        ...recorded,
        env: { ...env, ...device, CXL_TARGET: target },
      },
    },
    {
      test: {
        name: `${name}-replayed`,
        ...recorded,
        // When all recordings are there.
        sequence: { groupOrder: 1 },
        env: { ...env, CXL_TARGET: 'replay' },
      },
    },
  ];
}

export default defineConfig({
  test: {
    // The default leaves a core idle, which of two is half of them. Many files wait most of their time.
    maxWorkers: availableParallelism() + 2,
    projects: [
      ...(process.env['CXL_TARGET'] === 'hardware' ? [hardware] : []),
      ...(process.env['CXL_TARGET'] === 'pslse' ? [pslse] : []),
      // `npm run test:recordings`: over a recorder, which must change nothing; and without the
      // backend what it has recorded.
      ...(process.env['CXL_TARGET'] === 'recordings'
        ? [
            ...recordings('mock', 'mock', driverConformance),
            ...recordings('simulated', 'simulated', ['test/conformance/**/*.test.ts'], {
              LD_PRELOAD: simulatedDevice,
            }),
            ...recordings('simulated-caia-2', 'simulated', ofCaia2, {
              LD_PRELOAD: simulatedDevice,
              CXLSIM_CAIA: '2',
            }),
          ]
        : []),
      {
        test: {
          name: 'unit',
          ...common,
          ...sharedProcess,
          include: ['test/unit/**/*.test.ts', 'test/examples/**/*.test.ts'],
          exclude: changingProcess,
        },
      },
      {
        test: { name: 'unit-isolated', ...common, include: changingProcess },
      },
      {
        test: {
          name: 'mock',
          ...common,
          ...sharedProcess,
          include: ['test/conformance/**/*.test.ts'],
          env: { CXL_TARGET: 'mock' },
        },
      },
      {
        // The driver's other face: a PowerVM guest.
        test: {
          name: 'mock-guest',
          ...common,
          ...sharedProcess,
          include: driverConformance,
          env: { CXL_TARGET: 'mock', CXL_FLAVOR: 'guest' },
        },
      },
      {
        // A PSL9 card, where the memcpy AFU copies less.
        test: {
          name: 'mock-caia-2',
          ...common,
          ...sharedProcess,
          include: ofCaia2,
          env: { CXL_TARGET: 'mock', CXL_CAIA: '2' },
        },
      },
      {
        test: {
          name: 'simulated-caia-2',
          ...common,
          include: ofCaia2,
          pool: 'forks',
          env: { CXL_TARGET: 'simulated', CXLSIM_CAIA: '2', LD_PRELOAD: simulatedDevice },
        },
      },
      {
        // The device is preloaded: every process of this project starts with it.
        test: {
          name: 'simulated',
          ...common,
          include: [
            'test/conformance/**/*.test.ts',
            'test/addon/**/*.test.ts',
            'test/simulated-device/**/*.test.ts',
            ...examplesWithDevices,
          ],
          pool: 'forks',
          env: { CXL_TARGET: 'simulated', LD_PRELOAD: simulatedDevice },
        },
      },
      {
        test: {
          name: 'simulated-guest',
          ...common,
          include: driverConformance,
          pool: 'forks',
          env: { CXL_TARGET: 'simulated', CXLSIM_FLAVOR: 'guest', LD_PRELOAD: simulatedDevice },
        },
      },
    ],
  },
});
