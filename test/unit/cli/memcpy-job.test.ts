import { createRequire } from 'node:module';
import path from 'node:path';
import type { Cxl, ProblemState } from 'node-cxl';
import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
import { expect, it, vi } from 'vitest';

const { MemcpyJob } = createRequire(import.meta.url)(path.resolve('dist/cli/memcpy-job.js'));

const STATUS = 0x10;
const CONTROL = 0x18;
const STOPPED = 0x0800_0000_0000_0000n;

/** Registers of an AFU that takes its time: a restart waits, and a second one waits for the next stop. */
function slow(registers: ProblemState): ProblemState {
  const read = registers.read64.bind(registers);
  const restart = registers.write64.bind(registers, CONTROL, 1n << 63n);
  let [first, second] = [false, false];
  vi.spyOn(registers, 'write64').mockImplementation(() => {
    if (first) second = true;
    else
      setImmediate(() => {
        first = false;
        restart();
      });
    first = true;
  });
  vi.spyOn(registers, 'read64').mockImplementation((offset) => {
    if (offset === STATUS && second && !first && (read(STATUS) & STOPPED) !== 0n) {
      second = false;
      restart();
    }
    return read(offset);
  });
  return registers;
}

it('a copy ends when the AFU has taken a restart of the copy before for the stop after it', async () => {
  const system: Cxl = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
  const [afu] = await system.afus();
  const open = system.open.bind(system);
  vi.spyOn(system, 'open').mockImplementation(async (...args) => {
    const context = await open(...args);
    const map = context.mapProblemState.bind(context);
    vi.spyOn(context, 'mapProblemState').mockImplementation((options) => slow(map(options)));
    return context;
  });
  const job = await MemcpyJob.start(system, afu, { timeout: 1500 });
  const [source, target] = [system.allocate(4096), system.allocate(4096)];
  for (let copy = 1; copy <= 5; copy += 1) {
    new Uint8Array(source.buffer).fill(copy);
    await job.copy(source, target, 4096);
    expect([target.load8(0), target.load8(4095)]).toEqual([copy, copy]);
  }
  await new Promise(setImmediate);
  await job.close();
});
