import { type LunInfo, listLuns, openLun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SysFs } from '../../lib/binding';
import { LUN_BLOCKS, testTarget } from './flash-target';

describe('the LUNs of a flash adapter, as sysfs shows them', () => {
  const target = testTarget();
  let luns: LunInfo[];

  beforeEach(async () => {
    luns = await listLuns({ system: target.system });
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
    const modes = async () => (await listLuns({ system: target.system })).map((lun) => lun.mode);
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

describe('the attributes of a LUN that tools read', () => {
  const target = testTarget();
  let sysfs: SysFs;
  let block: string;
  let generic: string;

  beforeEach(async () => {
    const about = (await listLuns({ system: target.system })).find(
      (lun) => lun.generic === target.nodes[4]?.[0],
    );
    block = about?.block?.slice('/dev/'.length) ?? '';
    generic = about?.generic?.slice('/dev/'.length) ?? '';
    sysfs = (target.system as unknown as { binding: { sysfs: SysFs } }).binding.sysfs;
  });

  async function bytes(path: string): Promise<Buffer> {
    const content = await sysfs.read(path);
    if (typeof content === 'number') throw new Error(`${path}: ${content}`);
    return Buffer.from(content);
  }

  const text = async (path: string) => (await bytes(path)).toString('latin1');

  it('vpd_pg83 identifies the LUN (NAA), vpd_pg80 has its serial number', async () => {
    const device = `/sys/class/scsi_generic/${generic}/device`;
    const wwid = (await text(`${device}/wwid`)).trim().slice('naa.'.length);
    expect((await bytes(`${device}/vpd_pg83`)).toString('hex')).toBe(`0083001401030010${wwid}`);
    const serial = await bytes(`${device}/vpd_pg80`);
    expect([serial[1], serial[3]]).toEqual([0x80, serial.length - 4]);
  });

  it('/sys/block has the size in sectors and the size of a block', async () => {
    for (const folder of [`/sys/block/${block}`, `/sys/class/block/${block}`]) {
      const sectors = (LUN_BLOCKS[4] * 4096n) / 512n;
      expect(await text(`${folder}/size`)).toBe(`${sectors}\n`);
      expect(await text(`${folder}/queue/logical_block_size`)).toBe('4096\n');
      expect(await text(`${folder}/uevent`)).toContain(`DEVNAME=${block}\n`);
      expect(await text(`${folder}/dev`)).toMatch(/^\d+:\d+\n$/);
      expect(await text(`${folder}/device/type`)).toBe('0\n');
    }
    expect(await text(`/sys/class/scsi_generic/${generic}/uevent`)).toContain(`DEVNAME=${generic}`);
  });

  it('the devices above it are the PCI function of cxlflash, and the card', async () => {
    const home = await sysfs.realpath(`/sys/class/scsi_generic/${generic}/device`);
    const found = /^(.*)\/pci([0-9a-f]{4}:00)\/(\2:00\.0)\/host\d+\/target[\d:]+\/[\d:]+$/.exec(
      String(home),
    );
    expect(found).not.toBeNull();
    const [, card, root, slot] = found ?? [];
    const adapter = `${card}/pci${root}/${slot}`;
    expect(await text(`${adapter}/vendor`)).toBe('0x1014\n');
    expect(await text(`${adapter}/device`)).toBe('0x0600\n');
    expect(await text(`${adapter}/class`)).toBe('0x010000\n');
    expect(await text(`${adapter}/uevent`)).toContain(`DRIVER=cxlflash\n`);
    expect(await text(`${adapter}/uevent`)).toContain(`PCI_SLOT_NAME=${slot}\n`);
    expect(await text(`${card}/device`)).toBe('0x0601\n');
  });
});
