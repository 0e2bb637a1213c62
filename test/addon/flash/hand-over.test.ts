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
    (async () => {
      const lun = await openLun('${NODE}');
      const begin = () => parentPort.postMessage('begins');
      ${loop}
    })();
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
  it('by 200 workers that are terminated during ATTACH', async () => {
    const loop = 'begin(); for (;;) await (await lun.attach()).close();';
    const child = await runNode(program(loop, 50), { limit: 100_000 });
    expect(child).toEqual(ended('0\n'));
  }, 120_000);

  it('by 120 workers that are terminated during RECOVER_AFU', async () => {
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
    const child = await runNode(program(loop, 30), { limit: 100_000 });
    expect(child).toEqual(ended('0\n'));
  }, 120_000);
});
