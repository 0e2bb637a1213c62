/**
 * A process or a worker that uses contexts, and ends in the middle of that, by itself or by its
 * parent. Arguments, or workerData: its target, a seed, and the way it ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import { Random } from '../../random.mjs';

const LANES = 4;
/** Milliseconds after which it ends by itself, at most. */
const LIFE = 150;

const [target, seed, way] = isMainThread ? process.argv.slice(2) : (workerData as string[]);
const system = target === 'mock' ? createMockCxl() : cxl;
const random = new Random(Number(seed));
let ending = false;

async function work(): Promise<void> {
  while (!ending) {
    const context = await system.open('/dev/cxl/afu0.0s');
    const memory = context.allocate(4096 * random.integer(1, 64));
    try {
      await context.attach({ wed: memory.address });
      const area = context.mapProblemState({ endian: 'big' });
      const waits = context.waitForEvent({ timeout: random.integer(0, 20) }).catch(() => {});
      for (let i = random.integer(0, 50); i > 0; i -= 1) area.read64(0x10);
      // Interrupts of its own, on the simulated device.
      if (target !== 'mock') area.write64(0x1000, (1n << 56n) | 3n);
      if (random.chance(0.7)) await waits;
    } finally {
      await context.close();
    }
    memory.free();
    await sleep(0);
  }
}

const ENDS: Record<string, () => void> = {
  return: () => {
    ending = true;
  },
  exit: () => process.exit(7),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  abort: () => process.abort(),
  // Its parent ends it.
  waits: () => {},
};

setTimeout(ENDS[way!]!, random.integer(0, LIFE));
const all = Promise.all(Array.from({ length: LANES }, work));
if (isMainThread) process.stdout.write('ready\n');
else parentPort!.postMessage('ready');
await all;
