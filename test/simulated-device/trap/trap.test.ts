/**
 * Trapped registers, from Node: the addon's accesses in several threads at once, and V8's own use
 * of SIGSEGV. The instructions are tested in self-test/forms.c.
 */
import { describe, expect, it } from 'vitest';
import { ended, runNode } from '../../addon/child';
import { command } from '../../conformance/support/simulated-target';

const inMode = (mode: string) => ({ env: { CXLSIM_FLASH_MODE: mode } });

const attach = `
import { openLun } from 'node-cxl/flash';
const lun = await openLun('/dev/sg90');
await lun.enableSuperpipe();
const context = await lun.attach();
const page = context.registers;
const [value, count, room] = [0x1008, 0x1010, 0x38];
`;

const detach = `
await context.close();
await lun.close();
`;

describe('trapped registers, from Node', () => {
  it('can be selected by an environment variable', async () => {
    // Not a register: only memory keeps what is stored there.
    const script = `${attach}
      page.write64(0x8000, 5n);
      console.log(page.read64(room), page.read64(0x8000));
    ${detach}`;
    expect(await runNode(script, inMode('ioarrin'))).toEqual(ended('128n 0n\n'));
    expect(await runNode(script, inMode('sq'))).toEqual(ended('128n 5n\n'));
    expect(await runNode(script)).toEqual(ended('128n 5n\n'));
  });

  it('are selected by a command, which refuses an unknown mode', () => {
    expect(() => command('flash-mode polled')).toThrow(/EINVAL/);
    expect(() => command('flash-mode')).toThrow(/EINVAL/);
  });

  it('stay the same for a context when the mode changes', async () => {
    const script = `${attach}
      import { writeFileSync } from 'node:fs';
      writeFileSync('/dev/cxl-sim', 'flash-mode sq');
      const polled = await lun.attach();
      for (const registers of [page, polled.registers]) registers.write64(0x8000, 5n);
      console.log(page.read64(0x8000), polled.registers.read64(0x8000));
      for (const one of [context, polled]) {
        const device = (await one.openDirect()).blockDevice();
        await device.write(0, new Uint8Array(4096).fill(3));
        console.log((await device.read(0, 1))[4095]);
      }
      await polled.close();
    ${detach}`;
    expect(await runNode(script, inMode('ioarrin'))).toEqual(ended('0n 5n\n3\n3\n'));
  });

  it('pass on the faults of WebAssembly', async () => {
    // (func (param i32) (result i32) (i32.load (local.get 0))) over a memory of one page: V8
    // checks the bounds by a fault.
    const bytes = [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      [1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f],
      [3, 2, 1, 0],
      [5, 3, 1, 0, 1],
      [7, 8, 1, 4, 0x6c, 0x6f, 0x61, 0x64, 0, 0],
      [10, 9, 1, 7, 0, 0x20, 0, 0x28, 2, 0, 0x0b],
    ].flat();
    const script = `${attach}
      const module = new WebAssembly.Module(Uint8Array.from(${JSON.stringify(bytes)}));
      const { load } = new WebAssembly.Instance(module).exports;
      let faults = 0;
      for (let i = 0; i < 1000; ++i) {
        page.write64(value, BigInt(i));
        try {
          load(65536 + 4096 * i);
        } catch (error) {
          if (error instanceof WebAssembly.RuntimeError) ++faults;
        }
        if (page.read64(value) !== BigInt(i) || load(0) !== 0) throw new Error('at ' + i);
      }
      console.log(faults);
    ${detach}`;
    expect(await runNode(script, inMode('ioarrin'))).toEqual(ended('1000\n'));
  });

  it('are right in several threads at once, by single accesses and by blocks', async () => {
    const job = `
      const { openLun } = require('node-cxl/flash');
      const { parentPort, workerData } = require('node:worker_threads');
      (async () => {
        const lun = await openLun('/dev/sg90');
        await lun.enableSuperpipe();
        const context = await lun.attach();
        const page = context.registers;
        const block = new BigUint64Array(2);
        let wrong = 0;
        for (let i = 0; i < 2000; ++i) {
          const one = (BigInt(workerData) << 32n) | BigInt(i);
          page.write64(0x1008, one);
          if (page.read64(0x1008) !== one) ++wrong;
          page.writeBlock(0x1008, BigUint64Array.of(one + 1n, one + 2n));
          page.readBlock(0x1008, block);
          if (block[0] !== one + 1n || block[1] !== one + 2n) ++wrong;
        }
        await context.close();
        await lun.close();
        parentPort.postMessage(wrong);
      })();`;
    const script = `
      import { Worker } from 'node:worker_threads';
      const options = { eval: true, execArgv: [] };
      const threads = [1, 2, 3].map((workerData) => new Promise((resolve, reject) => {
        const worker = new Worker(${JSON.stringify(job)}, { ...options, workerData });
        worker.once('message', resolve).once('error', reject);
      }));
      console.log(await Promise.all(threads));`;
    expect(await runNode(script, inMode('ioarrin'))).toEqual(ended('[ 0, 0, 0 ]\n'));
  });
});
