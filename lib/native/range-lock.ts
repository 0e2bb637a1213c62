/** The lock of a byte range of a file, from the addon. */

import type { RangeLock } from '../binding/configuration-space';
import { ERRNOS } from '../shared/errno';
import { nativeBinding } from '.';

/** Loads the addon at the first call; answers -ENOSYS where there is none. */
export const nativeRangeLock: RangeLock = (fd, offset, length, exclusive) => {
  let lockRange: RangeLock;
  try {
    ({ lockRange } = nativeBinding());
  } catch {
    return -ERRNOS.ENOSYS;
  }
  return lockRange(fd, offset, length, exclusive);
};
