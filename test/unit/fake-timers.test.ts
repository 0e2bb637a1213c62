/** The mock under vitest's fake timers. */
import { createMockCxl, echoAfu } from 'node-cxl/mock';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Timers } from '../../dist/mock/kernel/timers';
import { mapped, oneEcho, slave } from './mock-support';

const ADDRESS = 0x10;

describe('under fake timers', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('the mock goes on, and time-outs follow the fake clock', async () => {
    vi.useFakeTimers();
    const system = oneEcho();
    const afu = system.card(0).afu(0);
    const { context, area } = await mapped(system);
    const memory = system.allocate(4096);
    context.hold(memory);
    area.write64(ADDRESS, memory.address);
    await context.waitForInterrupt(1);
    const late = context.waitForInterrupt(1, { timeout: 60_000 });
    await afu.expectWait();
    vi.advanceTimersByTime(59_999);
    vi.advanceTimersByTime(1);
    await expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await context.close();
    memory.free();
  });

  it('what is due at this very time happens in a call that blocks', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const timers = new Timers();
    const ran: string[] = [];
    timers.after(5, () => ran.push('ran'));
    vi.advanceTimersByTime(4);
    timers.runDue();
    expect(ran).toEqual([]);
    vi.advanceTimersByTime(1);
    timers.runDue();
    expect(ran).toEqual(['ran']);
  });

  it('latencies follow the fake clock', async () => {
    const system = createMockCxl({
      cards: [{ afus: [{ model: echoAfu() }] }],
      latency: { open: 5000 },
    });
    vi.useFakeTimers();
    let opened = false;
    const opening = system.open('afu0.0s').then((context) => {
      opened = true;
      return context;
    });
    await vi.advanceTimersByTimeAsync(4000);
    expect(opened).toBe(false);
    await expect
      .poll(() => {
        vi.advanceTimersByTime(1001);
        return opened;
      })
      .toBe(true);
    await (await opening).close();
  });
});

describe('latency', () => {
  it('blocks the event loop in no call', async () => {
    // Shorter than the driver waits for an attach.
    const slowly = 60;
    const mock = createMockCxl({
      flavor: 'guest',
      cards: [{}],
      latency: {
        open: slowly,
        'open-card': slowly,
        'start-work': slowly,
        close: slowly,
        'sysfs-read': slowly,
        'sysfs-write': slowly,
        'image-transfer': slowly,
      },
    });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      /** The call waits for a timer that has yet to fire, and comes back when it has. */
      const pends = async <T>(call: () => Promise<T>): Promise<T> => {
        let settled = false;
        const result = call().finally(() => {
          settled = true;
        });
        while (vi.getTimerCount() === 0 && !settled)
          await new Promise((resolve) => setImmediate(resolve));
        expect(settled).toBe(false);
        while (!settled) {
          await vi.advanceTimersByTimeAsync(slowly);
          await new Promise((resolve) => setImmediate(resolve));
        }
        return result;
      };
      const [afu] = await mock.afus();
      await pends(() => afu!.setIrqsMax(8));
      const context = await pends(() => mock.open(slave));
      await pends(() => context.attach({ wed: 0n }));
      await pends(() => context.close());
      const synchronous = await pends(() => mock.open(slave));
      const before = vi.getTimerCount();
      synchronous.attachSync({ wed: 0n });
      synchronous.mapProblemState().read64(8);
      expect(vi.getTimerCount()).toBe(before);
      await pends(() => synchronous.close());
      const [card] = await mock.adapters();
      await pends(() => card!.downloadImage(new Uint8Array(16)));
    } finally {
      vi.useRealTimers();
    }
  });
});
