import { createMockCxl, type KernelContext, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, codeOf, inKernel, oneCard, readEvent, thrownCode } from './mock-support';

const EEXIST = -17;
const EFAULT = -14;
const EINVAL = -22;
const EAGAIN = -11;

type Delivery = [size: number | null, result: number];

/** An in-kernel driver with a queue of events, which records the result of each delivery. */
function driver(context: KernelContext) {
  const queue: (Uint8Array | null)[] = [];
  const deliveries: Delivery[] = [];
  let fetched = 0;
  context.setDriverOps({
    fetchEvent: () => {
      fetched += 1;
      return queue.shift() ?? null;
    },
    eventDelivered: (_, event, result) => deliveries.push([event?.length ?? null, result]),
  });
  return {
    queue,
    deliveries,
    get fetched() {
      return fetched;
    },
    announce(...events: (Uint8Array | null)[]) {
      queue.push(...events);
      context.eventsPending(events.length);
    },
  };
}

describe('AFU-driver events, from the in-kernel driver’s side', () => {
  it('need both callbacks', () => {
    const context = inKernel(oneCard());
    const fetchEvent = () => null;
    const eventDelivered = () => undefined;
    const set = (ops: object) => thrownCode(() => context.setDriverOps(ops as never));
    expect(set({ fetchEvent })).toBe('ERR_INVALID_ARG_TYPE');
    expect(set({ eventDelivered })).toBe('ERR_INVALID_ARG_TYPE');
    expect(set({ fetchEvent, eventDelivered })).toBe(undefined);
  });

  it('get a header, and their delivery is reported', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(Uint8Array.of(1, 2, 3, 4));
    const event = readEvent(context);
    expect(event).toMatchObject({ answer: 12, type: 4, size: 12, processElement: 0 });
    expect([...event.data]).toEqual([1, 2, 3, 4]);
    expect(own.deliveries).toEqual([[4, 0]]);
  });

  it('are fetched as often as announced, and no more', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(new Uint8Array(1), new Uint8Array(2));
    own.queue.push(new Uint8Array(3));
    expect(readEvent(context).answer).toBe(9);
    expect(readEvent(context).answer).toBe(10);
    expect(readEvent(context).answer).toBe(EAGAIN);
    expect(own.fetched).toBe(2);
  });

  it('name their context: one object of operations serves many', () => {
    const mock = oneCard();
    const [a, b] = [inKernel(mock), inKernel(mock)];
    /** An AFU driver with the events of all its contexts. */
    const operations = {
      events: new Map<KernelContext, number[]>([
        [a, [10, 11]],
        [b, [20]],
      ]),
      delivered: [] as [KernelContext, number | undefined, number][],
      fetchEvent(context: KernelContext) {
        const next = this.events.get(context)?.shift();
        return next === undefined ? null : Uint8Array.of(next);
      },
      eventDelivered(context: KernelContext, event: Uint8Array | null, result: number) {
        this.delivered.push([context, event?.[0], result]);
      },
    };
    for (const context of [a, b]) context.setDriverOps(operations);
    a.eventsPending(2);
    b.eventsPending(2);
    expect([b, a, a].map((context) => [...readEvent(context).data])).toEqual([[20], [10], [11]]);
    expect(readEvent(b).answer).toBe(EFAULT);
    expect(operations.delivered).toEqual([
      [b, 20, 0],
      [a, 10, 0],
      [a, 11, 0],
      [b, undefined, EINVAL],
    ]);
    expect(operations.delivered.map(([context]) => context === a)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it('add up when announced several times', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(new Uint8Array(1));
    own.announce(new Uint8Array(1));
    expect(readEvent(context).answer).toBe(9);
    expect(readEvent(context).answer).toBe(9);
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('are no longer counted once callbacks are set again', () => {
    const context = inKernel(oneCard());
    driver(context).announce(new Uint8Array(1));
    const second = driver(context);
    expect(readEvent(context).answer).toBe(EAGAIN);
    expect(second.fetched).toBe(0);
  });

  it('are not fetched to find out whether one is pending', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    context.context.process!.raiseInterrupt(1);
    expect(context.context.poll().readable).toBe(true);
    expect(readEvent(context).type).toBe(1);
    own.announce(new Uint8Array(1));
    expect(context.context.poll().readable).toBe(true);
    expect(own.fetched).toBe(0);
  });

  it('are none without the callbacks', () => {
    const context = inKernel(oneCard());
    context.eventsPending(1);
    expect(context.context.poll().readable).toBe(false);
    expect(readEvent(context).answer).toBe(EAGAIN);
    const own = driver(context);
    expect(readEvent(context).answer).toBe(EAGAIN);
    expect(own.fetched).toBe(0);
  });

  it('are read before other events', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    context.context.process!.raiseInterrupt(1);
    own.announce(new Uint8Array(1));
    expect([readEvent(context).type, readEvent(context).type]).toEqual([4, 1]);
  });

  it('that are null are reported with -EINVAL, are counted, and fail the read with EFAULT', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(null, new Uint8Array(2));
    expect(readEvent(context).answer).toBe(EFAULT);
    expect(own.deliveries).toEqual([[null, EINVAL]]);
    expect(readEvent(context).answer).toBe(10);
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('have at most 4096 bytes with their header', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(new Uint8Array(4088), new Uint8Array(4089));
    expect(readEvent(context)).toMatchObject({ answer: 4096, size: 4096 });
    expect(readEvent(context).answer).toBe(EFAULT);
    expect(own.deliveries).toEqual([
      [4088, 0],
      [4089, EINVAL],
    ]);
  });

  it('may have no data', () => {
    const context = inKernel(oneCard());
    const own = driver(context);
    own.announce(new Uint8Array(0));
    expect(readEvent(context)).toMatchObject({ answer: 8, type: 4, size: 8 });
    expect(own.deliveries).toEqual([[0, 0]]);
  });

  it('are reported with -EFAULT when the copy fails', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    const own = driver(context);
    own.announce(new Uint8Array(4));
    mock.inject({ name: 'copy' });
    expect(readEvent(context).answer).toBe(EFAULT);
    expect(own.deliveries).toEqual([[4, EFAULT]]);
    expect(readEvent(context).answer).toBe(EAGAIN);
  });

  it('are read after a detach, and then EIO', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    const own = driver(context);
    own.announce(new Uint8Array(1));
    mock.card(0).afu(0).detachAll();
    expect(readEvent(context).type).toBe(4);
    expect(readEvent(context).answer).toBe(-5);
  });

  it('do not exist on a context opened by its device node', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    expect('setDriverOps' in mock.card(0).afu(0).context(0)).toBe(false);
    mock.card(0).afu(0).raiseInterrupt(0, 1);
    expect((await context.waitForEvent()).type).toBe('afu-interrupt');
    await context.close();
  });

  it('exist from API version 2 on', () => {
    const ops = { fetchEvent: () => null, eventDelivered: () => undefined };
    const presented = ([1, 2, 3] as const).map((apiVersion) => {
      const mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu(), apiVersion }] }] });
      return thrownCode(() => mock.card(0).afu(0).createKernelContext().setDriverOps(ops));
    });
    expect(presented).toEqual(['ERR_INVALID_STATE', undefined, undefined]);
  });
});

describe('a descriptor from an in-kernel driver', () => {
  it('delivers the driver’s events to the program, decoded by the driver’s library', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const own = driver(kernel);
    const context = mock
      .adopt(kernel.getFd(), { owned: true })
      .decodeDriverEvents((data) => ({ first: data[0] }));
    const wait = context.waitForEvent();
    own.announce(Uint8Array.of(42, 0, 0, 0));
    const event = await wait;
    expect(event).toMatchObject({ type: 'afu-driver', processElement: 0, decoded: { first: 42 } });
    expect(own.deliveries).toEqual([[4, 0]]);
    await context.close();
    expect(mock.counters).toEqual({ files: 0, mappings: 0, bytes: 0, contexts: 0 });
  });

  it('fails the program’s read with EFAULT and then delivers the next event', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const own = driver(kernel);
    const context = mock.adopt(kernel.getFd(), { owned: true });
    own.announce(null);
    expect(await codeOf(context.waitForEvent())).toBe('EFAULT');
    own.announce(new Uint8Array(4));
    expect((await context.waitForEvent()).type).toBe('afu-driver');
    await context.close();
  });

  it('keeps two drivers’ events apart by their descriptors', async () => {
    const mock = oneCard();
    const [first, second] = [inKernel(mock), inKernel(mock)];
    const [ownFirst, ownSecond] = [driver(first), driver(second)];
    const a = mock.adopt(first.getFd(), { owned: true }).decodeDriverEvents(() => 'first');
    const b = mock.adopt(second.getFd(), { owned: true }).decodeDriverEvents(() => 'second');
    ownFirst.announce(new Uint8Array(1));
    ownSecond.announce(new Uint8Array(1));
    const [one, two] = await Promise.all([a.waitForEvent(), b.waitForEvent()]);
    expect([one, two].map((event) => 'decoded' in event && event.decoded)).toEqual([
      'first',
      'second',
    ]);
    await a.close();
    await b.close();
  });

  it('is given once per context', () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    expect(kernel.getFd()).toBeGreaterThan(2);
    expect(kernel.getFd()).toBe(EEXIST);
  });

  it('can be mapped and identified as one of a device node', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const context = mock.adopt(kernel.getFd(), { owned: true });
    expect(context.afuId()).toEqual({
      slave: true,
      adapterNumber: 0,
      slice: 0,
      mode: 'afu_directed',
    });
    expect(context.name).toBe('afu0.0s');
    expect((await context.afu()).name).toBe('afu0.0');
    const registers = context.mapProblemState();
    expect(registers.read64(8)).toBe(0n);
    await context.close();
    expect(kernel.status).toBe('CLOSED');
  });

  it('has no name when the driver does not identify it, and afu() says why', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    mock.inject({ name: 'afu-id', errno: 'ENOTTY' });
    const context = mock.adopt(kernel.getFd(), { owned: true });
    expect(context.name).toBeUndefined();
    mock.inject({ name: 'afu-id', errno: 'ENOTTY' });
    expect(await codeOf(context.afu())).toBe('ENOTTY');
    expect((await context.afu()).name).toBe('afu0.0');
    await context.close();
  });

  it('stays open when the program that adopted it does not own it', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const context = mock.adopt(kernel.getFd());
    await context.close();
    expect(kernel.status).toBe('STARTED');
    expect(mock.counters.files).toBe(1);
  });
});

describe('20,000 AFU-driver events that a wait for an interrupt passes over', () => {
  it('are bounded, and cost later waits nothing', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const own = driver(kernel);
    const context = mock.adopt(kernel.getFd(), { owned: true });
    const interrupt = () => kernel.context.process!.raiseInterrupt(1);
    const wait = context.waitForInterrupt(1);
    for (let n = 0; n < 20_000; n += 100) {
      own.announce(...Array.from({ length: 100 }, (_, i) => Uint8Array.of((n + i) >> 8, n + i)));
      while (own.queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    interrupt();
    await wait;
    // A batch that comes while none are pending may be longer than the bound.
    expect(context.droppedEvents).toBeGreaterThan(20_000 - 1024 - 100);
    const cost = async (raise: () => void, of: typeof context) => {
      const start = performance.now();
      for (let n = 0; n < 50; n += 1) {
        raise();
        await of.waitForInterrupt(1);
      }
      return performance.now() - start;
    };
    const other = inKernel(mock);
    const idle = mock.adopt(other.getFd(), { owned: true });
    // The best of some rounds, by turns with those of a context where nothing is pending.
    let [best, without] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let round = 0; round < 8; round += 1) {
      best = Math.min(best, await cost(interrupt, context));
      const raise = () => other.context.process!.raiseInterrupt(1);
      without = Math.min(without, await cost(raise, idle));
    }
    expect(best).toBeLessThan(5 * without);
    await idle.close();
    const first = await context.waitForEvent({ types: ['afu-driver'] });
    expect([...first.data]).toEqual([0, 0]);
    let left = 1;
    while (context.takeEvent() !== undefined) left += 1;
    expect(left).toBe(20_000 - context.droppedEvents);
    await context.close();
  });
});
