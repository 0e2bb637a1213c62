import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Cxl, cxl } from 'node-cxl';
import { listLuns, openBlockDevice, openLun } from 'node-cxl/flash';
import { mockOf, setGlobalSystem, withSystem } from 'node-cxl/mock';
import { afterEach, describe, expect, it } from 'vitest';
import { oneEcho } from './mock-support';

/** A program as its author writes it: it imports `cxl`. */
async function program(): Promise<bigint> {
  const context = await cxl.open('afu0.0s');
  try {
    await context.attach({ wed: 3n });
    await sleep(1);
    return context.mapProblemState().read64(0);
  } finally {
    await context.close();
  }
}

const opens = (system: ReturnType<typeof oneEcho>) =>
  system.calls.filter({ name: 'open', path: /afu0\.0s$/ }).length;

describe('setGlobalSystem', () => {
  afterEach(() => setGlobalSystem(undefined));

  it('makes cxl stand for a mock, until it is undone', async () => {
    const mock = oneEcho({ flash: [{}] });
    const before = cxl.backend;
    const global = setGlobalSystem(mock);
    expect(cxl.backend).toBe('mock');
    expect(await program()).toBe(3n);
    expect(opens(mock)).toBe(1);
    expect(mockOf(cxl)).toBe(mock);
    global.restore();
    expect(cxl.backend).toBe(before);
    expect(() => mockOf(cxl)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_STATE' }));
  });

  it('can be nested, and undone by using', async () => {
    const [outer, inner] = [oneEcho({ flash: [{}] }), oneEcho({ flash: [{}] })];
    const first = setGlobalSystem(outer);
    {
      using _ = setGlobalSystem(inner);
      await program();
    }
    await program();
    expect([opens(outer), opens(inner)]).toEqual([1, 1]);
    first.restore();
    // A second time does nothing: another one may be in effect.
    const other = setGlobalSystem(inner);
    first.restore();
    expect(mockOf(cxl)).toBe(inner);
    other.restore();
  });

  it('leaves what was opened on the system that it was opened on', async () => {
    const mock = oneEcho({ flash: [{}] });
    const global = setGlobalSystem(mock);
    const context = await cxl.open('afu0.0s');
    const lun = await openLun('/dev/sg1');
    global.restore();
    await context.attach({ wed: 9n });
    expect(context.mapProblemState().read64(0)).toBe(9n);
    await context.close();
    await lun.enableSuperpipe();
    await (await lun.attach()).close();
    await lun.close();
    expect(mock.counters.contexts).toBe(0);
  });

  it('applies to flash', async () => {
    using _ = setGlobalSystem(oneEcho({ flash: [{}] }));
    expect((await listLuns()).length).toBeGreaterThan(0);
    const device = await openBlockDevice('/dev/sg1', { virtual: { blocks: 16 } });
    expect(device.blocks).toBe(65_536n);
    await device.close();
  });
});

describe('withSystem', () => {
  it('makes cxl stand for a mock in a function and what it awaits, and nowhere else', async () => {
    const mocks = Array.from({ length: 5 }, () => oneEcho());
    const before = cxl.backend;
    const values = await Promise.all(mocks.map((mock) => withSystem(mock, program)));
    expect(values).toEqual(mocks.map(() => 3n));
    expect(mocks.map(opens)).toEqual([1, 1, 1, 1, 1]);
    expect(cxl.backend).toBe(before);
  });

  it('returns and throws what the function does', () => {
    expect(withSystem(oneEcho(), () => mockOf(cxl).seed)).toEqual(expect.any(Number));
    expect(() =>
      withSystem(oneEcho(), () => {
        throw new RangeError('mine');
      }),
    ).toThrow('mine');
    expect(withSystem(cxl, () => cxl.backend)).toBe(cxl.backend);
  });

  it('refuses what is no system', () => {
    for (const wrong of [null, {}, 'mock']) {
      const error = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' });
      expect(() => withSystem(wrong as unknown as Cxl, () => 0)).toThrow(error);
      // A class is a function that cannot be called.
      expect(() => withSystem(oneEcho(), class {} as never)).toThrow(error);
      expect(() => setGlobalSystem(wrong as unknown as Cxl)).toThrow(error);
    }
  });
});

describe('mockOf', () => {
  it('gives the device side of the mock that NODE_CXL_BACKEND chose', async () => {
    const script = `
      const { cxl } = require('node-cxl');
      const { mockOf } = require('node-cxl/mock');
      mockOf(cxl).inject({ name: 'open', errno: 'EACCES' });
      cxl.open('afu0.0s').catch((error) => console.log(error.code));`;
    const env = { ...process.env, NODE_CXL_BACKEND: 'mock' };
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { env });
    expect(stdout).toBe('EACCES\n');
  });
});
