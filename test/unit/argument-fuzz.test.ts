/**
 * Every function of the four entry points, and every method of their objects in each state, called
 * with arguments that are wrong in all ways. What it throws or rejects with is an Error with a code;
 * nothing crashes or hangs.
 *
 * CXL_FUZZ_SEED and CXL_FUZZ_RUNS make another run, or a longer one.
 */
import fc from 'fast-check';
import * as main from 'node-cxl';
import * as doe from 'node-cxl/doe';
import * as flash from 'node-cxl/flash';
import * as mocks from 'node-cxl/mock';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

const BACKEND = 'NODE_CXL_BACKEND';
const before = process.env[BACKEND];
process.env[BACKEND] = 'mock';
afterAll(() => {
  if (before === undefined) delete process.env[BACKEND];
  else process.env[BACKEND] = before;
});

const SEED = Number(process.env['CXL_FUZZ_SEED'] ?? 1);
const RUNS = Number(process.env['CXL_FUZZ_RUNS'] ?? 20);
/** Milliseconds. A wait that the arguments allow is given up after the first, a hang fails after the second. */
const PATIENCE = 5;
const HANG = 5000;

const system = mocks.createMockCxl({ flash: [{}] });
const pci = mocks.createMockDoe();
const [anAdapter] = await system.adapters();
const [anAfu] = await system.afus();
const aContext = await system.open('afu0.0s');
const aMemory = system.allocate(4096);
const [aMailbox] = await pci.mailboxes('0d:00.0');

/** Values that are wrong for nearly everything, and some that are right for something. */
const VALUES: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  0,
  -0,
  1,
  2,
  4,
  8,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  65536,
  2 ** 53,
  0n,
  1n,
  -1n,
  2n ** 64n,
  '',
  'x',
  '\0',
  'afu0.0s',
  'slave',
  'none',
  'read',
  '0000:0d:00.0',
  '/dev/null',
  '/dev/cxl/afu0.0m',
  'x'.repeat(5000),
  '__proto__',
  'constructor',
  Symbol('s'),
  () => undefined,
  () => 1,
  class {},
  [],
  [null],
  [1, 2],
  ['x'],
  [{}],
  {},
  Object.create(null),
  new Date(Number.NaN),
  new Map(),
  /x/,
  new Error('x'),
  Promise.resolve(1),
  new Uint8Array(0),
  new Uint8Array(3),
  new Uint8Array(16),
  Buffer.alloc(64),
  new BigUint64Array(2),
  new DataView(new ArrayBuffer(8)),
  new ArrayBuffer(8),
  new SharedArrayBuffer(8),
  AbortSignal.abort('x'),
  new AbortController().signal,
  Object.freeze({ vendorId: 1, type: 0 }),
  { vendorId: 'x', type: null },
  { kind: 'DSMAS' },
  { request: 'poison' },
  { name: 'open' },
  { fetchEvent: 1 },
  { descriptor: null, powerOn: () => 1 },
  { contextId: 1n, resources: null },
  system,
  pci,
  anAdapter,
  anAfu,
  aContext,
  aMemory,
  aMailbox,
];

/** Names of options and fields, so that what is below the first check is reached too. */
const NAMES = [
  'signal',
  'timeout',
  'force',
  'wed',
  'interrupts',
  'amr',
  'errFf',
  'holds',
  'tid',
  'endian',
  'offset',
  'length',
  'alignment',
  'hugePages',
  'numaNode',
  'owned',
  'mmioSize',
  'maxLength',
  'verify',
  'cards',
  'flash',
  'faults',
  'latency',
  'seed',
  'flavor',
  'pageSize',
  'functions',
  'mailboxes',
  'protocols',
  'address',
  'processes',
  'modes',
  'luns',
  'blocks',
  'wwid',
  'system',
  'lun',
  'access',
  'queueDepth',
  'completion',
  'writeSame',
  'allPorts',
  'write',
  'needHeader',
  'onProgress',
  'available',
  'enabled',
  'status',
  'revision',
  'sequence',
  'name',
  'errno',
  'after',
  'vendorId',
  'type',
  'request',
  'protocol',
  'kind',
  'bytes',
  'calls',
  'detail',
  'limit',
  'types',
  'among',
];

const value = fc.constantFrom(...VALUES);
const record = fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 3 });
const argument = fc.oneof(
  { weight: 5, arbitrary: value },
  { weight: 3, arbitrary: record },
  { weight: 1, arbitrary: fc.array(record, { maxLength: 2 }) },
);
const argumentLists = fc.array(argument, { maxLength: 4 });

/** Waits that have no end when their arguments allow them. */
const WAIT = /^(expect[A-Z]|waitFor|next$)/;

/** Waits that block the thread, by where their options are. */
const BLOCKING = new Map([
  ['waitForEventSync', 0],
  ['waitForInterruptSync', 1],
]);

/** The arguments with an end of the wait, in place of none or a late one. */
function bounded(method: string, args: readonly unknown[]): readonly unknown[] {
  const at = BLOCKING.get(method);
  const options = at === undefined ? null : args[at];
  if (
    at === undefined ||
    (options !== undefined && typeof options !== 'object') ||
    options === null
  ) {
    return args;
  }
  const { timeout = PATIENCE } = (options ?? {}) as { timeout?: unknown };
  const limited = typeof timeout === 'number' && timeout > PATIENCE ? PATIENCE : timeout;
  const copy = Object.assign(Object.create(Object.getPrototypeOf(options ?? {})), options);
  return Object.assign([...args], { [at]: Object.assign(copy, { timeout: limited }) });
}

type Callable = (...args: unknown[]) => unknown;

/** Only of calls that were wrong: it takes longer than most calls. */
function describeCall(name: string, args: readonly unknown[]): string {
  return `${name}(${fc.stringify(args).slice(1, -1)})`;
}

/** What was wrong, by function: one call of each is enough to see why. */
const wrong = new Map<string, string>();
afterEach(() => {
  const told = [...wrong.values()];
  wrong.clear();
  expect(told).toEqual([]);
});

/** Notes an error that a program cannot tell from a bug of this package. */
function checkError(error: unknown, name: string, args: readonly unknown[]): void {
  const { code } = (error ?? {}) as { code?: unknown };
  if (error instanceof Error && typeof code === 'string' && code !== '') return;
  const stack = error instanceof Error ? error.stack?.split('\n', 3).join(' ') : String(error);
  if (wrong.has(name)) return;
  wrong.set(name, `${describeCall(name, args)} failed without a code: ${stack}`);
}

async function call(name: string, run: Callable, given: readonly unknown[]): Promise<void> {
  const method = name.slice(name.lastIndexOf('.') + 1);
  const args = bounded(method, given);
  let result: unknown;
  try {
    result = run(...args);
  } catch (error) {
    checkError(error, name, args);
    return;
  }
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return;
  const settled = Promise.resolve(result).then(
    (given) => close(given),
    (error) => checkError(error, name, args),
  );
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<'pending'>((resolve) => {
    timer = setTimeout(() => resolve('pending'), WAIT.test(method) ? PATIENCE : HANG);
  });
  const outcome = await Promise.race([settled, end]);
  clearTimeout(timer);
  if (outcome !== 'pending') return;
  if (!WAIT.test(method)) {
    wrong.set(name, `${describeCall(name, args)} does not settle`);
  }
  // Ended when its object is closed; a rejection then is none of this call.
  settled.catch(() => {});
}

/** What a call opened. */
async function close(given: unknown): Promise<void> {
  if (given instanceof main.Context || given instanceof flash.Lun) await given.close();
}

/** The methods of an object, and its setters, with those of its base classes. */
function methodsOf(object: object): [name: string, run: Callable][] {
  const found = new Map<string, Callable>();
  const skipped = new Set(['constructor', ...Object.getOwnPropertyNames(Object.prototype)]);
  // What the other classes of node-cxl/flash call them by; its types do not have them.
  if (object instanceof flash.Lun || object instanceof flash.FlashHost) {
    for (const internal of ['request', 'ioctlError']) skipped.add(internal);
  }
  for (
    let level: object | null = object;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (skipped.has(name) || found.has(name)) continue;
      if (typeof property.value === 'function') {
        found.set(name, (...args) => (property.value as Callable).apply(object, args));
      } else if (property.set !== undefined) {
        const { set } = property;
        found.set(name, (given) => set.call(object, given));
      }
    }
  }
  return [...found];
}

/** Every getter can be read in every state. */
function readGetters(title: string, object: object): void {
  for (
    let level: object | null = object;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (property.get === undefined) continue;
      try {
        property.get.call(object);
      } catch (error) {
        checkError(error, `${title}.${name}, read`, []);
      }
    }
  }
}

function fuzz(check: (args: unknown[]) => Promise<void>, runs = RUNS): Promise<void> {
  return fc.assert(fc.asyncProperty(argumentLists, check), { seed: SEED, numRuns: runs });
}

async function fuzzFunctions(functions: readonly [string, Callable][]): Promise<void> {
  for (const [name, run] of functions) {
    await call(name, run, []);
    for (const one of VALUES) await call(name, run, [one]);
    await fuzz((args) => call(name, run, args));
  }
}

/** Constructors that programs call; the others are of objects that only this package makes. */
const CONSTRUCTORS = new Set([
  'AbortError',
  'Compliance',
  'Doe',
  'DumpPci',
  'MockFunction',
  'MockMailbox',
  'SysfsPci',
]);

function functionsOf(entry: object): [string, Callable][] {
  const found: [string, Callable][] = [];
  for (const [name, exported] of Object.entries(entry)) {
    if (typeof exported !== 'function') continue;
    if (!/^class\b/.test(Function.prototype.toString.call(exported))) {
      found.push([name, exported as Callable]);
    } else if (CONSTRUCTORS.has(name)) {
      const Made = exported as new (...args: unknown[]) => unknown;
      // The last parameter of the mock's, which errors name the object by, is this package's own.
      const count = name.startsWith('Mock') ? 1 : Number.POSITIVE_INFINITY;
      found.push([`new ${name}`, (...args) => new Made(...args.slice(0, count))]);
    }
  }
  return found;
}

describe('wrong arguments of the functions of', () => {
  const entries = { 'node-cxl': main, 'node-cxl/doe': doe, 'node-cxl/flash': flash };
  for (const [title, entry] of Object.entries(entries)) {
    it(`${title} are errors with a code`, () => fuzzFunctions(functionsOf(entry)), 120_000);
  }

  it('node-cxl/mock are errors with a code', async () => {
    // What a function makes stand for `cxl` is undone at once.
    const restoring = new Set(['setGlobalSystem']);
    const functions = functionsOf(mocks).map(([name, run]): [string, Callable] => {
      if (!restoring.has(name)) return [name, run];
      return [name, (...args) => (run(...args) as { restore(): void }).restore()];
    });
    await fuzzFunctions(functions);
  }, 120_000);
});

/** A LUN of a mock of its own, in superpipe mode, with a context and blocks of it. */
async function flashObjects() {
  const lun = await flash.openLun('/dev/sg1', { system: mocks.createMockCxl({ flash: [{}] }) });
  await lun.enableSuperpipe();
  const context = await lun.attach();
  return { lun, context, resource: await context.openVirtual({ blocks: 1 }) };
}

describe('wrong arguments of the methods of', () => {
  /** Each makes a new object, in the state that its title says. */
  const objects: Record<string, () => unknown> = {
    Cxl: () => main.cxl,
    Adapter: () => anAdapter,
    Afu: () => anAfu,
    'Context, opened': () => system.open('afu0.0s'),
    'Context, attached': async () => {
      const context = await system.open('afu0.0s');
      await context.attach({ wed: 0n, interrupts: 4 });
      return context;
    },
    'Context, closed': async () => {
      const context = await system.open('afu0.0s');
      await context.close();
      return context;
    },
    EventIterator: async () => {
      const context = await system.open('afu0.0s');
      await context.attach({ wed: 0n });
      return context.events();
    },
    ProblemState: async () => {
      const context = await system.open('afu0.0s');
      await context.attach({ wed: 0n });
      return context.mapProblemState();
    },
    'ProblemState, unmapped': async () => {
      const context = await system.open('afu0.0s');
      await context.attach({ wed: 0n });
      const area = context.mapProblemState();
      area.unmap();
      return area;
    },
    Memory: () => system.allocate(4096),
    'Memory, freed': () => {
      const memory = system.allocate(4096);
      memory.free();
      return memory;
    },
    ConfigurationRecord: async () => (await anAfu!.configurationRecords())[0],
    Doe: () => mocks.createMockDoe(),
    'the default Doe': () => doe.doe,
    DoeMailbox: async () => (await mocks.createMockDoe().mailboxes('0d:00.0'))[0],
    'DoeMailbox, of a device that is gone': async () => {
      const mock = mocks.createMockDoe();
      const [mailbox] = await mock.mailboxes('0d:00.0');
      mock.function('0d:00.0').remove();
      return mailbox;
    },
    Compliance: async () => {
      const [, mailbox] = await mocks.createMockDoe().mailboxes('0d:00.0');
      return new doe.Compliance(mailbox!);
    },
    MockCxl: () => mocks.createMockCxl({ flash: [{}] }),
    MockCard: () => mocks.createMockCxl().card(0),
    'MockCard, of a guest': () => mocks.createMockCxl({ flavor: 'guest' }).card(0),
    MockAfu: () => mocks.createMockCxl().card(0).afu(0),
    MockContext: async () => {
      const mock = mocks.createMockCxl();
      const context = await mock.open('afu0.0s');
      await context.attach({ wed: 0n, interrupts: 4 });
      return mock.card(0).afu(0).contexts[0];
    },
    KernelContext: () => mocks.createMockCxl().card(0).afu(0).createKernelContext(),
    Lun: async () => (await flashObjects()).lun,
    'Lun, closed': async () => {
      const { lun } = await flashObjects();
      await lun.close();
      return lun;
    },
    FlashContext: async () => (await flashObjects()).context,
    Resource: async () => (await flashObjects()).resource,
    BlockDevice: async () => (await flashObjects()).resource.blockDevice(),
    FlashHost: () =>
      flash.openFlashHost('/dev/cxlflash/cxlflash0', {
        system: mocks.createMockCxl({ flash: [{}] }),
      }),
    MockFlash: () => mocks.createMockCxl({ flash: [{}] }).flash,
    MockFlashAdapter: () => mocks.createMockCxl({ flash: [{}] }).flash.adapters[0],
    MockDoe: () => mocks.createMockDoe(),
    MockFunction: () => mocks.createMockDoe().function('0d:00.0'),
    MockMailbox: () => mocks.createMockDoe().function('0d:00.0').mailboxes[0],
  };

  for (const [title, make] of Object.entries(objects)) {
    it(`${title} are errors with a code`, async () => {
      let object = (await make()) as object;
      readGetters(title, object);
      for (const name of methodsOf(object).map(([method]) => method)) {
        // A call may end the object, as close() does; what it did to it must not hide the next.
        const renew = async () => {
          object = (await make()) as object;
          const [, run] = methodsOf(object).find(([method]) => method === name)!;
          return run;
        };
        await call(`${title}.${name}`, await renew(), []);
        const run = await renew();
        for (const one of VALUES) await call(`${title}.${name}`, run, [one]);
        const again = await renew();
        await fuzz((args) => call(`${title}.${name}`, again, args), Math.ceil(RUNS / 2));
        readGetters(title, object);
      }
      expect(methodsOf(object).length).toBeGreaterThan(0);
    }, 120_000);
  }
});
