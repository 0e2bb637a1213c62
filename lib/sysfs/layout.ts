import type { Binding, SysFs } from '../binding';
import { ERRNOS } from '../shared/errno';
import { unwrap } from '../shared/errors';

export const CLASS_DIRECTORY = '/sys/class/cxl';

/** The names in /sys/class/cxl; none when the driver is not loaded. */
export async function classNames(binding: Binding): Promise<string[]> {
  const names = await binding.sysfs.readdir(CLASS_DIRECTORY);
  if (names === -ERRNOS.ENOENT) return [];
  return unwrap(names, 'scandir', CLASS_DIRECTORY);
}

/**
 * The directory of the PCI device of a card or AFU: the first `device` link that leads out of the
 * cxl class. In a guest it is that of a platform device. Undefined where there is none (ENOENT).
 */
export async function pciPath(sysfs: SysFs, path: string): Promise<string | undefined> {
  let link = `${path}/device`;
  for (let level = 0; level < 3; level += 1) {
    const target = await sysfs.realpath(link);
    if (target === -ERRNOS.ENOENT) return undefined;
    const folder = unwrap(target, 'readlink', link);
    if (!/\/cxl\/(?:card|afu)[^/]*$/.test(folder)) return folder;
    link = `${link}/device`;
  }
  return undefined;
}
