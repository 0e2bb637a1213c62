// One worker of the memory soak: jobs side by side, each with its own context and memory.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import { Violation } from '../counts.mjs';
import { Random } from '../random.mjs';
import { JOBS } from './jobs.mjs';

const { target, seed, jobs } = workerData;
const random = new Random(seed);
const system = target === 'simulated' ? cxl : createMockCxl();
let counted = {};
let ending = false;
parentPort.on('message', () => {
  ending = true;
});

function count(name) {
  counted[name] = (counted[name] ?? 0) + 1;
}

/** Contexts are limited: 511 process elements are fewer than 8 times 100 jobs ask for at once. */
async function whenThereIsRoom(make) {
  for (;;) {
    try {
      return await make();
    } catch (error) {
      if (error.code !== 'ENOSPC' || ending) throw error;
      count('full');
      await sleep(random.integer(1, 20));
    }
  }
}

async function lane() {
  const names = Object.keys(JOBS);
  while (!ending) {
    const name = random.pick(names);
    try {
      await JOBS[name]({ system, random, whenThereIsRoom });
      count('jobs');
      count(`job ${name}`);
    } catch (error) {
      if (ending && error.code === 'ENOSPC') return;
      const text = error instanceof Violation ? error.message : (error.stack ?? String(error));
      parentPort.postMessage({ violation: `${name}: ${text}` });
      return;
    }
  }
}

const progress = setInterval(() => {
  parentPort.postMessage({ counted });
  counted = {};
}, 500);
await Promise.all(Array.from({ length: jobs }, lane));
clearInterval(progress);
parentPort.postMessage({ counted });
parentPort.close();
