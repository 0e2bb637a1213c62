/** What a fault's data may be: its names, its numbers, and the places that each operation has. */
import type { FaultName, FaultSpec, MockOptions } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { oneCard, thrownCode } from './mock-support';

/** The code of the error that a fault is refused with; undefined: it is accepted. */
const refusal = (fault: object) => thrownCode(() => oneCard().inject(fault as FaultSpec));
const refusedOptions = (options: object) => thrownCode(() => oneCard(options as MockOptions));

/** A value of each field that says where a fault happens. */
const PLACES = {
  device: 'afu0.0',
  processElement: 0,
  registers: 8,
  access: 'load',
  path: '/mode',
} as const;

/** The fields of PLACES that each fault may have. */
const OF_CALLS: Partial<Record<FaultName, string>> = {
  open: 'device',
  'open-card': 'device',
  adopt: 'device processElement',
  'start-work': 'device processElement',
  'process-element': 'device processElement',
  'afu-id': 'device processElement',
  map: 'device processElement',
  read: 'device processElement',
  close: 'device processElement',
  allocate: '',
  'sysfs-read': 'path',
  'sysfs-write': 'path',
  'image-transfer': 'device',
};
const OF_CONDITIONS: Partial<Record<FaultName, string>> = {
  mmio: 'device processElement registers access',
  'all-ones': 'device processElement registers access',
  'link-down': 'device processElement registers access',
  'detach-all': 'device processElement registers access',
  unplug: 'device processElement registers access',
  translation: 'device processElement',
  detach: 'device processElement',
  'lost-interrupt': 'device processElement',
  copy: 'device processElement',
  descriptors: '',
};

describe('a fault', () => {
  it('has the places of its operation, and no others', () => {
    for (const [name, places] of Object.entries({ ...OF_CALLS, ...OF_CONDITIONS })) {
      const accepted = Object.entries(PLACES).filter(
        ([field, value]) => refusal({ name, [field]: value }) === undefined,
      );
      expect([name, accepted.map(([field]) => field).join(' ')]).toEqual([name, places]);
    }
  });

  it('has an errno if it is a call, and none if it is a condition', () => {
    for (const name of Object.keys(OF_CALLS))
      expect(refusal({ name, errno: 'EPERM' })).toBe(undefined);
    for (const name of Object.keys(OF_CONDITIONS)) {
      expect([name, refusal({ name, errno: 'EPERM' })]).toEqual([name, 'ERR_INVALID_ARG_VALUE']);
    }
    expect(refusal({ name: 'open', errno: 'EWHAT' })).toBe('ERR_INVALID_ARG_VALUE');
    expect(refusal({ name: 'open', errno: 'toString' })).toBe('ERR_INVALID_ARG_VALUE');
  });

  it('can be injected into one context where it happens to a context', () => {
    const mock = oneCard();
    const kernel = mock.card(0).afu(0).createKernelContext();
    expect(kernel.start(0n)).toBe(0);
    const context = mock.card(0).afu(0).context(0);
    for (const [name, places] of Object.entries({ ...OF_CALLS, ...OF_CONDITIONS })) {
      const code = thrownCode(() => context.inject({ name: name as FaultName }));
      const expected = places.includes('processElement') ? undefined : 'ERR_INVALID_ARG_VALUE';
      expect([name, code]).toEqual([name, expected]);
    }
  });

  it('has a known name and known fields', () => {
    expect(refusal({ name: 'nonsense' })).toBe('ERR_INVALID_ARG_VALUE');
    expect(refusal({})).toBe('ERR_INVALID_ARG_VALUE');
    expect(refusal({ name: 'open', when: 1 })).toBe('ERR_INVALID_ARG_VALUE');
    expect(refusal(null as never)).toBe('ERR_INVALID_ARG_TYPE');
  });

  it('has numbers within their ranges', () => {
    const codes = (field: string, ...values: unknown[]) =>
      values.map((value) => refusal({ name: 'mmio', [field]: value }));
    const [none, range, type] = [undefined, 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'];
    expect(codes('after', 0, Number.MAX_SAFE_INTEGER, -1, 0.5)).toEqual([none, none, range, range]);
    expect(codes('times', 0, Number.MAX_SAFE_INTEGER, -1)).toEqual([none, none, range]);
    expect(codes('times', Number.POSITIVE_INFINITY, 2 ** 53, '1')).toEqual([none, range, type]);
    expect(codes('probability', 0, 1, -0.1, 1.1)).toEqual([none, none, range, range]);
    expect(codes('probability', Number.NaN, '0.5')).toEqual([range, type]);
    expect(codes('processElement', 0, 65_535, -1, 65_536)).toEqual([none, none, range, range]);
    expect(codes('registers', 0, [8, 8], [8, 15])).toEqual([none, none, none]);
    expect(codes('registers', -8, [8, 7], [-8, 0], [0, 0.5])).toEqual([range, range, range, range]);
    expect(codes('registers', [8], [0, 8, 16], '8', {})).toEqual([type, type, type, type]);
  });

  it('is refused with the name of the field', () => {
    const messages = (field: string, ...values: unknown[]) =>
      values.map((value) => {
        try {
          oneCard().inject({ name: 'mmio', [field]: value } as FaultSpec);
        } catch (error) {
          return (error as Error).message;
        }
        return '';
      });
    for (const [field, ...wrong] of [
      ['name', 'nonsense'],
      ['errno', 'EWHAT', 'EIO'],
      ['after', -1],
      ['times', -1],
      ['probability', '1', 2],
      ['path', '/mode'],
      ['device', 5, 'afu'],
      ['processElement', -1],
      ['access', 'read'],
      ['registers', '8', [0.5, 8], [8, 7]],
    ] as const) {
      for (const message of messages(field, ...wrong)) expect(message).toContain(`fault.${field} `);
    }
  });

  it('has the names of a card, AFU or node, an access, and a path', () => {
    for (const device of [
      'card0',
      'card12',
      'afu0.0',
      'afu10.11',
      'afu0.0d',
      'afu0.0m',
      'afu0.0s',
    ]) {
      expect([device, refusal({ name: 'mmio', device })]).toEqual([device, undefined]);
    }
    for (const device of [
      '',
      'card',
      '0',
      'xcard0',
      'card0s',
      'afu0',
      'afu.0',
      'afu0.',
      'afu0x0',
    ]) {
      expect([device, refusal({ name: 'mmio', device })]).toEqual([
        device,
        'ERR_INVALID_ARG_VALUE',
      ]);
    }
    for (const device of ['afu0.0x', 'afu0.0sm', '/dev/cxl/afu0.0s']) {
      expect([device, refusal({ name: 'mmio', device })]).toEqual([
        device,
        'ERR_INVALID_ARG_VALUE',
      ]);
    }
    expect(refusal({ name: 'mmio', device: 0 })).toBe('ERR_INVALID_ARG_TYPE');
    expect(refusal({ name: 'mmio', access: 'store' })).toBe(undefined);
    expect(refusal({ name: 'mmio', access: 'read' })).toBe('ERR_INVALID_ARG_VALUE');
    expect(refusal({ name: 'sysfs-read', path: 5 })).toBe('ERR_INVALID_ARG_TYPE');
  });
});

describe('the options of a mock', () => {
  it('have a seed of 32 bits', () => {
    expect(refusedOptions({ seed: 2 ** 32 - 1 })).toBe(undefined);
    for (const seed of [-1, 2 ** 32, 0.5])
      expect(refusedOptions({ seed })).toBe('ERR_OUT_OF_RANGE');
  });

  it('have a list of faults, each checked as inject() does', () => {
    expect(refusedOptions({ faults: [{ name: 'open' }, { name: 'nonsense' }] })).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(refusedOptions({ faults: { name: 'open' } })).toBe('ERR_INVALID_ARG_TYPE');
    expect(() => oneCard({ faults: [{ name: 'open' }, { name: 'read', after: -1 }] })).toThrow(
      /faults\[1\]\.after/,
    );
  });

  it('have latencies of calls that are asynchronous: a number, or a minimum and a maximum', () => {
    const codes = (...values: unknown[]) =>
      values.map((open) => refusedOptions({ seed: 0, latency: { open } }));
    const [none, value, range] = [undefined, 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'];
    expect(codes(0, 2 ** 31 - 1, [0, 2 ** 31 - 1], undefined)).toEqual([none, none, none, none]);
    expect(codes(-1, 2 ** 31, Number.NaN, [0, 2 ** 31], [-1, 0], [2, 1])).toEqual(
      Array(6).fill(range),
    );
    expect(codes([2, 2])).toEqual([none]);
    expect(codes([1], [1, 2, 3], '5', { minimum: 1 }, ['1', 2])).toEqual(Array(5).fill(value));
    for (const call of ['mmio', 'map']) {
      expect(refusedOptions({ latency: { [call]: 1 } })).toBe('ERR_INVALID_ARG_VALUE');
    }
    expect(refusedOptions({ latency: 5 })).toBe('ERR_INVALID_ARG_TYPE');
    expect(() => oneCard({ latency: { open: -1 } })).toThrow(/latency\.open /);
  });
});
