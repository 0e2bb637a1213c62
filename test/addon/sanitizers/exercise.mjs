// What the sanitized addon is run through: every class of it, several environments, events
// under load, faults, collection, and ends at awkward moments. It prints one line a part.
import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { flash } from '../flash/exercise.mjs';

const device = '/dev/cxl/afu0.0s';
const addon = createRequire(import.meta.url)('../../../dist/native').nativeBinding();

async function started(interrupts = 4) {
  const context = await cxl.open(device);
  const queue = cxl.allocate(cxl.pageSize);
  await context.attach({ wed: queue.address | 1n, interrupts, holds: [queue] });
  return { context, queue, area: context.mapProblemState({ endian: 'big' }) };
}

const raise = (area, irqs) => area.write64(0x1000, (1n << 56n) | irqs);

async function collect() {
  for (let i = 0; i < 5; ++i) {
    globalThis.gc?.();
    await sleep(5);
  }
}

const parts = {
  flash,

  async events() {
    const { context, queue, area } = await started();
    for (let i = 0; i < 300; ++i) {
      raise(area, BigInt(1 << (i % 4)));
      await context.waitForInterrupt((i % 4) + 1);
    }
    await Promise.all([
      context.waitForEvent({ timeout: 5 }).catch(() => {}),
      (async () => raise(area, 15n))(),
    ]);
    await context.close();
    queue.free({ force: true }); // another environment may be attached
  },

  async 'access and faults'() {
    const { context, queue, area } = await started();
    const words = new Uint32Array(64);
    const doubles = new BigUint64Array(64);
    const touch = () => {
      area.read32(0x10);
      area.read64(0x08);
      area.write64(0x1008, 1n);
      area.write32(0x1008, 1);
      area.readBlock(0, words);
      area.readBlock(0, doubles);
      area.writeBlock(0x1008, doubles.subarray(0, 1));
    };
    for (let i = 0; i < 200; ++i) touch();
    area.write64(0x1000, 7n << 56n); // every context of the AFU is detached
    let faults = 0;
    for (let i = 0; i < 500 && faults < 100; ++i) {
      try {
        touch();
        await sleep(1);
      } catch {
        ++faults;
      }
    }
    if (faults === 0) throw new Error('no fault');
    await context.close();
    queue.free({ force: true }); // another environment may be attached
  },

  async 'adopted descriptors that block'() {
    const contexts = [];
    for (let i = 0; i < 3; ++i) {
      const fd = openSync(device, 'r+');
      const context = cxl.adopt(fd, { mmioSize: 1 << 16 });
      await context.attach({ wed: 0n, holds: [new ArrayBuffer(64)] });
      contexts.push({ fd, context, area: context.mapProblemState({ endian: 'big' }) });
    }
    for (let i = 0; i < 20; ++i) {
      const waits = contexts.map(({ context }) => context.waitForInterrupt(1));
      for (const { area } of contexts) raise(area, 1n);
      await Promise.all(waits);
    }
    await Promise.all(contexts.map(({ context }) => context.close()));
    for (const { fd } of contexts) closeSync(fd);
  },

  async memory() {
    for (let i = 0; i < 50; ++i) {
      const memory = cxl.allocate(10_000 + i, { alignment: 2 ** (i % 20) });
      memory.store64(8, 5n);
      memory.store32(16, 5);
      memory.store16(20, 5);
      memory.store8(22, 5);
      memory.load64(8);
      memory.load8(22);
      addon.addressOf(new Uint8Array(3));
      if (i % 2 === 0) memory.free({ force: true });
    }
    await collect();
  },

  async 'what is dropped'() {
    for (let i = 0; i < 30; ++i) {
      const { context, area } = await started();
      raise(area, 1n);
      if (i % 3 === 0) await context.waitForInterrupt(1);
    }
    await collect();
  },

  async refusals() {
    for (const path of ['/dev/null', '/dev/cxl/afu7.0s', '/']) {
      await cxl.open(path).catch(() => {});
    }
    for (const fd of [0, 999, -1]) addon.adoptAfu(fd, false);
    const { context } = await started();
    for (const wrong of [
      () => addon.addressOf({}),
      () => addon.allocate({ size: 0, alignment: 3, hugePages: 'none', numaNode: 0 }),
    ]) {
      try {
        wrong();
      } catch {}
    }
    await Promise.all([context.close(), context.close()]);
  },
};

if (isMainThread) {
  for (const [name, part] of Object.entries(parts)) {
    await part();
    console.log(name);
  }
  const worker = (kind) => new Worker(new URL(import.meta.url), { workerData: kind });
  await Promise.all(
    Array.from(
      { length: 4 },
      () =>
        new Promise((resolve, reject) => worker('all').once('exit', resolve).once('error', reject)),
    ),
  );
  console.log('workers');
  for (let i = 0; i < 12; ++i) {
    const one = worker('wait');
    await new Promise((resolve) => one.once('message', resolve));
    await sleep(i);
    await one.terminate();
  }
  console.log('terminated workers');
  const { context } = await started();
  context.waitForEvent();
  await sleep(10);
  console.log('exit');
  process.exit(0);
} else if (workerData === 'all') {
  for (const [name, part] of Object.entries(parts)) {
    // The one that detaches every context of the AFU would end the others' work.
    if (!name.includes('faults')) await part();
  }
} else {
  const { context, area } = await started();
  context.waitForInterrupt(2).catch(() => {});
  parentPort.postMessage('waiting');
  for (;;) {
    raise(area, 1n);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
