// From raising an interrupt to the end of a wait for it: microseconds.
// Usage: interrupt.mjs wait|iterator|sync|spin|sync-spin COUNT
import { Job, print } from './job.mjs';

const [kind, count] = process.argv.slice(2);
const SPIN = { spin: 100 };
const job = await Job.open();
const { context } = job;
const events = context.events();
const waits = {
  wait: () => context.waitForInterrupt(1),
  iterator: () => events.next(),
  sync: () => context.waitForInterruptSync(1),
  spin: () => context.waitForInterrupt(1, SPIN),
  'sync-spin': () => context.waitForInterruptSync(1, SPIN),
};
const wait = waits[kind];
const blocks = kind.startsWith('sync');
const samples = [];
for (let round = 0; round < Number(count); round += 1) {
  const start = process.hrtime.bigint();
  job.raise();
  if (blocks) wait();
  else await wait();
  samples.push(Number(process.hrtime.bigint() - start) / 1000);
}
if (kind === 'iterator') await events.return();
await job.close();
print({ samples });
