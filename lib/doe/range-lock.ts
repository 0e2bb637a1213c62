import type { NegativeErrno } from '../binding';
import { loadAddon } from '../native/addon';
import { errnos } from '../shared/errors';

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

let addon: { ofdLock: RangeLock } | undefined;

/** The addon's; -ENOSYS where there is no addon. */
export const ofdLock: RangeLock = (fd, offset, length, exclusive) => {
  try {
    addon ??= loadAddon();
  } catch {
    return -errnos.ENOSYS;
  }
  return addon.ofdLock(fd, offset, length, exclusive);
};
