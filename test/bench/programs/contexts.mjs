// Events a second of many contexts: each raises its next interrupt when its wait is over.
// Usage: contexts.mjs CONTEXTS SECONDS
import { Job, print } from './job.mjs';

const [contexts, seconds] = process.argv.slice(2).map(Number);
const jobs = [];
for (let number = 0; number < contexts; number += 1) jobs.push(await Job.open());
const start = performance.now();
const end = start + seconds * 1000;
let total = 0;
await Promise.all(
  jobs.map(async (job) => {
    while (performance.now() < end) {
      const wait = job.context.waitForInterrupt(1);
      job.raise();
      await wait;
      total += 1;
    }
  }),
);
const value = total / ((performance.now() - start) / 1000);
for (const job of jobs) await job.close();
print({ value });
