import { typeError, valueError } from '../shared/errors';
import type { CxlEvent } from './events';

/** Bytes of an event's data that are printed. */
const MAX_BYTES = 32;

/**
 * One line about an event, for people: `AFU interrupt 1 (process element 5)`. Its wording may
 * change; programs read the event's properties. As cxl_fprint_event() of libcxl, with the process
 * element.
 *
 * @example
 * import { formatEvent } from 'node-cxl';
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * system.card(0).afu(0).raiseInterrupt(0, 2);
 * console.log(formatEvent(await context.waitForEvent())); // AFU interrupt 2 (process element 0)
 * await context.close();
 */
export function formatEvent(event: CxlEvent<unknown>): string {
  if (typeof event !== 'object' || event === null) throw typeError('event', 'a CxlEvent', event);
  return `${describe(event)} (process element ${event.processElement})`;
}

function describe(event: CxlEvent<unknown>): string {
  switch (event.type) {
    case 'afu-interrupt':
      return `AFU interrupt ${event.irq}`;
    case 'data-storage':
      return `data storage fault at ${hex(event.address)}, DSISR ${hex(event.dsisr)}`;
    case 'afu-error':
      return `AFU error ${hex(event.error)}`;
    case 'afu-driver':
      return `AFU-driver event of ${bytes(event.data)}`;
    case 'unknown':
      return `event of unknown type ${event.rawType} with ${bytes(event.data)}`;
    default:
      throw valueError('event.type', 'that of a CxlEvent', (event as { type: unknown }).type);
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function bytes(data: Uint8Array): string {
  const count = `${data.length} byte${data.length === 1 ? '' : 's'}`;
  if (data.length === 0) return count;
  const { buffer, byteOffset, length } = data;
  const shown = Buffer.from(buffer, byteOffset, Math.min(length, MAX_BYTES)).toString('hex');
  return `${count}: ${shown}${length > MAX_BYTES ? '…' : ''}`;
}
