// Vitest's own runner and assertions for one test file, without the rest of vitest, which needs
// Node 20 and Vite: bundle-tests.mjs bundles this module, and it runs on any Node from 18.18.
//
//   node vitest-on-node.mjs FILE
//
// What it prints: a line `ok N - name` or `not ok N - name` a test, and at the end of the process
// `TOTALS {"passed":…,"failed":…,"skipped":…}`.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { startTests } from '@vitest/runner';
import { getTasks, getTests } from '@vitest/runner/utils';
import * as vitest from 'vitest';

export { expect, vi } from 'vitest';

// Emulated machines are some twenty times slower than what the tests' own limits are for.
const timeScale = Number(process.env.CXL_TEST_TIME_SCALE ?? 1);

/** A function of vitest whose time limits are multiplied: a number, or the option `timeout`. */
function scaled(declare) {
  const scale = (argument) => {
    if (typeof argument === 'number') return argument * timeScale;
    if (argument?.timeout === undefined) return argument;
    return { ...argument, timeout: argument.timeout * timeScale };
  };
  const one = (...args) => declare(...args.map(scale));
  // Where the condition holds, the plain function skips: vitest's own is not scaled.
  return Object.assign(one, { skipIf: (condition) => (condition ? declare.skip : one) });
}

export const describe = scaled(vitest.describe);
export const it = Object.assign(scaled(vitest.it), { skip: vitest.it.skip });
export const beforeAll = scaled(vitest.beforeAll);
export const afterAll = scaled(vitest.afterAll);
export const beforeEach = scaled(vitest.beforeEach);
export const afterEach = scaled(vitest.afterEach);

/** Vitest's defaults. */
const config = {
  root: process.cwd(),
  name: undefined,
  setupFiles: [],
  passWithNoTests: false,
  allowOnly: false,
  sequence: { seed: 0, hooks: 'stack', setupFiles: 'parallel' },
  maxConcurrency: 5,
  testTimeout: 5_000 * timeScale,
  hookTimeout: 10_000 * timeScale,
  retry: 0,
  tags: [],
};

function fullName(task) {
  return task.suite === undefined ? task.name : `${fullName(task.suite)} > ${task.name}`;
}

function printErrors({ result }) {
  for (const { name, message, stack = '', diff, cause } of result.errors ?? []) {
    // The stack of a test that took too long begins with another message.
    const frames = stack.split('\n').filter((line) => /^ +at /.test(line));
    console.log([`${name}: ${message}`, ...frames].join('\n'));
    if (diff !== undefined) console.log(diff);
    if (cause !== undefined) console.log(`cause: ${cause.message}`);
  }
}

async function run(name) {
  let count = 0;
  // Some matchers ask for it, and have it from vitest's worker otherwise.
  vitest.expect.setState({ testPath: path.resolve(name) });
  const [file] = await startTests([path.resolve(name)], {
    config,
    importFile: (full) => import(pathToFileURL(full).href),
    onAfterRunTask(test) {
      count += 1;
      const passed = test.result.state === 'pass';
      console.log(`${passed ? 'ok' : 'not ok'} ${count} - ${fullName(test)}`);
      printErrors(test);
    },
  });
  const tests = getTests(file);
  // The file itself is one: what it throws before its tests are known is its error.
  const suites = getTasks(file).filter(({ type, result }) => type === 'suite' && result?.errors);
  suites.forEach(printErrors);
  const totals = {
    passed: tests.filter(({ result }) => result?.state === 'pass').length,
    failed: tests.filter(({ result }) => result?.state === 'fail').length + suites.length,
    skipped: tests.filter(({ mode }) => mode === 'skip').length,
  };
  process.on('exit', () => process.stdout.write(`\nTOTALS ${JSON.stringify(totals)}\n`));
  // A handle that a test left open must not keep the process: vitest would end it too.
  setTimeout(() => process.exit(), 2_000).unref();
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  // Not awaited: the test imports this module, which must have ended its evaluation by then.
  void run(process.argv[2]);
}
