import {
  type CdatStructure,
  cdatChecksumValid,
  decodeCdatHeader,
  decodeCdatStructures,
  readCdat,
  readCdatBytes,
} from 'node-cxl/doe';
import {
  createMockDoe,
  encodeCdat,
  type MockProtocol,
  memoryDeviceTable,
  tableAccess,
} from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const ADDRESS = '0000:01:00.0';

const EVERY_KIND: CdatStructure[] = [
  {
    kind: 'DSMAS',
    handle: 3,
    flags: 4,
    nonVolatile: true,
    dpaBase: 1n << 40n,
    dpaLength: 1n << 63n,
  },
  {
    kind: 'DSLBIS',
    handle: 3,
    flags: 1,
    dataType: 'read latency',
    entryBaseUnit: 10_000n,
    entries: [15, 0xffff, 1],
  },
  { kind: 'DSMSCIS', handle: 3, cacheSize: 1n << 33n, cacheAttributes: 0x8040_0201 },
  { kind: 'DSIS', flags: 1, memoryAttached: true, handle: 3 },
  { kind: 'DSEMTS', handle: 3, efiMemoryType: 'reserved memory', dpaOffset: 4096n, dpaLength: 1n },
  {
    kind: 'SSLBIS',
    dataType: 'write bandwidth',
    entryBaseUnit: 1n,
    entries: [
      { portX: 0x100, portY: 1, value: 7 },
      { portX: 0xffff, portY: 2, value: 0xffff },
    ],
  },
  { kind: 'SSLBIS', dataType: 'access latency', entryBaseUnit: 1n, entries: [] },
  { kind: 'unknown', type: 0xaa, bytes: Buffer.from('aa00080001020304', 'hex') },
];

async function mailboxWith(...protocols: MockProtocol[]) {
  const doe = createMockDoe({ functions: [{ address: ADDRESS, mailboxes: [{ protocols }] }] });
  const [mailbox] = await doe.mailboxes(ADDRESS);
  return mailbox!;
}

/** Entries by handle: [next handle, bytes]. */
function chain(entries: Record<number, [number, Buffer]>): MockProtocol {
  return {
    vendorId: 0x1e98,
    type: 2,
    answer(request) {
      const found = entries[request.readUInt16LE(2)];
      if (found === undefined) return undefined;
      const head = Buffer.alloc(4);
      head.writeUInt16LE(found[0], 2);
      return Buffer.concat([head, found[1]]);
    },
  };
}

describe('the CDAT', () => {
  it('is read completely, and every kind of structure is decoded', async () => {
    const table = encodeCdat(EVERY_KIND, { sequence: 9 });
    const read = await readCdat(await mailboxWith(tableAccess(table)));
    expect(read.bytes.equals(table)).toBe(true);
    expect(read.structures).toEqual(EVERY_KIND);
    expect(read.header).toEqual({
      length: table.length,
      revision: 1,
      checksum: table[5],
      sequence: 9,
    });
    expect(read.checksumValid).toBe(true);
  });

  it('decodes the bytes the specification gives each field', () => {
    const header = Buffer.alloc(16);
    const dsmas = Buffer.from(
      `00 00 18 00 07 04 00 00 00 00 00 00 01 00 00 00 00 00 00 10 00 00 00 00`.replaceAll(' ', ''),
      'hex',
    );
    const sslbis = Buffer.from(
      `05 00 18 00 03 00 00 00 e8 03 00 00 00 00 00 00 00 01 02 00 20 00 00 00`.replaceAll(' ', ''),
      'hex',
    );
    expect(decodeCdatStructures(Buffer.concat([header, dsmas, sslbis]), 'here')).toEqual([
      {
        kind: 'DSMAS',
        handle: 7,
        flags: 4,
        nonVolatile: true,
        dpaBase: 1n << 32n,
        dpaLength: 0x1000_0000n,
      },
      {
        kind: 'SSLBIS',
        dataType: 'access bandwidth',
        entryBaseUnit: 1000n,
        entries: [{ portX: 0x100, portY: 2, value: 0x20 }],
      },
    ]);
  });

  it('may be empty', async () => {
    const read = await readCdat(await mailboxWith(tableAccess(encodeCdat([]))));
    expect(read.structures).toEqual([]);
  });

  it('with a wrong checksum is refused, and read with verify: false', async () => {
    const table = encodeCdat(memoryDeviceTable);
    table.writeUInt8((table.readUInt8(5) + 1) & 0xff, 5);
    const mailbox = await mailboxWith(tableAccess(table));
    await expect(readCdat(mailbox)).rejects.toMatchObject({
      code: 'EBADMSG',
      syscall: 'doe(cdat)',
    });
    const read = await readCdat(mailbox, { verify: false });
    expect(read.checksumValid).toBe(false);
    expect(read.bytes.equals(table)).toBe(true);
    expect(cdatChecksumValid(table)).toBe(false);
  });

  it('that changes between reads is read again', async () => {
    let reads = 0;
    const before = encodeCdat(memoryDeviceTable, { sequence: 1 });
    const after = encodeCdat(EVERY_KIND, { sequence: 2 });
    const mailbox = await mailboxWith(
      tableAccess(() => {
        reads += 1;
        return reads <= 3 ? before : after;
      }),
    );
    const read = await readCdat(mailbox);
    expect(read.header.sequence).toBe(2);
    expect(read.structures).toEqual(EVERY_KIND);
  });

  it('that changes during every attempt is EAGAIN', async () => {
    let sequence = 0;
    const mailbox = await mailboxWith(
      tableAccess(() => {
        sequence += 1;
        return encodeCdat(memoryDeviceTable, { sequence });
      }),
    );
    await expect(readCdat(mailbox)).rejects.toMatchObject({
      code: 'EAGAIN',
      syscall: 'doe(cdat)',
      path: mailbox.name,
    });
    // Four times: the header, the entries, and the header again.
    expect(sequence).toBe(4 * (1 + memoryDeviceTable.length + 1));
  });

  it('that changes to another form while it is read is read again', async () => {
    const before = encodeCdat(memoryDeviceTable, { sequence: 1 }).subarray(0, 16);
    const after = encodeCdat([], { sequence: 2 });
    const answers = [`00000100${before.toString('hex')}`, '', `0000ffff${after.toString('hex')}`];
    const mailbox = await mailboxWith({
      vendorId: 0x1e98,
      type: 2,
      answer: () => Buffer.from((answers.length > 1 ? answers.shift() : answers[0]) ?? '', 'hex'),
    });
    expect((await readCdat(mailbox)).header.sequence).toBe(2);
  });

  it('that the device stops answering is the failure of the exchange', async () => {
    const header = encodeCdat(memoryDeviceTable).subarray(0, 16);
    const asked: number[] = [];
    const { answer, ...protocol } = chain({ 0: [0x1234, header] });
    const mailbox = await mailboxWith({
      ...protocol,
      answer(request) {
        asked.push(request.readUInt16LE(2));
        return answer(request);
      },
    });
    const read = readCdat(mailbox, { timeout: 20 });
    await expect(read).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(asked).toEqual([0, 0x1234]);
  });

  it('is EOPNOTSUPP without a timeout on a mailbox without table access', async () => {
    const mailbox = await mailboxWith();
    await expect(readCdat(mailbox)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  });
});

describe('a table whose header and entries disagree is cut, and told', () => {
  const table = encodeCdat(memoryDeviceTable);
  const header = table.subarray(0, 16);
  const first = table.subarray(16, 40);

  it('at the end of the entries, when the header says more', async () => {
    const mailbox = await mailboxWith(chain({ 0: [1, header], 1: [0xffff, first] }));
    const read = await readCdat(mailbox);
    expect(read.structures).toEqual([memoryDeviceTable[0]]);
    expect(read.header.length).toBe(table.length);
    expect(read.bytes.length).toBe(40);
    expect(read.cut).toMatchObject({
      code: 'EBADMSG',
      syscall: 'doe(cdat)',
      path: mailbox.name,
    });
    expect(read.cut?.message).toContain(`have 40 bytes, the header says ${table.length}`);
    expect(await readCdatBytes(mailbox)).toEqual(read.bytes);
    const bare = await readCdat(await mailboxWith(chain({ 0: [0xffff, header] })));
    expect([bare.structures, bare.bytes.length, bare.cut?.code]).toEqual([[], 16, 'EBADMSG']);
  });

  it('at the length that the header says, when the entries hold more', async () => {
    const short = Buffer.from(header);
    short.writeUInt32LE(40, 0);
    const second = table.subarray(40, 64);
    const mailbox = await mailboxWith(
      chain({ 0: [1, short], 1: [2, first], 2: [3, second], 3: [0xffff, second] }),
    );
    const read = await readCdat(mailbox);
    expect([read.structures, read.bytes.length, read.cut?.code]).toEqual([
      [memoryDeviceTable[0]],
      40,
      'EBADMSG',
    ]);
    // The bytes, too, end with the first entry that exceeds the table.
    expect((await readCdatBytes(mailbox)).length).toBe(64);
  });

  it('after the header, when the header says less than itself', async () => {
    const short = Buffer.from(header);
    short.writeUInt32LE(8, 0);
    const mailbox = await mailboxWith(chain({ 0: [1, short], 1: [0xffff, first] }));
    const read = await readCdat(mailbox);
    expect([read.structures, read.bytes.length, read.cut?.code]).toEqual([[], 16, 'EBADMSG']);
  });

  it('not when they agree, whose checksum is checked', async () => {
    expect('cut' in (await readCdat(await mailboxWith(tableAccess(table))))).toBe(false);
  });
});

describe('a broken chain of entries is refused', () => {
  const table = encodeCdat(memoryDeviceTable);
  const header = table.subarray(0, 16);
  const first = table.subarray(16, 40);
  const rows: { name: string; entries: Record<number, [number, Buffer]> }[] = [
    { name: 'a loop', entries: { 0: [1, header], 1: [2, first], 2: [1, first] } },
    { name: 'a loop through the header', entries: { 0: [1, header], 1: [0, first] } },
    { name: 'an empty entry', entries: { 0: [1, header], 1: [2, Buffer.alloc(0)] } },
    { name: 'a short header', entries: { 0: [1, header.subarray(0, 12)] } },
    { name: 'an entry longer than any can be', entries: { 0: [1, Buffer.alloc(0x1_0004)] } },
  ];
  for (const { name, entries } of rows) {
    it(name, async () => {
      const mailbox = await mailboxWith(chain(entries));
      const code = name === 'an entry longer than any can be' ? 'EOVERFLOW' : 'EBADMSG';
      const refusal = await readCdat(mailbox).catch((error) => error);
      const syscall = code === 'EBADMSG' ? 'doe(cdat)' : 'doe(receive)';
      expect(refusal).toMatchObject({ code, syscall });
      // A loop is reported as such, not as a table that is too long.
      expect(refusal.message.includes('loop at handle')).toBe(name.startsWith('a loop'));
      expect(mailbox.phase).toBe('idle');
    });
  }

  it('but not the longest entry there can be', async () => {
    const longest = Buffer.alloc(0x1_0000);
    const mailbox = await mailboxWith(chain({ 0: [1, header], 1: [0xffff, longest] }));
    expect(await readCdatBytes(mailbox)).toHaveLength(16 + longest.length);
  });

  it('but its bytes can be had, those of the entries before', async () => {
    for (const { name, entries } of rows.slice(0, 3)) {
      const expected =
        name === 'an empty entry'
          ? [header]
          : name === 'a loop'
            ? [header, first, first]
            : [header, first];
      const mailbox = await mailboxWith(chain(entries));
      expect(await readCdatBytes(mailbox)).toEqual(Buffer.concat(expected));
    }
  });

  it('an answer without its header, or to another request', async () => {
    const whole = encodeCdat([]).toString('hex');
    const answers = ['', `01000000${whole}`, `00010000${whole}`, `0100ffff${whole}`];
    for (const answer of answers) {
      const bytes = Buffer.from(answer, 'hex');
      const mailbox = await mailboxWith({ vendorId: 0x1e98, type: 2, answer: () => bytes });
      await expect(readCdatBytes(mailbox)).rejects.toMatchObject({
        code: 'EBADMSG',
        syscall: 'doe(cdat)',
      });
    }
    // The header is as it was: the device did not change the table meanwhile.
    const { answer, ...protocol } = chain({ 0: [1, header] });
    const later = await mailboxWith({
      ...protocol,
      answer: (request) => answer(request) ?? Buffer.alloc(0),
    });
    await expect(readCdatBytes(later)).rejects.toMatchObject({ code: 'EBADMSG' });
    // The last one is a table except for its code.
    const bytes = Buffer.from(`0000ffff${whole}`, 'hex');
    const mailbox = await mailboxWith({ vendorId: 0x1e98, type: 2, answer: () => bytes });
    expect((await readCdatBytes(mailbox)).toString('hex')).toBe(whole);
  });
});

describe('the structures of a table', () => {
  /** A table of one structure, whose other bytes are 0. */
  function table(type: number, length: number, bytes: Record<number, number> = {}): Buffer {
    const whole = Buffer.alloc(16 + length);
    whole.writeUInt8(type, 16);
    whole.writeUInt16LE(length, 18);
    for (const [at, byte] of Object.entries(bytes)) whole.writeUInt8(byte, 16 + Number(at));
    return whole;
  }
  const decoded = (...structure: Parameters<typeof table>) =>
    decodeCdatStructures(table(...structure), 'here')[0];

  it('have names for each number that the specification has, and for the others', () => {
    const dataTypes = [
      'access latency',
      'read latency',
      'write latency',
      'access bandwidth',
      'read bandwidth',
      'write bandwidth',
      'reserved',
    ];
    dataTypes.forEach((dataType, type) => {
      expect(decoded(1, 24, { 6: type })).toMatchObject({ kind: 'DSLBIS', dataType });
      expect(decoded(5, 16, { 4: type })).toMatchObject({ kind: 'SSLBIS', dataType, entries: [] });
    });
    const efiTypes = ['conventional', 'specific purpose', 'reserved memory', 'reserved'];
    efiTypes.forEach((efiMemoryType, type) => {
      expect(decoded(4, 24, { 5: type })).toMatchObject({ kind: 'DSEMTS', efiMemoryType });
    });
  });

  it('have the flags that are set alone', () => {
    expect(decoded(0, 24, { 5: 0xfb })).toMatchObject({ flags: 0xfb, nonVolatile: false });
    expect(decoded(0, 24, { 5: 4 })).toMatchObject({ flags: 4, nonVolatile: true });
    const without = { flags: 0xfe, memoryAttached: false, handle: 9 };
    expect(decoded(3, 8, { 4: 0xfe, 5: 9 })).toMatchObject(without);
    expect(decoded(3, 8, { 4: 1 })).toMatchObject({ flags: 1, memoryAttached: true });
  });

  it('of a type that is not known are copies of their bytes', () => {
    const whole = table(0xaa, 4);
    const [structure] = decodeCdatStructures(whole, 'here');
    whole.fill(0);
    const bytes = Buffer.from('aa000400', 'hex');
    expect(structure).toEqual({ kind: 'unknown', type: 0xaa, bytes });
  });

  it('are those of the bytes given, wherever these lie', () => {
    const padded = Buffer.concat([Buffer.alloc(5, 0xff), encodeCdat([])]);
    const bytes = new Uint8Array(padded).subarray(5);
    expect(decodeCdatHeader(bytes)).toMatchObject({ length: 16, revision: 1, sequence: 0 });
    expect(decodeCdatStructures(bytes, 'here')).toEqual([]);
  });

  it('and what is none are told apart', () => {
    const code = (call: () => unknown) => {
      try {
        call();
      } catch (error) {
        return (error as { code?: string }).code;
      }
      return undefined;
    };
    expect(code(() => decodeCdatHeader(Buffer.alloc(15)))).toBe('ERR_INVALID_ARG_VALUE');
    expect(code(() => decodeCdatHeader('x' as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(code(() => decodeCdatStructures('x' as never, 'here'))).toBe('ERR_INVALID_ARG_TYPE');
    expect(code(() => decodeCdatStructures(table(0xaa, 4), 7 as never))).toBe(
      'ERR_INVALID_ARG_TYPE',
    );
    expect(code(() => cdatChecksumValid('x' as never))).toBe('ERR_INVALID_ARG_TYPE');
  });
});

describe('a broken structure is refused', () => {
  const rows: [string, string][] = [
    ['leaves the table', '00001900'],
    ['leaves the table by a byte', 'aa000500'],
    ['is shorter than its header', 'aa0003000000'],
    ['has no length', 'aa000000'],
    ['is cut off', '0000'],
    ['is not as long as its type', '0000080000000000'],
    ['is shorter than an SSLBIS', '0500080000000000'],
    ['has half an entry', `05001400${'00'.repeat(16)}`],
  ];
  for (const [name, bytes] of rows) {
    it(name, () => {
      const table = Buffer.concat([Buffer.alloc(16), Buffer.from(bytes, 'hex')]);
      let thrown: unknown;
      try {
        decodeCdatStructures(table, 'here');
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ code: 'EBADMSG', syscall: 'doe(cdat)', path: 'here' });
    });
  }
});
