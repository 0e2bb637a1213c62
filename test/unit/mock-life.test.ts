import {
  createMockCxl,
  echoAfu,
  type MockCardOptions,
  type MockCxl,
  memcpyAfu,
} from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import type { AfuFile, Binding } from '../../lib/binding';
import { START_WORK_FLAGS, type StartWork } from '../../lib/binding/cxl-ioctls';
import { attached, codeOf, master, oneCard, slave, thrownCode, until } from './mock-support';

const EBUSY = -16;
const EINVAL = -22;
const EIO = -5;
const ENOSPC = -28;
const none = { files: 0, mappings: 0, bytes: 0, contexts: 0 };

function small(processes: number, interrupts = 2037): MockCxl {
  return createMockCxl({ cards: [{ interrupts, afus: [{ model: memcpyAfu({ processes }) }] }] });
}

function dedicated(): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: echoAfu(), mode: 'dedicated' }] }] });
}

describe('open', () => {
  it('assigns process elements from 0, and those of closed contexts again', async () => {
    const mock = oneCard();
    const [a, b] = [await mock.open(slave), await mock.open(master)];
    expect([a.processElement, b.processElement]).toEqual([0, 1]);
    await a.close();
    const c = await mock.open(slave);
    expect(c.processElement).toBe(0);
    await b.close();
    await c.close();
    expect(mock.counters).toEqual(none);
  });

  it('is ENOSPC when all are taken, slaves and masters together', async () => {
    const mock = small(2);
    const contexts = [await mock.open(slave), await mock.open(master)];
    expect(await codeOf(mock.open(slave))).toBe('ENOSPC');
    await contexts[0]!.close();
    contexts[0] = await mock.open(slave);
    for (const context of contexts) await context.close();
  });

  it('is ENOSPC the second time in dedicated mode', async () => {
    const mock = dedicated();
    const context = await mock.open('/dev/cxl/afu0.0d');
    expect(await codeOf(mock.open('/dev/cxl/afu0.0d'))).toBe('ENOSPC');
    expect(context.afuId().mode).toBe('dedicated_process');
    await context.close();
  });

  it('is EIO while the link is down and the driver has not noticed, then ENOENT', async () => {
    const mock = oneCard();
    mock.card(0).freeze();
    expect(await codeOf(mock.open(slave))).toBe('EIO');
    mock.card(0).notice();
    expect(await codeOf(mock.open(slave))).toBe('ENOENT');
  });

  it('is ENOENT for a node there is not', async () => {
    const mock = oneCard();
    for (const path of ['/dev/cxl/afu0.0d', '/dev/cxl/afu0.1s', '/dev/cxl/afu1.0s']) {
      expect(await codeOf(mock.open(path))).toBe('ENOENT');
    }
  });

  it('follows the link that udev rules make', async () => {
    const mock = oneCard({ udevLinks: true });
    const context = await mock.open('/dev/cxl/afu0.0');
    expect(context.path).toBe(slave);
    await context.close();
  });
});

describe('START_WORK', () => {
  it('is EIO the second time', async () => {
    const context = await attached(oneCard());
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EIO');
    // Whatever else is wrong with it.
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 1 }))).toBe('EIO');
    await context.close();
  });

  it('is EIO after a detach', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    mock.card(0).afu(0).detachAll();
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EIO');
    await context.close();
  });

  it('takes irqs_min without a number, and refuses one outside irqs_min to irqs_max', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 3 }))).toBe('EINVAL');
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 2038 }))).toBe('EINVAL');
    await context.attach({ wed: 0x1234n, amr: 5n });
    expect(mock.card(0).afu(0).context(0)).toMatchObject({
      status: 'STARTED',
      role: 'slave',
      wed: 0x1234n,
      amr: 5n,
      interrupts: 4,
    });
    await context.close();
  });

  it('is ENOSPC when the adapter has too few interrupts left, and gives them back', async () => {
    const mock = small(8, 10);
    const [a, b] = [await mock.open(slave), await mock.open(slave)];
    await a.attach({ wed: 0n, interrupts: 7 });
    expect(await codeOf(b.attach({ wed: 0n }))).toBe('ENOSPC');
    expect(mock.card(0).freeInterrupts).toBe(3);
    await a.close();
    expect(mock.card(0).freeInterrupts).toBe(10);
    await b.attach({ wed: 0n, interrupts: 10 });
    await b.close();
  });

  it('shares interrupts among all AFUs of the card', async () => {
    const model = memcpyAfu({ interruptsMinimum: 1 });
    const mock = createMockCxl({ cards: [{ interrupts: 5, afus: [{ model }, { model }] }] });
    const [a, b] = [await mock.open('afu0.0s'), await mock.open('afu0.1s')];
    await a.attach({ wed: 0n, interrupts: 3 });
    expect(await codeOf(b.attach({ wed: 0n, interrupts: 3 }))).toBe('ENOSPC');
    await b.attach({ wed: 0n, interrupts: 2 });
    await a.close();
    await b.close();
  });

  it('waits for slow hardware, and is EBUSY when that takes too long', async () => {
    const mock = oneCard({ attachTimeout: 30 });
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(200);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    expect(mock.card(0).freeInterrupts).toBe(2037);
    mock.card(0).afu(0).delayNextAttach(10);
    const before = performance.now();
    await context.attach({ wed: 0n });
    expect(performance.now() - before).toBeLessThan(1000);
    await context.close();
  });

  it('is delayed once', async () => {
    const mock = oneCard({ attachTimeout: 30 });
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(200);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    await context.attach({ wed: 0n });
    await context.close();
  });

  it('does not block the thread when it is synchronous', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(4000);
    const before = performance.now();
    expect(context.attachSync({ wed: 0n })).toEqual({ tid: undefined });
    expect(performance.now() - before).toBeLessThan(1000);
    await context.close();
  });

  it('returns a thread id on POWER9 alone, and refuses the flag before API version 3', async () => {
    type Flavor = 'bare-metal' | 'guest';
    const tid = async (caiaVersion: string, apiVersion: 2 | 3, flavor: Flavor = 'bare-metal') => {
      const mock = createMockCxl({ flavor, cards: [{ caiaVersion, afus: [{ apiVersion }] }] });
      const context = await mock.open(slave);
      try {
        return context.attachSync({ wed: 0n, tid: true }).tid;
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await context.close();
      }
    };
    expect(await tid('1.0', 3)).toBe(0);
    expect(await tid('1.0', 2)).toBe('EINVAL');
    expect(await tid('2.0', 3)).toBe(1);
    expect(await tid('2.0', 2)).toBe('EINVAL');
    expect(await tid('2.0', 3, 'guest')).toBe(0);
  });
});

describe('the ioctl START_WORK', () => {
  const { AMR, NUM_IRQS, TID } = START_WORK_FLAGS;

  /** A context of a mock with ten interrupts, and START_WORK of it by the seam. */
  async function opened(card: MockCardOptions = {}, flavor: 'bare-metal' | 'guest' = 'bare-metal') {
    const mock = createMockCxl({ flavor, cards: [{ interrupts: 10, ...card }] });
    const { binding } = mock as unknown as { binding: Binding };
    const file = (await binding.openAfu(slave)) as AfuFile;
    const start = (flags: bigint, work: Partial<StartWork> = {}) =>
      file.ioctlSync('START_WORK', { flags, workElementDescriptor: 1n, ...work });
    return { mock, file, start, device: mock.card(0).afu(0).context(0) };
  }

  it('looks only at what its flags name', async () => {
    const one = await opened({ caiaVersion: '2.0' });
    expect(one.start(0n, { numInterrupts: 9, amr: 7n })).toEqual({ tid: 0 });
    expect(one.device).toMatchObject({ wed: 1n, interrupts: 4, amr: 0n });
    await one.file.close();
    const all = await opened({ caiaVersion: '2.0' });
    expect(all.start(AMR | NUM_IRQS | TID, { numInterrupts: 9, amr: 7n })).toEqual({ tid: 1 });
    expect(all.device).toMatchObject({ wed: 1n, interrupts: 9, amr: 7n });
    await all.file.close();
  });

  it('takes no interrupts where the AFU needs none', async () => {
    const { mock, start, device } = await opened({
      afus: [{ model: memcpyAfu({ interruptsMinimum: 0 }) }],
    });
    expect(start(0n)).toEqual({ tid: 0 });
    expect([device.interrupts, mock.card(0).freeInterrupts]).toEqual([0, 10]);
  });

  it('answers with the errno of the first check that fails', async () => {
    const { mock, start } = await opened();
    expect(start(NUM_IRQS, { numInterrupts: 3 })).toBe(EINVAL);
    mock.card(0).freeze();
    expect(start(NUM_IRQS, { numInterrupts: 3 })).toBe(EIO);
    const old = await opened({ afus: [{ apiVersion: 2 }] });
    expect(old.start(TID)).toBe(EINVAL);
    expect(old.start(0n)).toEqual({ tid: 0 });
    expect(old.start(TID)).toBe(EIO);
    const { start: second } = await opened({ interrupts: 3 });
    expect(second(0n)).toBe(ENOSPC);
    const guest = await opened({}, 'guest');
    await (await guest.mock.adapters())[0]!.reset();
    await guest.file.close();
    const { binding } = guest.mock as unknown as { binding: Binding };
    const locked = (await binding.openAfu(slave)) as AfuFile;
    const work = { flags: 0n, workElementDescriptor: 0n };
    expect(locked.ioctlSync('START_WORK', work)).toBe(EBUSY);
    expect(guest.mock.card(0).freeInterrupts).toBe(10);
  });

  it('is EIO when the context is detached, or the link lost, while the hardware takes long', async () => {
    for (const end of ['detach', 'freeze'] as const) {
      const { mock, file, device } = await opened({}, 'guest');
      mock.card(0).afu(0).delayNextAttach(10);
      const starting = file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 0n });
      await until(() => mock.card(0).freeInterrupts === 5);
      if (end === 'detach') device.detach();
      else mock.card(0).freeze();
      expect(await starting).toBe(EIO);
      expect(mock.card(0).freeInterrupts).toBe(10);
      mock.card(0).recover();
      // It is not counted as attached.
      await (await mock.adapters())[0]!.reset();
      await file.close();
    }
  });
});

describe('adopt', () => {
  it('is EBADF for no descriptor, ENODEV for one of a card', async () => {
    const mock = oneCard({ flavor: 'guest' });
    expect(thrownCode(() => mock.adopt(9999))).toBe('EBADF');
    const binding = (mock as unknown as { binding: { openCard(path: string): Promise<CardLike> } })
      .binding;
    const card = await binding.openCard('/dev/cxl/card0');
    expect(thrownCode(() => mock.adopt(card.fd))).toBe('ENODEV');
    await card.close();
  });
});

interface CardLike {
  readonly fd: number;
  close(): Promise<number>;
}

describe('an adopted descriptor that is not owned', () => {
  it('is EBADF once its owner has closed it', async () => {
    const mock = oneCard();
    const owner = await attached(mock);
    const { binding } = mock as unknown as {
      binding: Binding;
    };
    const file = binding.adoptAfu(owner.fd, false) as AfuFile;
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toEqual({ processElement: 0 });
    await owner.close();
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toBe(-9);
    const other = await attached(mock);
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toBe(-9);
    await other.close();
  });
});

describe('an adopted descriptor that both own', () => {
  it('is EBADF at the second close', async () => {
    const mock = oneCard();
    const first = await mock.open(slave);
    const second = mock.adopt(first.fd, { owned: true });
    await first.close();
    expect(await codeOf(second.close())).toBe('EBADF');
    expect(mock.counters).toEqual(none);
  });
});

describe('a descriptor', () => {
  it('is the lowest free one, above those of the process', async () => {
    const mock = oneCard();
    const [a, b] = [await mock.open(slave), await mock.open(slave)];
    expect([a.fd, b.fd]).toEqual([4096, 4097]);
    await a.close();
    const c = await mock.open(slave);
    expect(c.fd).toBe(4096);
    await b.close();
    await c.close();
  });
});

describe('the log of the driver', () => {
  it('has slice errors with their value, and the newest 1000 lines', () => {
    const mock = oneCard();
    mock.card(0).afu(0).sliceError(0x12n);
    expect(mock.log.slice(-2)).toEqual([
      'afu0.0: PSL Slice error received. Check AFU for root cause.',
      'afu0.0: PSL_SERR_An: 0x0000000000000012',
    ]);
    const before = mock.log.length;
    expect(mock.log[0]).toBe('afu0.0: Activating AFU directed mode');
    while (mock.log.length < 1000) mock.card(0).afu(0).sliceError(0n);
    expect(before).toBeLessThan(1000);
    mock.card(0).afu(0).sliceError(0x34n);
    expect(mock.log).toHaveLength(1000);
    expect(mock.log.at(-1)).toBe('afu0.0: PSL_SERR_An: 0x0000000000000034');
  });
});

describe('closing', () => {
  it('detaches: the process element and the interrupts are free again', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    context.mapProblemState();
    await context.close();
    await context.close();
    expect(mock.counters).toEqual(none);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });
});
