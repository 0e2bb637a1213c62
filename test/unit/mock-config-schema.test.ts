/** The JSON schema of the mock's configuration file accepts and refuses what the reader does. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { createMockCxl, createMockDoe, mockDoeFromConfig, mockFromConfig } from 'node-cxl/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { find, isValid, type Schema } from './json-schema';
import { thrownCode } from './mock-support';

const location = createRequire(import.meta.url).resolve('node-cxl/mock-config.schema.json');
const schema = JSON.parse(readFileSync(location, 'utf8')) as Schema;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-schema-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The code of the error with which both readers of the file refuse it; undefined: they do not. */
function refusal(content: unknown): string | undefined {
  const file = path.join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(content));
  const codes = [mockFromConfig, mockDoeFromConfig].map((read) => thrownCode(() => read(file)));
  expect(codes[0]).toBe(codes[1]);
  return codes[0];
}

/** Values that the schema of an option accepts, and others. */
function values(of: Schema): fc.Arbitrary<unknown> {
  const wrong = fc.constantFrom<unknown>(null, -1, 0.5, 2 ** 53, '', 'bananas', true, [], {}, [7]);
  return seldom(right(of), wrong);
}

/** The first, and once in a while the second. */
function seldom<T>(often: fc.Arbitrary<T>, rare: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 60, arbitrary: often }, { weight: 1, arbitrary: rare });
}

function right(of: Schema): fc.Arbitrary<unknown> {
  const { $ref, type, enum: choices, anyOf, oneOf, minimum = 0, maximum = 0 } = of;
  if ($ref !== undefined) return right(find(schema, $ref as string));
  if (choices !== undefined) return fc.constantFrom(...(choices as unknown[]));
  const several = (anyOf ?? oneOf) as Schema[] | undefined;
  if (several !== undefined) return fc.oneof(...several.map(right));
  const [min, max] = [minimum as number, maximum as number];
  switch (type) {
    case 'integer': {
      const step = (of['multipleOf'] ?? 1) as number;
      const inside = fc.integer({ min: min / step, max: Math.floor(max / step) });
      const some = fc.oneof(
        fc.constantFrom(min, max),
        inside.map((each) => each * step),
      );
      return seldom(some, fc.constantFrom(min - step, max + step));
    }
    case 'number':
      return fc.oneof(fc.constantFrom(min, max), fc.double({ min, max, noNaN: true }));
    case 'boolean':
      return fc.boolean();
    case 'string': {
      const pattern = of['pattern'] as string | undefined;
      return pattern === undefined
        ? fc.constantFrom('some', 'text', '0001:01')
        : seldom(fc.stringMatching(new RegExp(pattern)), fc.constant('not this'));
    }
    case 'array':
      return fc.array(values(of['items'] as Schema), {
        minLength: (of['minItems'] ?? 0) as number,
        maxLength: Math.min((of['maxItems'] ?? 2) as number, 4),
      });
    case 'object':
      return anObject(of);
    default:
      throw new Error(`no values of ${JSON.stringify(of)}`);
  }
}

function anObject(of: Schema): fc.Arbitrary<unknown> {
  const properties = (of['properties'] ?? {}) as Record<string, Schema>;
  const required = (of['required'] ?? []) as string[];
  const options = Object.fromEntries(
    // The files of LUNs would be made.
    Object.entries(properties)
      .filter(([name]) => name !== 'file')
      .map(([name, each]) => [name, values(each)]),
  );
  const given = fc.record(options, { requiredKeys: required.filter((name) => name in options) });
  const names = of['propertyNames'] as { pattern: string } | undefined;
  const more =
    names === undefined
      ? fc.constant<Record<string, unknown>>({ misspelled: 1 })
      : fc.dictionary(fc.stringMatching(new RegExp(names.pattern)), fc.integer({ min: -1 }));
  return fc
    .tuple(given, names === undefined ? seldom(fc.constant({}), more) : more)
    .map(([first, second]) => ({ ...first, ...second }));
}

/** Rules between values, which no schema can have: those that the schema accepts though they break one. */
function breaksOtherRule(config: {
  cards?: { pciAddress?: string }[];
  flash?: { ports?: number; luns?: { ports?: number[] }[] }[];
  doe?: { address?: string; mailboxes?: { at?: number }[] }[];
  faults?: { registers?: unknown }[];
  latency?: Record<string, unknown>;
}): boolean {
  const { cards = [], flash = [], doe = [], faults = [], latency = {} } = config;
  const addresses = cards.map(({ pciAddress }, slot) => pciAddress ?? `0000:0${slot + 1}:00.0`);
  const functions = doe.map(({ address = '0d:00.0' }) =>
    (address.length > 7 ? address : `0000:${address}`).toLowerCase(),
  );
  const places = doe.map(({ mailboxes = [] }) => {
    let next = 0x190;
    return mailboxes.map(({ at = next }) => {
      next = at + 0x20;
      return at;
    });
  });
  return (
    new Set(addresses).size < addresses.length ||
    new Set(functions).size < functions.length ||
    [...faults.map(({ registers }) => registers), ...Object.values(latency)].some(
      (range) => Array.isArray(range) && range[0] > range[1],
    ) ||
    flash.some(({ ports = 2, luns = [] }) =>
      luns.some((lun) => (lun.ports ?? []).some((port) => port >= ports)),
    ) ||
    places.some((at) =>
      at.some((one, index) =>
        at.some((other, before) => one > 0xfe8 || (before < index && Math.abs(one - other) < 0x18)),
      ),
    )
  );
}

describe('the schema of the configuration file', () => {
  it('accepts what the reader accepts, and refuses what it refuses', () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(anObject(schema), (config) => {
        const valid = isValid(config, schema);
        const code = refusal(config);
        if (code !== undefined) expect(code).toMatch(/^ERR_(INVALID_ARG|OUT_OF_RANGE)/);
        if (valid && breaksOtherRule(config as object)) expect(code).toBeDefined();
        else expect(code === undefined).toBe(valid);
        if (code === undefined) accepted += 1;
        else refused += 1;
      }),
      { numRuns: 1500 },
    );
    // Both happen often enough to say something.
    expect(Math.min(accepted, refused)).toBeGreaterThan(100);
  });

  it('has every option of the reader, and the reader every one of the schema', () => {
    const config = {
      $schema: './node_modules/node-cxl/lib/mock/config/mock-config.schema.json',
      cards: [{ afus: [{ model: 'echo', mode: 'none' }], caiaVersion: '2.0' }],
      flash: [{ luns: [{ blocks: 10, ports: [1] }] }],
      doe: [{ driver: 'cxl_pci' }, { address: '0e:00.0', mailboxes: [{ protocols: ['spdm'] }] }],
      faults: [{ name: 'open', errno: 'EACCES', after: 3 }],
      latency: { open: [1, 2], close: 3 },
      calls: { detail: 'accesses' },
    };
    expect(isValid(config, schema)).toBe(true);
    expect(refusal(config)).toBeUndefined();
  });

  it('is what a program is refused too', () => {
    const cases: [unknown, unknown][] = [
      [{ cards: [{ interrupts: -1 }] }, { cards: [{ interrupts: -1 }] }],
      [{ cards: [{ caiaVersion: null }] }, { cards: [{ caiaVersion: null }] }],
      [{ cards: null }, { cards: null }],
      [{ cards: [null] }, { cards: [null] }],
      [{ cards: {} }, { cards: {} }],
      [{ flavor: 'vanilla' }, { flavor: 'vanilla' }],
      [{ flash: [{ ports: 1, luns: [{ blocks: 1, ports: [1] }] }] }, undefined],
      [{ cards: [{ pciAddress: '0000:02:00.0' }, {}] }, undefined],
      [{ cards: [{ afus: [{ mode: 'bananas' }] }] }, undefined],
      [{ cards: [{ afus: [{ mode: 'dedicated' }] }] }, undefined],
      [{ cards: [{ afus: [{}, {}, {}, {}, {}] }] }, undefined],
      [{ latency: { mmio: 1 } }, undefined],
      [{ flash: [{ luns: [{ blocks: 1, file: '' }] }] }, undefined],
      [{ faults: [{ name: 'mmio', errno: 'EIO' }] }, undefined],
    ];
    for (const [content, options = content] of cases) {
      const code = refusal(content);
      expect(code).toMatch(/^ERR_/);
      expect(thrownCode(() => createMockCxl(options as never))).toBe(code);
    }
    const doe: unknown[] = [
      [{ size: 100 }],
      [{}, {}],
      [{ mailboxes: [{ at: 0x200 }, { at: 0x210 }] }],
      [{ mailboxes: [{ faults: { errorAt: 'noon' } }] }],
      [{ kernelFeatures: [7] }],
      [{ vendorId: null }],
    ];
    for (const functions of doe) {
      const code = refusal({ doe: functions });
      expect(code).toMatch(/^ERR_/);
      const named = (functions as object[]).map((each) => ({ address: '0d:00.0', ...each }));
      expect(thrownCode(() => createMockDoe({ functions: named }))).toBe(code);
    }
  });
});
