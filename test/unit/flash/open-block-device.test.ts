// openBlockDevice() with a failure at every step, and a LUN that two adapters reach.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlockDevice, FlashContext, listLuns, openBlockDevice, openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Binding, SysFs } from '../../../lib/binding';
import { ERRNOS } from '../../../lib/shared/errno';
import { codeOf, inject } from '../../conformance/flash-target';
import { withHook } from '../flash-seam';

const WWID = '6'.repeat(32);
const block = (value: number) => new Uint8Array(4096).fill(value);

describe('openBlockDevice() when a step fails', () => {
  for (const virtual of [undefined, { blocks: 65536, scrub: true }]) {
    it(`undoes the steps before, whichever fails (${virtual ? 'virtual' : 'whole'} LUN)`, async () => {
      // Few bytes, in few commands: each open of the virtual LUN ends by overwriting all of it.
      const luns = [{ blocks: 65536, blockSize: 512 as const }];
      const queue = { bounceBytes: 2 ** 20, queueDepth: 4, completion: 'poll' } as const;
      const mock = createMockCxl({ cards: [], flash: [{ contexts: 1, ports: 1, luns }] });
      const node = mock.flash.adapters[0]?.nodes[0] ?? '';
      let calls = 0;
      let failAt = Number.POSITIVE_INFINITY;
      const system = withHook(mock, () => {
        calls += 1;
        return calls === failAt ? -ERRNOS.ENOMEM : undefined;
      });
      const open = () => openBlockDevice(node, { system, virtual, ...queue });
      const first = await open();
      const total = calls;
      await first.close();
      expect(total).toBeGreaterThan(5);
      let failed = 0;
      for (failAt = 1; failAt <= total; failAt += 1) {
        calls = 0;
        const opened = await open().catch(() => undefined);
        if (opened === undefined) failed += 1;
        calls = Number.NEGATIVE_INFINITY;
        await opened?.close();
        // The adapter has one context: it is free, and so is the LUN.
        const again = await open();
        await again.write(0, new Uint8Array(512).fill(failAt));
        await again.close();
        expect((await listLuns({ system: mock })).map(({ mode }) => mode)).toEqual(['legacy']);
      }
      expect(failed).toBeGreaterThanOrEqual(4);
    });
  }

  it('stops at an abort between its steps', async () => {
    const mock = createMockCxl({ cards: [], flash: [{ ports: 1 }] });
    const node = mock.flash.adapters[0]?.nodes[0] ?? '';
    for (const step of ['ioctl(MANAGE_LUN)', 'ioctl(ATTACH)', 'ioctl(USER_DIRECT)']) {
      const controller = new AbortController();
      const system = withHook(mock, (call) => {
        if (call === step) controller.abort();
        return undefined;
      });
      expect(await codeOf(openBlockDevice(node, { system, signal: controller.signal }))).toBe(
        'ABORT_ERR',
      );
      expect((await listLuns({ system: mock })).map(({ mode }) => mode)).toEqual(['legacy']);
    }
  });

  it('refuses a mounted LUN, unless it is told', async () => {
    const system = createMockCxl({ cards: [], flash: [{ ports: 1 }] });
    const [lun] = await listLuns({ system });
    system.flash.setMounts([`${lun?.block}1 /srv ext4 rw 0 0`]);
    const node = lun?.generic ?? '';
    expect(await codeOf(openBlockDevice(node, { system }))).toBe('EBUSY');
    await (await openBlockDevice(node, { system, mounted: true })).close();
  });
});

describe('a LUN that two adapters reach', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-'));
  });
  afterEach(() => vi.restoreAllMocks());
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const twoAdapters = () => {
    const luns = [{ blocks: 4096, wwid: WWID, file: path.join(folder, 'lun') }];
    return createMockCxl({
      cards: [],
      flash: [
        { luns, ports: 1 },
        { luns, ports: 1 },
      ],
    });
  };

  it('is used over the other one when an adapter fails, with writes in flight', async () => {
    const system = twoAdapters();
    const [first, second] = system.flash.adapters;
    const device = await openBlockDevice({ system, wwid: WWID, watchInterval: 5 });
    expect(device.paths.map(({ host, state }) => [host, state])).toEqual([
      [0, 'active'],
      [1, 'ready'],
    ]);
    first?.hold(true);
    const writes = Array.from({ length: 200 }, (_, i) => device.write(i, block(i)));
    await new Promise(setImmediate);
    first?.reset(10, 'fails');
    await Promise.all(writes);
    expect(device.path).toMatchObject({ host: 1, transfers: 200 });
    expect(device.paths[0]).toMatchObject({ state: 'failed', error: { code: 'ENODEV' } });
    for (let i = 0; i < 200; i += 1) expect((await device.read(i, 1))[0]).toBe(i);
    expect(await device.reinstate()).toBe(1);
    // No path is left; a time limit ends the wait for one.
    second?.reset(60_000);
    expect(await codeOf(device.read(0, 1, { timeout: 50 }))).toBe('ETIMEDOUT');
    const controller = new AbortController();
    const read = codeOf(device.read(0, 1, { signal: controller.signal }));
    controller.abort();
    expect(await read).toBe('ABORT_ERR');
  });

  it('never has a late write of the failed path over one that was acknowledged', async () => {
    const system = twoAdapters();
    const [first] = system.flash.adapters;
    const device = await openBlockDevice({ system, wwid: WWID });
    // Aborted, but still in flight over the first path, which has not carried it out.
    first?.hold(true);
    const controller = new AbortController();
    const old = codeOf(device.write(0, block(1), { signal: controller.signal }));
    await new Promise(setImmediate);
    controller.abort();
    expect(await old).toBe('ABORT_ERR');
    // The next transfer fails because of its path, and closing that takes a while.
    const failure: unknown = await openLun('/dev/sg99', { system }).catch((error) => error);
    vi.spyOn(BlockDevice.prototype, 'submit').mockReturnValueOnce([Promise.reject(failure)]);
    const { close } = FlashContext.prototype;
    const closing = vi
      .spyOn(FlashContext.prototype, 'close')
      .mockImplementationOnce(async function (this: FlashContext) {
        await sleep(100);
        await close.call(this);
      });
    await device.write(1, block(1));
    expect(closing).toHaveBeenCalledTimes(1);
    expect(device.path.host).toBe(1);
    await device.drained();
    await device.write(0, block(2));
    first?.hold(false);
    await sleep(20);
    expect((await device.read(0, 1))[0]).toBe(2);
    await device.close();
  });
});

describe('scrub on a LUN whose unmapped blocks read as zeros', () => {
  it('unmaps, chunk by chunk, and writes zeros where that fails', async () => {
    const mock = createMockCxl({ cards: [], flash: [{ ports: 1 }] });
    const { binding } = mock as unknown as { binding: Binding };
    // VPD page 0xb2: unmap by WRITE SAME(16), unmapped blocks read as zeros.
    const page = Uint8Array.of(0, 0xb2, 0, 4, 0, 0x44, 0, 0);
    const own = binding.sysfs;
    const sysfs: SysFs = Object.assign(Object.create(own), {
      realpath: (file: string) => own.realpath(file),
      readdir: (file: string) => own.readdir(file),
      readSync: (file: string) => own.readSync(file),
      read: async (file: string) => (file.endsWith('/vpd_pgb2') ? page : own.read(file)),
    });
    Object.defineProperty(binding, 'sysfs', { value: sysfs });
    const node = mock.flash.adapters[0]?.nodes[0] ?? '';
    const virtual = { blocks: 131072, scrub: true };
    const device = await openBlockDevice(node, { system: mock, virtual });
    await device.write(0, block(1));
    const before = device.queueStatistics?.issued ?? 0;
    await device.resource.resize(65536);
    expect((device.queueStatistics?.issued ?? 0) - before).toBe(1);
    // A medium error: sense key 3, code 11h.
    const { resource } = device;
    inject(resource.context, 'status', 0x0003_1100, 0x8000_0200_0000_0000n);
    await resource.release();
    expect((device.queueStatistics?.issued ?? 0) - before).toBe(2 + 65536 / 16);
    await device.close();
  });
});
