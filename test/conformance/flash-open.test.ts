// openBlockDevice(): a block device in one call, and all of it undone in one.
import { listLuns, openBlockDevice, type PathChange } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { codeOf, inject, testTarget } from './flash-target';

const block = (value: number) => new Uint8Array(4096).fill(value);

describe('openBlockDevice()', () => {
  const target = testTarget();
  const modes = async () => (await listLuns({ system: target.system })).map(({ mode }) => mode);
  const wwidOf = async (index: number) => {
    const node = target.nodes[index]?.[0];
    const lun = (await listLuns({ system: target.system })).find(({ generic }) => generic === node);
    return lun?.wwid ?? '';
  };

  it('opens a LUN by its node, and close() undoes everything', async () => {
    const before = await modes();
    const node = target.nodes[0]?.[0] ?? '';
    const device = await openBlockDevice(node, { system: target.system });
    expect(await modes()).not.toEqual(before);
    await device.write(3, block(7));
    expect(await device.read(3, 1)).toEqual(block(7));
    expect(device.path).toMatchObject({ node, state: 'active', port: 0, transfers: 2 });
    expect(device.paths).toHaveLength(1);
    expect(device.statistics).toMatchObject({ writes: 1, reads: 1, bytesRead: 4096, errors: 0 });
    await device.close();
    await device.close();
    expect(await modes()).toEqual(before);
    expect(await codeOf(device.read(3, 1))).toBe('ERR_INVALID_STATE');
  });

  it('leaves a LUN in superpipe mode that was in it before', async () => {
    const lun = await target.lun();
    const device = await openBlockDevice(lun.path, { system: target.system });
    await device.close();
    expect(
      (await listLuns({ system: target.system })).find(({ generic }) => generic === lun.path)?.mode,
    ).toBe('superpipe');
    // And while another device uses it.
    await lun.disableSuperpipe();
    const first = await openBlockDevice(lun.path, { system: target.system });
    const second = await openBlockDevice(lun.path, { system: target.system });
    await first.close();
    await second.write(0, block(1));
    await second.close();
  });

  it('opens a virtual LUN, over all ports', async () => {
    const device = await openBlockDevice({
      system: target.system,
      wwid: await wwidOf(0),
      virtual: { blocks: 65536 },
    });
    expect(device.blocks).toBe(65536n);
    expect(device.resource.allPortsActive).toBe(true);
    inject(device.resource.context, 'ports', 0b10);
    await device.write(65535, block(9));
    inject(device.resource.context, 'ports', 0b11);
    await device.close();
  });

  it('goes on over another path when one has no link, and tells which', async () => {
    const changes: PathChange[] = [];
    const device = await openBlockDevice({
      system: target.system,
      wwid: await wwidOf(0),
      retries: 1,
      onPathChange: (change) => changes.push(change),
    });
    expect(device.paths.map(({ state, port }) => [state, port])).toEqual([
      ['active', 0],
      ['ready', 1],
    ]);
    await device.write(0, block(1));
    // Port 0 loses its link while many transfers are in flight.
    inject(device.resource.context, 'ports', 0b10);
    const writes = Array.from({ length: 64 }, (_, i) => device.write(i, block(i)));
    await Promise.all(writes);
    expect(device.path).toMatchObject({ port: 1, state: 'active', transfers: 64 });
    expect(device.statistics).toMatchObject({ pathChanges: 1, writes: 65, errors: 0 });
    expect(device.statistics.failedOver).toBe(64);
    for (let i = 0; i < 64; i += 1) expect((await device.read(i, 1))[0]).toBe(i);
    await new Promise(setImmediate);
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({ from: { port: 0, state: 'failed' }, to: { port: 1 } });
    expect(changes[0]?.from.error).toMatchObject({ code: 'ENETDOWN', status: { afuCode: 0x20 } });
    // Back, when the other one fails: it is attached again.
    inject(device.resource.context, 'ports', 0b01);
    await device.write(0, block(3));
    expect(device.path.port).toBe(0);
    inject(device.resource.context, 'ports', 0b11);
    expect(await device.reinstate()).toBe(2);
    expect(device.paths.map(({ state }) => state)).toEqual(['active', 'ready']);
    await device.close();
  });

  it('fails when no path is left, within the time given, and works again afterwards', async () => {
    const device = await openBlockDevice({
      system: target.system,
      wwid: await wwidOf(0),
      retries: 0,
    });
    // Its registers stay usable when the paths' contexts are closed.
    const control = await target.attach(await target.lun(1, 0));
    inject(control, 'ports', 0);
    expect(await codeOf(device.read(0, 1))).toBe('ENETDOWN');
    expect(device.statistics.errors).toBe(1);
    inject(control, 'ports', 0b11);
    await device.write(0, block(5));
    expect(await device.read(0, 1)).toEqual(block(5));
    await device.close();
  });

  it('takes errors that are not of the path for what they are', async () => {
    const device = await openBlockDevice({ system: target.system, wwid: await wwidOf(0) });
    expect(await codeOf(device.read(device.blocks, 1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(device.write(0, new Uint8Array(1)))).toBe('ERR_INVALID_ARG_VALUE');
    expect(await codeOf(device.read(0, 1, { signal: AbortSignal.abort() }))).toBe('ABORT_ERR');
    // A medium error: sense key 3, code 11h.
    inject(device.resource.context, 'status', 0x0003_1100, 0x8000_0200_0000_0000n);
    expect(await codeOf(device.read(0, 1))).toBe('EIO');
    expect(device.statistics.pathChanges).toBe(0);
    await device.close();
  });

  it('refuses what it cannot open', async () => {
    const { system } = target;
    const open = (options: object) => codeOf(openBlockDevice({ system, ...options }));
    expect(await open({})).toBe('ERR_INVALID_ARG_TYPE');
    expect(await open({ node: '/dev/sg90', wwid: '6'.repeat(32) })).toBe('ERR_INVALID_ARG_TYPE');
    expect(await open({ node: '/dev/null' })).toBe('ENOENT');
    expect(await open({ wwid: '6'.repeat(32) })).toBe('ENOENT');
    expect(await open({ wwid: 'x' })).toBe('ERR_INVALID_ARG_VALUE');
    expect(await open({ node: '/dev/sg90', queueDept: 1 })).toMatch(/^ERR_/);
    expect(await open({ node: '/dev/sg90', signal: AbortSignal.abort() })).toBe('ABORT_ERR');
  });
});
