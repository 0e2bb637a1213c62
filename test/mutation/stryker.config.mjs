// Stryker's configuration for one group; run.mjs sets the variables.
const { MUTATION_GROUP: name, MUTATION_FILES: files } = process.env;

export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  // Tests import dist by the package's name, which no import graph leads to.
  vitest: { configFile: 'test/mutation/vitest.config.mts', related: false },
  buildCommand: 'node lib/build/build.mjs typescript',
  mutate: files.split(','),
  coverageAnalysis: 'perTest',
  concurrency: 1,
  timeoutMS: 10_000,
  timeoutFactor: 3,
  // What was decided in an earlier run and has not changed since is not run again.
  incremental: true,
  incrementalFile: `.cache/mutation/${name}.json`,
  tempDirName: `.cache/mutation/${name}`,
  ignorePatterns: [
    '/.cache',
    '/dist',
    '/prebuilds',
    '/build',
    '/test/rig',
    '/test/simulated-device/build',
  ],
  reporters: ['progress-append-only', 'clear-text', 'json'],
  jsonReporter: { fileName: `.cache/mutation/${name}-report.json` },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  warnings: { unknownOptions: false },
};
