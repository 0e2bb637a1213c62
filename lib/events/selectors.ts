/** Selectors for EventQueue.wait(): which of the pending events a wait takes. */
import { type CxlError, systemError } from '../shared/errors';
import type { AfuErrorEvent, CxlEvent, DataStorageEvent } from './events';

export type HardwareEvent = Exclude<CxlEvent, { readonly type: 'afu-driver' }>;

/** A data storage fault or AFU error that ended a wait for an interrupt. */
export type FaultError = CxlError & { readonly event: DataStorageEvent | AfuErrorEvent };

/** Removes and returns the first event that does not come from an AFU driver. */
export function takeHardwareEvent(pending: CxlEvent[]): HardwareEvent | undefined {
  const index = pending.findIndex((event) => event.type !== 'afu-driver');
  return index < 0 ? undefined : (pending.splice(index, 1)[0] as HardwareEvent);
}

/**
 * Removes interrupt `irq` and returns true. A data storage fault or AFU error before it is
 * removed and thrown.
 */
export function takeInterrupt(pending: CxlEvent[], irq: number, path: string): true | undefined {
  for (const [index, event] of pending.entries()) {
    if (event.type === 'afu-interrupt' && event.irq === irq) {
      pending.splice(index, 1);
      return true;
    }
    if (event.type === 'data-storage' || event.type === 'afu-error') {
      pending.splice(index, 1);
      throw faultError(event, path);
    }
  }
  return undefined;
}

function faultError(event: DataStorageEvent | AfuErrorEvent, path: string): FaultError {
  const error =
    event.type === 'data-storage'
      ? systemError(
          'EFAULT',
          'waitForInterrupt',
          path,
          `data storage fault at 0x${event.address.toString(16)}: the AFU touched an address that this process has not mapped`,
        )
      : systemError(
          'EREMOTEIO',
          'waitForInterrupt',
          path,
          `AFU error 0x${event.error.toString(16)}: its meaning is the AFU's`,
        );
  return Object.assign(error, { event });
}
