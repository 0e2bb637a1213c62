import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { type FlashContext, openLun } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import type { LunFile } from '../../../lib/binding/flash';
import type * as nativeModule from '../../../lib/native';
import { codeOf, flashTarget, inject } from '../../conformance/flash-target';
import { ended, runNode } from '../child';

const require = createRequire(import.meta.url);
const NODE = '/dev/sg90';

async function rawFile() {
  const { nativeBinding } = require('../../../dist/native') as typeof nativeModule;
  return (await nativeBinding().flash!.openLun(NODE)) as LunFile;
}

function codeOfThrown(body: () => void): string {
  try {
    body();
    return 'returned';
  } catch (error) {
    return (error as Error).name;
  }
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('flash ioctls of the addon', () => {
  it('are ENOTTY on a node of another driver', async () => {
    const lun = await openLun('/dev/null');
    expect(await codeOf(lun.call('DETACH', { contextId: 1n }))).toBe('ENOTTY');
    await lun.close();
    expect(await codeOf(openLun('/dev/none'))).toBe('ENOENT');
    expect(await codeOf(openLun('/dev/null\0'))).toBe('ENOENT');
  });

  // cxlflash frees none when its ATTACH fails late; only binding the driver again does.
  it('lose the interrupts of a context that was closed before it was attached', async () => {
    const child = await runNode(
      `import { openLun } from 'node-cxl/flash';
      import { INJECTION_COMMANDS, INJECTION_REGISTERS } from 'node-cxl/mock';
      const lun = await openLun('${NODE}');
      await lun.enableSuperpipe();
      const context = await lun.attach();
      context.registers.write64(INJECTION_REGISTERS.count, 600n);
      const closedContext = BigInt(INJECTION_COMMANDS.closedContext) << 56n;
      context.registers.write64(INJECTION_REGISTERS.command, closedContext);
      while (context.registers.read64(INJECTION_REGISTERS.command) !== 0n);
      let failed = 0;
      for (let code = 'EAGAIN'; code === 'EAGAIN'; ++failed) {
        const attach = lun.call('ATTACH', { numInterrupts: 4n, flags: 2n });
        code = await attach.then(() => 'attached', (error) => error.code);
        if (code !== 'EAGAIN') console.log(failed, code);
      }
      await context.close();`,
    );
    // 2037 interrupts, of which the first context has 4.
    expect(child).toEqual(ended('508 ENOSPC\n'));
  });

  it('refuse invalid input', async () => {
    const file = await rawFile();
    const ioctl = file.ioctl as (...args: unknown[]) => unknown;
    const call = (...args: unknown[]) => Reflect.apply(ioctl, file, args);
    const wwid = new Uint8Array(16);
    const thrown = [
      () => call('FORMAT', {}),
      () => call(7, {}),
      () => call('DETACH', undefined),
      () => call('DETACH', { contextId: 1 }),
      () => call('DETACH', { contextId: 1n, version: 'new' }),
      () => call('MANAGE_LUN', { wwid: new Uint8Array(15) }),
      () => call('MANAGE_LUN', { wwid: new Uint16Array(8) }),
      () => call('MANAGE_LUN', { wwid: 'naa.6' }),
      () => Reflect.apply(ioctl, {}, ['MANAGE_LUN', { wwid }]),
    ].map(codeOfThrown);
    expect(thrown.every((name) => name !== 'returned')).toBe(true);
    await file.close();
    expect(file.fd).toBe(-1);
    expect(await file.ioctl('DETACH', { contextId: 1n })).toBe(-9);
  });

  it('leak no descriptor', async () => {
    const target = await flashTarget();
    const cycle = async () => {
      const lun = await target.lun();
      const context = await lun.attach();
      await (await context.openDirect()).blockDevice().read(0, 1);
      inject(context, 'errorState', 5);
      await context.recover();
      await context.close();
      await lun.disableSuperpipe();
      await lun.close();
    };
    await cycle();
    const before = descriptors();
    for (let i = 0; i < 10; i += 1) await cycle();
    expect(descriptors()).toBe(before);
    await target.close();
  });

  it('wait for a reset off the main thread, also when there are more calls than threads', async () => {
    const target = await flashTarget();
    const lun = await target.lun();
    const context = await lun.attach();
    inject(context, 'errorState', 100);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 5);
    const others: Promise<FlashContext>[] = [];
    for (let i = 0; i < 8; i += 1) others.push(lun.attach());
    const started = await Promise.all(others);
    clearInterval(timer);
    // JavaScript ran during the wait.
    expect(turns).toBeGreaterThan(2);
    for (const one of started) await one.close();
    await context.close();
    await target.close();
  });

  it('finish before the node is closed', async () => {
    const target = await flashTarget();
    const lun = await target.lun();
    const context = await lun.attach();
    const second = await openLun(NODE);
    inject(context, 'errorState', 50);
    const waiting = second.attach();
    await second.close();
    await (await waiting).close();
    await context.close();
    await target.close();
  });

  const job = `
    const { openLun } = require('node-cxl/flash');
    const { parentPort, workerData } = require('node:worker_threads');
    (async () => {
      const lun = await openLun('${NODE}');
      await lun.enableSuperpipe();
      const context = await lun.attach();
      const device = (await context.openDirect()).blockDevice();
      await device.read(0, 1);
      if (workerData === 'waiting') {
        context.registers.write64(0x1000, (4n << 56n) | 200n);
        lun.attach();
      } else {
        setInterval(() => { for (let i = 0; i < 32; i += 1) device.read(i, 1); }, 1);
      }
      parentPort.postMessage('running');
    })();
  `;

  for (const state of ['working', 'waiting']) {
    it(`survive the end of a worker that is ${state}`, async () => {
      for (let i = 0; i < 3; i += 1) {
        const worker = new Worker(job, { eval: true, workerData: state });
        await new Promise((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
        await worker.terminate();
      }
      expect(cxl.backend).toBe('native');
      const lun = await openLun(NODE);
      await lun.enableSuperpipe();
      const context = await lun.attach();
      await context.close();
      await lun.close();
    });
  }
});
