/** The data storage fault or AFU error that ends a wait for other events. */
import { type CxlError, systemError } from '../shared/errors';
import type { AfuErrorEvent, CxlEvent, DataStorageEvent, EventType } from './events';

export const FAULTS: readonly EventType[] = ['data-storage', 'afu-error'];

/** An event that ends a wait for another one. */
export type FaultEvent = DataStorageEvent | AfuErrorEvent;

/** A data storage fault or AFU error that ended a wait for another event. */
export interface FaultError extends CxlError {
  /** The event that ended the wait. */
  readonly event: FaultEvent;
}

export function isFault<Decoded>(event: CxlEvent<Decoded>): event is FaultEvent {
  return event.type === 'data-storage' || event.type === 'afu-error';
}

export function faultError(event: FaultEvent, syscall: string, path: string): FaultError {
  const error =
    event.type === 'data-storage'
      ? systemError(
          'EFAULT',
          syscall,
          path,
          `data storage fault at 0x${event.address.toString(16)}: the AFU touched an address that this process has not mapped`,
          faultError,
        )
      : systemError(
          'EREMOTEIO',
          syscall,
          path,
          `AFU error 0x${event.error.toString(16)}: its meaning is the AFU's`,
          faultError,
        );
  return Object.assign(error, { event });
}
