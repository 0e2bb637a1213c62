import { listLuns, openLun } from 'node-cxl/flash';
import { createMockCxl, type FlashAdapterOptions, type MockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf, inject } from '../conformance/flash-target';

const PAGE = 4096;

function machine(options: FlashAdapterOptions = {}): MockCxl {
  return createMockCxl({ cards: [], flash: [options], pageSize: PAGE });
}

async function lunOf(system: MockCxl) {
  const lun = await openLun(system.flash.adapters[0]?.nodes[0] ?? '', { system });
  await lun.enableSuperpipe();
  return lun;
}

describe('an ATTACH that fails because the AFU closed the context, on the mock', () => {
  // cxlflash calls cxl_stop_context() and cxl_release_context(), and neither frees any.
  it('loses the interrupts of the context', async () => {
    const system = machine();
    const lun = await lunOf(system);
    const context = await lun.attach();
    inject(context, 'closedContext', 0, 0n, 600);
    const codes = new Map<string, number>();
    for (let last = ''; last !== 'ENOSPC'; ) {
      last = await codeOf(lun.call('ATTACH', { numInterrupts: 4n, flags: 2n }));
      codes.set(last, (codes.get(last) ?? 0) + 1);
    }
    // 2037 interrupts, of which the first context has 4.
    expect([...codes]).toEqual([
      ['EAGAIN', 508],
      ['ENOSPC', 1],
    ]);
    await context.close();
  });
});

describe('the removal of cxlflash, on the mock', () => {
  it('takes the nodes away', async () => {
    const system = machine();
    const lun = await lunOf(system);
    const context = await lun.attach();
    const removal = system.flash.adapters[0]?.remove();
    expect((await listLuns({ system })).length).toBe(2);
    await context.close();
    await removal;
    expect(await listLuns({ system })).toEqual([]);
    expect(await codeOf(openLun('/dev/sg1', { system }))).toBe('ENOENT');
  });
});

describe('the log of cxlflash, on the mock', () => {
  it('has the lines of the driver for ioctls that fail', async () => {
    const system = machine({ luns: [{ blocks: 1000 }] });
    const lun = await lunOf(system);
    const before = system.log.length;
    await codeOf(lun.call('ATTACH', { numInterrupts: 5n, flags: 2n }));
    const { contextId, adapFd } = await lun.call('ATTACH', { numInterrupts: 4n, flags: 2n });
    await codeOf(lun.call('USER_VIRTUAL', { contextId, lunSize: 0n }));
    await lun.call('USER_DIRECT', { contextId });
    const hint = 1n << 63n;
    const senseData = new Uint8Array(18).fill(0x70, 0, 1).fill(3, 2, 3);
    await codeOf(lun.call('VERIFY', { contextId, rsrcHandle: 0n, hint, senseData }));
    const line = (text: string) => `cxlflash 0010:00:00.0: ${text}`;
    expect(system.log.slice(before)).toEqual([
      line('cxlflash_ioctl: ioctl DK_CXLFLASH_ATTACH (C090CA80) on dev(0/0/0/0) returned rc -22'),
      line('cxlflash_disk_virtual_open: init_vlun failed rc=-22'),
      line(
        'cxlflash_ioctl: ioctl DK_CXLFLASH_USER_VIRTUAL (C078CA87) on dev(0/0/0/0) returned rc -12',
      ),
      line('cxlflash_disk_verify: Failed to validate sense data (-5)'),
      line('cxlflash_ioctl: ioctl DK_CXLFLASH_VERIFY (C090CA84) on dev(0/0/0/0) returned rc -5'),
    ]);
    await system.adopt(Number(adapFd), { owned: true, mmioSize: 65536 }).close();
  });
});
