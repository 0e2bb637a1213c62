import {
  type Doe,
  type DoeMailbox,
  discoverIndex,
  discoveryProtocol,
  readCdat,
  tableAccessProtocol,
} from 'node-cxl/doe';
import { beforeAll, describe, expect, it } from 'vitest';
import { ADDRESS, openDoe } from './doe-target';

const FORCE = true;
const unknown = { vendorId: 0x1e98, type: 0x77 };
let doe: Doe;
let mailbox: DoeMailbox;

beforeAll(async () => {
  doe = openDoe();
  const [found] = await doe.mailboxes(ADDRESS);
  mailbox = found!;
});

function dword(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

describe('DOE: finding', () => {
  it('the mailbox is found by the address of its function and among all', async () => {
    expect(mailbox).toMatchObject({ address: ADDRESS, offset: 0x190, version: 1 });
    const names = (await doe.mailboxes()).map(({ name }) => name);
    expect(names).toContain(`${ADDRESS}+190`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('its owner is told; a protocol that the driver uses needs force, another does not', async () => {
    expect(mailbox.owner.driver).toBe('cxl_pci');
    expect(mailbox.owner.kernelTables).toHaveLength(1);
    expect(await mailbox.usedBy(tableAccessProtocol)).toBe('cxl_pci');
    await expect(mailbox.exchange(tableAccessProtocol, dword(0))).rejects.toMatchObject({
      code: 'EBUSY',
      syscall: 'doe(claim)',
    });
    await expect(mailbox.reset()).rejects.toMatchObject({ syscall: 'doe(claim)' });
    expect(await mailbox.usedBy({ vendorId: 0x0001, type: 1 })).toBeUndefined();
    expect(await mailbox.discover()).toHaveLength(2);
  });

  it('its status can be read at any time', async () => {
    expect(await mailbox.status()).toEqual({
      busy: false,
      interrupt: false,
      error: false,
      asyncMessage: false,
      atAttention: false,
      ready: false,
    });
    expect([mailbox.attention, mailbox.asyncMessages]).toEqual([false, false]);
  });
});

describe('DOE: discovery', () => {
  it('lists discovery itself and table access', async () => {
    expect(await mailbox.discover({ force: FORCE })).toEqual([
      { index: 0, vendorId: 0x0001, type: 0, name: 'DOE discovery' },
      { index: 1, vendorId: 0x1e98, type: 2, name: 'CXL table access (CDAT)' },
    ]);
  });

  it('past its end answers vendor 0xffff', async () => {
    expect((await discoverIndex(mailbox, 9, { force: FORCE })).vendorId).toBe(0xffff);
  });

  it('is an exchange like others', async () => {
    const answer = await mailbox.exchange(discoveryProtocol, dword(1), { force: FORCE });
    expect(answer.toString('hex')).toBe('981e0200');
  });
});

describe('DOE: what a device drops in silence times out and leaves the mailbox idle', () => {
  const rows: [string, { vendorId: number; type: number }, Buffer][] = [
    ['an unknown protocol', unknown, dword(0)],
    ['a request without its payload', tableAccessProtocol, Buffer.alloc(0)],
  ];
  for (const [name, protocol, payload] of rows) {
    it(name, async () => {
      const call = mailbox.exchange(protocol, payload, { force: FORCE, timeout: 100 });
      await expect(call).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      expect(mailbox.phase).toBe('idle');
      expect(await mailbox.discover({ force: FORCE })).toHaveLength(2);
    });
  }
});

describe('DOE: aborting', () => {
  it('an abort while waiting leaves the mailbox idle', async () => {
    const controller = new AbortController();
    const call = mailbox.exchange(unknown, dword(0), {
      force: FORCE,
      signal: controller.signal,
      timeout: 60_000,
    });
    setTimeout(() => controller.abort(), 30);
    await expect(call).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    expect(mailbox.phase).toBe('idle');
    expect(await mailbox.discover({ force: FORCE })).toHaveLength(2);
  });

  it('an answer longer than allowed is read to its end', async () => {
    const call = mailbox.exchange(tableAccessProtocol, dword(0), { force: FORCE, maxLength: 4 });
    await expect(call).rejects.toMatchObject({ code: 'EOVERFLOW' });
    expect(await mailbox.discover({ force: FORCE })).toHaveLength(2);
  });

  it('reset() leaves the mailbox idle', async () => {
    await mailbox.reset({ force: FORCE });
    expect(mailbox.phase).toBe('idle');
    expect(await mailbox.discover({ force: FORCE })).toHaveLength(2);
  });
});

describe('DOE: many callers', () => {
  it('are served one after the other, each with its own answer', async () => {
    const order: number[] = [];
    const calls = Array.from({ length: 30 }, async (_, index) => {
      const answer = await mailbox.exchange(discoveryProtocol, dword(index % 2), { force: FORCE });
      expect(answer.readUInt16LE()).toBe(index % 2 === 0 ? 0x0001 : 0x1e98);
      order.push(index);
    });
    await Promise.all(calls);
    expect(order).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });
});

describe('DOE: the CDAT', () => {
  it('a missing entry is empty and the last one', async () => {
    const request = Buffer.from([0, 0, 0x34, 0x12]);
    const answer = await mailbox.exchange(tableAccessProtocol, request, { force: FORCE });
    expect(answer.toString('hex')).toBe('0000ffff');
  });

  it('is read completely, twice the same, with a right checksum', async () => {
    const first = await readCdat(mailbox, { force: FORCE });
    const second = await readCdat(mailbox, { force: FORCE });
    expect(first.bytes.equals(second.bytes)).toBe(true);
    expect(first.checksumValid).toBe(true);
    expect(first.header.length).toBe(first.bytes.length);
    const kinds = first.structures.map(({ kind }) => kind);
    expect(kinds).toContain('DSMAS');
    expect(kinds.filter((kind) => kind === 'DSLBIS')).toHaveLength(4);
    expect(kinds).not.toContain('unknown');
  });
});
