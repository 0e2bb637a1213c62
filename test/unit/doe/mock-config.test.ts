/** DOE devices that the file of NODE_CXL_BACKEND=mock:FILE describes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readCdat, spdmProtocol, tableAccessProtocol } from 'node-cxl/doe';
import { createMockDoe, mockDoeFromConfig } from 'node-cxl/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { thrownCode } from '../mock-support';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'doe-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function file(content: unknown): string {
  const name = path.join(folder, 'config.json');
  writeFileSync(name, JSON.stringify(content));
  return name;
}

describe('DOE devices from a configuration file', () => {
  it('are one memory device without a file, or without `doe` in it', async () => {
    for (const system of [mockDoeFromConfig(), mockDoeFromConfig(file({ cards: [] }))]) {
      expect(await system.functions()).toEqual(['0000:0d:00.0']);
      expect(await system.mailboxes()).toHaveLength(3);
    }
    expect(await mockDoeFromConfig(file({ doe: [] })).functions()).toEqual([]);
  });

  it('are memory devices except for the options in the file', async () => {
    const system = mockDoeFromConfig(
      file({ doe: [{ driver: 'cxl_pci' }, { address: '0e:00.0', deviceId: 7 }] }),
    );
    const [first, second] = await system.scan();
    expect([first?.owner.driver, first?.mailboxes.length]).toEqual(['cxl_pci', 3]);
    expect([second?.address, second?.deviceId]).toEqual(['0000:0e:00.0', 7]);
    const mailbox = await system.find('0e:00.0', tableAccessProtocol);
    expect((await readCdat(mailbox)).structures.length).toBeGreaterThan(0);
  });

  it('have mailboxes with protocols by name, and faults', async () => {
    const mailboxes = [
      { at: 0x400, version: 2, messageNumber: 5, protocols: ['spdm', 'compliance'] },
      { faults: { silent: true } },
    ];
    const system = mockDoeFromConfig(file({ doe: [{ mailboxes }] }));
    const [first, second] = await system.mailboxes('0d:00.0');
    expect(first).toMatchObject({ offset: 0x400, version: 2, interrupt: { messageNumber: 5 } });
    expect(await first?.discover()).toHaveLength(3);
    expect((await system.find('0d:00.0', spdmProtocol)).offset).toBe(0x400);
    await expect(second?.discover({ timeout: 20 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it('are refused with a code and the place of the error', () => {
    const bad = (doe: unknown) => {
      try {
        mockDoeFromConfig(file({ doe }));
        return undefined;
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code} ${message.replace(folder, '').replace(/( must be|\.\w+ is not an option).*/, '')}`;
      }
    };
    const value = 'ERR_INVALID_ARG_VALUE /config.json: the file.doe';
    const type = value.replace('VALUE', 'TYPE');
    expect(bad({})).toBe(type);
    expect(bad([{ bdf: '0d:00.0' }])).toBe(`${value}[0]`);
    expect(bad([{ mailboxes: {} }])).toBe(`${type}[0].mailboxes`);
    expect(bad([{ mailboxes: [{ offset: 4 }] }])).toBe(`${value}[0].mailboxes[0]`);
    expect(bad([{ mailboxes: [{ protocols: ['cdat'] }] }])).toBe(
      `${value}[0].mailboxes[0].protocols[0]`,
    );
    expect(bad([{ mailboxes: [{ faults: { slow: 1 } }] }])).toBe(`${value}[0].mailboxes[0].faults`);
    expect(bad([{}, {}])).toBe(value);
    expect(bad([{ address: 'zz' }])).toBe(`${value}[0].address`);
    // A mistake in another part of the file is one of the file.
    expect(thrownCode(() => mockDoeFromConfig(file({ cards: [7] })))).toBe('ERR_INVALID_ARG_TYPE');
    expect(bad([{ vendorId: 0x10000 }])).toBe(
      'ERR_OUT_OF_RANGE /config.json: the file.doe[0].vendorId',
    );
    expect(thrownCode(() => mockDoeFromConfig(path.join(folder, 'absent.json')))).toBe('ENOENT');
  });

  it('are used by any program with NODE_CXL_BACKEND', () => {
    const program = `
      const { doe } = require('node-cxl/doe');
      doe.functions().then((all) => console.log(all.join(' ')), (error) => console.log(error.code));`;
    const told = (backend: string) =>
      execFileSync(process.execPath, ['-e', program], {
        env: { ...process.env, NODE_CXL_BACKEND: backend },
        encoding: 'utf8',
      }).trim();
    expect(told('mock')).toBe('0000:0d:00.0');
    expect(told(`mock:${file({ doe: [{ address: '01:02.3' }] })}`)).toBe('0000:01:02.3');
    expect(told('mock:')).toBe('ERR_INVALID_ARG_VALUE');
  });
});

describe('options of mock functions', () => {
  it('are refused when they are invalid', () => {
    const address = '0d:00.0';
    const bad = (options: object) =>
      thrownCode(() => createMockDoe({ functions: [{ address, ...options }] }));
    expect(bad({ size: 100 })).toBe('ERR_INVALID_ARG_VALUE');
    expect(bad({ readable: -1 })).toBe('ERR_OUT_OF_RANGE');
    expect(bad({ mailboxes: [{ at: 0x106 }] })).toBe('ERR_INVALID_ARG_VALUE');
    expect(bad({ mailboxes: [{ at: 0x40 }] })).toBe('ERR_OUT_OF_RANGE');
    expect(bad({ mailboxes: [{ version: 16 }] })).toBe('ERR_OUT_OF_RANGE');
    expect(bad({ mailboxes: [{ messageNumber: 2048 }] })).toBe('ERR_OUT_OF_RANGE');
  });
});
