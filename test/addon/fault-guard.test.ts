/**
 * A fault on the mapping is an EIO, per thread, and nobody else's SIGBUS is swallowed: the
 * simulated device truncates the backing under two threads that access it.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, status } from '../conformance/support/simulated-target';
import { type Job, startJob } from '../conformance/support/work-queue';

const ACCESSES = 10_000;
const SIGBUS_BIT = 1n << 6n;

interface Outcome {
  values: number;
  faults: number;
  other: string[];
}

/** What each thread does. In plain JavaScript: the worker gets its source. */
const hammerSource = `(regs, count) => {
  const seen = { values: 0, faults: 0, other: [] };
  for (let n = 0; n < count; n += 1) {
    try {
      if (n % 4 === 3) regs.write64(0x1008, BigInt(n));
      else regs.read64(0x1010);
      seen.values += 1;
    } catch (error) {
      if (error.code === 'EIO') seen.faults += 1;
      else seen.other.push(String(error));
    }
  }
  return seen;
}`;
const hammer = new Function(`return ${hammerSource}`)() as (
  regs: Job['regs'],
  count: number,
) => Outcome;

const workerSource = `
  const { cxl } = require('node-cxl');
  const { parentPort, workerData } = require('node:worker_threads');
  const hammer = ${hammerSource};
  (async () => {
    const context = await cxl.open('/dev/cxl/afu0.0s');
    await context.attach({ wed: 0n });
    const regs = context.mapProblemState();
    parentPort.postMessage('ready');
    parentPort.once('message', async () => {
      const seen = hammer(regs, workerData);
      await context.close();
      parentPort.postMessage(seen);
    });
  })();
`;

function blockedSignals(): bigint {
  const text = readFileSync('/proc/thread-self/status', 'latin1');
  return BigInt(`0x${/^SigBlk:\s*([0-9a-f]+)/m.exec(text)?.[1] ?? '0'}`);
}

describe('the fault guard', () => {
  let job: Job;

  beforeAll(async () => {
    job = await startJob(cxl, '/dev/cxl/afu0.0s');
  });

  afterAll(async () => {
    command('truncate-during stop');
    await job.end();
  });

  it('turns a fault into EIO on two threads at once, while the backing comes and goes', async () => {
    const worker = new Worker(workerSource, { eval: true, workerData: ACCESSES });
    const messages: unknown[] = [];
    let wake = () => {};
    worker.on('message', (message) => {
      messages.push(message);
      wake();
    });
    const failed = new Promise<never>((_resolve, reject) => worker.once('error', reject));
    const told = async () => {
      while (messages.length === 0) {
        await Promise.race([failed, new Promise<void>((resolve) => (wake = resolve))]);
      }
      return messages.shift();
    };
    expect(await told()).toBe('ready');

    command('truncate-during afu0.0');
    worker.postMessage('go');
    const here: Outcome = { values: 0, faults: 0, other: [] };
    // Until both outcomes have been seen often: how they mix is the scheduler's business.
    for (let round = 0; round < 200; round += 1) {
      const seen = hammer(job.regs, ACCESSES);
      here.values += seen.values;
      here.faults += seen.faults;
      here.other.push(...seen.other);
      if (here.values > 100 && here.faults > 100) break;
    }
    const there = (await told()) as Outcome;
    command('truncate-during stop');
    await worker.terminate();

    expect(status().truncations).toBeGreaterThan(0);
    expect(here.other).toEqual([]);
    expect(there.other).toEqual([]);
    expect(there.values + there.faults).toBe(ACCESSES);
    expect(here.values).toBeGreaterThan(0);
    expect(here.faults).toBeGreaterThan(0);
  }, 60_000);

  it('leaves SIGBUS unblocked', () => {
    expect(blockedSignals() & SIGBUS_BIT).toBe(0n);
  });

  it('leaves a foreign SIGBUS to the handler that was there before', () => {
    const before = status().foreignSigbus;
    command('foreign-sigbus');
    expect(status().foreignSigbus).toBe(before + 1);
    command('foreign-sigbus thread');
    expect(status().foreignSigbus).toBe(before + 2);
  });

  it('works again once the backing is there', () => {
    job.regs.write64(0x1008, 7n);
    expect(job.regs.read64(0x1008)).toBe(7n);
  });
});
