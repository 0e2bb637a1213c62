import type { BlockDevice, FlashAttachOptions, FlashContext, Lun, Resource } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, COMMAND_MODES, codeOf, inject, testTarget } from './flash-target';

const SIZE = 4096;
const WATCH_INTERVAL = 10;

for (const mode of COMMAND_MODES) {
  describe(`an adapter whose reset failed, ${mode} mode`, () => {
    const target = testTarget(mode, { rebind: true });
    let lun: Lun;
    let context: FlashContext;
    let resource: Resource;

    beforeEach(async () => {
      lun = await target.lun();
    });

    async function attach(options: FlashAttachOptions = {}): Promise<BlockDevice> {
      context = await target.attach(lun, { watchInterval: WATCH_INTERVAL, ...options });
      resource = await context.openVirtual({ blocks: CHUNK });
      return resource.blockDevice();
    }

    function fail(milliseconds = 5): void {
      inject(context, 'resetFails', 1);
      inject(context, 'errorState', milliseconds);
    }

    it('is ENODEV for every call that does not free something', async () => {
      await attach();
      const other = await target.lun(1);
      const contextId = context.id;
      const rsrcHandle = BigInt(resource.handle);
      fail();
      const calls = [
        lun.call('RECOVER_AFU', { contextId }),
        lun.call('ATTACH', { numInterrupts: 4n, flags: 2n }),
        lun.call('USER_DIRECT', { contextId }),
        lun.call('USER_VIRTUAL', { contextId, lunSize: 0n }),
        lun.call('VERIFY', { contextId, rsrcHandle }),
        lun.call('VLUN_CLONE', { contextIdSrc: contextId, contextIdDst: contextId }),
      ];
      expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'ENODEV'));
      expect(await codeOf(context.recover())).toBe('ENODEV');
      expect(await codeOf(other.attach())).toBe('ENODEV');
      expect(await codeOf(context.openVirtual())).toBe('ENODEV');
      expect(await codeOf(resource.verify())).toBe('ENODEV');
      expect(context.isHealthy()).toBe(false);
    });

    it('lets VLUN_RESIZE, RELEASE, DETACH and MANAGE_LUN work', async () => {
      await attach();
      const second = await context.openVirtual({ blocks: 1 });
      fail();
      expect(await codeOf(context.recover())).toBe('ENODEV');
      expect((await resource.resize(2n * CHUNK)).blocks).toBe(2n * CHUNK);
      expect((await resource.resize(0)).blocks).toBe(0n);
      expect(await codeOf(resource.release())).toBe('resolved');
      // The other resource is released with its context, which exists until it is closed.
      expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
      expect(second.released).toBe(false);
      const { id } = context;
      expect(await codeOf(context.close())).toBe('resolved');
      expect(await codeOf(lun.call('DETACH', { contextId: id }))).toBe('EINVAL');
      expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
      expect(await codeOf(lun.enableSuperpipe())).toBe('resolved');
    });

    it('fails the commands in flight with the same error, each once, and all later ones', async () => {
      const device = await attach({ queueDepth: 64 });
      inject(context, 'hold', 1);
      let settled = 0;
      const codes = [...Array(100).keys()].map((i) =>
        codeOf(device.write(i, new Uint8Array(SIZE)).finally(() => (settled += 1))),
      );
      fail();
      expect(await Promise.all(codes)).toEqual(codes.map(() => 'ENODEV'));
      expect(settled).toBe(100);
      expect(context.statistics).toMatchObject({ completed: 0, failed: 100 });
      expect(await codeOf(device.write(0, new Uint8Array(SIZE)))).toBe('ENODEV');
      await device.drained();
    });
  });

  // cxlflash_remove()
  describe(`the removal of the driver, ${mode} mode`, () => {
    const target = testTarget(mode, { rebind: true });

    it('waits for the contexts, whose calls are ENODEV but for those that clean up', async () => {
      const lun = await target.lun();
      const context = await lun.attach({ watchInterval: WATCH_INTERVAL });
      const resource = await context.openVirtual({ blocks: 1 });
      let gone = false;
      const removal = target.remove().then(() => {
        gone = true;
      });
      while (context.isHealthy()) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await codeOf(lun.call('RECOVER_AFU', { contextId: context.id }))).toBe('ENODEV');
      expect(await codeOf(lun.attach())).toBe('ENODEV');
      expect(gone).toBe(false);
      await resource.release();
      expect(gone).toBe(false);
      await context.close();
      await removal;
      expect(await codeOf(lun.call('ATTACH', { numInterrupts: 4n, flags: 2n }))).toBe('ENODEV');
      await lun.close();
    });
  });
}
