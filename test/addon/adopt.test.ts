import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/** Node's own open gives a descriptor that blocks, as another program's might. */
const blocking = `${prelude}
import { openSync, closeSync, fstatSync } from 'node:fs';
const fd = openSync(device, 'r+');
const open = () => { try { fstatSync(fd); return true; } catch { return false; } };
const flags = () => parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'latin1'))[1], 8);
`;

describe('an adopted descriptor', () => {
  it('that blocks: events come, and no read ever waits', async () => {
    const child = await runNode(
      `${blocking}
      const before = flags();
      const context = cxl.adopt(fd, { owned: true, mmioSize: 1 << 16 });
      const queue = cxl.allocate(cxl.pageSize);
      await context.attach({ wed: queue.address | 1n, interrupts: 4, holds: [queue] });
      const area = context.mapProblemState({ endian: 'big' });
      let beats = 0;
      const timer = setInterval(() => { ++beats; }, 5);
      for (let i = 0; i < 20; ++i) {
        area.write64(0x1000, (1n << 56n) | 0b1011n);
        for (const irq of [1, 2, 4]) await context.waitForInterrupt(irq, { timeout: 5000 });
      }
      const nothing = await context.waitForEvent({ timeout: 100 }).catch((error) => error.code);
      clearInterval(timer);
      console.log(nothing, beats > 5, flags() === before);
      await context.close();
      console.log(open());
      `,
    );
    expect(child).toEqual(ended('ETIMEDOUT true true\nfalse\n'));
  }, 60_000);

  it('that is not owned stays open, and can be adopted again', async () => {
    const child = await runNode(
      `${blocking}
      for (let i = 0; i < 3; ++i) {
        const context = cxl.adopt(fd, { owned: false, mmioSize: 1 << 16 });
        await context.waitForEvent({ timeout: 1 }).catch(() => {});
        await context.close();
      }
      console.log(open());
      closeSync(fd);
      `,
    );
    expect(child).toEqual(ended('true\n'));
  }, 60_000);

  it('whose context runs already keeps the memory that it holds; one that was not started does not', async () => {
    const child = await runNode(
      `${blocking}
      const holding = (context) => {
        const memory = context.hold(cxl.allocate(4096));
        return () => { try { memory.free(); return 'freed'; } catch (error) { return error.code; } };
      };
      const first = cxl.adopt(fd, { owned: false });
      console.log(holding(first)());
      await first.attach({ wed: 1n });
      const free = holding(first);
      console.log(free());
      await first.close();
      console.log(free());
      const second = cxl.adopt(fd, { owned: true });
      const again = holding(second);
      console.log(again());
      await second.close();
      console.log(again(), open());
      `,
    );
    expect(child).toEqual(ended('freed\nEBUSY\nfreed\nEBUSY\nfreed false\n'));
  }, 60_000);

  it('that a worker has adopted as well: no read waits for what the other has taken', async () => {
    const child = await runNode(
      `${blocking}
      import { Worker } from 'node:worker_threads';
      const source = \`
        const { parentPort, workerData } = require('node:worker_threads');
        const { cxl } = require('node-cxl');
        const context = cxl.adopt(workerData, { owned: false, mmioSize: 1 << 16 });
        parentPort.postMessage('waiting');
        (async () => { for (;;) parentPort.postMessage((await context.waitForEvent()).irq); })();
      \`;
      const context = cxl.adopt(fd, { owned: true, mmioSize: 1 << 16 });
      const queue = cxl.allocate(cxl.pageSize);
      await context.attach({ wed: queue.address | 1n, interrupts: 4, holds: [queue] });
      const area = context.mapProblemState({ endian: 'big' });
      const other = (await attached()).context;
      const otherArea = other.mapProblemState({ endian: 'big' });
      const worker = new Worker(source, { eval: true, execArgv: [], workerData: fd });
      await new Promise((resolve) => worker.once('message', resolve));
      let told = 0;
      worker.on('message', () => { ++told; });
      (async () => { for (;;) { await context.waitForEvent(); ++told; } })().catch(() => {});
      let starved = 0;
      for (let round = 1; round <= 500 && starved === 0; ++round) {
        area.write64(0x1000, (1n << 56n) | 1n);
        for (let turn = 0; turn < 2000 && told < round; ++turn) await sleep(1);
        otherArea.write64(0x1000, (1n << 56n) | 2n);
        await other.waitForInterrupt(2, { timeout: 5000 }).catch(() => { ++starved; });
      }
      await worker.terminate();
      console.log(told >= 500, starved);
      process.exit();
      `,
      { limit: 100_000 },
    );
    expect(child).toEqual(ended('true 0\n'));
  }, 120_000);

  it('that its owner has closed leaves the next file of that number alone', async () => {
    const child = await runNode(
      `${blocking}
      const first = cxl.adopt(fd, { owned: false, mmioSize: 1 << 16 });
      await first.attach({ wed: 0n });
      await first.waitForEvent({ timeout: 10 }).catch(() => {});
      first.mapProblemState({ endian: 'big' }).write64(0x1000, (1n << 56n) | 1n);
      await first.waitForInterrupt(1);
      closeSync(fd);
      const next = await cxl.open(device);
      await next.attach({ wed: 0n });
      const area = next.mapProblemState({ endian: 'big' });
      const told = next.waitForInterrupt(1, { timeout: 5000 }).then(() => 'told', (error) => error.code);
      await first.close();
      area.write64(0x1000, (1n << 56n) | 1n);
      console.log(next.fd === fd, await told);
      await next.close();
      `,
    );
    expect(child).toEqual(ended('true told\n'));
  }, 60_000);

  it('that is none of cxl is refused, and left alone', async () => {
    const child = await runNode(
      `${prelude}
      import { openSync, fstatSync } from 'node:fs';
      const file = openSync('/proc/self/status', 'r');
      console.log([file, 1, 4242, -1].map((fd) => addon.adoptAfu(fd, true)).join());
      fstatSync(file);
      `,
    );
    expect(child).toEqual(ended('-19,-19,-9,-9\n'));
  }, 60_000);
});
