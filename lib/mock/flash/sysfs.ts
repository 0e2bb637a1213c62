/** The files that flash adapters add to /sys, /dev and /proc, as far as the library reads them. */
import type { SysFs } from '../../binding';
import { later } from '../../emulation/later';
import {
  attribute,
  binary,
  type Directory,
  directory,
  type Entry,
  link,
  resolve,
} from '../../emulation/virtual-files';
import { ERRNOS } from '../../shared/errno';
import { nested, parentDevice } from '../kernel/sysfs';
import type { FlashAdapter } from './adapter';
import type { LunPath } from './lun';
import { blockName, genericName } from './lun-paths';

type Entries = Record<string, Entry>;

/** Bytes of the sectors that sysfs counts. */
const SECTOR_BYTES = 512n;
const GENERIC_MAJOR = 21;
const BLOCK_MAJOR = 8;

/** The tree of these files, from the root. `mounts`: lines of /proc/self/mounts. */
export function flashFiles(
  adapters: readonly FlashAdapter[],
  mounts: readonly string[],
): Directory {
  const classes = new Map<string, Entries>(
    ['block', 'scsi_device', 'scsi_generic', 'scsi_host', 'cxlflash'].map((name) => [name, {}]),
  );
  const inClass = (name: string, entry: string, home: string) => {
    (classes.get(name) as Entries)[entry] = link(home);
  };
  const devices: Record<string, Entries> = {};
  const nodes: Entries = {};
  for (const [index, adapter] of adapters.entries()) {
    const { host } = adapter;
    const afuFunction = adapterFunction(adapter, devices);
    const hostHome = `${afuFunction}/host${host}`;
    const ownHome = `${hostHome}/scsi_host/host${host}`;
    devices[ownHome] = {
      proc_name: attribute(() => 'cxlflash'),
      device: link(hostHome),
      subsystem: link('/sys/class/scsi_host'),
    };
    inClass('scsi_host', `host${host}`, ownHome);
    (classes.get('cxlflash') as Entries)[`cxlflash${index}`] = directory({});
    for (const { path, letter } of adapter.luns.paths) {
      const target = `${host}:${path.port}:${path.target}`;
      const address = `${target}:${path.lun}`;
      const home = `${hostHome}/target${target}/${address}`;
      const block = blockName(letter).slice('/dev/'.length);
      const generic = genericName(letter).slice('/dev/'.length);
      devices[home] = lunEntries(path);
      devices[`${home}/scsi_device/${address}`] = {
        device: link(home),
        subsystem: link('/sys/class/scsi_device'),
        uevent: text(''),
      };
      devices[`${home}/scsi_generic/${generic}`] = {
        device: link(home),
        subsystem: link('/sys/class/scsi_generic'),
        ...nodeEntries(GENERIC_MAJOR, letter + 1, generic),
      };
      devices[`${home}/block/${block}`] = {
        device: link(home),
        subsystem: link('/sys/class/block'),
        ...nodeEntries(BLOCK_MAJOR, 16 * letter, block, 'DEVTYPE=disk\n'),
        ...diskEntries(path),
      };
      inClass('scsi_device', address, `${home}/scsi_device/${address}`);
      inClass('scsi_generic', generic, `${home}/scsi_generic/${generic}`);
      inClass('block', block, `${home}/block/${block}`);
      nodes[block] = directory({});
      nodes[generic] = directory({});
    }
  }
  const named = [...classes].map(([name, entries]) => [name, directory(entries)]);
  return directory({
    sys: directory({
      class: directory(Object.fromEntries(named)),
      block: directory(classes.get('block') as Entries),
      devices: nested(devices),
    }),
    dev: directory(nodes),
    proc: directory({ self: directory({ mounts: attribute(() => mounts.join('\n')) }) }),
  });
}

/** The PCI function that the cxl driver makes of the AFU, which cxlflash drives: where it is. */
function adapterFunction(adapter: FlashAdapter, devices: Record<string, Entries>): string {
  const slot = adapter.pciAddress;
  const root = slot.slice(0, '0000:00'.length);
  const home = `${parentDevice(adapter.card)}/pci${root}/${slot}`;
  devices[home] = {
    subsystem: link('/sys/bus/pci'),
    vendor: attribute(() => '0x1014'),
    device: attribute(() => '0x0600'),
    class: attribute(() => '0x010000'),
    subsystem_vendor: attribute(() => '0x1014'),
    subsystem_device: attribute(() => '0x0000'),
    revision: attribute(() => '0x00'),
    enable: attribute(() => 1),
    numa_node: attribute(() => 0),
    uevent: text(
      `DRIVER=cxlflash\nPCI_CLASS=10000\nPCI_ID=1014:0600\nPCI_SUBSYS_ID=1014:0000\nPCI_SLOT_NAME=${slot}\n`,
    ),
  };
  return home;
}

function text(content: string): Entry {
  return binary(() => Buffer.from(content));
}

function nodeEntries(major: number, minor: number, name: string, more = ''): Entries {
  return {
    dev: attribute(() => `${major}:${minor}`),
    uevent: text(`MAJOR=${major}\nMINOR=${minor}\nDEVNAME=${name}\n${more}`),
  };
}

function lunEntries(path: LunPath): Entries {
  return {
    wwid: attribute(() => `naa.${path.wwid}`),
    vendor: attribute(() => 'IBM     '),
    model: attribute(() => 'FlashSystem     '),
    rev: attribute(() => '0000'),
    type: attribute(() => 0),
    state: attribute(() => 'running'),
    mode: attribute(() => (path.local === undefined ? 'legacy' : 'superpipe')),
    subsystem: link('/sys/bus/scsi'),
    uevent: text('DEVTYPE=scsi_device\nDRIVER=sd\nMODALIAS=scsi:t-0x00\n'),
    vpd_pg80: binary(() => vitalData(0x80, Buffer.from(path.wwid))),
    vpd_pg83: binary(() => vitalData(0x83, identification(path.wwid))),
  };
}

function diskEntries({ medium }: LunPath): Entries {
  const { blockSize } = medium;
  const sectors = () => String((medium.blocks * BigInt(blockSize)) / SECTOR_BYTES);
  return {
    size: attribute(sectors),
    ro: attribute(() => 0),
    removable: attribute(() => 0),
    queue: directory({
      logical_block_size: attribute(() => blockSize),
      physical_block_size: attribute(() => blockSize),
      max_sectors_kb: attribute(() => 16384),
      max_hw_sectors_kb: attribute(() => 16384),
      rotational: attribute(() => 0),
    }),
  };
}

/** A page of vital product data (SPC-4): header and content. */
function vitalData(page: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, page, 0, content.length), content]);
}

/** The designator of the device identification page: binary, of the logical unit, type NAA. */
function identification(wwid: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x01, 0x03, 0, 16), Buffer.from(wwid, 'hex')]);
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
