import type { Binding, SysFs } from '../binding';
import { errnos } from '../shared/errno';
import { unwrap } from '../shared/errors';

export const CLASS_DIRECTORY = '/sys/class/cxl';

/** Names of /sys/class/cxl, or none when the driver is not loaded. */
export async function classNames(binding: Binding): Promise<string[]> {
  const names = await binding.sysfs.readdir(CLASS_DIRECTORY);
  if (names === -errnos.ENOENT) return [];
  return unwrap(names, 'scandir', CLASS_DIRECTORY);
}

/**
 * The PCI device above a card or AFU: the first `device` link that leaves the class. A guest's
 * is a platform device; with neither, undefined.
 */
export async function pciPath(sysfs: SysFs, path: string): Promise<string | undefined> {
  let link = `${path}/device`;
  for (let level = 0; level < 3; level += 1) {
    const target = await sysfs.realpath(link);
    if (typeof target === 'number') return undefined;
    if (!/\/cxl\/(?:card|afu)[^/]*$/.test(target)) return target;
    link = `${link}/device`;
  }
  return undefined;
}
