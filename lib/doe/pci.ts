/**
 * The seam of node-cxl/doe: how the functions of PCI and their configuration space are
 * reached. As at the other seam, a refusal is a negative errno; what it means is told above.
 */
import type { NegativeErrno } from '../binding';
import { typeError, valueError } from '../shared/errors';

/** The configuration space of one function, opened. One call is one access of the device. */
export interface ConfigSpace {
  /** Bytes the function has as far as the system tells: 64, 256 or 4096. */
  readonly size: number;
  /** The aligned dword at `offset`, or -errno: -ENODATA where only root may look. */
  readDword(offset: number): number | NegativeErrno;
  /** 0 or -errno. */
  writeDword(offset: number, value: number): number | NegativeErrno;
  /**
   * Takes the exclusive lock of a range of registers without waiting: 0, -EAGAIN while
   * another holder has it, or another -errno. The lock belongs to this opening of the file.
   */
  lock(offset: number, length: number): number | NegativeErrno;
  unlock(offset: number, length: number): number | NegativeErrno;
  /** Idempotent; lets go of the locks. */
  close(): void;
}

/** Who else may be using the mailboxes of a function. */
export interface Owner {
  /** The driver bound to the function: it may start an exchange at any time. */
  readonly driver?: string;
  /** Protocols the kernel itself found and may use (`doe_features`, Linux 6.15 and later). */
  readonly kernelFeatures: readonly string[];
  /** `CDAT` attributes the kernel filled from this function: it reads the table. */
  readonly kernelTables: readonly string[];
}

/** Every PCI function of a machine. */
export interface PciBus {
  readonly kind: 'native' | 'mock' | 'dump';
  /** Addresses in full, ascending. */
  functions(): Promise<string[] | NegativeErrno>;
  /** The file an error names. */
  path(address: string): string;
  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno;
  owner(address: string): Promise<Owner>;
  /** The `driver` of the owner alone: asked before every exchange. */
  driver(address: string): Promise<string | undefined>;
}

const shape = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i;

/**
 * A PCI address in full and in lower case: `0d:00.0` is `0000:0d:00.0`.
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
export function parseAddress(address: string): string {
  if (typeof address !== 'string') throw typeError('address', 'a string', address);
  const found = shape.exec(address);
  if (found === null) {
    throw valueError('address', 'domain:bus:device.function, such as 0000:0d:00.0', address);
  }
  return `${found[1] ?? '0000'}:${found[2]}:${found[3]}.${found[4]}`.toLowerCase();
}
