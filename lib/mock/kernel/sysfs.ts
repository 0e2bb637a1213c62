/**
 * The files that the cxl driver makes in /sys and /dev: the class, the device nodes, and the
 * links from an AFU to the card's PCI (or platform) device. The contents of an adapter's directory
 * are in sysfs-attributes.ts.
 */

import {
  attribute,
  type Directory,
  directory,
  type Entry,
  type File,
  link,
  writeOnly,
} from '../../emulation/virtual-files';
import type { CxlAdapter } from './adapter';
import type { Kernel } from './kernel';
import { adapterDirectory, cardMinor, hex, MAJOR, minor } from './sysfs-attributes';

/** The tree of these files, from the root. */
export function fileTree(kernel: Kernel): Directory {
  const adapters = kernel.boundAdapters;
  const classLinks: Record<string, Entry> = {};
  const charLinks: Record<string, Entry> = {};
  const nodes: Record<string, Entry> = {};
  const devices: Record<string, Record<string, Entry>> = {};
  const classDevice = (name: string, home: string, minor?: number) => {
    classLinks[name] = link(home);
    if (minor === undefined) return;
    charLinks[`${MAJOR}:${minor}`] = link(home);
    nodes[name] = DEVICE_NODE;
  };
  for (const adapter of adapters) {
    const parent = parentDevice(adapter);
    const home = `${parent}/cxl/${adapter.name}`;
    classDevice(adapter.name, home, kernel.guest ? cardMinor(adapter) : undefined);
    for (const afu of adapter.afus) {
      classDevice(afu.name, `${home}/${afu.name}`);
      for (const node of afu.nodes) {
        classDevice(
          `${afu.name}${node}`,
          `${home}/${afu.name}/${afu.name}${node}`,
          minor(afu, node),
        );
      }
      if (kernel.options.udevLinks && afu.nodes.length > 0) {
        nodes[afu.name] = link(`${afu.name}${afu.mode === 'dedicated' ? 'd' : 's'}`);
      }
    }
    devices[parent] = parentEntries(adapter);
  }
  const sys: Record<string, Entry> = {
    class: directory({ cxl: directory(classLinks) }),
    dev: directory({ char: directory(charLinks) }),
    bus: directory({ pci: directory({}), platform: directory({}) }),
    devices: nested(devices),
  };
  const dev = Object.keys(nodes).length === 0 ? {} : { cxl: directory(nodes) };
  return directory({ sys: directory(sys), dev: directory(dev) });
}

/** A device node. The binding opens it by its path (openAfu(), openCard()). */
const DEVICE_NODE: File = { kind: 'file' };

/** /sys/devices with directories at these paths and at those between. */
export function nested(devices: Record<string, Record<string, Entry>>): Directory {
  const prefix = '/sys/devices/';
  const top = new Map<string, Entry>();
  for (const [home, entries] of Object.entries(devices)) {
    let level = top;
    for (const name of home.slice(prefix.length).split('/')) {
      const known = level.get(name);
      const next =
        known?.kind === 'directory'
          ? (known.entries as Map<string, Entry>)
          : new Map<string, Entry>();
      level.set(name, { kind: 'directory', entries: next });
      level = next;
    }
    for (const [name, entry] of Object.entries(entries)) level.set(name, entry);
  }
  return { kind: 'directory', entries: top };
}

/** The device that the cxl driver drives: a PCI function, or a platform device of a guest. */
export function parentDevice(adapter: CxlAdapter): string {
  const { pciAddress } = adapter.setup;
  if (adapter.kernel.guest) {
    const unit = (0x1000_0000 + adapter.number * 0x1_0000).toString(16);
    return `/sys/devices/platform/${unit}.ibm,coherent-platform-facility`;
  }
  const root = `${pciAddress.slice(0, 4)}:00`;
  return `/sys/devices/pci${root}/${root}:00.0/${pciAddress}`;
}

function parentEntries(adapter: CxlAdapter): Record<string, Entry> {
  const cxl = directory({ [adapter.name]: adapterDirectory(adapter) });
  if (adapter.kernel.guest) return { cxl, subsystem: link('/sys/bus/platform') };
  const { vendor, device } = adapter.setup;
  return {
    cxl,
    subsystem: link('/sys/bus/pci'),
    vendor: attribute(() => hex(vendor, 4)),
    device: attribute(() => hex(device, 4)),
    class: attribute(() => '0x1200ff'),
    numa_node: attribute(() => 0),
    // The PCI function's own `reset`: the library must never take it for the adapter's.
    reset: writeOnly(() => {
      adapter.enterErrorState(adapter.setup.resetTime);
      return 0;
    }),
  };
}
