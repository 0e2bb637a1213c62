import type { FlashContext, Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { codeOf, inject, testTarget } from './flash-target';

/** Limits of the driver and the adapter. */
const MAX_CONTEXTS = 512;
const INTERRUPTS = 2037;
const TIMEOUT = 120_000;

describe('an exhausted limit', { timeout: TIMEOUT }, () => {
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

  it('is EMFILE for handles of virtual LUNs: as many as a page has entries', async () => {
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

  it('is ENODEV for contexts; one that waits for its recovery still counts', async () => {
    // Two interrupts each is the AFU's minimum, so that interrupts are not the limit.
    while (contexts.length < MAX_CONTEXTS) await attach({ interrupts: 2 });
    expect(await codeOf(lun.attach({ interrupts: 2 }))).toBe('ENODEV');
    const [first, second] = contexts as [FlashContext, FlashContext];
    inject(first, 'errorState', 5);
    expect(await codeOf(first.recover())).toBe('ENODEV');
    await second.close();
    expect((await first.recover()).reset).toBe(true);
    // Closing the descriptor that the recovery replaced has freed its context.
    const other = await lun.attach({ interrupts: 2 });
    expect(other.isHealthy()).toBe(true);
    await other.close();
  });

  it('is ENOSPC for interrupts', async () => {
    const most = Math.floor(INTERRUPTS / 4);
    while (contexts.length < most) await attach({ interrupts: 4 });
    expect(await codeOf(lun.attach({ interrupts: 4 }))).toBe('ENOSPC');
    await contexts[0]?.close();
    expect(await codeOf(attach({ interrupts: 4 }))).toBe('resolved');
  });

  // init_luntable(): a place of the LUN table is never given back.
  it('is ENOSPC for places of the LUN table, one for each time that a LUN is made virtual', async () => {
    const single = await target.lun(3);
    let used = 0;
    for (;;) {
      const context = await single.attach();
      const code = await codeOf(context.openVirtual());
      await context.close();
      if (code !== 'resolved') {
        expect(code).toBe('ENOSPC');
        break;
      }
      used += 1;
      await single.disableSuperpipe();
      await single.enableSuperpipe();
    }
    // Places of the first port are used up for LUNs on both ports too; direct LUNs need none.
    expect(used).toBeGreaterThan(200);
    expect(used).toBeLessThanOrEqual(255);
    const context = await attach();
    expect(await codeOf(context.openVirtual())).toBe('ENOSPC');
    expect(await codeOf(context.openDirect())).toBe('resolved');
    await context.close();
    await target.close();
    target.rebind();
  });

  it('is ENODEV for a capacity that is unknown and cannot be read', async () => {
    const small = await target.lun(2);
    const context = await attach();
    await context.join(small);
    const resource = await context.openDirect(small);
    // The last LBA of one block is 0, which means unknown to the driver.
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
