/**
 * Where the targets must differ, and how. The tests assert these differences, so that one that
 * disappears is noticed.
 */
import type { Cxl } from 'node-cxl';

/**
 * Bytes left in the ArrayBuffer of a Memory once it is freed. The addon detaches it; the mock,
 * without compiled code, can do so only where the runtime has ArrayBuffer.prototype.transfer
 * (Node 22): before, nothing detaches a buffer that is marked untransferable.
 */
export function byteLengthOnceFreed(backend: Cxl['backend'], before: number): number {
  return backend === 'mock' && !('transfer' in ArrayBuffer.prototype) ? before : 0;
}
