import type { NegativeErrno } from './errno';

/** The seam's files of /sys/class/cxl. Paths are absolute. Nothing here opens a device node. */
export interface SysFs {
  /** Names in a directory, or -errno. */
  readdir(path: string): Promise<string[] | NegativeErrno>;
  /** A whole attribute, or `length` bytes of it from `offset`. */
  read(path: string, offset?: number, length?: number): Promise<Uint8Array | NegativeErrno>;
  /** As read(), at once: for what a synchronous call must know, such as mmio_size at map time. */
  readSync(path: string): Uint8Array | NegativeErrno;
  /** Writes an attribute in one write(), on another thread: `reset` can block. 0 or -errno. */
  write(path: string, data: string): Promise<number>;
  /** Resolves every link: how the PCI device above an AFU is found, and what a device node is. */
  realpath(path: string): Promise<string | NegativeErrno>;
}
