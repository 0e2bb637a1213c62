// Commands a second of the flash block device on the simulated device, at depths 1, 16 and 128,
// beside a loop in C that does the same: single-block reads of a direct LUN. Ratios within one
// run are what counts; the device itself takes its share of the same processors.
//
//   node test/bench/flash.mjs [SECONDS]
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const library = path.join(root, 'test/simulated-device/build/libcxlsim.so');
const node = '/dev/sg90';
const seconds = Number(process.argv[2] ?? 3);

if (process.env.LD_PRELOAD !== library) {
  const env = { ...process.env, LD_PRELOAD: library };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), { env, stdio: 'inherit' });
  process.exit(status ?? 1);
}

const { openLun } = await import('node-cxl/flash');
const loop = path.join(root, 'test/simulated-device/build/flash-loop');
execFileSync(process.env.CC ?? 'cc', [
  ...['-O2', '-std=gnu11', '-Wall', '-Wextra', '-o', loop],
  path.join(root, 'test/bench/flash-loop.c'),
]);

async function measure(depth, completion, where) {
  const lun = await openLun(node);
  await lun.enableSuperpipe();
  const context = await lun.attach({ completion, queueDepth: depth });
  const device = (await context.openDirect()).blockDevice();
  const memory = lun.system.allocate(depth * device.blockSize);
  let commands = 0;
  const end = performance.now() + seconds * 1000;
  const lane = async (number) => {
    const buffer =
      where === 'memory'
        ? { memory, offset: number * device.blockSize, length: device.blockSize }
        : new Uint8Array(device.blockSize);
    while (performance.now() < end) {
      await device.read(commands % 1000, buffer);
      commands += 1;
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: depth }, (_, number) => lane(number)));
  const rate = commands / ((performance.now() - start) / 1000);
  await context.close();
  memory.free();
  await lun.close();
  return Math.round(rate);
}

const rows = [];
for (const depth of [1, 16, 128]) {
  const bare = Number(execFileSync(loop, [node, String(depth), String(seconds)]));
  const row = { depth, 'C loop': bare };
  for (const completion of ['interrupt', 'poll']) {
    for (const where of ['memory', 'buffer']) {
      const rate = await measure(depth, completion, where);
      row[`${completion}, ${where}`] = `${rate} (${((rate / bare) * 100).toFixed(0)} %)`;
    }
  }
  rows.push(row);
}
console.table(rows);
