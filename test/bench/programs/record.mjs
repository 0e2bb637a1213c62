// What recording costs: accesses and interrupts, in nanoseconds, with NODE_CXL_RECORD or without; the
// fastest of many short rounds. `record.mjs replay ACCESSES`: the size of a recording of so many accesses, how
// fast it is replayed, reading it included, and what memory that takes.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cxl } from 'node-cxl';
import { setGlobalSystem } from 'node-cxl/mock';
import { recordCxl, replayCxl } from 'node-cxl/record';
import { Job, print } from './job.mjs';

const ROUNDS = 30;
const CALLS = 2000;
const INTERRUPTS = 200;

const [mode, count] = process.argv.slice(2);
print(mode === 'replay' ? await replay(Number(count)) : await cost());

async function cost() {
  const job = await Job.open();
  const { area, queue } = job;
  const cases = {
    read64: () => area.read64(0x08),
    write64: () => area.write64(0x40, 0n),
    load64: () => queue.load64(64),
    store64: () => queue.store64(64, 1n),
  };
  const fastest = {};
  const keep = (name, nanoseconds, calls) => {
    const each = Number(nanoseconds) / calls;
    fastest[name] = Math.min(fastest[name] ?? Number.POSITIVE_INFINITY, each);
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, access] of Object.entries(cases)) {
      const start = process.hrtime.bigint();
      for (let n = 0; n < CALLS; n += 1) access();
      keep(name, process.hrtime.bigint() - start, CALLS);
    }
  }
  for (let round = 0; round < 5; round += 1) {
    const start = process.hrtime.bigint();
    for (let n = 0; n < INTERRUPTS; n += 1) {
      job.raise();
      await job.context.waitForInterrupt(1, { timeout: 10_000 });
    }
    keep('interrupt', process.hrtime.bigint() - start, INTERRUPTS);
  }
  await job.close();
  return fastest;
}

/** Accesses of which no two in succession are the same. */
async function work(accesses) {
  const job = await Job.open();
  const { area, queue } = job;
  for (let n = 0; n < accesses; n += 4) {
    queue.store64((n % 256) * 8, BigInt(n));
    area.write64(0x40, BigInt(n));
    queue.load64((n % 256) * 8);
    area.read64(0x08);
  }
  await job.close();
}

async function replay(accesses) {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'work.cxlrec');
  const recorded = recordCxl(cxl, { file });
  const recording = setGlobalSystem(recorded);
  await work(accesses);
  recording.restore();
  recorded.stop();
  global.gc?.();
  const before = process.memoryUsage.rss();
  const start = process.hrtime.bigint();
  const system = replayCxl(file);
  const replaying = setGlobalSystem(system);
  await work(accesses);
  replaying.restore();
  system.assertFinished();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return {
    size: statSync(file).size / accesses,
    rate: accesses / seconds,
    memory: (process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20,
  };
}
