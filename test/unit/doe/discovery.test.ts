import {
  discoverIndex,
  protocolName,
  securedSpdmProtocol,
  spdmVersions,
  wellKnownName,
} from 'node-cxl/doe';
import { complianceMode, createMockDoe, type MockMailboxOptions, spdm } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const ADDRESS = '0000:01:00.0';

async function mailboxOf(options: MockMailboxOptions) {
  const doe = createMockDoe({ functions: [{ address: ADDRESS, mailboxes: [options] }] });
  const [mailbox] = await doe.mailboxes(ADDRESS);
  return { mailbox: mailbox!, device: doe.function(ADDRESS).mailboxes[0]! };
}

/** A discovery protocol that answers with `entry` of the requested index. */
function listing(entry: (index: number) => Buffer | undefined): MockMailboxOptions {
  return {
    protocols: [{ vendorId: 1, type: 0, answer: (request) => entry(request.readUInt8(0)) }],
  };
}

function entry(vendorId: number, type: number, next: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE((vendorId | (type << 16) | (next << 24)) >>> 0);
  return bytes;
}

describe('discovery', () => {
  for (const version of [1, 2]) {
    it(`lists the protocols, as version ${version} of the capability asks`, async () => {
      const { mailbox, device } = await mailboxOf({
        version,
        protocols: [
          complianceMode(),
          spdm(),
          { vendorId: 0xabcd, type: 9, answer: () => undefined },
        ],
      });
      expect(await mailbox.discover()).toStrictEqual([
        { index: 0, vendorId: 1, type: 0, name: 'DOE discovery' },
        { index: 1, vendorId: 0x1e98, type: 0, name: 'CXL compliance mode' },
        { index: 2, vendorId: 1, type: 1, name: 'CMA/SPDM' },
        { index: 3, vendorId: 0xabcd, type: 9 },
      ]);
      const asked = device.requests.map((object) => object.readUInt32LE(8));
      const bits = version === 2 ? 0x200 : 0;
      expect(asked).toEqual([bits, bits | 1, bits | 2, bits | 3]);
    });
  }

  it('takes 14 accesses for each entry', async () => {
    const { mailbox, device } = await mailboxOf({});
    device.log.length = 0;
    await mailbox.discover();
    expect(device.log.length).toBe(14);
  });

  it('returns vendor 0xffff past the end', async () => {
    const { mailbox } = await mailboxOf({});
    expect(await discoverIndex(mailbox, 7)).toEqual({ vendorId: 0xffff, type: 0xff, nextIndex: 8 });
    const endless = await mailboxOf(
      listing((index) => (index === 0 ? entry(1, 0, 1) : entry(0xffff, 0, index + 1))),
    );
    expect(await endless.mailbox.discover()).toHaveLength(1);
  });

  it('refuses an invalid index', async () => {
    const { mailbox } = await mailboxOf({});
    for (const index of [-1, 256]) {
      await expect(discoverIndex(mailbox, index)).rejects.toMatchObject({
        code: 'ERR_OUT_OF_RANGE',
      });
    }
    expect((await discoverIndex(mailbox, 255)).vendorId).toBe(0xffff);
    await expect(discoverIndex({} as never, 0)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });

  it('refuses a list that loops', async () => {
    const { mailbox } = await mailboxOf(
      listing((index) => entry(1, index, index === 2 ? 1 : index + 1)),
    );
    await expect(mailbox.discover()).rejects.toMatchObject({
      code: 'EBADMSG',
      syscall: 'doe(discover)',
    });
  });

  it('refuses an entry that is too short or too long', async () => {
    const empty = await mailboxOf(listing(() => Buffer.alloc(0)));
    await expect(empty.mailbox.discover()).rejects.toMatchObject({
      code: 'EBADMSG',
      syscall: 'doe(discover)',
    });
    const long = await mailboxOf(listing(() => Buffer.alloc(12)));
    await expect(long.mailbox.discover()).rejects.toMatchObject({ code: 'EOVERFLOW' });
    expect(empty.device.idle && long.device.idle).toBe(true);
  });

  it('has the limits that devices after PCIe 6.0 add', async () => {
    const limits = (dword: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(dword >>> 0);
      return bytes;
    };
    const { mailbox } = await mailboxOf(
      listing((index) =>
        [
          Buffer.concat([entry(1, 0, 1), limits(0x0000_0010)]),
          Buffer.concat([entry(1, 3, 2), limits((5 << 18) | 0x400)]),
          Buffer.concat([entry(1, 5, 3), limits(0xfffc_0000)]),
          entry(1, 1, 0),
        ].at(index),
      ),
    );
    expect(await mailbox.discover()).toEqual([
      {
        index: 0,
        vendorId: 1,
        type: 0,
        name: 'DOE discovery',
        limits: { maxObjectLength: 64, additionalInfo: 0 },
      },
      {
        index: 1,
        vendorId: 1,
        type: 3,
        name: 'CMA/SPDM with connection id',
        limits: { maxObjectLength: 4096, additionalInfo: 5 },
      },
      {
        index: 2,
        vendorId: 1,
        type: 5,
        name: 'DOE async message',
        limits: { maxObjectLength: 2 ** 20, additionalInfo: 0x3fff },
      },
      { index: 3, vendorId: 1, type: 1, name: 'CMA/SPDM' },
    ]);
  });

  it('of the capability has the bits that came after PCIe 6.0', async () => {
    const { mailbox, device } = await mailboxOf({ attention: true, asyncMessages: true });
    expect(mailbox).toMatchObject({ attention: true, asyncMessages: true });
    expect(mailbox.interrupt).toEqual({ supported: false, messageNumber: 0 });
    const other = (await mailboxOf({ messageNumber: 0x7ff })).mailbox;
    expect(other).toMatchObject({ attention: false, asyncMessages: false });
    expect(other.interrupt).toEqual({ supported: true, messageNumber: 0x7ff });
    device.faults = { busy: true };
    expect(await mailbox.status()).toMatchObject({ busy: true, error: false, ready: false });
    device.faults = {};
    device.leaveBehind('ready');
    expect(await mailbox.status()).toMatchObject({ busy: false, ready: true });
  });

  it('has names for known protocols', () => {
    const names: [number, number, string | undefined][] = [
      [1, 0, 'DOE discovery'],
      [1, 1, 'CMA/SPDM'],
      [1, 2, 'secured CMA/SPDM'],
      [1, 3, 'CMA/SPDM with connection id'],
      [1, 4, 'secured CMA/SPDM with connection id'],
      [1, 5, 'DOE async message'],
      [1, 6, undefined],
      [0x1e98, 0, 'CXL compliance mode'],
      [0x1e98, 1, undefined],
      [0x1e98, 2, 'CXL table access (CDAT)'],
    ];
    for (const [vendorId, type, name] of names)
      expect(wellKnownName({ vendorId, type })).toBe(name);
    expect(protocolName(securedSpdmProtocol)).toBe('0001:02');
    expect(protocolName({ vendorId: 0x1e98, type: 0xab })).toBe('1e98:ab');
  });

  it('is asked for a protocol before its first request, which names what there is', async () => {
    const bare = (await mailboxOf({ protocols: [complianceMode()] })).mailbox;
    const refused = await spdmVersions(bare).catch((error) => error);
    expect(refused).toMatchObject({
      code: 'EOPNOTSUPP',
      syscall: 'doe(discover)',
      path: bare.name,
    });
    expect(refused.message).toContain('does not speak 0001:01; it offers 0001:00, 1e98:00');
    const none = (await mailboxOf(listing(() => entry(0xffff, 0, 0)))).mailbox;
    const empty = await spdmVersions(none).catch((error) => error);
    expect(empty.message).toContain('it offers nothing');
  });
});
