/** A call at the seam, as an observer gets it. */
import type { AfuIoctls, CardIoctls } from '../binding/cxl-ioctls';
import type { HostCalls, LunCalls } from '../binding/flash';
import type { ErrnoName } from '../shared/errno';

/**
 * An ioctl of the cxl or the cxlflash driver, by its name in the driver's header without its prefix.
 *
 * @useDeclaredType
 */
export type IoctlName = keyof AfuIoctls | keyof CardIoctls | keyof LunCalls | keyof HostCalls;

/** Accesses to registers and memory. They are the most frequent calls by far. */
export type AccessName =
  | 'read32'
  | 'read64'
  | 'write32'
  | 'write64'
  | 'readBlock'
  | 'writeBlock'
  | 'load8'
  | 'load16'
  | 'load32'
  | 'load64'
  | 'store8'
  | 'store16'
  | 'store32'
  | 'store64'
  | 'memoryBarrier';

/**
 * Which call: the system call where it is one, as `syscall` of a CxlError names it. `read` is a
 * batch of events that was read for the program; `close` of an adopted descriptor that is not owned
 * leaves that open.
 */
export type CallName =
  | 'open'
  | 'adopt'
  | `ioctl(${IoctlName})`
  | 'mmap'
  | 'munmap'
  | 'read'
  | 'close'
  | 'allocate'
  | 'free'
  | 'sysfs.readdir'
  | 'sysfs.read'
  | 'sysfs.write'
  | 'sysfs.realpath'
  | AccessName;

/** A call that a program made through the package to the driver, a device or its memory. */
export interface Call {
  /** From 0, in the order in which the calls began. */
  readonly number: number;
  /** Which call. */
  readonly name: CallName;
  /** The file. Absent for memory. */
  readonly path?: string;
  /** The descriptor of that file: distinguishes the contexts of one AFU. */
  readonly fd?: number;
  /**
   * What went in, by name: the fields of an ioctl; `offset` and `value` of an access; `address` too
   * of one to memory.
   */
  readonly input: Readonly<Record<string, unknown>>;
  /**
   * What came out: the fields of an ioctl; the value of a load; the events of a batch; the text of
   * an attribute. Undefined while the call is under way, and when it failed.
   */
  readonly answer?: unknown;
  /** Why it failed: the errno's name. `SIGBUS`: an access to registers that faulted. */
  readonly error?: ErrnoName | 'SIGBUS' | (string & {});
  /** When it began, in milliseconds of performance.now(). */
  readonly time: number;
  /** Milliseconds. Undefined while the call is under way. */
  readonly duration?: number;
}
