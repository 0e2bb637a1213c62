import path from 'node:path';
import { defineConfig } from 'vitest/config';

const simulatedDevice = path.resolve('test/native/build/libcxlsim.so');

// Tests import the package by its name, as its users do, and so run what was built.
const server = { deps: { external: [/\/dist\//] } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          server,
          include: ['test/unit/**/*.test.ts', 'test/examples/**/*.test.ts'],
        },
      },
      {
        test: {
          name: 'mock',
          server,
          include: ['test/conformance/**/*.test.ts'],
          env: { CXL_TARGET: 'mock' },
        },
      },
      {
        // The device is preloaded: every process of this project starts with it.
        test: {
          name: 'simulated',
          server,
          include: ['test/conformance/**/*.test.ts', 'test/native/**/*.test.ts'],
          pool: 'forks',
          env: { CXL_TARGET: 'simulated', LD_PRELOAD: simulatedDevice },
        },
      },
    ],
  },
});
