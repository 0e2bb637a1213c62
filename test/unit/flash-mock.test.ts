import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CxlError } from 'node-cxl';
import { listLuns, openFlashHost, openLun } from 'node-cxl/flash';
import { createMockCxl, type FlashAdapterOptions, type MockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../conformance/flash-target';

function machine(options: FlashAdapterOptions = {}, pageSize: 4096 | 65536 = 65536): MockCxl {
  return createMockCxl({ cards: [], flash: [options], pageSize });
}

async function lunOf(system: MockCxl | ReturnType<MockCxl['flash']['process']>, node = '/dev/sg1') {
  const lun = await openLun(node, { system });
  await lun.enableSuperpipe();
  return lun;
}

describe('a flash adapter of the mock', () => {
  it('frees everything', async () => {
    const system = machine();
    const lun = await lunOf(system);
    const context = await lun.attach();
    const device = (await context.openVirtual({ blocks: 10 })).blockDevice();
    await device.write(0, new Uint8Array(4096));
    expect(system.counters.contexts).toBe(1);
    await context.close();
    await lun.close();
    expect(system.counters).toEqual({ files: 0, mappings: 0, bytes: 0, contexts: 0 });
  });

  it('frees everything when objects are disposed, or closed in any order', async () => {
    const system = machine();
    const lun = await lunOf(system);
    const context = await lun.attach();
    const resource = await context.openVirtual({ blocks: 10 });
    await resource.blockDevice().write(0, new Uint8Array(4096));
    await resource[Symbol.asyncDispose]();
    expect([resource.released, context.closed]).toEqual([true, false]);
    await context[Symbol.asyncDispose]();
    expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    await lun[Symbol.asyncDispose]();
    expect(lun.closed).toBe(true);

    const other = await lunOf(system);
    const second = await other.attach();
    await second.openDirect();
    await other.close();
    await second.close();
    expect(system.counters).toEqual({ files: 0, mappings: 0, bytes: 0, contexts: 0 });
    expect(await codeOf((await lunOf(system)).disableSuperpipe())).toBe('resolved');
  });

  it('keeps data in a file from one mock to the next', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'flash-'));
    const file = path.join(folder, 'lun');
    const luns = [{ blocks: 1000, file }];
    const data = new Uint8Array(8192).fill(0xa5);
    for (const round of [1, 2]) {
      const system = machine({ luns });
      const context = await (await lunOf(system)).attach();
      const device = (await context.openDirect()).blockDevice();
      if (round === 1) await device.write(998, data);
      else expect(Buffer.from(await device.read(998, 2)).equals(data)).toBe(true);
      if (round === 2) {
        await device.unmap(998, 1);
        const both = await device.read(998, 2);
        expect([both[0], both[4096]]).toEqual([0, 0xa5]);
      }
      await context.close();
      system.flash.dispose();
    }
    rmSync(folder, { recursive: true });
  });

  it('has 256 handles per context with 4 KiB pages', async () => {
    const lun = await lunOf(machine({}, 4096));
    const context = await lun.attach();
    for (let i = 0; i < 256; i += 1) await context.openVirtual();
    expect(await codeOf(context.openVirtual())).toBe('EMFILE');
  });

  it('recovers from a link error of the card', async () => {
    const system = machine();
    const context = await (await lunOf(system)).attach({ watchInterval: 10 });
    const device = (await context.openVirtual({ blocks: 10 })).blockDevice();
    await device.write(1, new Uint8Array(4096).fill(9));
    system.flash.adapters[0]?.enterErrorState(20);
    expect((await device.read(1, 1))[0]).toBe(9);
    expect(context.statistics?.resets).toBe(1);
  });

  it('offers unmap only if the adapter has it', async () => {
    const context = await (await lunOf(machine({ unmap: false }))).attach();
    const device = (await context.openDirect()).blockDevice();
    expect(device.unmapSupported).toBe(false);
    expect(await codeOf(device.unmap(0, 1))).toBe('EOPNOTSUPP');
  });
});

describe('another process', () => {
  it('clones from a token that was made earlier', async () => {
    const system = machine();
    const token = (await (await lunOf(system)).attach()).cloneToken();
    const child = await (await lunOf(system.flash.process())).attach();
    const wrong = [
      undefined,
      { ...token, contextId: undefined },
      { ...token, contextId: 'none' },
      { ...token, contextId: '-1' },
      { ...token, resources: undefined },
    ];
    for (const one of wrong) {
      expect(await codeOf(child.cloneFrom(one as never))).toBe('ERR_INVALID_ARG_TYPE');
    }
    expect(await codeOf(child.cloneFrom(token))).not.toBe('ERR_INVALID_ARG_TYPE');
  });

  it('can clone only from its direct parent', async () => {
    const system = machine();
    const parent = await (await lunOf(system)).attach();
    await parent.openVirtual({ blocks: 1 });
    const grandchild = await (await lunOf(system.flash.process(4711))).attach();
    expect(await codeOf(grandchild.cloneFrom(parent.cloneToken()))).toBe('ERR_INVALID_STATE');
    const child = await (await lunOf(system.flash.process())).attach();
    expect((await child.cloneFrom(parent.cloneToken())).length).toBe(1);
  });
});

describe('the host ioctls', () => {
  it('create LUNs that can be opened', async () => {
    const system = machine({ ports: 1 });
    const host = await openFlashHost('/dev/cxlflash/cxlflash0', { system });
    const made = await host.createLun(0, 1000);
    const found = await listLuns({ system });
    expect(found.map((lun) => lun.wwid)).toContain(`naa.${Buffer.from(made.wwid).toString('hex')}`);
    const context = await (await lunOf(system, '/dev/sg2')).attach();
    expect((await context.openDirect()).blocks).toBe(1000n);
    expect(await codeOf(host.createLun(0, 1n << 40n))).toBe('EIO');
  });

  it('are EOPNOTSUPP where the AFU has none', async () => {
    const system = machine({ provisioning: false, debugging: false });
    const host = await openFlashHost('/dev/cxlflash/cxlflash0', { system });
    expect(await codeOf(host.queryPort(0))).toBe('EOPNOTSUPP');
    expect(await codeOf(host.debug(new Uint8Array(12)))).toBe('EOPNOTSUPP');
  });
});

describe('opening', () => {
  it('needs an existing node and a backend with flash', async () => {
    const system = machine();
    expect(await codeOf(openLun('/dev/sg9', { system }))).toBe('ENOENT');
    expect(await codeOf(openLun(7 as never, { system }))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(openFlashHost('/dev/cxlflash/cxlflash1', { system }))).toBe('ENOENT');
  });

  it('takes the id of the LUN from sysfs or from the options', async () => {
    const wwid = '60050768018086b2d000000000001a2b';
    const system = machine({ luns: [{ blocks: 10, wwid }] });
    const lun = await openLun('/dev/sdb', { system });
    expect(Buffer.from(await lun.wwid()).toString('hex')).toBe(wwid);
    await lun.enableSuperpipe({ wwid: `naa.${wwid}` });
    expect((await listLuns({ system })).map((one) => one.mode)).toEqual(['superpipe', 'legacy']);
    expect(await codeOf(lun.enableSuperpipe({ wwid: 'naa.6' }))).toBe('ERR_INVALID_ARG_VALUE');
    expect(await codeOf(lun.enableSuperpipe({ wwid: new Uint8Array(8) }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    await lun.close();
    await lun.close();
    expect(await codeOf(lun.attach())).toBe('ERR_INVALID_STATE');
  });

  it('checks the options of attach() before any ioctl', async () => {
    const lun = await lunOf(machine());
    const wrong = [
      [{ interrupts: 5 }, 'ERR_OUT_OF_RANGE'],
      [{ interrupts: 1 }, 'ERR_INVALID_ARG_VALUE'],
      [{ access: 'all' as never }, 'ERR_INVALID_ARG_VALUE'],
      [{ queueDepth: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ bounceBytes: 5000 }, 'ERR_INVALID_ARG_VALUE'],
      [{ bounceBytes: 512 }, 'ERR_OUT_OF_RANGE'],
      [{ completion: 'spin' as never }, 'ERR_INVALID_ARG_VALUE'],
      [{ onReset: 'hope' as never }, 'ERR_INVALID_ARG_VALUE'],
      [{ retries: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ endian: 'middle' as never }, 'ERR_INVALID_ARG_VALUE'],
    ] as const;
    for (const [options, code] of wrong) expect(await codeOf(lun.attach(options))).toBe(code);
  });

  it('fails with messages that say what to do', async () => {
    const lun = await openLun('/dev/sg1', { system: machine() });
    const error = await lun.attach().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CxlError);
    expect(error).toMatchObject({ syscall: 'ioctl(ATTACH)', path: '/dev/sg1', errno: -22 });
    expect((error as Error).message).toContain('is superpipe enabled');
  });
});
