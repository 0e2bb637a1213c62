// Memory and contexts in 8 workers: `node main.mjs MILLISECONDS SEED TARGET`. run.mjs starts it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Counts, Violation } from '../counts.mjs';
import { checkLeaks, mappedMemory, settled, summary } from '../leaks.mjs';
import { Random } from '../random.mjs';

/** A sanitizer or valgrind: all is slow, and valgrind runs one thread at a time. */
const TOOL = process.env.SOAK_UNDER;
const WORKERS = TOOL === undefined ? 8 : 2;
/** Side by side in each worker. */
const JOBS = TOOL === undefined ? 100 : 10;
const MINUTE = 60_000;
/** Milliseconds in which all jobs must have ended. */
const HUNG = TOOL === undefined ? MINUTE : 10 * MINUTE;
/** Milliseconds between two lines of progress. */
const PROGRESS = 5000;
const MIB = 2 ** 20;
/** Bytes by which a later minute's mean may be above that of the second minute. */
const SLACK = 64 * MIB;
/** Milliseconds between two workers that are terminated in the middle of their work. */
const TERMINATE_EVERY = 15_000;

const [milliseconds, seed, target] = process.argv.slice(2);
const random = new Random(Number(seed));
const counts = new Counts();
const workers = new Map();
const minutes = [];
let samples = [];
let failed;

function start(slot) {
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), {
    workerData: { target, seed: random.integer(0, 2 ** 31), jobs: JOBS },
  });
  workers.set(slot, worker);
  worker.on('message', ({ counted, violation }) => {
    for (const [name, number] of Object.entries(counted ?? {})) counts.add(name, number);
    if (violation !== undefined) fail(violation);
  });
  worker.on('error', (error) => fail(error?.stack ?? String(error)));
  return worker;
}

function fail(what) {
  failed ??= new Violation(what);
}

const mean = (list) => list.reduce((sum, one) => sum + one, 0) / list.length;
const mebibytes = (bytes) => `${Math.round(bytes / MIB)} MiB`;

function report() {
  const seconds = Math.round((performance.now() - begin) / 1000);
  const resident = process.memoryUsage().rss;
  console.log(
    `${seconds} s: ${counts.get('jobs')} jobs, ${counts.text('job ')}; ` +
      `${counts.get('full')} waits for a process element; ` +
      `${counts.get('terminated')} workers terminated; resident ${mebibytes(resident)}`,
  );
}

/** A worker that starts and ends: what Node and the device open once. */
async function warmUp() {
  const worker = start(0);
  const end = new Promise((resolve) => worker.once('exit', resolve));
  worker.postMessage('end');
  await end;
}

await warmUp();
const before = await settled();
const begin = performance.now();
for (let slot = 0; slot < WORKERS; slot += 1) start(slot);
let nextTermination = TERMINATE_EVERY;
// By a timer: workers that are starting or ending can take long, on a busy machine more than a minute.
const progress = setInterval(() => report(), PROGRESS);
while (failed === undefined && performance.now() - begin < Number(milliseconds)) {
  await sleep(1000);
  const elapsed = performance.now() - begin;
  samples.push(process.memoryUsage().rss);
  if (elapsed >= nextTermination) {
    nextTermination += TERMINATE_EVERY;
    const slot = random.integer(0, WORKERS - 1);
    await workers.get(slot).terminate();
    counts.add('terminated');
    start(slot);
  }
  if (samples.length >= 60) {
    minutes.push(mean(samples));
    console.log(`minute ${minutes.length}: resident ${mebibytes(minutes.at(-1))}`);
    // The first minute fills heaps and caches.
    if (minutes.length > 2 && minutes.at(-1) > minutes[1] * 1.1 + SLACK) {
      fail(`resident memory grows: ${minutes.map(mebibytes).join(', ')}`);
    }
    samples = [];
  }
}

// Every job ends by itself; what it made is gone then.
for (const worker of workers.values()) worker.postMessage('end');
const ends = [...workers.values()].map((worker) => new Promise((end) => worker.once('exit', end)));
const all = Promise.all(ends).then(() => true);
if (!(await Promise.race([all, sleep(HUNG, false, { ref: false })]))) fail('a worker does not end');
if (target === 'simulated' && mappedMemory() !== 0) {
  fail(`${mappedMemory()} bytes of memory are still mapped`);
}
clearInterval(progress);
report();
if (counts.get('jobs') === 0) fail('no job has ended');
// Memory has a rule of its own, above.
const after = await checkLeaks(before, { memory: false }).catch((error) => fail(error.message));
// The runner takes this line, and prints what it says.
const said = {
  counts: counts.all(),
  before: summary(before),
  after: after && summary(after),
  violation: failed?.stack,
};
console.log(`SOAK ${JSON.stringify(said)}`);
process.exit(failed === undefined ? 0 : 1);
