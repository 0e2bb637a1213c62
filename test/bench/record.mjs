// What recording costs: an access to registers and memory, and an interrupt, with a recording and
// without, as ratios in one run; bytes of the file for a million accesses; how fast it is replayed.
// Over the simulated device, whose own share is in the figures.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const simulatedDevice = path.join(root, 'test/simulated-device/build/libcxlsim.so');

if (process.env.LD_PRELOAD !== simulatedDevice) {
  if (!existsSync(simulatedDevice)) {
    console.error('bench: no simulated device; `npm run build` makes it');
    process.exit(1);
  }
  const again = spawnSync(process.execPath, [fileURLToPath(import.meta.url)], {
    stdio: 'inherit',
    env: { ...process.env, LD_PRELOAD: simulatedDevice },
  });
  process.exit(again.status ?? 1);
}

const require = createRequire(import.meta.url);
const { cxl } = require('node-cxl');
const { recordCxl, replayCxl } = require('node-cxl/record');

const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const ROUNDS = 30;
const CALLS = 2000;
const EVENTS = 200;
const ACCESSES = 200_000;
/** INTERRUPT of the injection registers: raises interrupt 1. */
const INTERRUPT = (1n << 56n) | 1n;

async function attach(system) {
  const queue = system.allocate(4096, { alignment: 4096 });
  const context = await system.open('/dev/cxl/afu0.0s');
  await context.attach({ wed: queue.address, interrupts: 4, holds: [queue] });
  return { queue, context, area: context.mapProblemState({ endian: 'big' }) };
}

const cases = {
  read64: ({ area }) => area.read64(0x08),
  write64: ({ area }) => area.write64(0x40, 0n),
  'Memory.load64': ({ queue }) => queue.load64(64),
  'Memory.store64': ({ queue }) => queue.store64(64, 1n),
};

/** The fastest of many short rounds in nanoseconds, each system in turn. */
function measure(systems, access) {
  const fastest = systems.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, system] of systems.entries()) {
      const start = process.hrtime.bigint();
      for (let n = 0; n < CALLS; n += 1) access(system);
      const each = Number(process.hrtime.bigint() - start) / CALLS;
      fastest[index] = Math.min(fastest[index], each);
    }
  }
  return fastest;
}

async function interrupts({ area, context }) {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    const start = process.hrtime.bigint();
    for (let n = 0; n < EVENTS; n += 1) {
      area.write64(0x1000, INTERRUPT);
      await context.waitForInterrupt(1, { timeout: 10_000 });
    }
    fastest = Math.min(fastest, Number(process.hrtime.bigint() - start) / EVENTS);
  }
  return fastest;
}

function row(name, [before, off, on]) {
  const ratio = (value) => `${(value / before).toFixed(2).padStart(7)} x`;
  console.log(`${name.padEnd(22)} ${before.toFixed(0).padStart(8)} ns ${ratio(off)} ${ratio(on)}`);
}

const recorded = recordCxl(cxl, { file: path.join(folder, 'on.rec') });
const systems = [await attach(cxl), await attach(cxl), await attach(recorded)];
console.log('                       unrecorded   again, off  recorded');
for (const [name, access] of Object.entries(cases)) row(name, measure(systems, access));
const waits = [];
for (const system of systems) waits.push(await interrupts(system));
row('interrupt, one wait', waits);
for (const { context } of systems) await context.close();
recorded.stop();

/** Accesses of which no two in succession are the same. */
async function work(system) {
  const { queue, context, area } = await attach(system);
  for (let n = 0; n < ACCESSES; n += 4) {
    queue.store64((n % 256) * 8, BigInt(n));
    area.write64(0x40, BigInt(n));
    queue.load64((n % 256) * 8);
    area.read64(0x08);
  }
  await context.close();
}

const file = path.join(folder, 'work.rec');
const working = recordCxl(cxl, { file });
await work(working);
working.stop();
const megabytes = (statSync(file).size / ACCESSES).toFixed(2);
console.log(`${megabytes} MB for a million accesses, none of them a poll`);
const start = process.hrtime.bigint();
const replayed = replayCxl(file);
await work(replayed);
replayed.assertFinished();
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
console.log(`replayed at ${Math.round(ACCESSES / seconds)} accesses a second, reading it included`);
