// The flash part of what the sanitized addon is run through.
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { openFlashHost, openLun } from 'node-cxl/flash';

const node = '/dev/sg90';

async function readAndWrite(completion) {
  const lun = await openLun(node);
  await lun.enableSuperpipe();
  const context = await lun.attach({ completion, watchInterval: 5 });
  const device = (await context.openDirect()).blockDevice();
  const block = new Uint8Array(device.blockSize).fill(7);
  for (let round = 0; round < 5; ++round) {
    const work = Array.from({ length: 64 }, (_, i) => [device.write(i, block), device.read(i, 1)]);
    // The adapter is the whole process': its errors are one environment's to cause.
    if (isMainThread) context.registers.write64(0x1000, (4n << 56n) | 5n);
    await Promise.all(work.flat());
  }
  device.read(0, 1).catch(() => {});
  await context.close();
  await lun.close();
}

export async function flash() {
  for (const mode of ['ioarrin', 'sq']) {
    // For the whole process: another environment may be in between, and attach in its mode.
    writeFileSync('/dev/cxl-sim', `flash-mode ${mode}`);
    await readAndWrite('interrupt');
    await readAndWrite('poll');
  }
  const host = await openFlashHost('/dev/cxlflash/cxlflash0');
  const data = new Uint8Array(1000);
  await host.debug(new Uint8Array(12), data, { write: true });
  await host.debug(new Uint8Array(12), data);
  await host.queryPort(0);
  host.queryPort(1).catch(() => {});
  await host.close();
  const lun = await openLun(node);
  const wrong = [
    { senseData: new Uint8Array(3), contextId: 1n, rsrcHandle: 1n },
    { contextId: 'none' },
    {},
  ];
  for (const input of wrong) await lun.call('VERIFY', input).catch(() => {});
  // Dropped: the collector closes the node, and with an answer on its way.
  lun.attach().then((context) => context.close());
  for (let i = 0; i < 10; ++i) await openLun(node);
}
