// How late timers of 5 ms run while flash is polled: milliseconds. DEPTH 0: while nothing else runs.
// Usage: flash-timers.mjs NODE DEPTH SECONDS
import { setTimeout as sleep } from 'node:timers/promises';
import { print } from './job.mjs';
import { Lanes } from './lanes.mjs';

const DELAY = 5;

const [node, depth, seconds] = process.argv.slice(2);
const lanes = await Lanes.open(node, Number(depth) || 1, 'poll');
const samples = [];
let over = false;

async function measure() {
  while (!over) {
    const start = performance.now();
    await sleep(DELAY);
    samples.push(performance.now() - start - DELAY);
  }
}

const measuring = measure();
await (depth === '0' ? sleep(Number(seconds) * 1000) : lanes.rate(Number(seconds) * 1000));
over = true;
await measuring;
await lanes.close();
print({ samples });
