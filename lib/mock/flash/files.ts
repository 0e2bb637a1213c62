/** What sysfs and /proc say of flash adapters: the parts the library reads. */
import { attribute, type Directory, directory, type Entry, link } from '../kernel/virtual-files';
import { blockName, type FlashAdapter, genericName } from './adapter';

/** From the root, beside what the cxl driver has. `mounts`: lines of /proc/self/mounts. */
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
    for (const { path, letter } of adapter.paths) {
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
