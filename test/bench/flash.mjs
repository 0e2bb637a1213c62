// Commands a second of the flash block device on the simulated device, at depths 1, 16 and 128,
// beside a loop in C that does the same: single-block reads of a direct LUN, completions noticed
// by interrupts in both or by polling in both. They take turns; a figure is the median of the
// rounds, and what counts is the ratio: the device itself takes its share of the same processors.
//
//   node test/bench/flash.mjs [SECONDS A ROUND]
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROUNDS = 3;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const library = path.join(root, 'test/simulated-device/build/libcxlsim.so');
const node = '/dev/sg90';
const seconds = Number(process.argv[2] ?? 0.7);

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
  return rate;
}

function measureLoop(depth, completion) {
  return Number(execFileSync(loop, [node, String(depth), String(seconds), completion]));
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const rows = [];
for (const completion of ['interrupt', 'poll']) {
  for (const depth of [1, 16, 128]) {
    const rates = { c: [], memory: [], buffer: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      rates.c.push(measureLoop(depth, completion));
      rates.memory.push(await measure(depth, completion, 'memory'));
      rates.buffer.push(await measure(depth, completion, 'buffer'));
    }
    const bare = median(rates.c);
    const beside = (values) => {
      const rate = median(values);
      return `${Math.round(rate)} (${((rate / bare) * 100).toFixed(0)} %)`;
    };
    rows.push({
      completion,
      depth,
      'C loop': Math.round(bare),
      memory: beside(rates.memory),
      buffer: beside(rates.buffer),
    });
  }
}
console.table(rows);
