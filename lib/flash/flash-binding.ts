import type { FlashBinding } from '../binding/flash';
import type { Cxl } from '../device/cxl';
import { systemError } from '../shared/errors';

/** The cxlflash part of a system's backend. @throws CxlError ENOSYS when the backend has none */
export function flashBindingOf(system: Cxl): FlashBinding {
  const { flash } = system.binding;
  if (flash === undefined) {
    throw systemError('ENOSYS', 'cxlflash', undefined, 'this backend has no flash adapter');
  }
  return flash;
}
