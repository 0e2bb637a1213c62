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
 * Bytes left in the ArrayBuffer of a Memory once it is freed. The addon detaches it; a backend
 * without compiled code can do so only where the runtime lets it.
 */
export function byteLengthOnceFreed(backend: Cxl['backend'], before: number): number {
  return backend !== 'native' && !canDetachMarked() ? before : 0;
}

/**
 * The first bytes of the memcpy AFU's configuration record. A PSLSE daemon tells of vendor, device and
 * class alone.
 */
export function recordBytes(backend: Cxl['backend']): readonly number[] {
  return backend === 'pslse' ? [] : [0x14, 0x10, 0x50, 0x43];
}

/**
 * Whether an AFU can raise an interrupt beyond those that its context was attached with. A PSLSE daemon
 * is not told how many these are; the interrupt does not reach the program.
 */
export function raisesAnyInterrupt(backend: Cxl['backend']): boolean {
  return backend === 'pslse';
}
