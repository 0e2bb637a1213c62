import { type LunInfo, listLuns, openLun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { LUN_BLOCKS, testTarget } from './flash-target';

describe('the LUNs of a flash adapter, as sysfs shows them', () => {
  const target = testTarget();
  let luns: LunInfo[];

  beforeEach(async () => {
    luns = await listLuns(target);
  });

  it('are listed once for each port, with both nodes', () => {
    expect(luns.map((lun) => lun.port).sort()).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
    expect(new Set(luns.map((lun) => lun.wwid)).size).toBe(5);
    for (const lun of luns) {
      expect(lun.block).toMatch(/^\/dev\/sd[a-z]+$/);
      expect(lun.generic).toMatch(/^\/dev\/sg\d+$/);
      expect(lun.wwid).toMatch(/^naa\.6[0-9a-f]{31}$/);
      expect([lun.vendor, lun.model]).toEqual(['IBM', 'FlashSystem']);
    }
    expect(new Set(luns.flatMap((lun) => [lun.block, lun.generic])).size).toBe(16);
  });

  it('are in legacy mode until superpipe is enabled on a path, and again afterwards', async () => {
    const modes = async () => (await listLuns(target)).map((lun) => lun.mode);
    const all = luns.map(() => 'legacy');
    expect(await modes()).toEqual(all);
    const lun = await target.lun(0, 1);
    const one = luns.map(({ generic }) => (generic === lun.path ? 'superpipe' : 'legacy'));
    expect(await modes()).toEqual(one);
    await lun.disableSuperpipe();
    expect(await modes()).toEqual(all);
  });

  it('accept every call on the disk’s node and on the generic one', async () => {
    const { system } = target;
    const about = luns.find(({ generic }) => generic === target.nodes[0]?.[0]);
    const disk = await openLun(about?.block ?? '', { system });
    const generic = await target.lun();
    expect(Buffer.from(await disk.wwid()).toString('hex')).toBe(about?.wwid?.slice(4));
    expect(await disk.wwid()).toEqual(await generic.wwid());
    await disk.enableSuperpipe();
    const context = await disk.attach();
    expect(context.geometry().blocks).toBe(LUN_BLOCKS[0]);
    const direct = await context.openDirect();
    await direct.blockDevice().write(7, new Uint8Array(4096).fill(0x5d));
    expect((await direct.blockDevice().read(7, 1))[4095]).toBe(0x5d);
    expect(await direct.verify()).toBe(false);
    await direct.release();
    const virtual = await context.openVirtual({ blocks: 1 });
    expect((await virtual.resize(0)).blocks).toBe(0n);
    expect((await context.recover()).reset).toBe(false);
    // Both nodes are for the same path: a context made with one is known to the other.
    const rsrcHandle = BigInt(virtual.handle);
    await generic.call('RELEASE', { contextId: context.id, rsrcHandle });
    await context.close();
    await disk.close();
  });
});
