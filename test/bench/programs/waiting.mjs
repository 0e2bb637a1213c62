// What contexts that wait cost: threads, memory, and how long fs.readFile takes beside them.
// Usage: waiting.mjs CONTEXTS READS
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Job, print } from './job.mjs';

const [contexts, reads] = process.argv.slice(2).map(Number);

const isOurs = (thread) =>
  !readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').startsWith('cxlsim');
const threads = () => readdirSync('/proc/self/task').filter(isOurs).length;

const first = await Job.open();
await first.context.waitForEvent({ timeout: 1 }).catch(() => undefined);
await readFile(new URL(import.meta.url));
const jobs = [];
for (let number = 1; number < contexts; number += 1) jobs.push(await Job.open());
globalThis.gc?.();
const before = { threads: threads(), memory: process.memoryUsage().rss };
const waits = jobs.map(({ context }) => context.waitForEvent().catch(() => undefined));
await new Promise((resolve) => setTimeout(resolve, 50));
globalThis.gc?.();
const after = { threads: threads(), memory: process.memoryUsage().rss };
const samples = [];
for (let read = 0; read < reads; read += 1) {
  const start = process.hrtime.bigint();
  await readFile(new URL(import.meta.url));
  samples.push(Number(process.hrtime.bigint() - start) / 1000);
}
for (const job of [first, ...jobs]) await job.close();
await Promise.all(waits);
print({
  samples,
  threads: after.threads - before.threads,
  bytes: contexts > 1 ? (after.memory - before.memory) / (contexts - 1) : 0,
});
