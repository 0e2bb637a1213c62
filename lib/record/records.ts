/** What a recording consists of, as the reader gives it. FORMAT.md describes the same in the file. */
import type { AccessName } from '../observe/call';

/** The version of the format that this package writes. It reads this one and all before it. */
export const FORMAT_VERSION = 1;

/** The first item of a file. */
export interface RecordingHeader {
  /** Tells recordings from other CBOR files. */
  readonly format: 'node-cxl recording';
  /** Version of the format, from 1. */
  readonly version: number;
  /** Version of node-cxl that made it. */
  readonly package: string;
  /** The files of one recording have the same. */
  readonly group: string;
  /** Id of the process. */
  readonly pid: number;
  /** 0: the main thread. */
  readonly threadId: number;
  /** Milliseconds since 1970, of the time 0 of the records. */
  readonly started: number;
  /** The program and its arguments. */
  readonly argv: readonly string[];
  /** Of Node. */
  readonly nodeVersion: string;
  /** As process.platform. */
  readonly platform: string;
  /** As process.arch. */
  readonly arch: string;
  /** Byte order of the machine, and so of the bytes of events. */
  readonly endian: 'big' | 'little';
}

/** A place in a memory that was recorded. */
export interface MemoryAddress {
  /** Id of the memory. */
  readonly memory: number;
  /** Bytes from its start. */
  readonly offset: number;
}

interface TimedRecord {
  /** Microseconds since the recording began. */
  readonly time: number;
}

/**
 * Objects have ids, which are unique in a file: an open file (a context, a LUN, a card), a mapping of
 * registers, a memory, the configuration space of a PCI function. 0 is no object.
 */
interface SubjectRecord extends TimedRecord {
  /** The object that it is about; 0: none. */
  readonly object: number;
}

/** A system was recorded from here on. */
export interface SystemRecord extends TimedRecord {
  /** Tells the records apart. */
  readonly type: 'system';
  /** `cxl`: AFUs, cards and flash adapters. `pci`: mailboxes. */
  readonly system: 'cxl' | 'pci';
  /** Which backend it was: `native`, `mock` … */
  readonly backend: string;
  /** Bytes; of a cxl system. */
  readonly pageSize?: number;
  /** Whether it has flash adapters' calls. */
  readonly flash?: boolean;
}

/** Something in sysfs, as it was when the recording began. */
export interface SysfsRecord extends TimedRecord {
  /** Tells the records apart. */
  readonly type: 'sysfs';
  /** The path in sysfs. */
  readonly path: string;
  /** A directory: its names. */
  readonly names?: readonly string[];
  /** A file: its bytes. */
  readonly data?: Uint8Array;
  /** What realpath() returned, where it is another path. */
  readonly target?: string;
  /** Why it could not be read. */
  readonly errno?: number;
}

/** Calls that are no accesses. `addressOf`, `arm` and so on are no system calls. */
export type RecordedCallName =
  | 'open'
  | 'adopt'
  | `ioctl(${string})`
  | 'mmap'
  | 'munmap'
  | 'close'
  | 'arm'
  | 'disarm'
  | 'readSync'
  | 'waitForWakeup'
  | 'takeDescriptor'
  | 'closeDescriptor'
  | 'allocate'
  | 'free'
  | 'addressOf'
  | 'sysfs.readdir'
  | 'sysfs.read'
  | 'sysfs.write'
  | 'sysfs.realpath'
  | 'pci.functions'
  | 'pci.open'
  | 'pci.owner'
  | 'pci.driver'
  | 'pci.unbind'
  | 'pci.bind'
  /** Only one that failed. */
  | 'config.write'
  | 'config.lock'
  | 'config.unlock'
  | 'config.close';

/** A call begins. What it returned is in the ReturnRecord with the same `call`. */
export interface CallRecord extends SubjectRecord {
  /** Tells the records apart. */
  readonly type: 'call';
  /** From 1. */
  readonly call: number;
  /** Which call. */
  readonly name: RecordedCallName;
  /** What went in, by name: the fields of an ioctl, or the arguments. */
  readonly input: Readonly<Record<string, unknown>>;
  /** Which 64-bit fields of `input` are addresses in recorded memory. */
  readonly addresses?: Readonly<Record<string, MemoryAddress>>;
}

/** A call returned. One whose return is missing was under way when the recording ended. */
export interface ReturnRecord extends TimedRecord {
  /** Tells the records apart. */
  readonly type: 'return';
  /** The number of the CallRecord. */
  readonly call: number;
  /** The fields of an ioctl, or what the call returned. A new object is in `created`. */
  readonly answer?: unknown;
  /** Negative, as Linux numbers it. */
  readonly errno?: number;
  /** The id of what the call made: a file, a mapping, a memory, a configuration space. */
  readonly created?: number;
}

/** An access to one register or memory location, or several that were the same. */
export interface AccessRecord extends SubjectRecord {
  /** Tells the records apart. */
  readonly type: 'access';
  /** config.read and config.write are accesses to configuration space. */
  readonly name: RecordedAccessName;
  /** Bytes from the start of the area (not of its mapping), of the memory or of the space. */
  readonly offset: number;
  /** Of 64 bits a bigint, else a number. Absent where a load faulted, and for a barrier. */
  readonly value?: bigint | number;
  /** Where the value lies in recorded memory, when it is an address there. */
  readonly address?: MemoryAddress;
  /** True: the access faulted (SIGBUS), or the configuration space refused it. */
  readonly failed?: true;
  /** What config.read was refused with: negative. */
  readonly errno?: number;
  /** Of memory: true when the access had the byte order that is not the machine's. */
  readonly swapped?: true;
  /** How often it was made in succession, at least 1. */
  readonly times: number;
  /** Microseconds: when it was made last. */
  readonly last: number;
}

/** Which access. */
export type RecordedAccessName =
  | Exclude<AccessName, 'readBlock' | 'writeBlock'>
  | 'config.read'
  | 'config.write';

/** A block of registers was read or written. */
export interface BlockRecord extends SubjectRecord {
  /** Tells the records apart. */
  readonly type: 'block';
  /** Whether the block was read or written. */
  readonly name: 'readBlock' | 'writeBlock';
  /** Bytes from the start of the area. */
  readonly offset: number;
  /** 32 or 64 bits. */
  readonly width: 32 | 64;
  /** How many elements were asked for, and how many were moved before a fault. */
  readonly count: number;
  /** How many elements were moved before a fault: `count` where there was none. */
  readonly moved: number;
  /** The elements that were moved, little-endian. */
  readonly values: Uint8Array;
}

/** A batch of events came to the program. */
export interface EventsRecord extends SubjectRecord {
  /** Tells the records apart. */
  readonly type: 'events';
  /** What read() returned: struct cxl_event, one after the other, in the machine's byte order. */
  readonly bytes: Uint8Array;
  /** What read() failed with after them: negative, or 0. */
  readonly errno: number;
}

/** Bytes of a memory that are other than before. */
export interface MemoryRange {
  /** Bytes from the start of the memory; of whole 8-byte words, but at the end of the memory. */
  readonly offset: number;
  /** The bytes that are there now. */
  readonly bytes: Uint8Array;
  /** Which words are addresses in recorded memory. */
  readonly addresses?: readonly (MemoryAddress & {
    /** Bytes from the start of the range. */
    readonly at: number;
    /** The byte order in which the word is an address. */
    readonly endian: 'big' | 'little';
  })[];
}

/**
 * A memory has other contents than before. The record stands before the one that made the recorder
 * compare: an event, a load, a call that returned (`by` is `device`), or a store or call that the
 * device could see (`by` is `program`).
 */
export interface MemoryRecord extends SubjectRecord {
  /** Tells the records apart. */
  readonly type: 'memory';
  /** Who changed it, as far as it can be told. */
  readonly by: 'device' | 'program';
  /** False: while an AFU was running, so that it may have been the other. */
  readonly certain: boolean;
  /** Where the contents are other than before. */
  readonly ranges: readonly MemoryRange[];
}

/** The recorder has left something out from here on. */
export interface NoteRecord extends TimedRecord {
  /** Tells the records apart. */
  readonly type: 'note';
  /**
   * `memory-limit`: there was more memory than `maxMemory`; `memory-excluded`: `exclude` left the
   * memory out; `snapshot-limit`: there were more attributes than a recording takes.
   */
  readonly code: 'memory-limit' | 'memory-excluded' | 'snapshot-limit';
  /** The same as a sentence. */
  readonly message: string;
  /** The memory concerned, or 0. */
  readonly object: number;
}

/** The recording was ended in order. */
export interface EndRecord extends TimedRecord {
  /** Tells the records apart. */
  readonly type: 'end';
  /** Whether the process ended or the recording was stopped. */
  readonly reason: 'exit' | 'stopped';
  /** The exit code of the process, where that ended it. */
  readonly code?: number;
}

/** A record, told apart by `type`. */
export type RecordedItem =
  | SystemRecord
  | SysfsRecord
  | CallRecord
  | ReturnRecord
  | AccessRecord
  | BlockRecord
  | EventsRecord
  | MemoryRecord
  | NoteRecord
  | EndRecord;

/** Where a record is in its file. */
export interface RecordPlace {
  /** Of the block that it is in: bytes from the start of the file. */
  readonly offset: number;
  /** Of the record, from 0, in the whole file. Accesses of one batch have the same number. */
  readonly number: number;
}

/** A record as the reader gives it. */
export type RecordedEntry = RecordedItem & {
  /** Where it is in the file. */
  readonly place: RecordPlace;
};
