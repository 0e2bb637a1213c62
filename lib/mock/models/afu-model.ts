/**
 * The interface of an AFU model: what the logic of an accelerator does. What the driver does
 * (contexts, events, sysfs) is in lib/mock/kernel.
 *
 * powerOn() makes the logic of an AFU, at power-on and at every AFU reset. attach() of that logic
 * makes the logic for one process, for each context that is attached: what its registers do, and
 * what it does in a step.
 */
import type { OptionNames } from '../../shared/checks';

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
  /** The whole record, little-endian. Default: 256 bytes with the fields above. */
  readonly config?: Uint8Array;
}

/** The AFU descriptor: what the driver reads from a slice when it finds it. */
export interface AfuDescriptor {
  /** Process elements in AFU-directed mode, 1 to 65535. */
  readonly processes: number;
  /** The least number of AFU interrupts that a process needs (irqs_min), 0 to 2037. */
  readonly interruptsMinimum: number;
  /** Programming models the logic supports. */
  readonly modes: readonly ('dedicated' | 'directed')[];
  /** Bytes of the whole problem state area, a multiple of the page size; 0: there is none. */
  readonly problemStateSize: number;
  /** The area of each process is at `offset + processElement * size`. Absent: there are none. */
  readonly perProcess?: {
    /** Bytes from the start of the whole area: a multiple of the page size. */
    readonly offset: number;
    /** Bytes: a multiple of the page size. */
    readonly size: number;
  };
  /** Byte order of the registers. Default 'big'. */
  readonly endian?: 'big' | 'little';
  /** The AFU's configuration records, `cr0` and so on in sysfs. Default: none. */
  readonly configRecords?: readonly ConfigRecord[];
  /** Contents of afu_err_buff. Absent: the AFU has no error buffer. */
  readonly errorBuffer?: Uint8Array;
}

/** @internal The names of a descriptor's fields. */
export const DESCRIPTOR_FIELDS: OptionNames<AfuDescriptor> = {
  processes: true,
  interruptsMinimum: true,
  modes: true,
  problemStateSize: true,
  perProcess: true,
  endian: true,
  configRecords: true,
  errorBuffer: true,
};

/** Which area of the AFU a context maps: a slave its own, a master and a dedicated one all of it. */
export type ContextRole = 'slave' | 'master' | 'dedicated';

/** What the logic for a process can do to that process. */
export interface AfuProcess {
  /** The AFU that the process is attached to. */
  readonly afu: AfuPort;
  /** The driver's index, from 0, by which the process has its area. */
  readonly index: number;
  /** The number of the process element in hardware. In a guest it differs from `index`. */
  readonly processElement: number;
  /** Which area of the AFU the process maps. */
  readonly role: ContextRole;
  /** Work element descriptor given at attach. */
  readonly wed: bigint;
  /** Authority mask register given at attach, 0 when none was. */
  readonly amr: bigint;
  /** How many AFU interrupts the process has; they are numbered from 1. */
  readonly interrupts: number;
  /** False once the process element is detached. Then the methods have no effect. */
  readonly attached: boolean;
  /**
   * The bytes at an effective address of the process: the process's memory itself, not a copy.
   * Undefined when the address cannot be translated; the process gets a data storage fault then.
   */
  access(
    address: bigint | number,
    length: number,
    direction: 'read' | 'write',
  ): Uint8Array | undefined;
  /** Whether access() would succeed. Raises no fault. */
  isMapped(address: bigint | number, length: number): boolean;
  /** Raises an AFU interrupt, from 1. False when the process has no such interrupt. */
  raiseInterrupt(irq: number): boolean;
  /**
   * Wakes the thread with this id, which attachSync({ tid: true }) returned and the program gave to
   * the AFU: a CAIA 2 card can, outside guests. False: it is not a thread of this process.
   */
  wakeThread(tid: number): boolean;
  /** Reports a 64-bit AFU error. While an earlier one is unread, the driver logs and drops it. */
  afuError(error: bigint): void;
  /** Makes step() run soon. Needed when work came other than by registers or memory. */
  wake(): void;
}

/** What the logic of an AFU can do as a whole. */
export interface AfuPort {
  /** As in sysfs: 'afu0.0'. */
  readonly name: string;
  /** 1 on POWER8 (PSL8), 2 on POWER9 (PSL9). */
  readonly caiaMajor: number;
  /** Reports a slice error: the driver logs it; no process gets an event. */
  sliceError(error: bigint): void;
  /** Makes the next START_WORK of this AFU take so many milliseconds. */
  delayNextAttach(milliseconds: number): void;
  /** Detaches every context of the AFU, as recovery does, while the link stays up. */
  detachAll(): void;
  /** The adapter goes into error, and recovers after so many milliseconds. */
  enterErrorState(milliseconds: number): void;
}

/**
 * The logic for one process. Offsets are in bytes from the start of the area that its context
 * maps.
 */
export interface ProcessLogic {
  /** A load from the problem state area. Returns 0 to 2^(8*width)-1. */
  mmioRead(offset: number, width: MmioWidth): bigint;
  /** A store to the problem state area. */
  mmioWrite(offset: number, width: MmioWidth, value: bigint): void;
  /**
   * Does some of the pending work, for about a millisecond at most. True when there is more to
   * do at once; false when the logic waits for the program.
   */
  step?(): boolean;
  /** The process element is being removed. */
  detach?(): void;
}

/** The logic of an AFU, from power-on or an AFU reset on. */
export interface AfuLogic {
  /** A process element was added. Called within START_WORK, before it returns. */
  attach(process: AfuProcess): ProcessLogic;
  /**
   * Registers of the AFU as a whole, which a master can access: they are below the per-process
   * areas. `process` is the logic of the master. Default: they read as zero.
   */
  mmioRead?(offset: number, width: MmioWidth, process: ProcessLogic): bigint;
  /** As mmioRead(), of a store. Default: stores are ignored. */
  mmioWrite?(offset: number, width: MmioWidth, value: bigint, process: ProcessLogic): void;
}

/** A model of an AFU. It has no state of its own, so several slices can have the same one. */
export interface AfuModel {
  /** What error messages name. */
  readonly name: string;
  /** What the driver reads from the slice. */
  readonly descriptor: AfuDescriptor;
  /** Power-on or AFU reset: new logic without any process. */
  powerOn(afu: AfuPort): AfuLogic;
}
