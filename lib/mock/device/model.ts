/**
 * What an AFU model is: the accelerator's side of the mock. The driver's side (contexts,
 * events, sysfs) is lib/mock/kernel; a model only says what the logic on the card does.
 *
 * A model is asked for a fresh accelerator at power-on and at every AFU reset. For each
 * context that is attached, the accelerator answers with its logic for that process: what its
 * registers do, and one bounded step of its work.
 */

/** Bytes of one MMIO access. */
export type MmioWidth = 4 | 8;

/** A PCIe-like configuration record of the AFU (`crN` in sysfs). */
export interface ConfigRecord {
  /** 16 bits. */
  readonly vendor: number;
  /** 16 bits. */
  readonly device: number;
  /** 24 bits: base class, subclass, interface. */
  readonly class: number;
  /** The whole record, little-endian; made from the fields above when absent. */
  readonly config?: Uint8Array;
}

/** The AFU descriptor: what the driver reads from a slice when it finds it. */
export interface AfuDescriptor {
  /** Process elements in AFU-directed mode, 1 to 65535. */
  readonly processes: number;
  /** AFU interrupts a process must at least be given (irqs_min), 0 to 2037. */
  readonly interruptsMinimum: number;
  /** Programming models the logic supports. */
  readonly modes: readonly ('dedicated' | 'directed')[];
  /** Bytes of the whole problem state area, a multiple of the page size; 0 for none. */
  readonly problemStateSize: number;
  /** Where each process's own area lies in it: `offset + processElement * size`; absent: nowhere. */
  readonly perProcess?: { readonly offset: number; readonly size: number };
  /** Byte order of the registers. Default 'big'. */
  readonly endian?: 'big' | 'little';
  readonly configRecords?: readonly ConfigRecord[];
  /** Contents of afu_err_buff; absent: the AFU has none. */
  readonly errorBuffer?: Uint8Array;
}

/** How a context sees the AFU. */
export type ContextRole = 'slave' | 'master' | 'dedicated';

/** What the accelerator can do to the process element it serves. */
export interface AfuProcess {
  readonly afu: AfuPort;
  /** The driver's index, from 0: which per-process area is this one's. */
  readonly index: number;
  /** The number the hardware knows the process element by (a guest's differs from `index`). */
  readonly processElement: number;
  readonly role: ContextRole;
  /** Work element descriptor given at attach. */
  readonly wed: bigint;
  /** Authority mask register given at attach, 0 when none was. */
  readonly amr: bigint;
  /** AFU interrupts the process has: 1 to this number can be raised. */
  readonly interrupts: number;
  /** False once the process element is detached: all else here is inert then. */
  readonly attached: boolean;
  /**
   * The bytes at an effective address of the process, shared with it. Undefined when they
   * cannot be translated: the process has been told by a data storage fault.
   */
  access(
    address: bigint | number,
    length: number,
    direction: 'read' | 'write',
  ): Uint8Array | undefined;
  /** Whether access() would succeed; raises nothing. */
  isMapped(address: bigint | number, length: number): boolean;
  /** Raises an AFU interrupt, from 1. False when the process has no such interrupt. */
  raiseInterrupt(irq: number): boolean;
  /** Reports a 64-bit AFU error. One still unread makes the driver drop (and log) this one. */
  afuError(error: bigint): void;
  /** Asks for step() soon, when work arrived by another way than the registers or memory. */
  wake(): void;
}

/** What the accelerator can do as a whole. */
export interface AfuPort {
  /** As sysfs has it: 'afu0.0'. */
  readonly name: string;
  /** 1 on POWER8 (PSL8), 2 on POWER9 (PSL9). */
  readonly caiaMajor: number;
  /** Reports a slice error: the driver logs it; no process gets an event. */
  sliceError(error: bigint): void;
  /** The next START_WORK of this AFU takes so many milliseconds. */
  delayNextAttach(milliseconds: number): void;
  /** Detaches every context of the AFU, as in recovery, the link staying up. */
  detachAll(): void;
  /** The adapter goes into error state, and recovers after so many milliseconds. */
  enterErrorState(milliseconds: number): void;
}

/** The accelerator's state for one process. Offsets are in bytes from the process's own area. */
export interface ProcessLogic {
  /** A load from the problem state area. 0 to 2^(8*width)-1. */
  mmioRead(offset: number, width: MmioWidth): bigint;
  /** A store to it. */
  mmioWrite(offset: number, width: MmioWidth, value: bigint): void;
  /**
   * A bounded piece of work (about a millisecond at most). True when there is more to do at
   * once; false when the logic waits for the program.
   */
  step?(): boolean;
  /** The process element is being removed. */
  detach?(): void;
}

/** The accelerator, since power-on or the last AFU reset. */
export interface AfuLogic {
  /** A process element was added. Called within START_WORK, before it returns. */
  attach(process: AfuProcess): ProcessLogic;
  /**
   * AFU-wide registers: what a master sees below the per-process areas. `process` is the
   * master's own. Without these they read as zero.
   */
  mmioRead?(offset: number, width: MmioWidth, process: ProcessLogic): bigint;
  mmioWrite?(offset: number, width: MmioWidth, value: bigint, process: ProcessLogic): void;
}

/** An AFU image. One model may serve several slices: its state lives in what powerOn() returns. */
export interface AfuModel {
  readonly name: string;
  readonly descriptor: AfuDescriptor;
  /** Power-on or AFU reset: a fresh accelerator with no process attached. */
  powerOn(afu: AfuPort): AfuLogic;
}
