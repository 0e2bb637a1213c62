// Accesses to registers and memory beside a call of the addon that does nothing: nanoseconds. The
// fastest of many short rounds, each case in turn.
import { createRequire } from 'node:module';
import { Job, print } from './job.mjs';

const require = createRequire(import.meta.url);
const ROUNDS = 60;
const CALLS = 20_000;

const job = await Job.open();
const { area, queue } = job;
const { nothing } = require('../../../dist/native').nativeBinding();
const [block4, block56] = [new BigUint64Array(512), new BigUint64Array(7168)];

const cases = {
  call: [CALLS, nothing],
  // Status and process handle: nothing happens when they are read.
  read32: [CALLS, () => area.read32(0x08)],
  read64: [CALLS, () => area.read64(0x08)],
  write32: [CALLS, () => area.write32(0x40, 0)],
  write64: [CALLS, () => area.write64(0x40, 0n)],
  load64: [CALLS, () => queue.load64(64)],
  store64: [CALLS, () => queue.store64(64, 1n)],
  load8: [CALLS, () => queue.load8(64)],
  store8: [CALLS, () => queue.store8(64, 1)],
  readBlock4: [100, () => area.readBlock(0, block4)],
  writeBlock4: [100, () => area.writeBlock(0x2000, block4)],
  readBlock56: [10, () => area.readBlock(0, block56)],
  writeBlock56: [10, () => area.writeBlock(0x2000, block56)],
};
const loops = {};
for (const [name, [calls, body]] of Object.entries(cases)) {
  // A loop of its own for each, so that the engine compiles the call into it.
  loops[name] = new Function(
    'body',
    `return () => { for (let i = 0; i < ${calls}; ++i) body(); };`,
  )(body);
}
const fastest = {};
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, loop] of Object.entries(loops)) {
    const start = process.hrtime.bigint();
    loop();
    const each = Number(process.hrtime.bigint() - start) / cases[name][0];
    fastest[name] = Math.min(fastest[name] ?? Number.POSITIVE_INFINITY, each);
  }
}
await job.close();
print(fastest);
