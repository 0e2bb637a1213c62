import { createMockCxl, type FaultSpec, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, codeOf, oneCard, slave, sleep, thrownCode, until } from './mock-support';

describe('an injected fault', () => {
  it('happens at the next operation, once, with EIO by default', async () => {
    const mock = oneCard({ faults: [{ name: 'open' }] });
    expect(await codeOf(mock.open(slave))).toBe('EIO');
    await (await mock.open(slave)).close();
  });

  it('happens after so many operations, so many times, with the errno given', async () => {
    const mock = oneCard({ faults: [{ name: 'open', errno: 'ENOMEM', after: 1, times: 2 }] });
    const outcomes: (string | undefined)[] = [];
    for (let count = 0; count < 4; count++) outcomes.push(await codeOf(mock.open(slave)));
    expect(outcomes).toEqual([undefined, 'ENOMEM', 'ENOMEM', undefined]);
  });

  it('can be injected into every call that can be refused', async () => {
    const outcome = async (name: FaultSpec['name'], act: (mock: MockCxl) => Promise<unknown>) => {
      const mock = oneCard();
      mock.inject({ name, errno: 'EPERM' });
      return [name, await codeOf(act(mock))];
    };
    const on =
      (act: (context: Awaited<ReturnType<typeof attached>>) => unknown) => async (mock: MockCxl) =>
        act(await attached(mock));
    const expected = (name: string) => [name, 'EPERM'];
    expect(await outcome('open', (mock) => mock.open(slave))).toEqual(expected('open'));
    expect(await outcome('start-work', attached)).toEqual(expected('start-work'));
    expect(
      await outcome(
        'afu-id',
        on((context) => context.afuId()),
      ),
    ).toEqual(expected('afu-id'));
    expect(
      await outcome(
        'map',
        on((context) => context.mapProblemState()),
      ),
    ).toEqual(expected('map'));
    expect(
      await outcome(
        'close',
        on((context) => context.close()),
      ),
    ).toEqual(expected('close'));
    expect(await outcome('allocate', async (mock) => mock.allocate(16))).toEqual(
      expected('allocate'),
    );
    expect(await outcome('adopt', async (mock) => mock.adopt((await mock.open(slave)).fd))).toEqual(
      expected('adopt'),
    );
    expect(await outcome('sysfs-read', async (mock) => (await mock.afus())[0]!.irqsMin())).toEqual(
      expected('sysfs-read'),
    );
    expect(
      await outcome('sysfs-write', async (mock) => (await mock.afus())[0]!.setIrqsMax(9)),
    ).toEqual(expected('sysfs-write'));
    expect(
      await outcome('read', async (mock) => {
        const context = await attached(mock);
        mock.card(0).afu(0).raiseInterrupt(0, 1);
        await context.waitForEvent();
      }),
    ).toEqual(expected('read'));
  });

  it('fails GET_PROCESS_ELEMENT with its errno', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    mock.inject({ name: 'process-element' });
    expect(context.processElement).toBe(undefined);
    expect(context.processElement).toBe(0);
    await context.close();
  });

  it('can fail the transfer of an image', async () => {
    const mock = oneCard({ flavor: 'guest', faults: [{ name: 'image-transfer', after: 1 }] });
    const [card] = await mock.adapters();
    expect(await codeOf(card!.downloadImage(new Uint8Array(16)))).toBe('EIO');
    mock.inject({ name: 'open-card', errno: 'EPERM' });
    expect(await codeOf(card!.downloadImage(new Uint8Array(16)))).toBe('EPERM');
  });

  it('can be a condition of a register access', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    mock.inject({ name: 'mmio', after: 1 });
    expect(registers.read64(8)).toBe(0n);
    expect(thrownCode(() => registers.read64(8))).toBe('EIO');
    mock.inject({ name: 'all-ones' });
    expect(registers.read64(8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(registers.read64(8)).toBe(0n);
    mock.inject({ name: 'link-down', after: 1 });
    expect(registers.read64(8)).toBe(0n);
    expect(registers.read64(8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(mock.card(0).link).toBe('frozen');
    await context.close();
  });

  it('can detach all contexts, or unplug the card, at a register access', async () => {
    for (const name of ['detach-all', 'unplug'] as const) {
      const mock = oneCard({ faults: [{ name }] });
      const context = await attached(mock);
      const registers = context.mapProblemState();
      expect(thrownCode(() => registers.read64(8))).toBe('EIO');
      expect((await mock.adapters()).length).toBe(name === 'unplug' ? 0 : 1);
      await context.close();
    }
  });

  it('can lose an interrupt, or make an address that is mapped fault', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    mock.inject({ name: 'lost-interrupt' });
    mock.card(0).afu(0).raiseInterrupt(0, 1);
    mock.card(0).afu(0).raiseInterrupt(0, 2);
    expect(await context.waitForEvent()).toMatchObject({ irq: 2 });
    await context.close();

    const queue = mock.allocate(128);
    mock.inject({ name: 'translation' });
    const second = await mock.open(slave);
    await second.attach({ wed: queue.address | 1n });
    expect(await second.waitForEvent()).toMatchObject({
      type: 'data-storage',
      address: queue.address,
    });
    await second.close();
  });

  it('can leave no descriptor free', async () => {
    const mock = oneCard({ faults: [{ name: 'descriptors' }] });
    expect(await codeOf(mock.open(slave))).toBe('EMFILE');
    expect(mock.counters).toEqual({ files: 0, mappings: 0, bytes: 0, contexts: 0 });
  });

  it('can be removed', async () => {
    const mock = oneCard({ faults: [{ name: 'open' }, { name: 'start-work' }] });
    mock.clearFaults('open');
    const context = await mock.open(slave);
    mock.clearFaults();
    await context.attach({ wed: 0n });
    await context.close();
  });
});

describe('a process element that the accelerator does not give up', () => {
  /** Attached, with work that the AFU does not begin before the queue is published. */
  async function copying(mock: MockCxl) {
    const context = await mock.open(slave);
    const queue = mock.allocate(4096, { endian: 'big' });
    const [source, target] = [mock.allocate(128), mock.allocate(128)];
    new Uint8Array(source.buffer).fill(7);
    await context.attach({ wed: queue.address | 32n, interrupts: 4, holds: [] });
    const publish = () => {
      queue.store16(2, 128);
      queue.store64(16, source.address);
      queue.store64(24, target.address);
      mock.memoryBarrier();
      queue.store8(0, 0x80);
    };
    return { context, publish, copied: () => target.load8(127) === 7 };
  }

  it('goes on with its work: the driver closes the context and only warns', async () => {
    const mock = oneCard();
    const afu = mock.card(0).afu(0);
    const { context, publish, copied } = await copying(mock);
    mock.inject({ name: 'detach' });
    await context.close();
    expect(mock.counters.contexts).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2037);
    expect(afu.keptElements).toEqual([0]);
    expect(mock.log.at(-1)).toContain('keeps process element 0');
    publish();
    await until(copied);
  });

  it('ends at a reset of the AFU, or when another context gets its place', async () => {
    const mock = oneCard();
    const afu = mock.card(0).afu(0);
    mock.inject({ name: 'detach', times: 2 });
    await (await copying(mock)).context.close();
    const { publish, copied, context } = await copying(mock);
    expect(afu.keptElements).toEqual([]);
    await context.close();
    expect(afu.keptElements).toEqual([0]);
    await (await mock.afus())[0]!.reset();
    expect(afu.keptElements).toEqual([]);
    publish();
    await sleep(20);
    expect(copied()).toBe(false);
  });

  it('is none while the link is down, and none of a dedicated process', async () => {
    const model = memcpyAfu({ modes: ['dedicated'] });
    const mock = createMockCxl({ cards: [{}, { afus: [{ model }] }] });
    mock.inject({ name: 'detach', times: 10 });
    const dedicated = await attached(mock, '/dev/cxl/afu1.0d');
    await dedicated.close();
    expect(mock.card(1).afu(0).keptElements).toEqual([]);
    const context = await attached(mock);
    mock.card(0).freeze();
    mock.card(0).notice();
    mock.card(0).recover();
    expect(mock.card(0).afu(0).keptElements).toEqual([]);
    await context.close();
  });
});

describe('a disabled AFU', () => {
  it('maps nothing (EBUSY) and does no work until it is enabled', async () => {
    const mock = oneCard();
    const afu = mock.card(0).afu(0);
    const context = await attached(mock);
    afu.disable();
    expect(thrownCode(() => context.mapProblemState())).toBe('EBUSY');
    afu.enable();
    context.mapProblemState().unmap();
    await context.close();
    expect(thrownCode(() => oneCard({ flavor: 'guest' }).card(0).afu(0).disable())).toBe(
      'ERR_INVALID_STATE',
    );
  });

  it('is checked for a dedicated process by the driver of POWER9 only', async () => {
    const codes = await Promise.all(
      ['1.0', '2.0'].map(async (caiaVersion) => {
        const model = memcpyAfu({ modes: ['dedicated'] });
        const mock = createMockCxl({ cards: [{ caiaVersion, afus: [{ model }] }] });
        const context = await attached(mock, '/dev/cxl/afu0.0d');
        mock.card(0).afu(0).disable();
        return thrownCode(() => context.mapProblemState());
      }),
    );
    expect(codes).toEqual([undefined, 'EBUSY']);
  });
});

describe('latency', () => {
  it('makes calls slow', async () => {
    const mock = oneCard({ latency: { open: 15, 'start-work': 15, 'sysfs-read': 15, close: 15 } });
    const slow = async (act: () => Promise<unknown>) => {
      const before = performance.now();
      await act();
      return performance.now() - before > 10;
    };
    const context = await mock.open(slave);
    expect(await slow(() => mock.open(slave))).toBe(true);
    expect(await slow(() => context.attach({ wed: 0n }))).toBe(true);
    expect(await slow(async () => (await mock.afus())[0]!.irqsMin())).toBe(true);
    expect(await slow(() => context.close())).toBe(true);
  });

  it('of a synchronous attach is not spent, but fails it when it is too long', async () => {
    const mock = oneCard({ attachTimeout: 20 });
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(60_000);
    const before = performance.now();
    expect(thrownCode(() => context.attachSync({ wed: 0n }))).toBe('EBUSY');
    context.attachSync({ wed: 0n });
    expect(performance.now() - before).toBeLessThan(1000);
    await context.close();
  });

  it('of register accesses does not exist: it could only block', () => {
    expect(thrownCode(() => oneCard({ latency: { mmio: 1 } as never }))).toMatch(/^ERR_/);
  });
});

describe('expectations', () => {
  it('resolve at each change of a context', async () => {
    const mock = oneCard();
    const afu = mock.card(0).afu(0);
    const open = afu.expectOpen({ timeout: 5000 });
    const attach = afu.expectAttach({ timeout: 5000 });
    const detach = afu.expectDetach({ timeout: 5000 });
    const close = afu.expectClose({ timeout: 5000 });
    const context = await mock.open(slave);
    expect((await open).status).toBe('OPENED');
    await context.attach({ wed: 0x77n });
    expect(await attach).toMatchObject({ index: 0, wed: 0x77n, role: 'slave' });
    await context.close();
    expect((await detach).index).toBe(0);
    expect((await close).status).toBe('CLOSED');
  });

  it('let the device side respond', async () => {
    const mock = oneCard();
    const device = mock
      .card(0)
      .afu(0)
      .expectAttach()
      .then((context) => context.raiseInterrupt(3));
    const context = await attached(mock);
    await device;
    await context.waitForInterrupt(3);
    await context.close();
  });

  it('reject at the time-out, and when aborted', async () => {
    const afu = oneCard().card(0).afu(0);
    expect(await codeOf(afu.expectAttach({ timeout: 5 }))).toBe('ETIMEDOUT');
    const abort = new AbortController();
    const wait = codeOf(afu.expectAttach({ signal: abort.signal }));
    abort.abort();
    expect(await wait).toBe('ABORT_ERR');
    expect(await codeOf(afu.expectAttach({ signal: abort.signal }))).toBe('ABORT_ERR');
  });

  it('are for one AFU alone', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{}, {}] }] });
    let seen = false;
    const wait = mock
      .card(0)
      .afu(1)
      .expectOpen()
      .then(() => {
        seen = true;
      });
    const first = await mock.open('afu0.0s');
    await sleep(5);
    expect(seen).toBe(false);
    const second = await mock.open('afu0.1s');
    await wait;
    await first.close();
    await second.close();
  });
});
