/**
 * The messages between a PSLSE daemon and its clients: their codes, how the client's are encoded and
 * the daemon's decoded. Fields are big-endian, but for those of the answer to QUERY.
 */

/** The codes, as PSLSE names them. */
export const CODES = {
  CONNECT: 0x01,
  QUERY: 0x02,
  OPEN: 0x04,
  ATTACH: 0x05,
  DETACH: 0x06,
  MEMORY_READ: 0x07,
  MEMORY_WRITE: 0x08,
  MEMORY_TOUCH: 0x09,
  MEM_SUCCESS: 0x0a,
  MEM_FAILURE: 0x0b,
  MMIO_MAP: 0x0c,
  MMIO_READ64: 0x0d,
  MMIO_WRITE64: 0x0e,
  MMIO_READ32: 0x0f,
  MMIO_WRITE32: 0x10,
  MMIO_ACK: 0x11,
  MMIO_FAIL: 0x12,
  INTERRUPT: 0x13,
  AFU_ERROR: 0x14,
  MMIO_EBREAD: 0x15,
  DMA0_RD: 0x21,
  DMA0_WR: 0x22,
  DMA0_WR_AMO: 0x23,
} as const;

/** Which PSL a daemon was built for. It says so by the version of its protocol. */
export type Psl = 8 | 9;
const VERSIONS: Record<Psl, readonly [major: number, minor: number]> = { 8: [1, 2], 9: [2, 0] };

/** Flags of MMIO_MAP: big-endian. The daemon swaps nothing, whatever they are. */
const MAP_BIG_ENDIAN = 1;

/** Bytes that one access of an AFU's memory commands moves at most, and one of its DMA. */
export const MAX_ACCESS = 128;
export const MAX_DMA = 512;

/** The client's messages. Each is to be sent in one write: the daemon cannot wait for the rest of one. */
export const encode = {
  greeting(psl: Psl): Uint8Array {
    return Uint8Array.from([...Buffer.from('PSLSE', 'latin1'), ...VERSIONS[psl]]);
  },
  query: (id: number) => Uint8Array.of(CODES.QUERY, id),
  open: (id: number, letter: ContextLetter) => Uint8Array.of(CODES.OPEN, id, letter.charCodeAt(0)),
  attach: (wed: bigint) => message(CODES.ATTACH, 8, (view) => view.setBigUint64(1, wed)),
  detach: () => Uint8Array.of(CODES.DETACH),
  map: () => message(CODES.MMIO_MAP, 4, (view) => view.setUint32(1, MAP_BIG_ENDIAN)),
  read64: (offset: number) => message(CODES.MMIO_READ64, 4, (view) => view.setUint32(1, offset)),
  read32: (offset: number) => message(CODES.MMIO_READ32, 4, (view) => view.setUint32(1, offset)),
  write64: (offset: number, value: bigint) =>
    message(CODES.MMIO_WRITE64, 12, (view) => {
      view.setUint32(1, offset);
      view.setBigUint64(5, value);
    }),
  write32: (offset: number, value: number) =>
    message(CODES.MMIO_WRITE32, 8, (view) => {
      view.setUint32(1, offset);
      view.setUint32(5, value);
    }),
  /** 8 bytes of the error buffer from `offset`, a multiple of 8. */
  errorBuffer: (offset: number) =>
    message(CODES.MMIO_EBREAD, 4, (view) => view.setUint32(1, offset)),
  /** The answer to a memory access, with what was read. */
  success(data: Uint8Array = new Uint8Array(0)): Uint8Array {
    const bytes = new Uint8Array(1 + data.length);
    bytes[0] = CODES.MEM_SUCCESS;
    bytes.set(data, 1);
    return bytes;
  },
  failure: () => Uint8Array.of(CODES.MEM_FAILURE),
} as const;

/** Of a device node: dedicated, master, slave. */
export type ContextLetter = 'd' | 'm' | 's';

function message(code: number, length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(1 + length);
  bytes[0] = code;
  write(new DataView(bytes.buffer));
  return bytes;
}

/** A message of the daemon to a client that has opened a context. */
export type DaemonMessage =
  | { readonly type: 'attached' | 'detached' | 'failed' }
  | { readonly type: 'ack'; readonly data: Uint8Array }
  | { readonly type: 'read' | 'touch'; readonly address: bigint; readonly size: number }
  | { readonly type: 'write'; readonly address: bigint; readonly data: Uint8Array }
  | {
      readonly type: 'atomic';
      readonly address: bigint;
      readonly size: 4 | 8;
      readonly operation: number;
      /** 16 bytes. */
      readonly operands: Uint8Array;
    }
  | { readonly type: 'interrupt'; readonly irq: number }
  | { readonly type: 'afu-error'; readonly error: bigint };

/**
 * The message at the start of `bytes` and its length; undefined when its end has not arrived;
 * 'garbage' when it is none.
 *
 * @param ackLength bytes that follow the code of the acknowledgement that is awaited
 */
export function decode(
  bytes: Uint8Array,
  ackLength: number,
  psl: Psl,
): { readonly message: DaemonMessage; readonly length: number } | 'garbage' | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  /** `length`: of the whole message, with its code. */
  const whole = (length: number, make: () => DaemonMessage) =>
    bytes.length < length ? undefined : { message: make(), length };
  switch (bytes[0]) {
    case undefined:
      return undefined;
    case CODES.ATTACH:
      return whole(1, () => ({ type: 'attached' }));
    case CODES.DETACH:
      return whole(1, () => ({ type: 'detached' }));
    case CODES.MMIO_FAIL:
      return whole(1, () => ({ type: 'failed' }));
    case CODES.MMIO_ACK:
      return whole(1 + ackLength, () => ({ type: 'ack', data: bytes.slice(1, 1 + ackLength) }));
    case CODES.INTERRUPT:
      return whole(3, () => ({ type: 'interrupt', irq: view.getUint16(1) }));
    case CODES.AFU_ERROR:
      return whole(9, () => ({ type: 'afu-error', error: view.getBigUint64(1) }));
    case CODES.MEMORY_READ:
    case CODES.MEMORY_TOUCH:
    case CODES.MEMORY_WRITE:
      return decodeAccess(bytes, view, bytes[0], 2, MAX_ACCESS);
    case CODES.DMA0_RD:
    case CODES.DMA0_WR:
      return psl === 9 ? decodeAccess(bytes, view, bytes[0], 3, MAX_DMA) : 'garbage';
    case CODES.DMA0_WR_AMO:
      return psl === 9 ? decodeAtomic(bytes, view) : 'garbage';
    default:
      return 'garbage';
  }
}

/** `addressAt`: where the address is, after the size. */
function decodeAccess(
  bytes: Uint8Array,
  view: DataView,
  code: number,
  addressAt: 2 | 3,
  most: number,
): ReturnType<typeof decode> {
  const dataAt = addressAt + 8;
  if (bytes.length < addressAt) return undefined;
  const size = addressAt === 2 ? view.getUint8(1) : view.getUint16(1);
  if (size < 1 || size > most) return 'garbage';
  const writes = code === CODES.MEMORY_WRITE || code === CODES.DMA0_WR;
  const length = writes ? dataAt + size : dataAt;
  if (bytes.length < length) return undefined;
  const address = view.getBigUint64(addressAt);
  if (writes) {
    return { message: { type: 'write', address, data: bytes.slice(dataAt, length) }, length };
  }
  const type = code === CODES.MEMORY_TOUCH ? 'touch' : 'read';
  return { message: { type, address, size }, length };
}

function decodeAtomic(bytes: Uint8Array, view: DataView): ReturnType<typeof decode> {
  const length = 27;
  if (bytes.length < 2) return undefined;
  const size = view.getUint8(1);
  if (size !== 4 && size !== 8) return 'garbage';
  if (bytes.length < length) return undefined;
  return {
    message: {
      type: 'atomic',
      size,
      address: view.getBigUint64(2),
      operation: view.getUint8(10),
      operands: bytes.slice(11, length),
    },
    length,
  };
}

/** What a daemon tells of an AFU. */
export interface AfuDescription {
  readonly card: number;
  readonly slice: number;
  readonly irqsMin: number;
  readonly irqsMax: number;
  readonly mode: 'dedicated' | 'directed';
  /** Whether the AFU has a problem state area. */
  readonly hasArea: boolean;
  /** Bytes of each process's part, and the offset of the first; undefined: there are no parts. */
  readonly perProcess: { readonly size: number; readonly offset: number } | undefined;
  /** Bytes; 0: it has none. */
  readonly errorBufferSize: number;
  readonly vendor: number;
  readonly device: number;
  /** 24 bits. */
  readonly class: number;
}

/** Bytes of the answers to the greeting, to QUERY and to OPEN, with their codes. */
export const ANSWER_LENGTHS = { connect: 3, query: 39, open: 2 } as const;

/** The ids (card * 16 + slice) of the AFUs of a CONNECT. */
export function decodeMap(connect: Uint8Array): number[] {
  const map = (connect[1]! << 8) | connect[2]!;
  const ids: number[] = [];
  for (let bit = 0; bit < 16; bit++) {
    if ((map & (0x8000 >> bit)) !== 0) ids.push(((bit >> 2) << 4) | (bit & 3));
  }
  return ids;
}

const DIRECTED_MODEL = 0x0004;
const AREA_REQUIRED = 1;
const AREA_PER_PROCESS = 2;
const AREA_UNIT = 4096n;

/** The answer to QUERY: little-endian, as the daemon's host is, but for the configuration record. */
export function decodeQuery(id: number, answer: Uint8Array): AfuDescription {
  const view = new DataView(answer.buffer, answer.byteOffset + 1, answer.length - 1);
  const area = view.getBigUint64(6, true);
  const control = Number(area >> 56n);
  const size = Number((area & ((1n << 56n) - 1n)) * AREA_UNIT);
  const perProcess = (control & AREA_PER_PROCESS) !== 0;
  return {
    card: id >> 4,
    slice: id & 0xf,
    irqsMin: view.getUint16(0, true),
    irqsMax: view.getUint16(2, true),
    mode: (view.getUint16(4, true) & DIRECTED_MODEL) === 0 ? 'dedicated' : 'directed',
    hasArea: (control & AREA_REQUIRED) !== 0,
    perProcess: perProcess ? { size, offset: Number(view.getBigUint64(14, true)) } : undefined,
    errorBufferSize: Number(view.getBigUint64(22, true)),
    device: view.getUint16(30),
    vendor: view.getUint16(32),
    // Without the revision, its last byte.
    class: view.getUint32(34) >>> 8,
  };
}
