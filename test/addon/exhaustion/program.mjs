// Refuses each call that the addon makes, one after another, or of each kind the first and then one in
// as many as the argument says: a worker goes through the work once for each, until none is left to be
// refused. A step that fails must fail with a code, and succeed when it is
// tried again; at the end of each worker nothing is left. Prints a table as JSON.
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { openFlashHost, openLun } from 'node-cxl/flash';

const DEVICE = '/dev/cxl/afu0.0s';
/** Milliseconds within which each step settles. */
const PATIENCE = 20_000;
/** Bytes of `struct control` of refuse.c. */
const CONTROL = 192;

const addon = createRequire(createRequire(import.meta.url).resolve('node-cxl'))(
  './native',
).nativeBinding();

/** The calls of refuse.c. */
const NAMES = [
  ...['open', 'opendir', 'realpath', 'pread', 'read', 'write', 'ioctl', 'fcntl', 'fstatfs'],
  ...['mmap', 'madvise', 'pthread_create', 'epoll_create1', 'epoll_ctl', 'poll', 'ppoll'],
  'calloc',
];

/** Codes of the steps that failed. */
const codes = [];
/** The step within which a call was refused. */
let refusedIn;

/** Runs a step, again when it fails: only one call is refused. A close() is done then, all the same. */
async function step(name, run, { again = true } = {}) {
  const settles = () =>
    Promise.race([
      (async () => run())(),
      sleep(PATIENCE, undefined, { ref: false }).then(() => {
        throw new Error(`${name} does not settle`);
      }),
    ]);
  try {
    return await settles();
  } catch (error) {
    if (typeof error?.code !== 'string') throw error;
    codes.push(`${name}: ${error.code}`);
    return again ? settles() : undefined;
  } finally {
    if (wasRefused()) refusedIn ??= name;
  }
}

/** Every kind of call of the addon. */
async function work() {
  const cards = await step('adapters()', () => cxl.adapters());
  await step('read attribute', () => cards[0].caiaVersion());
  await step('write attribute', () => cards[0].setPerstReloadsSameImage(true));
  const [afu] = await step('afus()', () => cxl.afus());
  await step('error buffer', () => afu.errorBuffer());
  const queue = await step('allocate()', () => cxl.allocate(4096));
  const huge = await step('huge pages', () => cxl.allocate(2 ** 21, { hugePages: 'transparent' }));
  const context = await step('open()', () => cxl.open(DEVICE));
  await step('attach()', () =>
    context.attach({ wed: queue.address, interrupts: 4, holds: [queue] }),
  );
  const area = await step('mapProblemState()', () => context.mapProblemState({ endian: 'big' }));
  const raise = (irq) => area.write64(0x1000, (1n << 56n) | (1n << BigInt(irq - 1)));
  for (const irq of [1, 2]) {
    raise(irq);
    await step('waitForInterrupt()', () => context.waitForInterrupt(irq, { timeout: PATIENCE }));
  }
  raise(3);
  await step('takeEvent()', async () => {
    while (context.takeEvent()?.irq !== 3) await sleep(1);
  });
  raise(4);
  await step('waitForInterruptSync()', () =>
    context.waitForInterruptSync(4, { timeout: PATIENCE }),
  );
  await step('waitForEventSync()', () => {
    try {
      context.waitForEventSync({ timeout: 2 });
    } catch (error) {
      if (error.code !== 'ETIMEDOUT') throw error;
    }
  });
  await step('afuId()', () => context.afuId());
  await step('linkState()', () => context.linkState());

  const fd = openSync(DEVICE, 'r+');
  const adopted = await step('adopt()', () => cxl.adopt(fd, { mmioSize: 65536 }));
  await step('attachSync()', () => adopted.attachSync({ wed: queue.address }));
  const other = await step('second mapProblemState()', () =>
    adopted.mapProblemState({ endian: 'big' }),
  );
  other.write64(0x1000, (1n << 56n) | 1n);
  await step('wait of an adopted', () => adopted.waitForInterrupt(1, { timeout: PATIENCE }));
  await step('close of an adopted', () => adopted.close(), { again: false });
  closeSync(fd);
  await step('adopt() of a file', async () => {
    const none = openSync('/dev/null', 'r+');
    try {
      cxl.adopt(none);
    } catch (error) {
      if (error.code !== 'ENODEV') throw error;
    } finally {
      closeSync(none);
    }
  });

  const lun = await step('openLun()', () => openLun('/dev/sg90'));
  await step('enableSuperpipe()', () => lun.enableSuperpipe());
  const flash = await step('attach() of a LUN', () => lun.attach());
  const target = await step('openVirtual()', () => flash.openVirtual({ blocks: 65536 }));
  await step('flash write', () => target.blockDevice().write(0, new Uint8Array(4096)));
  await step('flash close', () => flash.close(), { again: false });
  await step('disableSuperpipe()', () => lun.disableSuperpipe());
  await step('close of a LUN', () => lun.close(), { again: false });
  const host = await step('openFlashHost()', () => openFlashHost('/dev/cxlflash/cxlflash0'));
  await step('debug()', () =>
    host.debug(new Uint8Array(12), new Uint8Array(1000), { write: true }),
  );
  await step('close of a host', () => host.close(), { again: false });

  const lock = openSync(process.env.REFUSE_CONTROL, 'r+');
  await step('lockRange()', () => {
    const answer = addon.lockRange(lock, 1000, 1, true);
    if (answer !== 0) throw Object.assign(new Error('lockRange'), { code: `errno ${-answer}` });
  });
  closeSync(lock);

  await step('close()', () => context.close(), { again: false });
  await step('free()', () => {
    for (const memory of [queue, huge]) memory.free();
  });
}

const control = openSync(process.env.REFUSE_CONTROL, 'r+');

/** Has the nth call of this name be refused; 0: none. */
function arm(nth, name = '') {
  const bytes = Buffer.alloc(CONTROL);
  bytes.writeInt32LE(nth, 0);
  bytes.write(name, 12, 'latin1');
  writeSync(control, bytes, 0, bytes.length, 0);
}

function wasRefused() {
  return readControl().readInt32LE(8) === 1;
}

/** What the call that was refused was for. */
function refusedFor() {
  const text = readControl().toString('latin1', 64);
  return text.slice(0, text.indexOf('\0'));
}

function readControl() {
  const bytes = Buffer.alloc(CONTROL);
  readSync(control, bytes, 0, bytes.length, 0);
  return bytes;
}

/** What the process holds. */
function held() {
  const { openContexts, mappings } = JSON.parse(readFileSync('/dev/cxl-sim', 'utf8'));
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    memory: addon.mappedMemory(),
    openContexts,
    mappings,
  };
}

/** Waits until nothing more is held than before, if it ever is; how it differs. */
async function left(before) {
  let now = '';
  for (let attempt = 0; attempt < 100; attempt += 1) {
    now = JSON.stringify(held());
    if (now === before) return undefined;
    await sleep(20);
  }
  return `${before} became ${now}`;
}

function inWorker(nth, name) {
  const worker = new Worker(new URL(import.meta.url));
  return new Promise((resolve) => {
    const said = {};
    worker.on('message', (message) => Object.assign(said, message));
    worker.on('error', (error) => Object.assign(said, { failed: error.stack ?? String(error) }));
    worker.on('exit', () => resolve(said));
    worker.once('message', () => arm(nth, name));
    worker.once('message', () => worker.postMessage('go'));
  });
}

if (isMainThread) {
  // What Node and the device open once; nothing is refused.
  for (let i = 0; i < 2; i += 1) await inWorker(0);
  const before = JSON.stringify(held());
  const stride = Number(process.argv[2] ?? 1);
  const table = {};
  for (const name of NAMES) {
    table[name] = { refused: 0, withCode: 0, codes: [], untold: [] };
    for (let nth = 1; ; nth += stride) {
      const said = await inWorker(nth, name);
      const refused = wasRefused();
      const what = refusedFor();
      arm(0);
      const more = await left(before);
      if (said.failed !== undefined || more !== undefined) {
        console.log(JSON.stringify({ nth, name, ...said, left: more }));
        process.exit(1);
      }
      if (!refused) break;
      const row = table[name];
      row.refused += 1;
      if (said.codes.length > 0) row.withCode += 1;
      else row.untold.push(`${said.refusedIn}: ${name}(${what})`);
      row.codes = [...new Set([...row.codes, ...said.codes])];
    }
  }
  console.log(JSON.stringify({ table }));
} else {
  parentPort.postMessage({ ready: true });
  await new Promise((resolve) => parentPort.once('message', resolve));
  await work();
  parentPort.postMessage({ codes, refusedIn });
}
