import { type FlashContext, openLun } from 'node-cxl/flash';
import { createMockCxl, type KernelContext, type MockCxl } from 'node-cxl/mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { codeOf, inject } from '../conformance/flash-target';

const SIZE = 4096;

/** An AFU driver of the flash AFU that delivers events of one 16-bit word. */
function driver(context: KernelContext) {
  const queue: number[] = [];
  const delivered: number[] = [];
  context.setDriverOps({
    fetchEvent: () => {
      const word = queue.shift();
      return word === undefined ? null : Uint8Array.of(word >> 8, word & 0xff);
    },
    eventDelivered: (_context, _event, result) => delivered.push(result),
  });
  return {
    delivered,
    announce(...words: number[]) {
      queue.push(...words);
      context.eventsPending(words.length);
    },
  };
}

const word = (data: Uint8Array) => new DataView(data.buffer, data.byteOffset).getUint16(0);

describe('an AFU driver’s events on a flash context', () => {
  let system: MockCxl;
  let context: FlashContext;

  beforeEach(async () => {
    system = createMockCxl({ cards: [], flash: [{}] });
    const lun = await openLun('/dev/sg1', { system });
    await lun.enableSuperpipe();
    context = await lun.attach();
  });

  const kernelSide = () => system.flash.adapters[0]?.kernelContext(context.id) as KernelContext;

  it('are delivered to its cxl context, decoded, along with the AFU’s interrupts', async () => {
    const own = driver(kernelSide());
    const plain = context.context.decodeDriverEvents(word);
    own.announce(0x1234);
    const { processElement } = context.context;
    expect(await plain.waitForEvent()).toMatchObject({
      type: 'afu-driver',
      processElement,
      decoded: 0x1234,
    });
    expect(own.delivered).toEqual([0]);
    await (await context.openDirect()).blockDevice().read(0, 1);
    own.announce(7);
    expect(await plain.waitForEvent()).toMatchObject({ type: 'afu-driver', decoded: 7 });
  });

  it('stay pending for the program while the queue waits for interrupts', async () => {
    const own = driver(kernelSide());
    const device = (await context.openDirect()).blockDevice();
    inject(context, 'hold', 1);
    const reads = [...Array(8).keys()].map((i) => device.read(i, 1));
    own.announce(1, 2, 3);
    // The queue is the only reader at this time.
    expect(await codeOf(context.context.waitForEvent())).toBe('ERR_INVALID_STATE');
    inject(context, 'hold', 0);
    await Promise.all(reads);
    await device.drained();
    const plain = context.context.decodeDriverEvents(word);
    const words: number[] = [];
    for (const _ of [1, 2, 3]) {
      const event = await plain.waitForEvent({ timeout: 10_000 });
      words.push(event.type === 'afu-driver' ? event.decoded : 0);
    }
    expect(words).toEqual([1, 2, 3]);
    await device.write(0, new Uint8Array(SIZE));
  });

  it('are delivered to the new context after a recovery, once the driver has registered there', async () => {
    const before = context.id;
    const { context: old } = context;
    driver(kernelSide());
    inject(context, 'errorState', 5);
    expect(() => kernelSide()).toThrow(/no flash context/);
    await context.recover();
    expect(() => system.flash.adapters[0]?.kernelContext(before)).toThrow(/no flash context/);
    const own = driver(kernelSide());
    own.announce(9);
    const event = await context.context.decodeDriverEvents(word).waitForEvent();
    expect(event).toMatchObject({ type: 'afu-driver', decoded: 9 });
    expect(context.context).not.toBe(old);
    await context.close();
    expect(system.counters.contexts).toBe(0);
  });
});
