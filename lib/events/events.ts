/**
 * What an AFU's file tells: events, as values, and their decoding from the kernel's bytes
 * (struct cxl_event of include/uapi/misc/cxl.h).
 */
import { hostIsLittleEndian } from '../shared/endian';
import { type CxlError, systemError } from '../shared/errors';

interface EventBase {
  /**
   * The process element the kernel put in the header. In a guest it is the driver's own index
   * and need not equal Context.processElement.
   */
  readonly processElement: number;
}

/** The AFU raised an interrupt. Raised twice before it is read, it is told once. */
export interface AfuInterruptEvent extends EventBase {
  readonly type: 'afu-interrupt';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** 1 to the number of interrupts attached with. */
  readonly irq: number;
}

/** The AFU touched an address that cannot be translated. A later one replaces an unread one. */
export interface DataStorageEvent extends EventBase {
  readonly type: 'data-storage';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** The effective address that was touched. */
  readonly address: bigint;
  /** The DSISR: why the translation failed. */
  readonly dsisr: bigint;
}

/** The AFU reported an error. While one is unread, a later one is dropped. */
export interface AfuErrorEvent extends EventBase {
  readonly type: 'afu-error';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** 64 bits whose meaning is the AFU's. */
  readonly error: bigint;
}

/** An event of the in-kernel AFU driver that handed the file out. Its bytes are that driver's ABI. */
export interface AfuDriverEvent<Decoded = undefined> extends EventBase {
  readonly type: 'afu-driver';
  /** What follows the header. */
  readonly data: Uint8Array;
  /** What the decoder given to Context.decodeDriverEvents() made of it. */
  readonly decoded: Decoded;
}

/** A kind this library does not know. */
export interface UnknownEvent extends EventBase {
  readonly type: 'unknown';
  /** The type in the header. */
  readonly rawType: number;
  /** What follows the header. */
  readonly data: Uint8Array;
}

export type CxlEvent<Decoded = undefined> =
  | AfuInterruptEvent
  | DataStorageEvent
  | AfuErrorEvent
  | AfuDriverEvent<Decoded>
  | UnknownEvent;

const HEADER = 8;
const TYPE_AFU_INTERRUPT = 1;
const TYPE_DATA_STORAGE = 2;
const TYPE_AFU_ERROR = 3;
const TYPE_AFU_DRIVER = 4;
/** CXL_READ_MIN_SIZE: no event is larger. */
const MAX_EVENT = 4096;
const minimumSize: Record<number, number> = {
  [TYPE_AFU_INTERRUPT]: 16,
  [TYPE_DATA_STORAGE]: 40,
  [TYPE_AFU_ERROR]: 24,
};

/**
 * Decodes `length` bytes of whole events and hands each to `take`. Bytes that are no event end
 * it: the returned error says what was wrong (EBADMSG); what came before has been taken.
 */
export function parseEvents(
  bytes: Uint8Array,
  length: number,
  take: (event: CxlEvent) => void,
  path?: string,
): CxlError | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  let at = 0;
  while (at < length) {
    const left = length - at;
    if (left < HEADER) return malformed(`${left} bytes where a header of 8 should be`, path);
    const type = view.getUint16(at, hostIsLittleEndian);
    const size = view.getUint16(at + 2, hostIsLittleEndian);
    const least = minimumSize[type] ?? HEADER;
    if (size > MAX_EVENT) return malformed(`a size of ${size}, over ${MAX_EVENT}`, path);
    if (size < least) return malformed(`type ${type} with a size of ${size}, under ${least}`, path);
    if (size > left) return malformed(`a size of ${size} with ${left} bytes left`, path);
    take(decode(view, at, type, size));
    at += size;
  }
  return undefined;
}

function decode(view: DataView, at: number, type: number, size: number): CxlEvent {
  const processElement = view.getUint16(at + 4, hostIsLittleEndian);
  const body = at + HEADER;
  switch (type) {
    case TYPE_AFU_INTERRUPT:
      return {
        type: 'afu-interrupt',
        processElement,
        flags: view.getUint16(body, hostIsLittleEndian),
        irq: view.getUint16(body + 2, hostIsLittleEndian),
      };
    case TYPE_DATA_STORAGE:
      return {
        type: 'data-storage',
        processElement,
        flags: view.getUint16(body, hostIsLittleEndian),
        address: view.getBigUint64(body + 8, hostIsLittleEndian),
        dsisr: view.getBigUint64(body + 16, hostIsLittleEndian),
      };
    case TYPE_AFU_ERROR:
      return {
        type: 'afu-error',
        processElement,
        flags: view.getUint16(body, hostIsLittleEndian),
        error: view.getBigUint64(body + 8, hostIsLittleEndian),
      };
    default: {
      // The batch's bytes are reused, so what stays is copied.
      const data = new Uint8Array(view.buffer, view.byteOffset + body, size - HEADER).slice();
      return type === TYPE_AFU_DRIVER
        ? { type: 'afu-driver', processElement, data, decoded: undefined }
        : { type: 'unknown', processElement, rawType: type, data };
    }
  }
}

function malformed(what: string, path: string | undefined): CxlError {
  return systemError('EBADMSG', 'read', path, `not a cxl event: ${what}`);
}
