/** The ArrayBuffer of a region, which JavaScript is not to take the bytes from. */
import type { MemoryRegion } from '../binding';
import { MEMORY_HOLDERS, MemoryHolders } from './holders';

/** The holders of a new region. */
export function holdersOfRegion(region: MemoryRegion): MemoryHolders {
  const { buffer } = region;
  const holders = new MemoryHolders({
    detach() {
      if (isDetachable(buffer)) region.detach();
    },
    free: () => region.free(),
  });
  // A new owner of the bytes would not know when the memory is freed.
  for (const method of ['transfer', 'transferToFixedLength']) {
    Object.defineProperty(buffer, method, { value: refuseTransfer });
  }
  Object.defineProperty(buffer, MEMORY_HOLDERS, { value: holders });
  return holders;
}

function refuseTransfer(): never {
  throw Object.assign(
    new TypeError('the buffer of a Memory cannot be transferred: its pages belong to the Memory'),
    { code: 'ERR_INVALID_STATE' },
  );
}

type WorkerThreads = typeof import('node:worker_threads');

// Loaded when memory is first freed: it is the dearest module of Node's that the package needs.
let workerThreads: WorkerThreads | undefined;
/** From Node 24 on, a buffer that is marked as untransferable cannot be detached, not even by us. */
let markPreventsDetaching = false;

function loadWorkerThreads(): WorkerThreads {
  if (workerThreads !== undefined) return workerThreads;
  workerThreads = require('node:worker_threads') as WorkerThreads;
  const buffer = new ArrayBuffer(1);
  workerThreads.markAsUntransferable(buffer);
  try {
    (buffer as { transfer?: () => void }).transfer?.();
  } catch {
    markPreventsDetaching = true;
  }
  return workerThreads;
}

/** If not, because the program has marked it, the pages go when the buffer is collected. */
function isDetachable(buffer: ArrayBuffer): boolean {
  // Since Node 21.
  const { isMarkedAsUntransferable } = loadWorkerThreads() as {
    isMarkedAsUntransferable?: (value: object) => boolean;
  };
  return !markPreventsDetaching || isMarkedAsUntransferable?.(buffer) !== true;
}
