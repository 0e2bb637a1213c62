import {
  COMPLIANCE_REQUESTS,
  Compliance,
  ComplianceError,
  type ComplianceRequest,
  CxlError,
  spdmVersions,
} from 'node-cxl/doe';
import {
  complianceMode,
  createMockDoe,
  type MockComplianceOptions,
  type MockProtocol,
  spdm,
} from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const ADDRESS = '0000:01:00.0';

async function mailboxWith(...protocols: MockProtocol[]) {
  const doe = createMockDoe({ functions: [{ address: ADDRESS, mailboxes: [{ protocols }] }] });
  const [mailbox] = await doe.mailboxes(ADDRESS);
  return { mailbox: mailbox!, device: doe.function(ADDRESS).mailboxes[0]! };
}

async function setUp(options: MockComplianceOptions = {}) {
  const { mailbox, device } = await mailboxWith(complianceMode(options));
  return { device, compliance: new Compliance(mailbox) };
}

const EVERY_REQUEST: { request: ComplianceRequest; bytes: string }[] = [
  { request: { request: 'halt-all' }, bytes: '02010000' },
  {
    request: {
      request: 'multiple-write-streaming',
      protocol: 1,
      virtualAddress: true,
      selfChecking: false,
      verifyReadSemantics: 2,
      increments: 3,
      sets: 4,
      loops: 5,
      startAddress: 0x1122334455667788n,
      writeAddress: 1n,
      writebackAddress: 2n,
      byteMask: 0xffffffffffffffffn,
      addressIncrement: 0x40,
      setOffset: 0x1000,
      pattern: 0xdeadbeef,
      incrementPattern: 1,
    },
    bytes:
      '03010000' +
      '0101000203040500' +
      '8877665544332211' +
      '0100000000000000' +
      '0200000000000000' +
      'ffffffffffffffff' +
      '40000000' +
      '00100000' +
      'efbeadde' +
      '01000000',
  },
  {
    request: {
      request: 'producer-consumer',
      protocol: 1,
      increments: 2,
      sets: 3,
      loops: 4,
      writeSemantics: 5,
      startAddress: 0x1000n,
      byteMask: 0xffn,
      addressIncrement: 6,
      setOffset: 7,
      pattern: 8,
    },
    bytes:
      '04010000' +
      '0102030405000000' +
      '0010000000000000' +
      'ff00000000000000' +
      '06000000' +
      '07000000' +
      '08000000',
  },
  {
    request: { request: 'bogus-writes', count: 9, pattern: 0x01020304 },
    bytes: '0501000009000403' + '02010000',
  },
  { request: { request: 'poison', protocol: 2 }, bytes: '0601000002000000' },
  { request: { request: 'crc', bitsFlipped: 1, flits: 2 }, bytes: '0701000001020000' },
  { request: { request: 'flow-control', enable: true }, bytes: '0801000001000000' },
  { request: { request: 'cache-flush', enable: false }, bytes: '0901000000000000' },
  {
    request: { request: 'mac-delay', enable: true, mode: 1, delay: 9 },
    bytes: '0a01000001010900',
  },
  { request: { request: 'unexpected-mac', opcode: 1, mode: 2 }, bytes: '0b01000001020000' },
  { request: { request: 'viral', protocol: 3 }, bytes: '0c01000003000000' },
  { request: { request: 'almp', opcode: 1 }, bytes: '0d01000001000000' },
  { request: { request: 'ignore-almp', opcode: 1 }, bytes: '0e01000001000000' },
  { request: { request: 'bit-error', opcode: 1 }, bytes: '0f01000001000000' },
];

describe('compliance mode', () => {
  it('lists available and enabled requests', async () => {
    const { compliance } = await setUp({
      available: ['capabilities', 'status', 'poison', 'bit-error'],
      enabled: ['capabilities', 'poison'],
    });
    expect(await compliance.capabilities()).toEqual({
      availableMask: 0x8043n,
      enabledMask: 0x41n,
      available: ['capabilities', 'status', 'poison', 'bit-error'],
      enabled: ['capabilities', 'poison'],
    });
  });

  it('reads the status, whose fields have no padding', async () => {
    const { compliance } = await setUp({
      available: ['status'],
      cacheSize: 0x1234,
      cacheSizeUnit: 1,
    });
    expect(await compliance.status()).toEqual({
      capabilities: 2,
      cacheSize: 0x1234,
      cacheSizeUnit: 1,
    });
  });

  it('sends every request code as the specification lays it out', async () => {
    const { compliance, device } = await setUp();
    const covered = new Set<string>(['capabilities', 'status']);
    for (const { request, bytes } of EVERY_REQUEST) {
      await compliance.request(request);
      expect(device.requests.at(-1)!.subarray(8).toString('hex')).toBe(bytes);
      covered.add(request.request);
    }
    expect([...COMPLIANCE_REQUESTS].every((name) => covered.has(name))).toBe(true);
  });

  it('refuses a parameter that does not fit, and a request it does not know', async () => {
    const { compliance, device } = await setUp();
    await compliance.capabilities();
    const sent = device.requests.length;
    await expect(compliance.request({ request: 'poison', protocol: 256 })).rejects.toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
    });
    await expect(
      compliance.request({ request: 'crc', bitsFlipped: 1 } as never),
    ).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    await expect(compliance.request({ request: 'explode' } as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringMatching(/^request must be capabilities, status, .*; got 'explode'$/),
    });
    expect(device.requests.length).toBe(sent);
  });

  it('has what the caller gave as options when it was made', async () => {
    const { mailbox, device } = await mailboxWith(complianceMode());
    const options = { timeout: 1000, maxLength: 100 };
    const compliance = new Compliance(mailbox, options);
    options.maxLength = 0;
    expect((await compliance.capabilities()).available).toHaveLength(16);
    expect(compliance.mailbox).toBe(mailbox);
    const limited = new Compliance(mailbox, { maxLength: 12 });
    await expect(limited.capabilities()).rejects.toMatchObject({ code: 'EOVERFLOW' });
    const sent = device.requests.length;
    for (const none of [undefined, null, {}]) {
      expect(() => new Compliance(none as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    }
    for (const none of [undefined, null, 'poison']) {
      await expect(limited.request(none as never)).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_TYPE',
        message: expect.stringMatching(/^request must be an object \{ request, … \};/),
      });
    }
    expect(device.requests.length).toBe(sent);
  });

  it('takes the greatest value of each field, and none above', async () => {
    const { compliance, device } = await setUp();
    const greatest = { request: 'bogus-writes', count: 0xff, pattern: 0xffff_ffff } as const;
    await compliance.request(greatest);
    expect(device.requests.at(-1)!.subarray(8).toString('hex')).toBe('05010000ff00ffffffff0000');
    for (const wrong of [{ count: 0x100 }, { count: -1 }, { pattern: 2 ** 32 }, { pattern: -1 }]) {
      await expect(compliance.request({ ...greatest, ...wrong })).rejects.toMatchObject({
        code: 'ERR_OUT_OF_RANGE',
      });
    }
  });

  it('runs discovery again after one that failed', async () => {
    const { compliance, device } = await setUp();
    device.faults = { errorAt: 'go' };
    await expect(compliance.capabilities()).rejects.toMatchObject({ code: 'EIO' });
    device.faults = {};
    expect((await compliance.capabilities()).available).toHaveLength(16);
  });

  it('runs discovery once', async () => {
    const { compliance, device } = await setUp();
    await compliance.capabilities();
    const before = device.requests.length;
    await compliance.status();
    expect(device.requests.length).toBe(before + 1);
  });
});

describe('a status other than success is a typed error', () => {
  const rows: [number, string, string][] = [
    [1, 'EPERM', 'not authorized'],
    [2, 'EIO', 'unknown failure'],
    [3, 'EOPNOTSUPP', 'unsupported injection function'],
    [4, 'EREMOTEIO', 'internal error'],
    [5, 'EBUSY', 'target busy'],
    [6, 'ENXIO', 'target not initialized'],
    [99, 'EIO', 'reserved status'],
  ];
  for (const [status, code, statusName] of rows) {
    it(`${status}: ${statusName}`, async () => {
      const { compliance, device } = await setUp({ status: () => status });
      const refusal = await compliance.request({ request: 'halt-all' }).catch((error) => error);
      expect(refusal).toBeInstanceOf(ComplianceError);
      expect(refusal).toBeInstanceOf(CxlError);
      expect(refusal).toMatchObject({ code, status, statusName, request: 'halt-all' });
      expect([refusal.name, refusal.syscall]).toEqual([
        'ComplianceError',
        'doe(compliance halt-all)',
      ]);
      await expect(compliance.capabilities()).rejects.toMatchObject({ status });
      expect(device.idle).toBe(true);
    });
  }
});

describe('an answer of compliance mode that is wrong is refused', () => {
  const rows: [string, Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['to another request', Buffer.concat([Buffer.from([5, 1, 20, 0]), Buffer.alloc(16)])],
    ['cut short', Buffer.from([0, 1, 20, 0])],
    ['a dword too short', Buffer.concat([Buffer.from([0, 1, 20, 0]), Buffer.alloc(12)])],
  ];
  for (const [name, answer] of rows) {
    it(name, async () => {
      const { mailbox } = await mailboxWith({ vendorId: 0x1e98, type: 0, answer: () => answer });
      await expect(new Compliance(mailbox).capabilities()).rejects.toMatchObject({
        code: 'EBADMSG',
        syscall: 'doe(compliance)',
        path: mailbox.name,
      });
    });
  }

  it('to `status`, whose fields end in its tenth byte', async () => {
    for (const [length, code] of [
      [8, 'EBADMSG'],
      [12, undefined],
    ] as const) {
      const answer = Buffer.concat([Buffer.from([1, 1, 10, 9]), Buffer.alloc(length - 4)]);
      const { mailbox } = await mailboxWith({ vendorId: 0x1e98, type: 0, answer: () => answer });
      const got = await new Compliance(mailbox).status().catch((error) => error);
      // What would be the status of another answer is its first field.
      expect(got).toMatchObject(code === undefined ? { capabilities: 9 } : { code });
    }
  });

  it('a mailbox without compliance mode is refused before anything is sent', async () => {
    const { mailbox, device } = await mailboxWith();
    const compliance = new Compliance(mailbox);
    await expect(compliance.capabilities()).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    await expect(compliance.capabilities()).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    expect(device.requests.every((object) => object.readUInt32LE() === 1)).toBe(true);
  });
});

describe('SPDM', () => {
  it('GET_VERSION lists the versions', async () => {
    const { mailbox, device } = await mailboxWith(spdm([0x1000, 0x12f1]));
    expect(await spdmVersions(mailbox)).toEqual([
      { major: 1, minor: 0, update: 0, alpha: 0 },
      { major: 1, minor: 2, update: 15, alpha: 1 },
    ]);
    expect(device.requests.at(-1)!.subarray(8).toString('hex')).toBe('10840000');
    for (const [bytes, versions] of [
      ['1004000000000000', []],
      ['1004000000010012', [{ major: 1, minor: 2, update: 0, alpha: 0 }]],
    ] as const) {
      const answer = () => Buffer.from(bytes, 'hex');
      const other = await mailboxWith({ vendorId: 1, type: 1, answer });
      expect(await spdmVersions(other.mailbox)).toEqual(versions);
    }
  });

  it('an ERROR, something else and a list cut short are refused', async () => {
    const rows: [string, Buffer][] = [
      ['EREMOTEIO', Buffer.from([0x10, 0x7f, 0x01, 0])],
      ['EBADMSG', Buffer.from([0x10, 0x61, 0, 0, 0, 0, 0, 0])],
      ['EBADMSG', Buffer.from([0x10, 0x04, 0, 0, 0, 2, 0, 0x10])],
      ['EBADMSG', Buffer.from([0x10, 0x04, 0, 0])],
      ['EBADMSG', Buffer.alloc(0)],
    ];
    for (const [code, answer] of rows) {
      const { mailbox } = await mailboxWith({ vendorId: 1, type: 1, answer: () => answer });
      const error = await spdmVersions(mailbox).catch((reason) => reason);
      expect(error).toMatchObject({ code, syscall: 'doe(spdm)', path: mailbox.name });
      if (code === 'EREMOTEIO') expect(error.message).toContain('SPDM ERROR 0x1');
    }
    const { mailbox } = await mailboxWith();
    await expect(spdmVersions(mailbox)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  });
});
