// What our tests use of vitest, over node:test and the `expect` package, so that the same
// files run on any Node from 18.18 with nothing installed (see bundle-tests.mjs).
//
// Suites, hooks and their order are kept here, since node:test's differ from vitest's (after
// hooks run last to first there, in order here; Node 18 lacks some altogether). node:test
// runs each test and reports it.
import test from 'node:test';
import { expect as jestExpect } from 'expect';

// Emulated machines are some twenty times slower than what the tests' own limits are for.
const timeScale = Number(process.env.CXL_TEST_TIME_SCALE ?? 1);
const testTimeout = 5_000;
const hookTimeout = 10_000;

function newSuite(name, parent) {
  return {
    name,
    parent,
    children: [],
    beforeAll: [],
    afterAll: [],
    beforeEach: [],
    afterEach: [],
    remaining: 0,
    setUp: undefined,
    cleanups: [],
  };
}

let current = newSuite('', undefined);

function title(name) {
  return typeof name === 'function' ? name.name : String(name);
}

/** Vitest takes the options, or a time-out alone, on either side of the function. */
function arrange(first, second) {
  const body = typeof first === 'function' ? first : second;
  const options = typeof first === 'function' ? second : first;
  const timeout = typeof options === 'number' ? options : options?.timeout;
  return { body, timeout };
}

export function describe(name, first, second) {
  const { body } = arrange(first, second);
  current.children.push({ suite: newSuite(title(name), current), body });
}

export function it(name, first, second) {
  const { body, timeout = testTimeout } = arrange(first, second);
  current.children.push({ name: title(name), body, timeout, suite: undefined });
}

/** Not run, but reported and counted; its suites' hooks do not know of it. */
it.skip = (name) => {
  current.children.push({ name: title(name), skipped: true, suite: undefined });
};

function hook(kind) {
  return (body, timeout = hookTimeout) => current[kind].push({ body, timeout });
}
export const beforeAll = hook('beforeAll');
export const afterAll = hook('afterAll');
export const beforeEach = hook('beforeEach');
export const afterEach = hook('afterEach');

async function timed({ body, timeout }) {
  const limit = timeout * timeScale;
  let timer;
  const expiry = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out after ${limit} ms`)), limit);
  });
  try {
    return await Promise.race([(async () => body({}))(), expiry]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs every one of them, whatever the others do; the first error is the one to report. */
async function runAll(hooks, errors) {
  for (const each of hooks) {
    try {
      await timed(each);
    } catch (error) {
      errors.push(error);
    }
  }
}

/** Before hooks, in order; a function one returns is called at the end, as vitest does. */
async function setUp(hooks, cleanups) {
  for (const each of hooks) {
    const cleanup = await timed(each);
    if (typeof cleanup === 'function') {
      cleanups.unshift({ body: cleanup, timeout: hookTimeout });
    }
  }
}

function chain(suite) {
  return suite.parent === undefined ? [suite] : [...chain(suite.parent), suite];
}

async function runOne({ suite, name, body, timeout }) {
  const suites = chain(suite);
  const errors = [];
  const cleanups = [];
  try {
    for (const each of suites) {
      each.setUp ??= setUp(each.beforeAll, each.cleanups);
      await each.setUp;
    }
    for (const each of suites) await setUp(each.beforeEach, cleanups);
    jestExpect.setState({ assertionCalls: 0, currentTestName: name });
    await timed({ body, timeout });
  } catch (error) {
    errors.push(error);
  }
  const outwards = [...suites].reverse();
  for (const each of outwards) await runAll([...each.afterEach].reverse(), errors);
  await runAll(cleanups, errors);
  for (const each of outwards) {
    each.remaining -= 1;
    if (each.remaining > 0) continue;
    await runAll([...each.afterAll].reverse(), errors);
    await runAll(each.cleanups, errors);
  }
  if (errors.length > 0) throw errors[0];
}

/** The tests of a suite in order; bodies of suites run here, one at a time, and may wait. */
async function collect(suite, found) {
  for (const child of suite.children) {
    if (child.suite === undefined) {
      found.push({ ...child, suite });
      if (child.skipped) continue;
      for (const each of chain(suite)) each.remaining += 1;
    } else {
      current = child.suite;
      await child.body();
      await collect(child.suite, found);
    }
  }
  return found;
}

/** Runs what `file` has declared, and ends the process with one line of totals on stdout. */
export async function run(file) {
  const started = Date.now();
  const tests = await collect(current, []);
  const totals = { file, passed: 0, failed: 0, skipped: 0 };
  for (const each of tests) {
    const names = [...chain(each.suite).map((suite) => suite.name), each.name];
    const name = names.filter((part) => part !== '').join(' > ');
    if (each.skipped) {
      totals.skipped += 1;
      await test(name, { skip: true });
      continue;
    }
    await test(name, async () => {
      try {
        await runOne(each);
        totals.passed += 1;
      } catch (error) {
        totals.failed += 1;
        // The reporter of Node 18 leaves it out.
        if (error?.cause instanceof Error) error.message += `\n${error.cause.message}`;
        throw error;
      }
    });
  }
  totals.milliseconds = Date.now() - started;
  process.on('exit', () => process.stdout.write(`\nTOTALS ${JSON.stringify(totals)}\n`));
  // A handle that a test left open must not keep the process: vitest would end it too.
  setTimeout(() => process.exit(), 2_000).unref();
}

const extra = {
  toSatisfy: (actual, predicate) => ({
    pass: Boolean(predicate(actual)),
    message: () => `expected ${String(actual)} to satisfy ${predicate}`,
  }),
  toBeOneOf: (actual, values) => ({
    pass: values.some((value) => Object.is(value, actual)),
    message: () => `expected ${String(actual)} to be one of ${values.map(String).join(', ')}`,
  }),
  toBeTypeOf: (actual, type) => ({
    pass: typeof actual === type,
    message: () => `expected a ${type}, got a ${typeof actual}`,
  }),
};
jestExpect.extend(extra);

function prefixed(error, message) {
  if (error instanceof Error) error.message = `${message}\n${error.message}`;
  return error;
}

/** The matchers, with `message` put before what they say on failure. */
function explained(matchers, message) {
  return new Proxy(matchers, {
    get(target, key) {
      const value = target[key];
      if (typeof value === 'object' && value !== null) return explained(value, message);
      if (typeof value !== 'function') return value;
      return (...args) => {
        try {
          const result = value.apply(target, args);
          if (!(result instanceof Promise)) return result;
          return result.catch((error) => {
            throw prefixed(error, message);
          });
        } catch (error) {
          throw prefixed(error, message);
        }
      };
    },
  });
}

/** jest's own takes one argument; vitest's a message besides. */
export const expect = Object.assign((actual, message) => {
  const matchers = jestExpect(actual);
  return message === undefined ? matchers : explained(matchers, message);
}, jestExpect);
