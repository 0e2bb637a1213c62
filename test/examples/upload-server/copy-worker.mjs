// @ts-check
// The thread of a WorkerCopier. A context and its memory cannot be posted to a thread: it has its own.
import { parentPort, workerData } from 'node:worker_threads';
import { Copier } from './copier.mjs';

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const opening = Copier.open(workerData);
// Whoever calls gets the error.
opening.catch(() => {});

port.on('message', async ({ id, bytes, close }) => {
  if (close) {
    await opening.then((copier) => copier.close()).catch(() => {});
    port.close(); // nothing keeps the thread then
    return;
  }
  try {
    const copier = await opening;
    const copy = await copier.copy(bytes ?? new Uint8Array());
    port.postMessage({ id, copy }, [/** @type {ArrayBuffer} */ (copy.buffer)]);
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    port.postMessage({ id, error: { code, message } });
  }
});
