/**
 * The SISLite interface, for this library and for the mock's AFU: registers of the host-transport
 * page, layout of a command (IOARCB) and of its status (IOASA), and their codes. Registers are
 * big-endian; structures are in the byte order that endian_ctrl sets; the CDB is always big-endian.
 */

/** Byte offsets in the host-transport page; all are 64 bits wide. */
export const REGISTERS = {
  endianControl: 0x00,
  interruptStatus: 0x08,
  interruptClear: 0x10,
  interruptMask: 0x18,
  ioarrin: 0x20,
  rrqStart: 0x28,
  rrqEnd: 0x30,
  commandRoom: 0x38,
  contextControl: 0x40,
  mailbox: 0x48,
  sqStart: 0x50,
  sqEnd: 0x58,
  sqHead: 0x60,
  sqTail: 0x68,
  sqContextReset: 0x70,
} as const;

export const ENDIAN_CONTROL = { big: 0x8000_0000_0000_0080n, little: 0n } as const;

/** ctx_ctrl: WRITE SAME can unmap. */
export const UNMAP_SUPPORTED = 1n << 63n;

/** intr_status bits. Each means that the AFU could not access a structure of the context. */
export const INTERRUPT_STATUS = {
  commandRoom: 0x10n,
  commandRead: 0x08n,
  statusWrite: 0x04n,
  responseWrite: 0x02n,
  pageIn: 0x01n,
} as const;

/** Bits of intr_mask that may be 0: those interrupts are enabled. */
export const INTERRUPT_BITS = 0x7ffn;

/** AFU interrupts, as the driver's header recommends them. */
export const SYNC_ERROR_INTERRUPT = 1;
export const RESPONSE_INTERRUPT = 2;

export const IOARCB_BYTES = 64;
export const IOASA_BYTES = 64;

/** Byte offsets in an IOARCB. */
export const IOARCB = {
  contextId: 0,
  requestFlags: 2,
  resourceHandle: 4,
  lunId: 8,
  dataLength: 16,
  ioadlLength: 20,
  dataAddress: 24,
  interrupt: 32,
  responseQueue: 33,
  timeout: 34,
  cdb: 40,
  /** Address of the IOASA in SQ mode. */
  statusAddress: 56,
} as const;

export const REQUEST_FLAGS = {
  byResourceHandle: 0x8000,
  suppressUnderrun: 0x4000,
  timeoutSeconds: 0,
  timeoutMilliseconds: 0x0040,
  timeoutMicroseconds: 0x0080,
  taskManagement: 0x0004,
  afuCommand: 0x0002,
  hostWrite: 0x0001,
} as const;

/** Byte offsets in an IOASA. */
export const IOASA = {
  flags: 0,
  afuCode: 1,
  scsiCode: 2,
  fcCode: 3,
  residual: 4,
  port: 8,
  afuExtra: 9,
  scsiExtra: 10,
  fcExtra: 11,
  sense: 12,
} as const;

export const SENSE_BYTES = 20;

export const STATUS_FLAGS = {
  senseValid: 0x80,
  responseCodeValid: 0x40,
  overrun: 0x20,
  underrun: 0x10,
} as const;

export const AFU_CODES = {
  handleInvalid: 0x01,
  handleUnaligned: 0x02,
  handleOutOfBounds: 0x03,
  handleDma: 0x04,
  handlePermission: 0x05,
  chunkUnaligned: 0x12,
  chunkOutOfBounds: 0x13,
  chunkDma: 0x14,
  chunkPermission: 0x15,
  noHostTranslation: 0x1a,
  noChannels: 0x20,
  capability: 0x21,
  outOfDataBuffers: 0x30,
  dataDma: 0x31,
  /** The time limit of the command passed in the AFU, before or after it reached the link. */
  timedOutBeforeLink: 0x50,
  timedOut: 0x51,
} as const;

/** afu_extra of the DMA codes. */
export const DMA_EXTRA = { pageIn: 0x0a, invalidAddress: 0x0b } as const;

export const SCSI_CODES = {
  check: 0x02,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
} as const;

export const FC_CODES = {
  abortPending: 0x52,
  writeAbortPending: 0x53,
  noLogin: 0x54,
  protocol: 0x55,
  tagInUse: 0x56,
  linkDown: 0x57,
  abortOk: 0x58,
  abortFailed: 0x59,
  residual: 0x5a,
  residualMismatch: 0x5b,
  targetAbort: 0x5c,
  shutdown: 0x5e,
} as const;

export const OPCODES = { read16: 0x88, write16: 0x8a, writeSame16: 0x93 } as const;

/** WRITE SAME(16): unmap the blocks. */
export const WRITE_SAME_UNMAP = 0x08;

/** Blocks of a chunk, the unit of allocation of a virtual LUN. */
export const CHUNK_BLOCKS = 65536n;

/** A command's IOASA: the codes of the AFU, the target and the link; 0 means no error (sislite.h). */
export interface CommandStatus {
  /** Bits: 0x80 sense data, 0x40 a response code, 0x20 overrun, 0x10 underrun. */
  readonly flags: number;
  /** SISL_AFU_RC_…: code of the AFU. */
  readonly afuCode: number;
  /** SISL_SCSI_RC_…: SCSI status of the target. */
  readonly scsiCode: number;
  /** SISL_FC_RC_…: code of the Fibre Channel link. */
  readonly fcCode: number;
  /** Bytes that were not transferred (underrun), or that were too many (overrun). */
  readonly residual: number;
  /** The port that the command used. */
  readonly port: number;
  /** Details of `afuCode`: ports, or why memory could not be accessed. */
  readonly afuExtra: number;
  /** Details of `scsiCode`. */
  readonly scsiExtra: number;
  /** Details of `fcCode`. */
  readonly fcExtra: number;
  /** 20 bytes; sense data when `flags` has 0x80. CommandFailure.sense is the decoded form. */
  readonly sense: Uint8Array;
}
