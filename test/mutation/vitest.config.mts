import { defineConfig } from 'vitest/config';

// The tests of one group, all over the mock. Its runner, Stryker, needs a configuration without
// projects. As in the main one, what is built is what runs: Stryker builds it from the changed lib.
export default defineConfig({
  test: {
    server: { deps: { external: [/\/dist\//] } },
    include: process.env['MUTATION_TESTS']?.split(','),
    env: { CXL_TARGET: 'mock' },
    testTimeout: 20_000,
  },
});
