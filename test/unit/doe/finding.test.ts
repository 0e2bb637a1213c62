import { Doe, DumpPci, formatLspciDump, parseAddress } from 'node-cxl/doe';
import { createMockDoe, type MockFunctionOptions } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const ADDRESS = '0000:01:00.0';

function withFunction(options: Omit<MockFunctionOptions, 'address'>) {
  return createMockDoe({ functions: [{ address: ADDRESS, ...options }] });
}

describe('finding mailboxes', () => {
  it('finds every instance of every function', async () => {
    const doe = createMockDoe({
      functions: [
        { address: '0000:02:00.1', mailboxes: [{}, { version: 2, messageNumber: 5 }, {}] },
        { address: '0000:01:00.0', conventional: true, size: 256 },
        { address: '0001:00:00.0', mailboxes: [{ at: 0xfe8 }] },
      ],
    });
    expect(await doe.functions()).toEqual(['0000:01:00.0', '0000:02:00.1', '0001:00:00.0']);
    const found = await doe.mailboxes();
    expect(found.map(({ name }) => name)).toEqual([
      '0000:02:00.1+190',
      '0000:02:00.1+1b0',
      '0000:02:00.1+1d0',
      '0001:00:00.0+fe8',
    ]);
    expect(found[1]).toMatchObject({
      address: '0000:02:00.1',
      offset: 0x1b0,
      version: 2,
      interrupt: { supported: true, messageNumber: 5 },
      owner: { kernelFeatures: [], kernelTables: [] },
    });
    expect(found[0]).toMatchObject({ version: 1, interrupt: { supported: false } });
  });

  it('takes an address with or without its domain, and refuses anything else', async () => {
    const doe = createMockDoe();
    expect(await doe.mailboxes('0D:00.0')).toHaveLength(3);
    expect(parseAddress('10000:e1:1f.7')).toBe('10000:e1:1f.7');
    for (const wrong of ['', '0d:00', '0d:00.8', '0d:20.0', '../0d:00.0', '0000:0d:00.0/x']) {
      await expect(doe.mailboxes(wrong)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    }
    await expect(doe.mailboxes(13 as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    await expect(doe.mailboxes('0e:00.0')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('finds the mailbox by its protocol', async () => {
    const doe = createMockDoe();
    const compliance = await doe.find('0d:00.0', { vendorId: 0x1e98, type: 0 });
    const table = await doe.find('0d:00.0', { vendorId: 0x1e98, type: 2 });
    expect([compliance.offset, table.offset]).toEqual([0x1b0, 0x190]);
    await expect(doe.find('0d:00.0', { vendorId: 0x1e98, type: 9 })).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      syscall: 'doe(discover)',
      path: 'mock:0000:0d:00.0',
    });
    const signal = AbortSignal.abort();
    const none = withFunction({}).find(ADDRESS, { vendorId: 1, type: 0 }, { signal });
    await expect(none).rejects.toMatchObject({ code: 'ABORT_ERR' });
  });

  it('accesses only the capabilities register of a mailbox', async () => {
    const doe = createMockDoe();
    await doe.scan();
    const accesses = doe.function('0d:00.0').mailboxes.flatMap(({ log }) => log);
    expect(accesses.map(({ kind, register }) => [kind, register])).toEqual([
      ['read', 4],
      ['read', 4],
      ['read', 4],
    ]);
  });
});

describe('configuration space that cannot be read completely', () => {
  it('not root: the rest cannot be read', async () => {
    const doe = withFunction({ mailboxes: [{}], readable: 64 });
    const refusal = await doe.mailboxes(ADDRESS).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'EACCES' });
    expect(refusal.message).toContain('root');
    await expect(doe.mailboxes()).rejects.toMatchObject({ code: 'EACCES' });
    expect((await doe.scan())[0]).toMatchObject({ mailboxes: [], problem: { code: 'EACCES' } });
  });

  it('not root, and a function of 256 bytes whose capabilities cannot be seen', async () => {
    const doe = withFunction({ mailboxes: [{}], size: 256, readable: 64 });
    await expect(doe.mailboxes(ADDRESS)).rejects.toMatchObject({ code: 'EACCES' });
  });

  it('cut to 256 or 64 bytes under a PCI Express function', async () => {
    for (const size of [256, 64]) {
      const doe = withFunction({ mailboxes: [{}], size });
      const refusal = await doe.mailboxes(ADDRESS).catch((error) => error);
      expect(refusal).toMatchObject({ code: 'ENODATA' });
      expect(refusal.message).toContain(`${size} of the 4096 bytes`);
    }
  });

  it('256 bytes of a conventional function are complete', async () => {
    const doe = withFunction({ conventional: true, size: 256 });
    expect(await doe.mailboxes(ADDRESS)).toEqual([]);
    expect((await doe.scanFunction(ADDRESS)).problem).toBeUndefined();
  });

  it('of 256 bytes are complete unless the list of capabilities has that of PCI Express', async () => {
    const STATUS_WITH_LIST = 0x0010_0000;
    const rows: [what: string, isExpress: boolean, dwords: Record<number, number>][] = [
      ['the first', true, { 4: STATUS_WITH_LIST, 52: 0x40, 64: 0x10 }],
      ['the second', true, { 4: STATUS_WITH_LIST, 52: 0x50, 80: 0x7001, 112: 0x10 }],
      ['the last place', true, { 4: STATUS_WITH_LIST, 52: 0xfc, 252: 0x10 }],
      ['reserved bits', true, { 4: STATUS_WITH_LIST, 52: 0xff53, 80: 0x7301, 112: 0x10 }],
      ['others alone', false, { 4: STATUS_WITH_LIST, 52: 0x50, 80: 0x7001, 112: 0x05 }],
      ['a loop', false, { 4: STATUS_WITH_LIST, 52: 0x50, 80: 0x5001 }],
      ['below its space', false, { 4: STATUS_WITH_LIST, 52: 0x3c, 60: 0x10 }],
      ['another in the last place', false, { 4: STATUS_WITH_LIST, 52: 0xfc, 252: 0x05 }],
      ['no list', false, { 4: 0xffef_ffff, 52: 0x40, 64: 0x10 }],
    ];
    for (const [what, isExpress, dwords] of rows) {
      const bytes = Buffer.alloc(256);
      for (const [at, value] of Object.entries(dwords)) bytes.writeUInt32LE(value, Number(at));
      const doe = new Doe(new DumpPci(formatLspciDump(ADDRESS, bytes)));
      const { problem } = await doe.scanFunction(ADDRESS);
      expect([what, problem?.code]).toEqual([what, isExpress ? 'ENODATA' : undefined]);
    }
  });

  it('one function that cannot be read does not hide another', async () => {
    const doe = createMockDoe({
      functions: [
        { address: '0000:01:00.0', size: 256, mailboxes: [{}] },
        { address: '0000:02:00.0', mailboxes: [{}] },
      ],
    });
    expect((await doe.mailboxes()).map(({ name }) => name)).toEqual(['0000:02:00.0+190']);
    const conventional = { address: '0000:01:00.0', conventional: true, size: 256 };
    const unreadable = { address: '0000:02:00.0', size: 256 };
    const none = createMockDoe({ functions: [conventional, unreadable] });
    await expect(none.mailboxes()).rejects.toMatchObject({ code: 'ENODATA' });
    expect(await createMockDoe({ functions: [conventional] }).mailboxes()).toEqual([]);
  });

  it('a device that is gone', async () => {
    const doe = withFunction({ mailboxes: [{}] });
    doe.function(ADDRESS).remove('link down');
    await expect(doe.mailboxes(ADDRESS)).rejects.toMatchObject({
      code: 'ENODEV',
      syscall: 'read(config)',
    });
    doe.function(ADDRESS).remove('unplugged');
    await expect(doe.mailboxes(ADDRESS)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a capability list that is corrupt ends the walk', () => {
  const doeHeader = (next: number) => (0x2e | (1 << 16) | (next << 20)) >>> 0;
  const rows = [
    {
      name: 'it comes back to where it was',
      dwords: { 256: doeHeader(0x200), 512: doeHeader(0x100) },
      found: [0x100, 0x200],
    },
    { name: 'it points to itself', dwords: { 256: doeHeader(0x100) }, found: [0x100] },
    { name: 'it points below its space', dwords: { 256: doeHeader(0x40) }, found: [0x100] },
    { name: 'it reads all ones', dwords: { 256: 0xffff_ffff }, found: [] },
    {
      name: 'it reads all ones further on',
      dwords: { 256: doeHeader(0x200), 512: 0xffff_ffff },
      found: [0x100],
    },
    {
      name: 'its last mailbox leaves the space',
      dwords: { 256: doeHeader(0xff0), 4080: doeHeader(0) },
      found: [0x100],
    },
  ];
  for (const { name, dwords, found } of rows) {
    it(name, async () => {
      const doe = withFunction({ dwords });
      await expect(doe.mailboxes(ADDRESS)).rejects.toMatchObject({ code: 'EBADMSG' });
      const scan = await doe.scanFunction(ADDRESS);
      expect(scan.problem).toMatchObject({ code: 'EBADMSG', syscall: 'doe(find)' });
      expect(scan.mailboxes.map(({ offset }) => offset)).toEqual(found);
      if (name === 'it comes back to where it was') {
        expect(scan.problem?.message).toContain('a loop at 0x100');
      }
    });
  }

  it('an empty list has no capabilities', async () => {
    const doe = withFunction({ dwords: { 256: 0 } });
    expect(await doe.mailboxes(ADDRESS)).toEqual([]);
  });

  it('the low two bits of a pointer are ignored', async () => {
    const doe = withFunction({ dwords: { 256: doeHeader(0x203), 512: doeHeader(0) } });
    expect((await doe.mailboxes(ADDRESS)).map(({ offset }) => offset)).toEqual([0x100, 0x200]);
  });
});
