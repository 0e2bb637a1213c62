import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { listLuns } from 'node-cxl/flash';
import { createMockCxl, echoAfu, type MockCxl, memcpyAfu, mockFromConfig } from 'node-cxl/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, thrownCode } from './mock-support';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function file(content: unknown): string {
  const name = path.join(folder, 'config.json');
  writeFileSync(name, typeof content === 'string' ? content : JSON.stringify(content));
  return name;
}

describe('a mock from a configuration file', () => {
  it('has a memcpy AFU, an echo AFU and a flash adapter without a file', async () => {
    const afus = await mockFromConfig().afus();
    const devices = await Promise.all(
      afus.map(async (afu) => (await afu.configurationRecords())[0]?.device()),
    );
    expect(afus.map(({ name }) => name)).toEqual(['afu0.0', 'afu1.0', 'afu2.0']);
    expect(devices).toEqual([0x4350, 0xec40, 0x0600]);
  });

  it('has what the file says', async () => {
    const mock = mockFromConfig(
      file({
        flavor: 'guest',
        cards: [{ afus: [{ model: 'echo', apiVersion: 2 }, {}], caiaVersion: '2.0' }],
      }),
    );
    const [card] = await mock.adapters();
    expect(await card!.caiaVersion()).toBe('2.0');
    expect(await card!.baseImage()).toBe(undefined);
    const [echo, memcpy] = await mock.afus();
    expect([await echo!.apiVersion(), await memcpy!.apiVersion()]).toEqual([2, 3]);
    expect(await (await memcpy!.configurationRecords())[0]?.device()).toBe(0x4350);
  });

  it('has the same WWIDs in every run, unless its seed is another', async () => {
    const wwids = async (mock: MockCxl) =>
      (await listLuns({ system: mock })).map(({ wwid }) => wwid);
    const luns = [{ blocks: 1000 }, { blocks: 1000 }];
    const seeded = (seed?: number) => mockFromConfig(file({ seed, cards: [], flash: [{ luns }] }));
    const first = await wwids(seeded());
    expect(new Set(first).size).toBe(2);
    expect(first[0]).toMatch(/^naa\.6005076[0-9a-f]{25}$/);
    expect(await wwids(seeded())).toEqual(first);
    expect(await wwids(mockFromConfig())).toEqual(await wwids(mockFromConfig()));
    const other = await wwids(seeded(2));
    expect(other).not.toEqual(first);
    expect(await wwids(createMockCxl({ seed: 2, cards: [], flash: [{ luns }] }))).toEqual(other);
  });

  it('can inject faults', async () => {
    const mock = mockFromConfig(file({ seed: 1, faults: [{ name: 'open', errno: 'EPERM' }] }));
    expect(await codeOf(mock.open('afu0.0s'))).toBe('EPERM');
  });

  it('is refused with a code and the place of the mistake', () => {
    const bad = (content: unknown) => {
      try {
        mockFromConfig(file(content));
        return undefined;
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code} ${message.replace(folder, '').replace(/( must be|\.\w+ is not an option).*/, '')}`;
      }
    };
    const value = 'ERR_INVALID_ARG_VALUE /config.json: the file';
    expect(bad('{')).toBe(value);
    const type = value.replace('VALUE', 'TYPE');
    expect(bad('[]')).toBe(type);
    expect(bad({ card: [] })).toBe(value);
    expect(bad({ cards: {} })).toBe(`${type}.cards`);
    expect(bad({ cards: [7] })).toBe(`${type}.cards[0]`);
    expect(bad({ cards: [{ afu: [] }] })).toBe(`${value}.cards[0]`);
    expect(bad({ cards: [{ afus: [{ model: 'gzip' }] }] })).toBe(`${value}.cards[0].afus[0].model`);
    expect(bad({ cards: [{ afus: [{ model: 'constructor' }] }] })).toBe(
      `${value}.cards[0].afus[0].model`,
    );
    expect(bad({ flash: {} })).toBe(`${type}.flash`);
    expect(bad({ flash: [{ lun: [] }] })).toBe(`${value}.flash[0]`);
    expect(bad({ flash: [{ luns: [null] }] })).toBe(`${type}.flash[0].luns[0]`);
    expect(bad({ flash: [{ luns: [{ size: 1 }] }] })).toBe(`${value}.flash[0].luns[0]`);
    expect(bad({ flavor: 'vanilla' })).toBe(`${value}.flavor`);
    expect(bad({ cards: [{ interrupts: -1 }] })).toBe(
      'ERR_OUT_OF_RANGE /config.json: the file.cards[0].interrupts',
    );
  });

  it('fails with the errno name when the file cannot be read', () => {
    expect(thrownCode(() => mockFromConfig(path.join(folder, 'absent.json')))).toBe('ENOENT');
  });

  it('is what NODE_CXL_BACKEND chooses for any program', () => {
    const program = `
      const { cxl } = require('node-cxl');
      cxl.afus().then((afus) => console.log(cxl.backend, afus.map((afu) => afu.name).join(' ')));`;
    const names = (backend: string) =>
      execFileSync(process.execPath, ['-e', program], {
        env: { ...process.env, NODE_CXL_BACKEND: backend },
        encoding: 'utf8',
      }).trim();
    expect(names('mock')).toBe('mock afu0.0 afu1.0 afu2.0');
    expect(names(`mock:${file({ cards: [{}], doe: [] })}`)).toBe('mock afu0.0');
  });
});

describe('options', () => {
  it('are refused when they are invalid', () => {
    const bad = (options: object) => thrownCode(() => createMockCxl(options));
    expect(bad({ cards: [{ afus: [{ model: {} }] }] })).toBe('ERR_INVALID_ARG_TYPE');
    expect(bad({ cards: [{ afus: 7 }] })).toBe('ERR_INVALID_ARG_TYPE');
    expect(bad({ cards: [{ caiaVersion: '3' }] })).toBe('ERR_INVALID_ARG_VALUE');
    expect(bad({ cards: [{ pciAddress: '1:0' }] })).toBe('ERR_INVALID_ARG_VALUE');
    expect(bad({ cards: [{ afus: [{ apiVersion: 4 }] }] })).toBe('ERR_OUT_OF_RANGE');
    expect(bad({ attachTimeout: -1 })).toBe('ERR_OUT_OF_RANGE');
    const model = echoAfu();
    const descriptor = { ...model.descriptor, processes: 0 };
    expect(bad({ cards: [{ afus: [{ model: { ...model, descriptor } }] }] })).toBe(
      'ERR_OUT_OF_RANGE',
    );
  });

  it('have a descriptor that an AFU can have', () => {
    const model = echoAfu();
    const code = (change: object) => {
      const descriptor = { ...model.descriptor, ...change };
      return thrownCode(() =>
        createMockCxl({ cards: [{ afus: [{ model: { ...model, descriptor } }] }] }),
      );
    };
    expect(code({})).toBeUndefined();
    const value = 'ERR_INVALID_ARG_VALUE';
    const range = 'ERR_OUT_OF_RANGE';
    const type = 'ERR_INVALID_ARG_TYPE';
    expect(code({ modes: [] })).toBe(range);
    expect(code({ modes: ['bananas'] })).toBe(value);
    expect(code({ modes: 'directed' })).toBe(type);
    expect(code({ problemStateSize: 100 })).toBe(range);
    expect(code({ problemStateSize: -4096 })).toBe(range);
    expect(code({ problemStateSize: '4096' })).toBe(type);
    const perProcess = { offset: 65536, size: 65536 };
    const processes = 2;
    const fits = { processes, perProcess, problemStateSize: 3 * 65536 };
    expect(code(fits)).toBeUndefined();
    expect(code({ ...fits, problemStateSize: 3 * 65536 - 4096 })).toBe(range);
    expect(code({ ...fits, perProcess: { offset: 0, size: 0 } })).toBe(range);
    expect(code({ ...fits, perProcess: { offset: 0, size: 100 } })).toBe(range);
    expect(code({ ...fits, perProcess: { size: 4096 } })).toBe(type);
    expect(code({ endian: 'middle' })).toBe(value);
    expect(code({ configRecords: [{ vendor: 1, device: 2, class: 1 << 24 }] })).toBe(range);
    expect(code({ errorBuffer: [1] })).toBe(type);
    expect(code({ procesess: 1 })).toBe(value);
    const mode = (name: string) =>
      thrownCode(() => createMockCxl({ cards: [{ afus: [{ model, mode: name as 'none' }] }] }));
    expect([mode('none'), mode('bananas')]).toEqual([undefined, value]);
    // One that the model does not have left the AFU without a mode.
    const directed = memcpyAfu({ modes: ['directed'] });
    expect(
      thrownCode(() =>
        createMockCxl({ cards: [{ afus: [{ model: directed, mode: 'dedicated' }] }] }),
      ),
    ).toBe(value);
  });

  it('say which cards and AFUs exist', () => {
    const mock = createMockCxl();
    expect(thrownCode(() => mock.card(2))).toBe('ERR_OUT_OF_RANGE');
    expect(thrownCode(() => mock.card(0).afu(1))).toBe('ERR_OUT_OF_RANGE');
    expect(thrownCode(() => mock.card(0).afu(0).context(3))).toBe('ERR_INVALID_STATE');
  });
});
