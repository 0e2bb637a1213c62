import type { FlashContext, Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CHUNK, codeOf, inject, testTarget } from './flash-target';

/** More AFU syncs than a call is tried. */
const ALL_TRIES = 21;

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

  // cxlflash_disk_virtual_open() in vlun.c: the chunks stay with the entry of the handle table, and
  // when nobody else uses the LUN its bit map is freed, in which they were allocated.
  it('lets USER_VIRTUAL forget chunks that a handle has; those of openVirtual() are its own', async () => {
    const contextId = context.id;
    const raw = () => lun.call('USER_VIRTUAL', { contextId, lunSize: CHUNK });
    slow(1);
    expect(await codeOf(raw())).toBe('EAGAIN');
    const { rsrcHandle } = await raw();
    const other = await (await target.attach(lun)).openVirtual({ blocks: 4n * CHUNK });
    // The raw handle's chunk and one of `other` are the same: there are four.
    expect(other.blocks).toBe(4n * CHUNK);
    await other.release();
    await lun.call('RELEASE', { contextId, rsrcHandle });

    slow(1);
    const resource = await context.openVirtual({ blocks: CHUNK });
    expect((await resource.resize(2n * CHUNK)).blocks).toBe(2n * CHUNK);
    const next = await (await target.attach(lun)).openVirtual({ blocks: 4n * CHUNK });
    expect(next.blocks).toBe(2n * CHUNK);
    const [first, second] = [resource.blockDevice(), next.blockDevice()];
    const places = [
      { device: first, lba: 5n },
      { device: first, lba: CHUNK + 5n },
      { device: second, lba: 5n },
      { device: second, lba: CHUNK + 5n },
    ];
    for (const [i, { device, lba }] of places.entries()) {
      await device.write(lba, new Uint8Array(4096).fill(i + 1));
    }
    const found = await Promise.all(places.map(({ device, lba }) => device.read(lba, 1)));
    expect(found.map((bytes) => bytes[0])).toEqual([1, 2, 3, 4]);
  });

  it('leaves nothing of an openVirtual() that fails', async () => {
    slow(ALL_TRIES + 1);
    expect(await codeOf(context.openVirtual({ blocks: CHUNK }))).toBe('EAGAIN');
    slow(0);
    const full = await context.openVirtual({ blocks: 4n * CHUNK });
    expect([full.handle, full.blocks]).toEqual([0, 4n * CHUNK]);
    expect(await codeOf(context.openVirtual({ blocks: 1 }))).toBe('ENOSPC');
    expect((await context.openVirtual()).handle).toBe(1);
  });

  it('leaves the handle of an openVirtual() to close() when it cannot be released', async () => {
    const call = lun.call.bind(lun);
    const failing = vi.spyOn(lun, 'call').mockImplementation((...request) => {
      // One sync is that of the empty LUN; what follows is too slow.
      if (request[0] === 'VLUN_RESIZE') slow(64);
      return call(...request);
    });
    expect(await codeOf(context.openVirtual({ blocks: CHUNK }))).toBe('EAGAIN');
    failing.mockRestore();
    slow(0);
    await context.close();
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun.enableSuperpipe();
  });

  it('makes resize() fail though the size has changed: blocks is the new one', async () => {
    const resource = await context.openVirtual({ blocks: CHUNK });
    const device = resource.blockDevice();
    slow(ALL_TRIES);
    expect(await codeOf(resource.resize(2n * CHUNK))).toBe('EAGAIN');
    expect(resource.blocks).toBe(2n * CHUNK);
    await device.write(CHUNK, new Uint8Array(4096).fill(9));
    expect((await device.read(CHUNK, 1))[0]).toBe(9);
    slow(ALL_TRIES);
    expect(await codeOf(resource.resize(CHUNK))).toBe('EAGAIN');
    expect(resource.blocks).toBe(CHUNK);
    expect(await codeOf(Promise.resolve().then(() => device.read(CHUNK, 1)))).toBe(
      'ERR_OUT_OF_RANGE',
    );
    expect(await resource.resize(CHUNK)).toMatchObject({ blocks: CHUNK, retries: 0 });
  });

  it('has resize() take the smaller size when VERIFY fails as well, until the next call', async () => {
    const resource = await context.openVirtual({ blocks: CHUNK });
    const call = lun.call.bind(lun);
    const failing = vi.spyOn(lun, 'call').mockImplementation((...request) => {
      if (request[0] === 'VERIFY') return Promise.reject(new Error('VERIFY'));
      return call(...request);
    });
    slow(ALL_TRIES);
    expect(await codeOf(resource.resize(2n * CHUNK))).toBe('EAGAIN');
    expect(resource.blocks).toBe(CHUNK);
    slow(ALL_TRIES);
    expect(await codeOf(resource.resize(0))).toBe('EAGAIN');
    expect(resource.blocks).toBe(0n);
    failing.mockRestore();
    expect((await resource.resize(3n * CHUNK)).blocks).toBe(3n * CHUNK);
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

  it('makes close() wait longer than other calls, as DETACH leaves the LUN in use', async () => {
    await context.openVirtual({ blocks: CHUNK });
    slow(ALL_TRIES + 4);
    await context.close();
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun.enableSuperpipe();
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
