// Commands a second of the flash block device: single-block reads of a whole LUN into memory that the
// AFU uses directly.
// Usage: flash.mjs NODE DEPTH SECONDS poll|interrupt
import { openLun } from 'node-cxl/flash';
import { print } from './job.mjs';

const [node, depth, seconds, completion] = process.argv.slice(2);
const lun = await openLun(node);
await lun.enableSuperpipe();
const context = await lun.attach({ completion, queueDepth: Number(depth) });
const device = (await context.openDirect()).blockDevice();
const memory = lun.system.allocate(Number(depth) * device.blockSize);
const start = performance.now();
const end = start + Number(seconds) * 1000;
let commands = 0;
const lane = async (number) => {
  const length = device.blockSize;
  const buffer = { memory, offset: number * length, length };
  while (performance.now() < end) {
    await device.read(commands % 1000, buffer);
    commands += 1;
  }
};
await Promise.all(Array.from({ length: Number(depth) }, (_, number) => lane(number)));
const value = commands / ((performance.now() - start) / 1000);
await context.close();
memory.free();
await lun.close();
print({ value });
