/**
 * Where the targets must differ, and how. The tests assert these differences, so that one that
 * disappears is noticed.
 */
import { markAsUntransferable } from 'node:worker_threads';
import type { Cxl } from 'node-cxl';

/** Whether JavaScript can detach a buffer that is marked untransferable: on Node 22 alone. */
function canDetachMarked(): boolean {
  const buffer = new ArrayBuffer(1);
  markAsUntransferable(buffer);
  try {
    (buffer as { transfer?: () => void }).transfer?.();
  } catch {
    return false;
  }
  return buffer.byteLength === 0;
}

/**
 * Bytes left in the ArrayBuffer of a Memory once it is freed. The addon detaches it; the mock,
 * without compiled code, can do so only where the runtime lets it.
 */
export function byteLengthOnceFreed(backend: Cxl['backend'], before: number): number {
  return backend === 'mock' && !canDetachMarked() ? before : 0;
}
