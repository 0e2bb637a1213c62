// Commands a second of the flash block device: single-block reads of a whole LUN into memory that the
// AFU uses directly.
// Usage: flash.mjs NODE DEPTH SECONDS poll|interrupt
import { openLun } from 'node-cxl/flash';
import { print } from './job.mjs';

/** Milliseconds before the measurement, in which V8 compiles what runs often. */
const WARM_UP = 500;

const [node, depth, seconds, completion] = process.argv.slice(2);
const lun = await openLun(node);
await lun.enableSuperpipe();
const context = await lun.attach({ completion, queueDepth: Number(depth) });
const device = (await context.openDirect()).blockDevice();
const memory = lun.system.allocate(Number(depth) * device.blockSize);

let commands = 0;
async function lane(number, end) {
  const length = device.blockSize;
  const buffer = { memory, offset: number * length, length };
  while (performance.now() < end) {
    await device.read(commands % 1000, buffer);
    commands += 1;
  }
}

/** Commands a second. */
async function rate(milliseconds) {
  const start = performance.now();
  commands = 0;
  const lanes = Array.from({ length: Number(depth) }, (_, number) =>
    lane(number, start + milliseconds),
  );
  await Promise.all(lanes);
  return commands / ((performance.now() - start) / 1000);
}

await rate(WARM_UP);
const value = await rate(Number(seconds) * 1000);
await context.close();
memory.free();
await lun.close();
print({ value });
