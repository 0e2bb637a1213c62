// Ends the process when one input runs for too long, and keeps that input: an endless loop lets
// nothing else of the fuzzer run. In a thread of its own.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

/** Milliseconds. */
const LIMIT = 20_000;
const INTERVAL = 2_000;
/** Before the bytes: how often something was begun or ended, and the length or -1. */
const HEADER = 2;

/** What to call with each input before it runs, and with undefined afterwards. */
export function startWatchdog(file, maxLength) {
  const shared = new SharedArrayBuffer(HEADER * 4 + maxLength);
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared, file } });
  worker.unref();
  const header = new Int32Array(shared, 0, HEADER);
  const held = new Uint8Array(shared, HEADER * 4);
  return (bytes) => {
    Atomics.add(header, 0, 1);
    if (bytes !== undefined) held.set(bytes.subarray(0, maxLength));
    Atomics.store(header, 1, bytes?.length ?? -1);
  };
}

function watch({ shared, file }) {
  const header = new Int32Array(shared, 0, HEADER);
  let last;
  let since = performance.now();
  setInterval(() => {
    const count = Atomics.load(header, 0);
    const length = Atomics.load(header, 1);
    if (count !== last || length < 0) {
      last = count;
      since = performance.now();
    } else if (performance.now() - since > LIMIT) {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, new Uint8Array(shared, HEADER * 4, length).slice());
      console.error(`finding: an input has run for ${LIMIT / 1000} s: ${file}`);
      process.kill(process.pid, 'SIGKILL');
    }
  }, INTERVAL);
}

if (!isMainThread && workerData?.shared !== undefined) watch(workerData);
