/**
 * The events that read() returns from an AFU's file, and their decoding (struct cxl_event of
 * include/uapi/misc/cxl.h).
 */
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { type CxlError, systemError } from '../shared/errors';

interface EventBase {
  /**
   * The process element in the event's header. In a PowerVM guest it is an index of the driver's
   * and need not equal Context.processElement.
   */
  readonly processElement: number;
}

/** The AFU raised an interrupt. Raised several times before it is read, it is one event. */
export interface AfuInterruptEvent extends EventBase {
  /** Tells the events apart. */
  readonly type: 'afu-interrupt';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** 1 to the number of interrupts attached with. */
  readonly irq: number;
}

/** The AFU accessed an address that cannot be translated. A later event replaces an unread one. */
export interface DataStorageEvent extends EventBase {
  /** Tells the events apart. */
  readonly type: 'data-storage';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** The effective address that was accessed. */
  readonly address: bigint;
  /** The data storage interrupt status register (DSISR): why the translation failed. */
  readonly dsisr: bigint;
}

/** The AFU reported an error. While one is unread, a later one is dropped. */
export interface AfuErrorEvent extends EventBase {
  /** Tells the events apart. */
  readonly type: 'afu-error';
  /** 16 bits, reserved by the driver: 0 so far. */
  readonly flags: number;
  /** 64 bits that the AFU defines. */
  readonly error: bigint;
}

/** A driver event: its format is defined by the in-kernel AFU driver that handed the file out. */
export interface AfuDriverEvent<Decoded = undefined> extends EventBase {
  /** Tells the events apart. */
  readonly type: 'afu-driver';
  /** The bytes after the header. */
  readonly data: Uint8Array;
  /** What the decoder set by Context.decodeDriverEvents() returned. */
  readonly decoded: Decoded;
}

/** An event of a type that this library does not know. */
export interface UnknownEvent extends EventBase {
  /** Tells the events apart. */
  readonly type: 'unknown';
  /** The type in the header. */
  readonly rawType: number;
  /** The bytes after the header. */
  readonly data: Uint8Array;
}

/**
 * An event of a context: what read() of its descriptor returned (struct cxl_event of misc/cxl.h),
 * decoded.
 */
export type CxlEvent<Decoded = undefined> =
  | AfuInterruptEvent
  | DataStorageEvent
  | AfuErrorEvent
  | AfuDriverEvent<Decoded>
  | UnknownEvent;

/** The events of one type, or of several. */
export type EventOfType<Type extends EventType, Decoded = undefined> = Extract<
  CxlEvent<Decoded>,
  {
    /** The type, or one of the types. */
    readonly type: Type;
  }
>;

/** The type of an event, as `type` has it. */
export type EventType = CxlEvent['type'];

/** Every type of event. */
export const EVENT_TYPES: readonly EventType[] = [
  'afu-interrupt',
  'data-storage',
  'afu-error',
  'afu-driver',
  'unknown',
];

/** sizeof(struct cxl_event_header). */
const HEADER_SIZE = 8;
const TYPE_AFU_INTERRUPT = 1;
const TYPE_DATA_STORAGE = 2;
const TYPE_AFU_ERROR = 3;
const TYPE_AFU_DRIVER = 4;
/** CXL_READ_MIN_SIZE: no event is larger. */
const MAX_EVENT_SIZE = 4096;
const MINIMUM_SIZES: Record<number, number> = {
  [TYPE_AFU_INTERRUPT]: 16,
  [TYPE_DATA_STORAGE]: 40,
  [TYPE_AFU_ERROR]: 24,
};

/**
 * Decodes `length` bytes of whole events and calls `take` with each. At bytes that are not an
 * event it stops and returns an EBADMSG error; the events before them have been taken.
 * `littleEndian`: the byte order of the machine that read them.
 */
export function parseEvents(
  bytes: Uint8Array,
  length: number,
  take: (event: CxlEvent) => void,
  path?: string,
  littleEndian = HOST_IS_LITTLE_ENDIAN,
): CxlError | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  let at = 0;
  while (at < length) {
    const left = length - at;
    if (left < HEADER_SIZE) return malformed(`${left} bytes where a header of 8 should be`, path);
    const type = view.getUint16(at, littleEndian);
    const size = view.getUint16(at + 2, littleEndian);
    const least = MINIMUM_SIZES[type] ?? HEADER_SIZE;
    if (size > MAX_EVENT_SIZE) return malformed(`a size of ${size}, over ${MAX_EVENT_SIZE}`, path);
    if (size < least) return malformed(`type ${type} with a size of ${size}, under ${least}`, path);
    if (size > left) return malformed(`a size of ${size} with ${left} bytes left`, path);
    take(decode(view, at, type, size, littleEndian));
    at += size;
  }
  return undefined;
}

function decode(
  view: DataView,
  at: number,
  type: number,
  size: number,
  littleEndian: boolean,
): CxlEvent {
  const processElement = view.getUint16(at + 4, littleEndian);
  const body = at + HEADER_SIZE;
  switch (type) {
    case TYPE_AFU_INTERRUPT:
      return {
        type: 'afu-interrupt',
        processElement,
        flags: view.getUint16(body, littleEndian),
        irq: view.getUint16(body + 2, littleEndian),
      };
    case TYPE_DATA_STORAGE:
      return {
        type: 'data-storage',
        processElement,
        flags: view.getUint16(body, littleEndian),
        address: view.getBigUint64(body + 8, littleEndian),
        dsisr: view.getBigUint64(body + 16, littleEndian),
      };
    case TYPE_AFU_ERROR:
      return {
        type: 'afu-error',
        processElement,
        flags: view.getUint16(body, littleEndian),
        error: view.getBigUint64(body + 8, littleEndian),
      };
    default: {
      // A copy: the next batch overwrites the bytes.
      const data = new Uint8Array(view.buffer, view.byteOffset + body, size - HEADER_SIZE).slice();
      return type === TYPE_AFU_DRIVER
        ? { type: 'afu-driver', processElement, data, decoded: undefined }
        : { type: 'unknown', processElement, rawType: type, data };
    }
  }
}

function malformed(what: string, path: string | undefined): CxlError {
  return systemError('EBADMSG', 'read', path, `not a cxl event: ${what}`);
}
