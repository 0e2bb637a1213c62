/** The files that flash adapters add to /sys, /dev and /proc, as far as the library reads them. */
import type { SysFs } from '../../binding';
import { ERRNOS } from '../../shared/errno';
import { later } from '../binding/sysfs';
import {
  attribute,
  type Directory,
  directory,
  type Entry,
  link,
  resolve,
} from '../kernel/virtual-files';
import type { FlashAdapter } from './adapter';
import { blockName, genericName } from './lun-paths';

/** The tree of these files, from the root. `mounts`: lines of /proc/self/mounts. */
export function flashFiles(
  adapters: readonly FlashAdapter[],
  mounts: readonly string[],
): Directory {
  const classes: Record<string, Record<string, Entry>> = {
    block: {},
    scsi_device: {},
    scsi_generic: {},
    scsi_host: {},
    cxlflash: {},
  };
  const homes: Record<string, Entry> = {};
  const nodes: Record<string, Entry> = {};
  for (const [index, adapter] of adapters.entries()) {
    const { host } = adapter;
    classes['scsi_host']![`host${host}`] = directory({ proc_name: attribute(() => 'cxlflash') });
    classes['cxlflash']![`cxlflash${index}`] = directory({});
    for (const { path, letter } of adapter.luns.paths) {
      const address = `${host}:${path.port}:${path.target}:${path.lun}`;
      const home = `/sys/devices/flash/${address}`;
      const block = blockName(letter).slice('/dev/'.length);
      const generic = genericName(letter).slice('/dev/'.length);
      homes[address] = directory({
        wwid: attribute(() => `naa.${path.wwid}`),
        vendor: attribute(() => 'IBM'),
        model: attribute(() => 'FlashSystem'),
        mode: attribute(() => (path.local === undefined ? 'legacy' : 'superpipe')),
        block: directory({ [block]: directory({}) }),
        scsi_generic: directory({ [generic]: directory({}) }),
      });
      const device = directory({ device: link(home) });
      classes['scsi_device']![address] = device;
      classes['block']![block] = device;
      classes['scsi_generic']![generic] = device;
      nodes[block] = directory({});
      nodes[generic] = directory({});
    }
  }
  const named = Object.entries(classes).map(([name, entries]) => [name, directory(entries)]);
  return directory({
    sys: directory({
      class: directory(Object.fromEntries(named)),
      devices: directory({ flash: directory(homes) }),
    }),
    dev: directory(nodes),
    proc: directory({ self: directory({ mounts: attribute(() => mounts.join('\n')) }) }),
  });
}

/** The files of the cxl driver, and those of flash adapters with them. */
export class FlashSysFs implements SysFs {
  readonly #below: SysFs;
  readonly #files: () => Directory;

  constructor(below: SysFs, files: () => Directory) {
    this.#below = below;
    this.#files = files;
  }

  #find(path: string) {
    const found = resolve(this.#files(), path);
    return typeof found === 'number' ? undefined : found;
  }

  async readdir(path: string): Promise<string[] | number> {
    const below = await this.#below.readdir(path);
    const found = this.#find(path);
    if (found?.entry.kind !== 'directory') return below;
    const own = [...found.entry.entries.keys()];
    return typeof below === 'number' ? own.sort() : [...new Set([...below, ...own])].sort();
  }

  async read(path: string, offset = 0, length?: number): Promise<Uint8Array | number> {
    const found = this.#find(path);
    if (found?.entry.kind !== 'file') return this.#below.read(path, offset, length);
    await later();
    const bytes = found.entry.read?.() ?? -ERRNOS.EACCES;
    if (typeof bytes === 'number') return bytes;
    return bytes.slice(offset, length === undefined ? undefined : offset + length);
  }

  readSync(path: string): Uint8Array | number {
    const found = this.#find(path);
    if (found?.entry.kind !== 'file') return this.#below.readSync(path);
    return found.entry.read?.() ?? -ERRNOS.EACCES;
  }

  write(path: string, data: string): Promise<number> {
    return this.#below.write(path, data);
  }

  async realpath(path: string): Promise<string | number> {
    const below = await this.#below.realpath(path);
    return typeof below === 'string' ? below : (this.#find(path)?.real ?? below);
  }
}
