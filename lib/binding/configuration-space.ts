/**
 * The PCI part of the seam: functions, their configuration space, and the lock that processes
 * share.
 *
 * As in the rest of the seam, a refusal is a negative errno, and the layer above turns it into an
 * Error.
 */
import type { NegativeErrno } from './errno';

/** The open configuration space of one PCI function. Each call is one access of the device. */
export interface ConfigSpace {
  /** Bytes that the system gives access to: 64, 256 or 4096. */
  readonly size: number;
  /** The aligned 32-bit word at `offset`, or -errno: -ENODATA where only root may read. */
  readDword(offset: number): number | NegativeErrno;
  /** 0 or -errno. */
  writeDword(offset: number, value: number): number | NegativeErrno;
  /**
   * Takes the exclusive lock of a range of registers without waiting: 0, -EAGAIN while
   * another holder has it, or another -errno. The lock belongs to this opening of the file.
   */
  lock(offset: number, length: number): number | NegativeErrno;
  /** Releases what lock() took. 0 or -errno. */
  unlock(offset: number, length: number): number | NegativeErrno;
  /** Idempotent. Releases the locks. */
  close(): void;
}

/**
 * Takes or releases the exclusive lock of a byte range of a file, without waiting. The lock
 * belongs to the open file description (F_OFD_SETLK): it excludes other openings within the same
 * process too, and ends with the descriptor.
 * @returns 0, -EAGAIN while another holder has it, -ENOSYS where locks are not available, or
 *   another -errno
 */
export type RangeLock = (
  fd: number,
  offset: number,
  length: number,
  exclusive: boolean,
) => number | NegativeErrno;

/** Who else may be using the mailboxes of a function. */
export interface Owner {
  /** The driver bound to the function: it may start an exchange at any time. */
  readonly driver?: string;
  /** Protocols that the kernel itself found and may use (`doe_features`, Linux 6.15 and later). */
  readonly kernelFeatures: readonly string[];
  /** `CDAT` attributes that the kernel filled from this function: it reads the table. */
  readonly kernelTables: readonly string[];
}

/** The PCI functions of a machine, a mock or a recorded dump. */
export interface PciBus {
  /** Which backend it is of: devices of this machine, a mock, a dump of lspci, or a recording. */
  readonly kind: 'native' | 'mock' | 'dump' | 'replay';
  /** Full addresses (`0000:0d:00.0`), ascending. */
  functions(): Promise<string[] | NegativeErrno>;
  /** The path that errors about a function name; for '' the one of the whole bus. */
  path(address: string): string;
  /**
   * Opens the configuration space of a function. -ENOENT: there is none; -EACCES: only root may
   * write.
   */
  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno;
  /** Who else may be using the mailboxes of the function, from sysfs. */
  owner(address: string): Promise<Owner>;
  /** The `driver` of the owner alone: read before every exchange. */
  driver(address: string): Promise<string | undefined>;
  /** Takes the function from its driver. 0, or -errno: -ENODEV if it has none. */
  unbind(address: string): Promise<number | NegativeErrno>;
  /** Gives the function to a driver. 0, or -errno: -ENOENT if there is no such driver. */
  bind(address: string, driver: string): Promise<number | NegativeErrno>;
}
