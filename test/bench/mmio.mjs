// What an MMIO access costs next to a call into the addon that does nothing, in one process.
// Ratios: the nanoseconds are this machine's. Over the simulated device unless
// CXL_TARGET=hardware, where the bus is in the figure too.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const simulatedDevice = path.join(root, 'test/simulated-device/build/libcxlsim.so');
const hardware = process.env.CXL_TARGET === 'hardware';

if (!hardware && process.env.LD_PRELOAD !== simulatedDevice) {
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
const { nativeBinding } = require(path.join(root, 'dist/native'));
const { cxl } = require('node-cxl');

const rounds = 60;
const calls = 20_000;

function nanoseconds(body) {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start) / calls;
}

/** The fastest of many short rounds, each case in turn: what is slower is the machine's noise. */
function measure(cases) {
  const fastest = new Map(Object.keys(cases).map((name) => [name, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < rounds; ++round) {
    for (const [name, body] of Object.entries(cases)) {
      fastest.set(name, Math.min(fastest.get(name), nanoseconds(body)));
    }
  }
  return fastest;
}

const { nothing } = nativeBinding();
const context = await cxl.open(process.env.CXL_DEVICE ?? '/dev/cxl/afu0.0s');
const queue = cxl.allocate(4096, { alignment: 4096 });
try {
  await context.attach({ wed: queue.address | 1n });
  const area = context.mapProblemState({ endian: 'big' });
  const block = new BigUint64Array(64);
  const other = { endian: endianness() === 'LE' ? 'big' : 'little' };
  // Status and process handle: nothing happens when they are read; the timebase may be asked
  // for as often as one likes.
  const results = measure({
    'bare Node-API call': () => {
      for (let i = 0; i < calls; ++i) nothing();
    },
    read32: () => {
      for (let i = 0; i < calls; ++i) area.read32(0x08);
    },
    read64: () => {
      for (let i = 0; i < calls; ++i) area.read64(0x08);
    },
    write64: () => {
      for (let i = 0; i < calls; ++i) area.write64(0x40, 0n);
    },
    write32: () => {
      for (let i = 0; i < calls; ++i) area.write32(0x40, 0);
    },
    'Memory.load8': () => {
      for (let i = 0; i < calls; ++i) queue.load8(64);
    },
    'Memory.store8': () => {
      for (let i = 0; i < calls; ++i) queue.store8(64, 1);
    },
    'Memory.load16': () => {
      for (let i = 0; i < calls; ++i) queue.load16(64);
    },
    'Memory.store16': () => {
      for (let i = 0; i < calls; ++i) queue.store16(64, 1);
    },
    'Memory.load32': () => {
      for (let i = 0; i < calls; ++i) queue.load32(64);
    },
    'Memory.store32': () => {
      for (let i = 0; i < calls; ++i) queue.store32(64, 1);
    },
    'Memory.load64': () => {
      for (let i = 0; i < calls; ++i) queue.load64(64);
    },
    'Memory.store64': () => {
      for (let i = 0; i < calls; ++i) queue.store64(64, 1n);
    },
    'Memory.load64, the other byte order': () => {
      for (let i = 0; i < calls; ++i) queue.load64(64, other);
    },
    'Memory.store64, the other byte order': () => {
      for (let i = 0; i < calls; ++i) queue.store64(64, 1n, other);
    },
    'readBlock, 64 x 64 bits (an element)': () => {
      for (let i = 0; i < calls; i += 64) area.readBlock(0, block);
    },
  });
  const bare = results.get('bare Node-API call');
  for (const [name, value] of results) {
    console.log(
      `${name.padEnd(38)} ${value.toFixed(1).padStart(7)} ns  ${(value / bare).toFixed(2).padStart(6)} x`,
    );
  }
} finally {
  await context.close();
  queue.free();
}
