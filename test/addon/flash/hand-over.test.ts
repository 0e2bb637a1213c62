// Descriptors that ATTACH and RECOVER_AFU answer to a worker that is terminated before it takes them.
import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from '../child';

const NODE = '/dev/sg90';

/** Terminates workers that run `loop` (with `lun` and `inject()`) at any moment of it. */
const program = (loop: string, rounds: number) => `${prelude}
  import { Worker } from 'node:worker_threads';
  import { openLun } from 'node-cxl/flash';
  const source = ${JSON.stringify(`
    const { parentPort } = require('node:worker_threads');
    const { openLun } = require('node-cxl/flash');
    // Starting a worker costs more than its ioctls: so each has three under way when it ends.
    let ready = 0;
    const begin = () => {
      if (++ready === 3) parentPort.postMessage('begins');
    };
    const one = async () => {
      const lun = await openLun('${NODE}');
      ${loop}
    };
    for (let i = 0; i < 3; ++i) one();
  `)};
  const lun = await openLun('${NODE}');
  await lun.enableSuperpipe();
  const one = async (milliseconds) => {
    const worker = new Worker(source, { eval: true, execArgv: [] });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await sleep(milliseconds);
    await worker.terminate();
  };
  const round = (length) => Promise.all(Array.from({ length: 4 }, (_, i) => one((length + i) % 9)));
  await round(0); // what Node itself opens once
  const base = descriptors();
  for (let i = 0; i < ${rounds}; ++i) await round(i);
  // Closing takes a while after the end of a worker.
  for (let i = 0; i < 1000 && descriptors() > base; ++i) await sleep(10);
  console.log(descriptors() - base);
`;

describe('no descriptor is leaked', () => {
  it('by 80 workers that are terminated during three ATTACHes', async () => {
    const loop = 'begin(); for (;;) await (await lun.attach()).close();';
    const child = await runNode(program(loop, 20), { limit: 100_000 });
    expect(child).toEqual(ended('0\n'));
  }, 120_000);

  it('by 48 workers that are terminated during three RECOVER_AFUs', async () => {
    const loop = `
      // The others reset the adapter meanwhile.
      let context;
      while (context === undefined) context = await lun.attach().catch(() => undefined);
      begin();
      for (;;) {
        // ERROR_STATE for a millisecond.
        try { context.registers.write64(0x1000, (4n << 56n) | 1n); } catch {}
        await context.recover().catch(() => {});
      }
    `;
    const child = await runNode(program(loop, 12), { limit: 100_000 });
    expect(child).toEqual(ended('0\n'));
  }, 120_000);
});
