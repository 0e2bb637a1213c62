/** What the cxlflash driver writes to the kernel's log: the lines of its dev_err(). */
import type { LunCalls } from '../../binding/flash';
import type { LunPath } from './lun';

/** Number and size of each ioctl on a LUN, for its line in the log. */
const IOCTLS: Readonly<Record<keyof LunCalls, { readonly number: number; readonly size: number }>> =
  {
    ATTACH: { number: 0x80, size: 144 },
    USER_DIRECT: { number: 0x81, size: 112 },
    RELEASE: { number: 0x82, size: 104 },
    DETACH: { number: 0x83, size: 96 },
    VERIFY: { number: 0x84, size: 144 },
    RECOVER_AFU: { number: 0x85, size: 120 },
    MANAGE_LUN: { number: 0x86, size: 104 },
    USER_VIRTUAL: { number: 0x87, size: 120 },
    VLUN_RESIZE: { number: 0x88, size: 120 },
    VLUN_CLONE: { number: 0x89, size: 112 },
  };

const IOCTL_TYPE = 0xca;
/** _IOC_READ | _IOC_WRITE, at their place. */
const READ_WRITE = 0xc000_0000;

export class DriverLog {
  readonly #write: (line: string) => void;
  readonly #host: number;

  /** `address`: the PCI function that cxlflash drives. */
  constructor(write: (line: string) => void, address: string, host: number) {
    this.#write = (line) => write(`cxlflash ${address}: ${line}`);
    this.#host = host;
  }

  /** A line of one of the driver's functions. */
  error(inFunction: string, message: string): void {
    this.#write(`${inFunction}: ${message}`);
  }

  /** An ioctl that failed (the end of cxlflash_ioctl()). `rc`: negative errno. */
  ioctlFailed(name: keyof LunCalls, path: LunPath, rc: number): void {
    const { number, size } = IOCTLS[name];
    const request = (READ_WRITE | (size << 16) | (IOCTL_TYPE << 8) | number) >>> 0;
    const code = request.toString(16).toUpperCase().padStart(8, '0');
    const device = `${this.#host}/${path.port}/${path.target}/${path.lun}`;
    this.error(
      'cxlflash_ioctl',
      `ioctl DK_CXLFLASH_${name} (${code}) on dev(${device}) returned rc ${rc}`,
    );
  }
}
