import type { FlashContext, Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, codeOf, inject, testTarget } from './flash-target';

// EAGAIN: the AFU did not take a changed table in time, or closed a context during the ioctl.
describe('a slow AFU', () => {
  const target = testTarget();
  let lun: Lun;
  let context: FlashContext;

  beforeEach(async () => {
    lun = await target.lun();
    context = await target.attach(lun);
  });

  /** The next `count` AFU syncs time out. */
  const slow = (count: number) => inject(context, 'slowSync', 0, 0n, count);

  it('makes USER_DIRECT EAGAIN without effect; openDirect() retries', async () => {
    const contextId = context.id;
    // A second sync removes the handle again.
    slow(2);
    await expect(lun.call('USER_DIRECT', { contextId })).rejects.toMatchObject({
      code: 'EAGAIN',
      message: expect.stringContaining('slow to take the changed table'),
    });
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun.enableSuperpipe();
    slow(5);
    expect((await context.openDirect()).handle).toBe(0);
  });

  it('makes USER_VIRTUAL EAGAIN; openVirtual() retries', async () => {
    const contextId = context.id;
    slow(1);
    const call = lun.call('USER_VIRTUAL', { contextId, lunSize: 0n });
    expect(await codeOf(call)).toBe('EAGAIN');
    slow(3);
    const resource = await context.openVirtual({ blocks: CHUNK });
    expect([resource.handle, resource.blocks]).toEqual([0, CHUNK]);
  });

  it('makes VLUN_RESIZE EAGAIN, growing, shrinking or neither; resize() retries', async () => {
    const resource = await context.openVirtual({ blocks: CHUNK });
    const rsrcHandle = BigInt(resource.handle);
    const contextId = context.id;
    const resize = (reqSize: bigint) => lun.call('VLUN_RESIZE', { contextId, rsrcHandle, reqSize });
    for (const chunks of [2n, 1n, 1n]) {
      slow(1);
      expect(await codeOf(resize(chunks * CHUNK))).toBe('EAGAIN');
      expect((await resize(chunks * CHUNK)).lastLba).toBe(chunks * CHUNK - 1n);
    }
    slow(3);
    const resized = await resource.resize(2n * CHUNK);
    expect(resized).toEqual({ blocks: 2n * CHUNK, truncated: false, retries: 3 });
  });

  it('makes RELEASE of a virtual LUN EAGAIN, and its handle stays; release() retries', async () => {
    const first = await context.openVirtual({ blocks: CHUNK });
    const contextId = context.id;
    const rsrcHandle = BigInt(first.handle);
    slow(1);
    expect(await codeOf(lun.call('RELEASE', { contextId, rsrcHandle }))).toBe('EAGAIN');
    expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
    slow(3);
    await first.release();
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun.enableSuperpipe();
  });

  it('does not affect RELEASE of a direct LUN', async () => {
    const resource = await context.openDirect();
    slow(1);
    const rsrcHandle = BigInt(resource.handle);
    const call = lun.call('RELEASE', { contextId: context.id, rsrcHandle });
    expect(await codeOf(call)).toBe('resolved');
  });

  it('does not prevent that close() and detach() free virtual LUNs', async () => {
    const other = await target.lun(1);
    await context.join(other);
    const kept = await context.openVirtual({ lun });
    await context.openVirtual({ lun: other, blocks: 1 });
    slow(3);
    await context.detach(other);
    expect(await codeOf(other.disableSuperpipe())).toBe('resolved');
    expect(kept.released).toBe(false);
    await kept.resize(CHUNK);
    slow(3);
    await context.close();
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun.enableSuperpipe();
    context = await target.attach(lun);
    expect((await context.openVirtual({ blocks: 4n * CHUNK })).blocks).toBe(4n * CHUNK);
  });

  it('makes ATTACH EAGAIN when the AFU closes the context; attach() retries', async () => {
    inject(context, 'closedContext', 0, 0n, 1);
    expect(await codeOf(lun.call('ATTACH', { numInterrupts: 4n, flags: 2n }))).toBe('EAGAIN');
    inject(context, 'closedContext', 0, 0n, 3);
    const second = await lun.attach();
    expect(second.isHealthy()).toBe(true);
    await second.close();
  });

  it('makes RECOVER_AFU EAGAIN too; recover() retries and counts', async () => {
    const device = (await context.openVirtual({ blocks: 1 })).blockDevice();
    await device.write(3, new Uint8Array(4096).fill(3));
    const { id } = context;
    inject(context, 'closedContext', 0, 0n, 4);
    inject(context, 'errorState', 5);
    expect(await codeOf(lun.call('RECOVER_AFU', { contextId: id }))).toBe('EAGAIN');
    expect(await context.recover()).toMatchObject({ reset: true, previousId: id, retries: 3 });
    expect((await device.read(3, 1))[0]).toBe(3);
  });
});
