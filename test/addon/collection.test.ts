import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

const flags = ['--expose-gc'];

/** As collect(); what a WeakRef gave is kept until the turn ends, so a look comes after. */
const collectWeakly = `
async function collectWeakly(until, turns = 100) {
  for (let turn = 0; turn < turns; ++turn) {
    await sleep(10);
    globalThis.gc();
    if (until()) return true;
  }
  return false;
}
`;

describe('what is no longer referenced', () => {
  it('contexts: their descriptors are closed', async () => {
    const child = await runNode(
      `${prelude}
      const base = descriptors();
      const fill = async () => {
        const contexts = [];
        for (let i = 0; i < 50; ++i) {
          const { context } = await attached();
          context.mapProblemState().read64(0);
          contexts.push(context);
        }
        return descriptors() - base;
      };
      const opened = await fill();
      console.log(opened >= 50, await collect(() => descriptors() === base));
      `,
      { flags },
    );
    expect(child).toEqual(ended('true true\n'));
  }, 120_000);

  it('contexts that have waited before: the same', async () => {
    const child = await runNode(
      `${prelude}
      const { context } = await attached();
      await context.waitForEvent({ timeout: 10 }).catch(() => {});
      const base = descriptors();
      const fill = async () => {
        for (let i = 0; i < 10; ++i) {
          const { context } = await attached();
          const area = context.mapProblemState({ endian: 'big' });
          area.write64(0x1000, (1n << 56n) | 1n);
          await context.waitForInterrupt(1);
          await context.waitForEvent({ timeout: 5 }).catch(() => {});
        }
      };
      await fill();
      console.log(await collect(() => descriptors() === base));
      await context.close();
      `,
      { flags },
    );
    expect(child).toEqual(ended('true\n'));
  }, 120_000);

  it('what a context holds: not before the context is closed', async () => {
    const child = await runNode(
      `${prelude} ${collectWeakly}
      const running = () => JSON.parse(readFileSync('/dev/cxl-sim', 'utf8')).cards[0].attached;
      const held = [];
      const hold = (size) => { const buffer = new ArrayBuffer(size); held.push(new WeakRef(buffer)); return buffer; };
      const start = async () => {
        const context = await cxl.open(device);
        await context.attach({ wed: 0n, holds: [hold(1 << 20)] });
        context.hold(hold(1 << 20));
      };
      for (let i = 0; i < 5; ++i) await start();
      let early = 0;
      const gone = () => {
        const left = held.filter((ref) => ref.deref() !== undefined).length;
        if (left < 2 * running()) ++early;
        return left === 0;
      };
      console.log(running(), await collectWeakly(gone), early, running());
      `,
      { flags },
    );
    expect(child).toEqual(ended('5 true 0 0\n'));
  }, 120_000);

  it('a view held for two reasons: an attach that is refused takes one of them away', async () => {
    const child = await runNode(
      `${prelude} ${collectWeakly}
      const context = await cxl.open(device);
      let ref;
      await (async () => {
        const buffer = new ArrayBuffer(1 << 20);
        ref = new WeakRef(buffer);
        const refused = context.attach({ wed: 0n, interrupts: 0x7fff, holds: [buffer] });
        context.hold(buffer);
        console.log(await refused.catch((error) => error.code));
      })();
      console.log(await collectWeakly(() => ref.deref() === undefined, 10));
      await context.close();
      console.log(await collectWeakly(() => ref.deref() === undefined));
      `,
      { flags },
    );
    expect(child).toEqual(ended('EINVAL\nfalse\ntrue\n'));
  }, 120_000);

  it('a context with a pending wait stays', async () => {
    const child = await runNode(
      `${prelude}
      const start = async () => {
        const { context } = await attached();
        const area = context.mapProblemState({ endian: 'big' });
        context.waitForInterrupt(1).then(() => console.log('delivered'));
        return context.fd;
      };
      await start();
      const count = descriptors();
      await collect(() => false, 20);
      console.log(descriptors() === count);
      process.exit();
      `,
      { flags },
    );
    expect(child).toEqual(ended('true\n'));
  }, 120_000);

  it('a mapping keeps its context', async () => {
    const child = await runNode(
      `${prelude}
      const read64 = await (async () => {
        const file = await addon.openAfu(device);
        await file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 1n });
        // The function alone keeps its mapping, and that its context.
        return file.map(0, 4096, 'big').read64;
      })();
      const value = new BigUint64Array(addon.operands, 8, 1);
      const read = (offset) => {
        new Float64Array(addon.operands, 0, 1)[0] = offset;
        return read64() ? value[0] : undefined;
      };
      const before = read(8);
      const count = descriptors();
      await collect(() => false, 20);
      console.log(before !== undefined && read(8) === before, descriptors() === count);
      `,
      { flags },
    );
    expect(child).toEqual(ended('true true\n'));
  }, 120_000);

  it('memory: it goes back, but not before the last context that holds it is closed', async () => {
    const child = await runNode(
      `${prelude}
      // A length that nothing else in the process maps.
      const size = 0x1234_5000;
      const exact = () => readFileSync('/proc/self/maps', 'latin1').trim().split('\\n').some((line) => {
        const [from, to] = line.split(' ', 1)[0].split('-').map((x) => BigInt('0x' + x));
        return to - from === BigInt(size);
      });
      const take = () => { cxl.allocate(size, { alignment: 4096 }).store8(0, 1); };
      take();
      console.log(exact(), await collect(() => !exact()));
      const { context } = await attached();
      // Another context that is attached does not matter.
      take();
      console.log(exact(), await collect(() => !exact()));
      const hold = () => { context.hold(cxl.allocate(size, { alignment: 4096 })); };
      hold();
      console.log(await collect(() => !exact(), 20));
      await context.close();
      console.log(await collect(() => !exact()));
      `,
      { flags },
    );
    expect(child).toEqual(ended('true true\ntrue true\nfalse\ntrue\n'));
  }, 120_000);

  it('memory of a worker goes with the worker, whoever is attached elsewhere', async () => {
    const child = await runNode(
      `${prelude}
      import { Worker } from 'node:worker_threads';
      const source = \`
        const { parentPort } = require('node:worker_threads');
        const { cxl } = require('node-cxl');
        globalThis.kept = cxl.allocate(1 << 20);
        parentPort.postMessage('ready');
        setInterval(() => {}, 1000);
      \`;
      const { context, queue } = await attached();
      const worker = new Worker(source, { eval: true, execArgv: [] });
      await new Promise((resolve) => worker.once('message', resolve));
      console.log(addon.mappedMemory() >= 1 << 20);
      await worker.terminate();
      console.log(addon.mappedMemory() === queue.size);
      await context.close();
      `,
    );
    expect(child).toEqual(ended('true\ntrue\n'));
  }, 120_000);
});

describe('nothing leaks', () => {
  it('over a thousand contexts and regions', async () => {
    const child = await runNode(
      `${prelude}
      const once = async () => {
        const { context, queue } = await attached();
        const area = context.mapProblemState({ endian: 'big' });
        area.write64(0x1000, (1n << 56n) | 1n);
        await context.waitForInterrupt(1);
        await context.close();
        queue.free();
      };
      const lines = () => readFileSync('/proc/self/maps', 'latin1').split('\\n')
        .filter((line) => line.includes(' rw-s ') || line.includes('cxl')).length;
      await once();
      const before = { fds: descriptors(), maps: lines() };
      for (let i = 0; i < 1000; ++i) await once();
      // Node 26 lets the bytes of a detached buffer go when it collects the buffer.
      for (let i = 0; i < 10 && addon.mappedMemory() > 0; ++i) {
        gc();
        await sleep(20);
      }
      console.log(descriptors() - before.fds, lines() - before.maps, addon.mappedMemory());
      `,
      { flags, limit: 100_000 },
    );
    expect(child).toEqual(ended('0 0 0\n'));
  }, 120_000);

  it('when opening fails', async () => {
    const child = await runNode(
      `${prelude}
      const base = descriptors();
      const errors = new Set();
      for (let i = 0; i < 200; ++i) {
        for (const path of ['/dev/null', '/dev/cxl/afu9.9s', '/proc/self/stat', '/dev']) {
          const file = await addon.openAfu(path);
          errors.add(typeof file === 'number' ? file : 'opened');
        }
      }
      console.log(descriptors() - base, [...errors].sort((a, b) => a - b).join());
      `,
    );
    // EISDIR, ENODEV, EACCES or the like of a file that cannot be written, ENOENT.
    expect(child.stdout).toMatch(/^0 -21,-19,(-13,)?-2\n$/);
    expect(child.code).toBe(0);
  }, 120_000);
});
