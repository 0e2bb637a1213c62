/** The bytes of events as read() returns them: a header of 8 bytes and a body, native-endian. */
import { HOST_IS_LITTLE_ENDIAN as little } from '../shared/endian';

export const HEADER_SIZE = 8;
/** The smallest buffer that read() accepts, and the largest size of an event. */
export const CXL_READ_MIN_SIZE = 4096;

const TYPES = { afuInterrupt: 1, dataStorage: 2, afuError: 3, afuDriver: 4 } as const;

/** Begins an event: zeros, then the header. */
function event(
  target: Uint8Array,
  type: number,
  bodySize: number,
  processElement: number,
): DataView {
  const size = HEADER_SIZE + bodySize;
  target.fill(0, 0, size);
  const view = new DataView(target.buffer, target.byteOffset, size);
  view.setUint16(0, type, little);
  view.setUint16(2, size, little);
  view.setUint16(4, processElement, little);
  return view;
}

/** As the other writers: returns the size of the event in bytes, header included. */
export function writeAfuInterrupt(target: Uint8Array, processElement: number, irq: number): number {
  const view = event(target, TYPES.afuInterrupt, 8, processElement);
  view.setUint16(10, irq, little);
  return view.byteLength;
}

export function writeDataStorage(
  target: Uint8Array,
  processElement: number,
  address: bigint,
  dsisr: bigint,
): number {
  const view = event(target, TYPES.dataStorage, 32, processElement);
  view.setBigUint64(16, address, little);
  view.setBigUint64(24, dsisr, little);
  return view.byteLength;
}

export function writeAfuError(target: Uint8Array, processElement: number, error: bigint): number {
  const view = event(target, TYPES.afuError, 16, processElement);
  view.setBigUint64(16, error, little);
  return view.byteLength;
}

export function writeAfuDriver(
  target: Uint8Array,
  processElement: number,
  data: Uint8Array,
): number {
  const view = event(target, TYPES.afuDriver, data.length, processElement);
  target.set(data, HEADER_SIZE);
  return view.byteLength;
}
