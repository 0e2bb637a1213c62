import type { NegativeErrno } from '../binding';
import { nativeBinding } from '../native';
import { errnos } from '../shared/errno';

/**
 * Takes (or lets go of) the exclusive lock of a byte range of a file, without waiting. The
 * lock belongs to the open file description (F_OFD_SETLK), so that it also parts two parts of
 * one process, and ends with the descriptor.
 * @returns 0, -EAGAIN while it is held elsewhere, or another -errno
 */
export type RangeLock = (
  fd: number,
  offset: number,
  length: number,
  exclusive: boolean,
) => number | NegativeErrno;

/** The addon's; -ENOSYS where there is no addon. */
export const ofdLock: RangeLock = (fd, offset, length, exclusive) => {
  let native: { lockRange: RangeLock };
  try {
    native = nativeBinding();
  } catch {
    return -errnos.ENOSYS;
  }
  return native.lockRange(fd, offset, length, exclusive);
};
