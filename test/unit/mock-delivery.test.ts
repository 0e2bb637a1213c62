import { describe, expect, it } from 'vitest';
import {
  attached,
  codeOf,
  inKernel,
  oneCard,
  readEvent,
  slave,
  sleep,
  thrownCode,
} from './mock-support';

const EIO = -5;
const EAGAIN = -11;
const EFAULT = -14;
const EINVAL = -22;

describe('delivery of events by read() and poll()', () => {
  it('delivers an interrupt raised twice before it is read once', () => {
    const context = inKernel(oneCard());
    context.context.process!.raiseInterrupt(2);
    context.context.process!.raiseInterrupt(2);
    expect(readEvent(context)).toMatchObject({ answer: 16, type: 1, size: 16, irq: 2 });
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('delivers it again when it is raised after it was read', () => {
    const context = inKernel(oneCard());
    context.context.process!.raiseInterrupt(2);
    expect(readEvent(context).irq).toBe(2);
    context.context.process!.raiseInterrupt(2);
    expect(readEvent(context).irq).toBe(2);
  });

  it('delivers the lowest interrupt first, whatever order they came in', () => {
    const context = inKernel(oneCard());
    for (const irq of [4, 1, 3]) context.context.process!.raiseInterrupt(irq);
    expect([0, 0, 0].map(() => readEvent(context).irq)).toEqual([1, 3, 4]);
  });

  it('returns one event per read, a driver event before interrupts, faults and errors', () => {
    const context = inKernel(oneCard());
    context.setDriverOps({ fetchEvent: () => new Uint8Array(4), eventDelivered: () => undefined });
    context.context.afuError(0xeen);
    context.context.dataStorageFault(0xd5n, 0n);
    context.context.process!.raiseInterrupt(4);
    context.context.process!.raiseInterrupt(1);
    context.eventsPending(1);
    const events = Array.from({ length: 5 }, () => readEvent(context));
    expect(events.map(({ type }) => type)).toEqual([4, 1, 1, 2, 3]);
    expect(events.map(({ size }) => size)).toEqual([12, 16, 16, 40, 24]);
    expect(events.map(({ answer }) => answer)).toEqual([12, 16, 16, 40, 24]);
  });

  it('overwrites the address of an unread data storage fault', () => {
    const context = inKernel(oneCard());
    context.context.dataStorageFault(0x1000n, 1n);
    context.context.dataStorageFault(0x2000n, 2n);
    expect(readEvent(context)).toMatchObject({ type: 2, value: 0x2000n });
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('drops and logs an AFU error while one is unread', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.afuError(0x11n);
    context.context.afuError(0x22n);
    expect(readEvent(context)).toMatchObject({ type: 3, value: 0x11n });
    expect(readEvent(context).answer).toBe(EAGAIN);
    expect(mock.log.at(-1)).toBe('afu0.0: CXL AFU Error undelivered to pe 0: 0x0000000000000022');
    context.context.afuError(0x33n);
    expect(readEvent(context).value).toBe(0x33n);
  });

  it('refuses a buffer under 4096 bytes and keeps the event', () => {
    const context = inKernel(oneCard());
    context.context.process!.raiseInterrupt(1);
    expect(readEvent(context, 4095).answer).toBe(EINVAL);
    expect(readEvent(context, 4096).answer).toBe(16);
  });

  it('is EAGAIN and not ready while nothing is pending', () => {
    const context = inKernel(oneCard());
    expect(readEvent(context).answer).toBe(EAGAIN);
    expect(context.context.poll()).toEqual({ readable: false, error: false });
  });

  it('returns after a detach what was pending, and then EIO', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.dataStorageFault(0x1000n, 0n);
    mock.card(0).afu(0).detachAll();
    expect(context.context.poll()).toEqual({ readable: true, error: false });
    expect(readEvent(context).type).toBe(2);
    expect(context.context.poll()).toEqual({ readable: false, error: true });
    expect(readEvent(context).answer).toBe(EIO);
  });

  it('reports pending interrupts of a detached context as one interrupt 1, as the driver does', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.process!.raiseInterrupt(3);
    context.context.process!.raiseInterrupt(4);
    mock.card(0).afu(0).detachAll();
    expect(readEvent(context).irq).toBe(1);
    expect(readEvent(context).answer).toBe(EIO);
  });

  it('is EIO while the link is down, and returns what is pending once it is up again', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.afuError(7n);
    mock.card(0).freeze();
    expect(readEvent(context).answer).toBe(EIO);
    mock.card(0).recover();
    expect(readEvent(context)).toMatchObject({ type: 3, value: 7n });
    expect(readEvent(context).answer).toBe(EIO);
  });

  it('loses an event that cannot be copied to the reader: EFAULT', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.process!.raiseInterrupt(1);
    mock.inject({ name: 'copy' });
    expect(readEvent(context).answer).toBe(EFAULT);
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('puts the driver’s index of the process element into every header', () => {
    const mock = oneCard();
    inKernel(mock);
    const second = inKernel(mock);
    second.context.process!.raiseInterrupt(1);
    expect(readEvent(second).processElement).toBe(1);
  });
});

describe('an injected event', () => {
  it('is read before the others, unchanged', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const device = mock.card(0).afu(0).context(0);
    device.raiseInterrupt(1);
    const bytes = Uint8Array.of(99, 0, 12, 0, 0, 0, 0, 0, 1, 2, 3, 4);
    device.injectEvent(bytes);
    bytes.fill(0);
    expect(await context.waitForEvent()).toMatchObject({
      type: 'unknown',
      rawType: 99,
      data: Uint8Array.of(1, 2, 3, 4),
    });
    expect((await context.waitForEvent()).type).toBe('afu-interrupt');
    expect(thrownCode(() => device.injectEvent(new Uint8Array(4097)))).toBe('ERR_OUT_OF_RANGE');
    await context.close();
  });
});

describe('delivery of events, to a program', () => {
  it('delivers all that is pending, in order, and never synchronously', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const afu = mock.card(0).afu(0);
    afu.afuError(0, 5n);
    afu.raiseInterrupt(0, 3, 1);
    const seen: string[] = [];
    const first = context.waitForEvent().then((event) => seen.push(event.type));
    expect(seen).toEqual([]);
    await first;
    for (let count = 0; count < 2; count++) seen.push((await context.waitForEvent()).type);
    expect(seen).toEqual(['afu-interrupt', 'afu-interrupt', 'afu-error']);
    await context.close();
  });

  it('wakes a wait when the event comes', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const wait = context.waitForInterrupt(2);
    await sleep(5);
    mock.card(0).afu(0).raiseInterrupt(0, 2);
    expect(await wait).toBe(undefined);
    await context.close();
  });

  it('wakes a wait by whatever comes: a fault, an AFU error, bytes, or an event of a driver', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    kernel.setDriverOps({ fetchEvent: () => new Uint8Array(4), eventDelivered: () => undefined });
    const context = mock.adopt(kernel.getFd(), { owned: true });
    const device = mock.card(0).afu(0).context(0);
    for (const [type, cause] of [
      ['data-storage', () => device.dataStorageFault(0x1000n)],
      ['afu-error', () => device.afuError(1n)],
      ['unknown', () => device.injectEvent(Uint8Array.of(99, 0, 8, 0, 0, 0, 0, 0))],
      ['afu-driver', () => kernel.eventsPending(1)],
    ] as const) {
      // Without a time-out, at whose end the event would be found too.
      const wait = context.waitForEvent();
      await sleep(1);
      cause();
      expect((await wait).type).toBe(type);
    }
    await context.close();
  });

  it('ends a wait with EIO when the context is detached', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const wait = codeOf(context.waitForEvent());
    mock.card(0).afu(0).detachAll();
    expect(await wait).toBe('EIO');
    await context.close();
  });

  it('does not wake a context that was opened but never started', async () => {
    const mock = oneCard();
    const opened = await mock.open(slave);
    const again = mock.adopt(opened.fd);
    const binding = mock as unknown as {
      binding: { adoptAfu(fd: number, owned: boolean): ArmableFile };
    };
    const file = binding.binding.adoptAfu(opened.fd, false);
    let woken = false;
    file.onEvents(() => {
      woken = true;
    });
    file.arm();
    mock.card(0).afu(0).detachAll();
    await sleep(30);
    expect(woken).toBe(false);
    expect(mock.card(0).afu(0).context(0).status).toBe('CLOSED');
    file.disarm();
    await again.close();
    await opened.close();
  });
});

interface ArmableFile {
  onEvents(sink: () => void): void;
  arm(): void;
  disarm(): void;
}
