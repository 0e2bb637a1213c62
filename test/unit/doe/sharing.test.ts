import { createMockDoe, type MockProtocol } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const echoProtocol = { vendorId: 0x1234, type: 7 };
const DROPPED = 0xdead;
const echo: MockProtocol = {
  ...echoProtocol,
  answer: (request) => (request.readUInt32LE() === DROPPED ? undefined : Buffer.from(request)),
};
const ADDRESS = '0000:01:00.0';

function twoMailboxes(driver?: string, kernelFeatures = ['0001:00', '1e98:02']) {
  return createMockDoe({
    functions: [
      {
        address: ADDRESS,
        ...(driver === undefined ? {} : { driver }),
        kernelFeatures,
        kernelTables: ['/sys/bus/cxl/devices/endpoint1/CDAT'],
        mailboxes: [{ protocols: [echo] }, { protocols: [echo] }],
      },
    ],
  });
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

describe('one mailbox, many callers', () => {
  it('serves them one after the other, in the order of their calls', async () => {
    const doe = twoMailboxes();
    const [mailbox] = await doe.mailboxes(ADDRESS);
    const [same] = await doe.mailboxes(ADDRESS);
    const order: number[] = [];
    const calls = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? mailbox : same)!
        .exchange(echoProtocol, number(index))
        .then((answer) => order.push(answer.readUInt32LE())),
    );
    await Promise.all(calls);
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  it('serves the next caller after one that failed or was aborted', async () => {
    const doe = twoMailboxes();
    const [mailbox] = await doe.mailboxes(ADDRESS);
    const device = doe.function(ADDRESS).mailboxes[0]!;
    const first = mailbox!.exchange(echoProtocol, number(DROPPED), { timeout: 40 });
    const controller = new AbortController();
    const second = mailbox!.exchange(echoProtocol, number(2), { signal: controller.signal });
    const third = mailbox!.exchange(echoProtocol, number(3));
    controller.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    await expect(first).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect((await third).readUInt32LE()).toBe(3);
    expect(device.requests.map((object) => object.readUInt32LE(8))).toEqual([3]);
  });

  it('one signal aborts twenty callers, without a leak warning of Node', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error) => warnings.push(warning.message);
    process.on('warning', onWarning);
    try {
      const doe = twoMailboxes();
      const [mailbox] = await doe.mailboxes(ADDRESS);
      const controller = new AbortController();
      const { signal } = controller;
      const calls = Array.from({ length: 20 }, () =>
        mailbox!.exchange(echoProtocol, number(DROPPED), { signal }).catch(({ name }) => name),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.abort();
      expect(new Set(await Promise.all(calls))).toEqual(new Set(['AbortError']));
      expect((await mailbox!.exchange(echoProtocol, number(3))).readUInt32LE()).toBe(3);
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', onWarning);
    }
  });

  it('does not delay the callers of another mailbox', async () => {
    const doe = twoMailboxes();
    const [slow, quick] = await doe.mailboxes(ADDRESS);
    doe.function(ADDRESS).mailboxes[0]!.faults = { silent: true };
    const controller = new AbortController();
    let slowDone = false;
    const waiting = slow!
      .exchange(echoProtocol, number(1), { signal: controller.signal, timeout: 60_000 })
      .catch(() => {})
      .then(() => {
        slowDone = true;
      });
    expect((await quick!.exchange(echoProtocol, number(2))).readUInt32LE()).toBe(2);
    expect(slowDone).toBe(false);
    controller.abort();
    await waiting;
  });
});

describe('two processes at one mailbox', () => {
  it('each get their own answers', async () => {
    const doe = twoMailboxes();
    const other = doe.anotherProcess();
    doe.function(ADDRESS).mailboxes[0]!.faults = { delay: 3 };
    const [mine] = await doe.mailboxes(ADDRESS);
    const [theirs] = await other.mailboxes(ADDRESS);
    const run = async (mailbox: NonNullable<typeof mine>, base: number) => {
      for (let n = base; n < base + 10; n += 1) {
        expect((await mailbox.exchange(echoProtocol, number(n))).readUInt32LE()).toBe(n);
      }
    };
    await Promise.all([run(mine!, 100), run(theirs!, 200)]);
    const sent = doe.function(ADDRESS).mailboxes[0]!.requests.length;
    expect(sent).toBe(20);
  });

  it('a wait for the lock can be aborted; nothing was sent', async () => {
    const doe = twoMailboxes();
    const device = doe.function(ADDRESS).mailboxes[0]!;
    device.faults = { silent: true };
    const [mine] = await doe.mailboxes(ADDRESS);
    const [theirs] = await doe.anotherProcess().mailboxes(ADDRESS);
    const holding = new AbortController();
    const holder = mine!
      .exchange(echoProtocol, number(1), { signal: holding.signal, timeout: 60_000 })
      .catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const sent = device.log.filter(({ kind }) => kind === 'write').length;
    const waiting = new AbortController();
    const waiter = theirs!.exchange(echoProtocol, number(2), { signal: waiting.signal });
    setTimeout(() => waiting.abort(), 20);
    await expect(waiter).rejects.toMatchObject({ name: 'AbortError' });
    expect(device.log.filter(({ kind }) => kind === 'write').length).toBe(sent);
    holding.abort();
    expect(await holder).toMatchObject({ name: 'AbortError' });
    expect(device.idle).toBe(true);
  });
});

describe('who else uses the mailbox', () => {
  it('is its owner property', async () => {
    const [mailbox] = await twoMailboxes('cxl_pci').mailboxes(ADDRESS);
    expect(mailbox!.owner).toEqual({
      driver: 'cxl_pci',
      kernelFeatures: ['0001:00', '1e98:02'],
      kernelTables: ['/sys/bus/cxl/devices/endpoint1/CDAT'],
    });
  });

  it('a driver that may use everything: no write without force, and the error names it', async () => {
    const doe = twoMailboxes('vfio-pci');
    const [mailbox] = await doe.mailboxes(ADDRESS);
    const device = doe.function(ADDRESS).mailboxes[0]!;
    device.log.length = 0;
    const refusal = await mailbox!.exchange(echoProtocol, number(1)).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'EBUSY', syscall: 'doe(claim)' });
    expect(refusal.message).toMatch(/the driver vfio-pci .* its 1234:07/);
    await expect(mailbox!.discover()).rejects.toMatchObject({ syscall: 'doe(claim)' });
    await expect(mailbox!.reset()).rejects.toMatchObject({ syscall: 'doe(claim)' });
    expect(device.log).toEqual([]);
    const answer = await mailbox!.exchange(echoProtocol, number(1), { force: true });
    expect(answer.readUInt32LE()).toBe(1);
  });

  it('is overruled by the options of the call, as they were then', async () => {
    const [mailbox] = await twoMailboxes('vfio-pci').mailboxes(ADDRESS);
    for (const call of [
      (options: object) => mailbox!.exchange(echoProtocol, number(1), options),
      (options: object) => mailbox!.reset(options),
    ]) {
      const options = { force: true };
      const forced = call(options);
      options.force = false;
      await forced;
      const refused = call(options);
      options.force = true;
      await expect(refused).rejects.toMatchObject({ code: 'EBUSY', syscall: 'doe(claim)' });
    }
  });

  it('is asked for each protocol: what the kernel uses is refused, the rest is not', async () => {
    const echoName = '1234:07';
    const uses: [string | undefined, string[], string[]][] = [
      // driver, doe_features, the protocols that are refused
      [undefined, [], []],
      [undefined, ['1e98:02'], []],
      ['cxl_pci', [], ['table access']],
      ['cxl_pci', ['0001:00', '1e98:02', echoName], ['table access']],
      ['pcieport', [], ['table access']],
      ['another', ['0001:00', '1e98:02'], ['table access']],
      ['another', ['0001:00', echoName], ['echo']],
      ['another', [], ['discovery', 'table access', 'echo']],
      ['vfio-pci', ['1e98:02'], ['discovery', 'table access', 'echo']],
      ['uio_pci_generic', ['1e98:02'], ['discovery', 'table access', 'echo']],
      ['pciback', ['1e98:02'], ['discovery', 'table access', 'echo']],
    ];
    for (const [driver, features, refused] of uses) {
      const doe = twoMailboxes(driver, features);
      const [mailbox] = await doe.mailboxes(ADDRESS);
      const sent = () => doe.function(ADDRESS).mailboxes[0]!.requests.length;
      const found: string[] = [];
      for (const [name, protocol] of [
        ['discovery', { vendorId: 1, type: 0 }],
        ['table access', { vendorId: 0x1e98, type: 2 }],
        ['echo', echoProtocol],
      ] as const) {
        const before = sent();
        const { code, syscall } = await mailbox!
          .exchange(protocol, number(DROPPED), { timeout: 1 })
          .then(() => ({ code: undefined, syscall: undefined }))
          .catch((error) => error);
        const isRefused = code === 'EBUSY' && syscall === 'doe(claim)';
        expect(await mailbox!.usedBy(protocol)).toBe(isRefused ? driver : undefined);
        if (isRefused) found.push(name);
        if (isRefused) expect(sent()).toBe(before);
      }
      expect([driver, features, found]).toEqual([driver, features, refused]);
    }
  });

  it('can hand the device over: unbind() and bind()', async () => {
    const doe = twoMailboxes('vfio-pci');
    const [mailbox] = await doe.mailboxes(ADDRESS);
    expect(await doe.unbind('01:00.0')).toBe('vfio-pci');
    expect((await mailbox!.exchange(echoProtocol, number(5))).readUInt32LE()).toBe(5);
    await mailbox!.reset();
    expect(await doe.unbind(ADDRESS)).toBeUndefined();
    await expect(doe.bind(ADDRESS, 'nobody')).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'write(bind)',
    });
    await doe.bind(ADDRESS, 'vfio-pci');
    await expect(doe.bind(ADDRESS, 'vfio-pci')).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(mailbox!.exchange(echoProtocol)).rejects.toMatchObject({ syscall: 'doe(claim)' });
    await expect(doe.unbind('02:00.0')).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'write(unbind)',
    });
    for (const name of ['', '..', 'a/b', '.hidden']) {
      await expect(doe.bind(ADDRESS, name)).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_VALUE',
      });
    }
    await expect(doe.bind(ADDRESS, 7 as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });

  it('a driver bound after the mailbox was found is noticed', async () => {
    const doe = twoMailboxes();
    const [mailbox] = await doe.mailboxes(ADDRESS);
    doe.function(ADDRESS).driver = 'vfio-pci';
    await expect(mailbox!.exchange(echoProtocol)).rejects.toMatchObject({ syscall: 'doe(claim)' });
  });

  it('without root: EACCES', async () => {
    const doe = twoMailboxes();
    const [mailbox] = await doe.mailboxes(ADDRESS);
    doe.function(ADDRESS).readable = 64;
    await expect(mailbox!.exchange(echoProtocol)).rejects.toMatchObject({
      code: 'EACCES',
      syscall: 'open',
    });
  });
});
