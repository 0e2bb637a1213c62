import type { FlashContext, Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { codeOf, inject, testTarget } from './flash-target';

/** What the driver and the adapter have. */
const MAX_CONTEXTS = 512;
const INTERRUPTS = 2037;
const TIMEOUT = 120_000;

describe('what there is no more of', { timeout: TIMEOUT }, () => {
  const target = testTarget();
  let lun: Lun;
  let contexts: FlashContext[];

  beforeEach(async () => {
    lun = await target.lun();
    contexts = [];
  });

  async function attach(options = {}): Promise<FlashContext> {
    const context = await target.attach(lun, options);
    contexts.push(context);
    return context;
  }

  it('is EMFILE: handles of virtual LUNs, as many as entries in a page', async () => {
    const context = await attach();
    const contextId = context.id;
    const entries = target.system.pageSize / 16;
    const first = await context.openVirtual();
    for (let i = 1; i < entries; i += 1) {
      await lun.call('USER_VIRTUAL', { contextId, lunSize: 0n });
    }
    expect(await codeOf(context.openVirtual())).toBe('EMFILE');
    await first.release();
    expect((await context.openVirtual()).handle).toBe(0);
  });

  it('is ENODEV: contexts; and one that waits for its recovery keeps its place', async () => {
    // Two interrupts each is what the AFU asks for, and leaves enough of those.
    while (contexts.length < MAX_CONTEXTS) await attach({ interrupts: 2 });
    expect(await codeOf(lun.attach({ interrupts: 2 }))).toBe('ENODEV');
    const [first, second] = contexts as [FlashContext, FlashContext];
    inject(first, 'errorState', 5);
    expect(await codeOf(first.recover())).toBe('ENODEV');
    await second.close();
    expect((await first.recover()).reset).toBe(true);
    // The descriptor that the recovery replaced gave its context back.
    const other = await lun.attach({ interrupts: 2 });
    expect(other.isHealthy()).toBe(true);
    await other.close();
  });

  it('is ENOSPC: interrupts', async () => {
    const most = Math.floor(INTERRUPTS / 4);
    while (contexts.length < most) await attach({ interrupts: 4 });
    expect(await codeOf(lun.attach({ interrupts: 4 }))).toBe('ENOSPC');
    await contexts[0]?.close();
    expect(await codeOf(attach({ interrupts: 4 }))).toBe('resolved');
  });

  it('is ENODEV: a capacity, while none is known and none can be read', async () => {
    const small = await target.lun(2);
    const context = await attach();
    await context.join(small);
    const resource = await context.openDirect(small);
    // One block has the last LBA 0, which the driver takes for none known.
    const attention = new Uint8Array(18);
    attention.set([0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a]);
    inject(context, 'capacity', 2, 1n);
    await resource.verify(attention);
    expect(resource.blocks).toBe(1n);
    inject(context, 'unreadable', 2, 1n);
    expect(await codeOf(small.attach())).toBe('ENODEV');
    inject(context, 'unreadable', 2, 0n);
    inject(context, 'capacity', 2, 1000n);
    const second = await small.attach();
    expect(second.geometry().blocks).toBe(1000n);
    await second.close();
  });
});
