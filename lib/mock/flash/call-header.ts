import type { CallHeader } from '../../binding/flash';

/** Whether the driver accepts the header of an ioctl: version, reserved and return flags zero. */
export function headerIsValid({ version, reserved, returnFlags }: CallHeader): boolean {
  return (version ?? 0) === 0 && (reserved ?? 0) === 0 && (returnFlags ?? 0n) === 0n;
}
