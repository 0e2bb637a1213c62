import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/** A worker with two contexts that wait: one attached, one with its START_WORK under way. */
const waiting = `
const { workerData, parentPort } = require('node:worker_threads');
const { cxl } = require('node-cxl');
(async () => {
  const context = await cxl.open('/dev/cxl/afu0.0s');
  const queue = cxl.allocate(cxl.pageSize);
  await context.attach({ wed: queue.address | 1n, holds: [queue] });
  const area = context.mapProblemState({ endian: 'big' });
  context.waitForInterrupt(1).catch(() => {});
  const other = await cxl.open('/dev/cxl/afu0.0s');
  other.attach({ wed: 1n }).catch(() => {});
  parentPort.postMessage('waiting');
  // Events keep coming while it is terminated.
  for (;;) {
    area.write64(0x1000, (1n << 56n) | 2n);
    await new Promise((resolve) => setImmediate(resolve));
  }
})();
`;

describe('environments', () => {
  it('survive the termination of 60 workers that wait', async () => {
    const child = await runNode(
      `${prelude}
      import { Worker } from 'node:worker_threads';
      const source = ${JSON.stringify(waiting)};
      let started = 0;
      const one = async () => {
        const worker = new Worker(source, { eval: true, execArgv: [] });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        ++started;
        await worker.terminate();
      };
      await one(); // what Node itself opens once
      const base = descriptors();
      for (let round = 0; round < 6; ++round) await Promise.all(Array.from({ length: 10 }, one));
      console.log(started, descriptors() - base, addon.mappedMemory());
      `,
      { limit: 100_000 },
    );
    expect(child).toEqual(ended('61 0 0\n'));
  }, 120_000);

  it('survive the termination of workers at any moment', async () => {
    const child = await runNode(
      `${prelude}
      import { Worker } from 'node:worker_threads';
      const source = ${JSON.stringify(waiting)};
      // What Node and the simulated device open once.
      await (async () => {
        const { context, queue } = await attached();
        context.mapProblemState();
        await context.close();
        queue.free();
      })();
      await sleep(20);
      let base;
      for (let round = 0; round < 8; ++round) {
        await Promise.all(Array.from({ length: 5 }, async (_, i) => {
          const worker = new Worker(source, { eval: true, execArgv: [] });
          await new Promise((resolve) => worker.once('online', resolve));
          await sleep((round * 5 + i) * 2);
          await worker.terminate();
        }));
        base ??= descriptors();
      }
      // Node 26 lets the bytes of a detached buffer go when it collects the buffer.
      for (let i = 0; i < 10 && addon.mappedMemory() > 0; ++i) {
        gc();
        await sleep(20);
      }
      console.log(descriptors() - base, addon.mappedMemory());
      `,
      { flags: ['--expose-gc'], limit: 100_000 },
    );
    expect(child).toEqual(ended('0 0\n'));
  }, 120_000);

  it('work side by side', async () => {
    const child = await runNode(
      `${prelude}
      import { Worker } from 'node:worker_threads';
      const source = \`
        const { parentPort } = require('node:worker_threads');
        const { cxl } = require('node-cxl');
        (async () => {
          const context = await cxl.open('/dev/cxl/afu0.0s');
          const queue = cxl.allocate(cxl.pageSize);
          await context.attach({ wed: queue.address | 1n });
          const area = context.mapProblemState({ endian: 'big' });
          let seen = 0;
          for (let i = 0; i < 100; ++i) {
            area.write64(0x1000, (1n << 56n) | 1n);
            await context.waitForInterrupt(1);
            ++seen;
          }
          await context.close();
          parentPort.postMessage(seen);
        })();
      \`;
      const seen = await Promise.all(Array.from({ length: 8 }, () => new Promise((resolve, reject) =>
        new Worker(source, { eval: true, execArgv: [] }).once('message', resolve).once('error', reject))));
      console.log(seen.join());
      `,
      { limit: 100_000 },
    );
    expect(child).toEqual(ended(`${Array(8).fill(100).join()}\n`));
  }, 120_000);
});

describe('the end of a worker', () => {
  it('closes its contexts before memory that they hold goes back', async () => {
    // Memory of a later allocation, and of one before the context was opened.
    const child = await runNode(
      `${prelude}
      import { Worker } from 'node:worker_threads';
      const source = \`
        const { parentPort } = require('node:worker_threads');
        const { cxl } = require('node-cxl');
        (async () => {
          const before = cxl.allocate(1 << 20);
          const context = await cxl.open('/dev/cxl/afu0.0s');
          await context.attach({ wed: before.address | 1n, holds: [before] });
          const after = context.allocate(1 << 20);
          const area = context.mapProblemState({ endian: 'big' });
          parentPort.postMessage('attached');
          setInterval(() => area.read64(0), 1000);
        })();
      \`;
      for (let i = 0; i < 5; ++i) {
        const worker = new Worker(source, { eval: true, execArgv: [] });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        console.log(addon.mappedMemory());
        await worker.terminate();
        console.log(addon.mappedMemory(), JSON.parse(readFileSync('/dev/cxl-sim', 'utf8')).openContexts);
      }
      `,
    );
    expect(child).toEqual(ended(`${2 ** 21}\n0 0\n`.repeat(5)));
  }, 60_000);
});

describe('the end of a process', () => {
  const steps: Record<string, string> = {
    'before anything': '',
    'while it opens': 'cxl.open(device);',
    'when it has opened': 'await cxl.open(device);',
    'while it attaches': '(await cxl.open(device)).attach({ wed: 1n });',
    'when it has attached': 'await attached();',
    'while an attach is slow': `
      const { context } = await attached();
      const area = context.mapProblemState({ endian: 'big' });
      area.write64(0x1000, (6n << 56n) | 300n);
      const other = await cxl.open(device);
      other.attach({ wed: 1n });
      await sleep(50);`,
    'when it has mapped': 'const m = (await attached()).context.mapProblemState(); m.read64(0);',
    'while it waits':
      'const { context } = await attached(); context.waitForEvent(); await sleep(20);',
    'within a delivery': `
      const { context } = await attached();
      const area = context.mapProblemState({ endian: 'big' });
      context.waitForInterrupt(1).then(() => process.exit(7));
      area.write64(0x1000, (1n << 56n) | 1n);
      await new Promise(() => {});`,
    'while it closes': 'const { context } = await attached(); context.close();',
    'after it has closed': 'const { context } = await attached(); await context.close();',
    'with memory and a context open': `
      const { context } = await attached();
      cxl.allocate(1 << 20).store64(0, 1n);`,
  };

  it('by process.exit() comes at once, at every step', async () => {
    for (const [name, step] of Object.entries(steps)) {
      const child = await runNode(`${prelude} ${step}; process.exit(7);`, { limit: 20_000 });
      expect(child, name).toEqual(ended('', 7));
    }
  }, 120_000);

  it('comes by itself when nothing is waited for', async () => {
    for (const [name, step] of Object.entries(steps)) {
      if (name.includes('waits') || name.includes('delivery')) continue;
      const child = await runNode(`${prelude} ${step}`, { limit: 20_000 });
      expect(child, name).toEqual(ended(''));
    }
  }, 120_000);

  it('does not come while an event is waited for', async () => {
    const child = await runNode(
      `${prelude}
      const { context } = await attached();
      context.waitForEvent().then(() => console.log('event'));
      setTimeout(() => console.log('still here'), 300).unref();`,
      { limit: 2_000 },
    );
    expect(child).toMatchObject({ hung: true, stdout: 'still here\n' });
  }, 120_000);
});
