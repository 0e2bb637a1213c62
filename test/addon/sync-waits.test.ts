/** What ends a thread that blocks for events, from outside of it: only the addon blocks in the kernel. */
import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/** A worker that says `blocked`, and waits for an event that never comes. */
const worker = (wait: string, before = '') => `
  const { parentPort } = require('node:worker_threads');
  const { cxl } = require('node-cxl');
  (async () => {
    const context = await cxl.open('/dev/cxl/afu0.0s');
    const queue = cxl.allocate(cxl.pageSize);
    await context.attach({ wed: queue.address | 1n, holds: [queue], interrupts: 4 });
    ${before}
    parentPort.postMessage('blocked');
    try {
      ${wait}
      parentPort.postMessage('returned');
    } catch (error) {
      parentPort.postMessage(error.code);
    }
  })();
`;

const start = `${prelude}
import { Worker } from 'node:worker_threads';
import { writeFileSync } from 'node:fs';
const next = (worker) =>
  new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
/** A worker whose thread is blocked. */
async function blocked(source) {
  const worker = new Worker(source, { eval: true, execArgv: [] });
  await next(worker);
  await sleep(50);
  return worker;
}
const contexts = () => JSON.parse(readFileSync('/dev/cxl-sim', 'utf8')).openContexts;
`;

const waits: Record<string, string> = {
  'waitForInterruptSync()': 'context.waitForInterruptSync(1);',
  'waitForEventSync() with a time-out': 'context.waitForEventSync({ timeout: 2 ** 31 - 1 });',
  'a wait that spins': 'context.waitForInterruptSync(1, { spin: 2 ** 31 - 1 });',
  'waits in a loop': 'for (;;) try { context.waitForEventSync({ timeout: 1 }); } catch {}',
};

describe('worker.terminate()', () => {
  it('ends a wait that blocks, at once, and closes the context', async () => {
    for (const [name, wait] of Object.entries(waits)) {
      const child = await runNode(
        `${start}
        const one = await blocked(${JSON.stringify(worker(wait))});
        const begin = performance.now();
        const code = await one.terminate();
        console.log(code, performance.now() - begin < 5000, contexts());
        `,
        { limit: 30_000 },
      );
      expect(child, name).toEqual(ended('1 true 0\n'));
    }
  }, 120_000);

  it('ends it also when the event loop of the worker had something to do before', async () => {
    // What has been posted to the worker stays unread: a later wake-up of its loop is not seen.
    const child = await runNode(
      `${start}
      const one = await blocked(${JSON.stringify(
        worker('context.waitForInterruptSync(1);', "parentPort.on('message', () => {});"),
      )});
      one.postMessage('a message');
      await sleep(50);
      console.log(await one.terminate(), contexts());
      `,
      { limit: 50_000 },
    );
    expect(child).toEqual(ended('1 0\n'));
  }, 60_000);

  it('ends many of them', async () => {
    const child = await runNode(
      `${start}
      const source = ${JSON.stringify(worker('context.waitForInterruptSync(1);'))};
      const base = descriptors();
      for (let round = 0; round < 3; ++round) {
        const workers = await Promise.all(Array.from({ length: 8 }, () => blocked(source)));
        await Promise.all(workers.map((one) => one.terminate()));
      }
      console.log(contexts(), descriptors() - base < 8);
      `,
    );
    expect(child).toEqual(ended('0 true\n'));
  }, 120_000);
});

describe('a thread that blocks for events', () => {
  it('goes on when the card goes into error, is reset or is unplugged', async () => {
    const commands = ['link-down card0 20', 'detach-all afu0.0', 'unplug card0'];
    for (const command of commands) {
      const child = await runNode(
        `${start}
        const one = await blocked(${JSON.stringify(worker('context.waitForInterruptSync(1);'))});
        const said = next(one);
        writeFileSync('/dev/cxl-sim', '${command}');
        console.log(await said);
        `,
        { limit: 30_000 },
      );
      expect(child, command).toEqual(ended('EIO\n'));
    }
  }, 120_000);

  it('sleeps: it does not wake up from time to time', async () => {
    const child = await runNode(
      `${prelude}
      const { context } = await attached();
      const switches = () => Number(/^voluntary_ctxt_switches:\\s*(\\d+)/m.exec(
        readFileSync('/proc/self/task/' + process.pid + '/status', 'latin1'))[1]);
      const wait = () => { try { context.waitForEventSync({ timeout: 1000 }); } catch {} };
      wait();
      const before = switches();
      wait();
      console.log(switches() - before <= 3);
      await context.close();
      `,
    );
    expect(child).toEqual(ended('true\n'));
  }, 60_000);

  it('is the main thread: a handler of SIGINT runs after the wait, and none ends the process', async () => {
    const program = (handler: string) => `${prelude}
      const { context } = await attached();
      ${handler}
      console.log('blocked');
      const begin = performance.now();
      try { context.waitForEventSync({ timeout: 3000 }); } catch (error) { console.log(error.code); }
      console.log(performance.now() - begin >= 2999);
      await sleep(50); // a turn of the event loop
      await context.close();
    `;
    const interrupt = async (pid: number) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      process.kill(pid, 'SIGINT');
    };
    const handled = await runNode(program("process.once('SIGINT', () => console.log('SIGINT'));"), {
      onFirstLine: interrupt,
    });
    expect(handled).toEqual(ended('blocked\nETIMEDOUT\ntrue\nSIGINT\n'));
    const unhandled = await runNode(program(''), { onFirstLine: interrupt });
    expect(unhandled).toMatchObject({ signal: 'SIGINT', stdout: 'blocked\n' });
  }, 60_000);

  it('gets each event once when two threads wait on one adopted descriptor', async () => {
    const child = await runNode(
      `${start}
      const context = await cxl.open(device);
      const queue = cxl.allocate(cxl.pageSize);
      await context.attach({ wed: queue.address | 1n, holds: [queue], interrupts: 4 });
      const area = context.mapProblemState({ endian: 'big' });
      // How many interrupts the workers got, and whether they end.
      const counts = new Int32Array(new SharedArrayBuffer(8));
      const source = \`
        const { parentPort, workerData } = require('node:worker_threads');
        const { cxl } = require('node-cxl');
        const context = cxl.adopt(workerData.fd, { owned: false });
        parentPort.postMessage('blocked');
        for (let code; code === undefined || Atomics.load(workerData.counts, 1) === 0; ) {
          try {
            context.waitForInterruptSync(1, { timeout: 250 });
            Atomics.add(workerData.counts, 0, 1);
          } catch (error) {
            code = error.code;
            if (code !== 'ETIMEDOUT') throw error;
          }
        }
        parentPort.postMessage('ended');
      \`;
      const workerData = { fd: context.fd, counts };
      const workers = [0, 1].map(() => new Worker(source, { eval: true, execArgv: [], workerData }));
      await Promise.all(workers.map(next));
      const said = workers.map(next);
      // Each when the one before has come: two that are pending are one event.
      for (let round = 0; round < 100; ++round) {
        area.write64(0x1000, (1n << 56n) | 1n);
        while (Atomics.load(counts, 0) <= round) await sleep(1);
      }
      // An event that came twice would come by now.
      await sleep(300);
      Atomics.store(counts, 1, 1);
      console.log((await Promise.all(said)).join(' '), counts[0]);
      await context.close();
      `,
    );
    expect(child).toEqual(ended('ended ended 100\n'));
  }, 60_000);
});
