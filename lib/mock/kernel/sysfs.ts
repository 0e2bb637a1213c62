/**
 * /sys and /dev as the driver makes them: the model of drivers/misc/cxl/sysfs.c, with the
 * links that lead from an AFU up to the card's PCI (or platform) device.
 */
import { errnos } from '../../shared/errno';
import type { ConfigRecord } from '../device/model';
import type { Adapter } from './adapter';
import type { Afu, AfuMode } from './afu';
import type { Kernel } from './kernel';
import {
  attribute,
  binary,
  type Directory,
  directory,
  type Entry,
  type File,
  link,
  writeOnly,
} from './virtual-files';

const classDirectory = '/sys/class/cxl';
/** The major number is whatever was free; minors are the driver's, 13 a card. */
const major = 246;
const minorsPerAdapter = 13;

const modeNames: Record<AfuMode, string> = {
  none: 'none',
  dedicated: 'dedicated_process',
  directed: 'afu_directed',
};

/** Everything there is, from the root. */
export function fileTree(kernel: Kernel): Directory {
  const adapters = kernel.boundAdapters;
  const classLinks: Record<string, Entry> = {};
  const charLinks: Record<string, Entry> = {};
  const nodes: Record<string, Entry> = {};
  const devices: Record<string, Record<string, Entry>> = {};
  const classDevice = (name: string, home: string, minor?: number) => {
    classLinks[name] = link(home);
    if (minor === undefined) return;
    charLinks[`${major}:${minor}`] = link(home);
    nodes[name] = deviceNode;
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

/** What stands for a character device: opening it is openAfu()'s and openCard()'s business. */
const deviceNode: File = { kind: 'file' };

/** Directories at paths below /sys/devices, with what lies between. */
function nested(devices: Record<string, Record<string, Entry>>): Directory {
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

function parentDevice(adapter: Adapter): string {
  const { pciAddress } = adapter.setup;
  if (adapter.kernel.guest) {
    const unit = (0x1000_0000 + adapter.number * 0x1_0000).toString(16);
    return `/sys/devices/platform/${unit}.ibm,coherent-platform-facility`;
  }
  const root = `${pciAddress.slice(0, 4)}:00`;
  return `/sys/devices/pci${root}/${root}:00.0/${pciAddress}`;
}

function parentEntries(adapter: Adapter): Record<string, Entry> {
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
    // What a search upwards for `reset` must never reach.
    reset: writeOnly(() => {
      adapter.enterErrorState(adapter.setup.resetTime);
      return 0;
    }),
  };
}

function adapterDirectory(adapter: Adapter): Directory {
  const { setup, kernel } = adapter;
  const bareMetal = (entry: Entry) => (kernel.guest ? undefined : entry);
  const afus = adapter.afus.map((afu) => [afu.name, afuDirectory(afu)] as const);
  return directory({
    ...Object.fromEntries(afus),
    device: link('../..'),
    subsystem: link(classDirectory),
    dev: kernel.guest ? attribute(() => `${major}:${cardMinor(adapter)}`) : undefined,
    caia_version: attribute(() => setup.caiaVersion),
    psl_revision: attribute(() => setup.pslRevision),
    base_image: bareMetal(attribute(() => setup.baseImage)),
    image_loaded: bareMetal(attribute(() => setup.imageLoaded)),
    psl_timebase_synced: attribute(() => Number(kernel.guest || setup.timebaseSynced)),
    tunneled_ops_supported: attribute(() => Number(setup.tunneledOps)),
    load_image_on_perst: bareMetal(
      attribute(
        () => adapter.loadImageOnPerst,
        (text) => {
          const image = wordOf(text, ['none', 'user', 'factory'] as const);
          if (image === undefined) return -errnos.EINVAL;
          adapter.loadImageOnPerst = image;
          return 0;
        },
      ),
    ),
    perst_reloads_same_image: bareMetal(
      attribute(
        () => Number(adapter.perstReloadsSameImage),
        (text) => {
          const value = integerOf(text);
          if (value !== 0 && value !== 1) return -errnos.EINVAL;
          adapter.perstReloadsSameImage = value === 1;
          return 0;
        },
      ),
    ),
    reset: writeOnly((text) => {
      const value = integerOf(text);
      if (value !== 1 && value !== -1) return -errnos.EINVAL;
      return adapter.reset(value === -1);
    }),
  });
}

function afuDirectory(afu: Afu): Directory {
  const nodes = afu.nodes.map((node) => [`${afu.name}${node}`, nodeDirectory(afu, node)] as const);
  const records = (afu.descriptor.configRecords ?? []).map(
    (record, index) => [`cr${index}`, recordDirectory(afu, record)] as const,
  );
  const { errorBuffer, problemStateSize } = afu.descriptor;
  return directory({
    ...Object.fromEntries(nodes),
    ...Object.fromEntries(records),
    device: link(`../../${afu.adapter.name}`),
    subsystem: link(classDirectory),
    mmio_size: attribute(() => afu.perProcessSize || problemStateSize),
    irqs_min: attribute(() => afu.interruptsMinimum),
    irqs_max: attribute(
      () => afu.interruptsMaximum,
      (text) => changeInterruptsMaximum(afu, text),
    ),
    modes_supported: { kind: 'file', read: () => Buffer.from(modesSupported(afu)) },
    mode: attribute(
      () => modeNames[afu.mode],
      (text) => changeMode(afu, text),
    ),
    prefault_mode: attribute(
      () => afu.prefault,
      (text) => changePrefault(afu, text),
    ),
    api_version: attribute(() => afu.apiVersion),
    api_version_compatible: attribute(() => afu.setup.apiVersionCompatible ?? 1),
    reset: writeOnly(() => {
      if (afu.contexts.size > 0) return -errnos.EBUSY;
      afu.reset();
      return 0;
    }),
    afu_err_buff: errorBuffer && binary(() => errorBufferOf(afu, errorBuffer)),
  });
}

function nodeDirectory(afu: Afu, node: 'd' | 'm' | 's'): Directory {
  const common = {
    device: link(`../../${afu.name}`),
    subsystem: link(classDirectory),
    dev: attribute(() => `${major}:${minor(afu, node)}`),
  };
  if (node !== 'm') return directory(common);
  const offset = attribute(() => afu.descriptor.perProcess?.offset ?? 0);
  return directory({
    ...common,
    mmio_size: attribute(() => afu.descriptor.problemStateSize),
    pp_mmio_len: attribute(() => afu.perProcessSize),
    pp_mmio_off: afu.kernel.guest ? undefined : offset,
  });
}

function recordDirectory(afu: Afu, record: ConfigRecord): Directory {
  return directory({
    vendor: attribute(() => hex(record.vendor, 4)),
    device: attribute(() => hex(record.device, 4)),
    class: attribute(() => hex(record.class, 6)),
    config: binary(() => {
      const config = record.config ?? configOf(record);
      return afu.adapter.linkOk ? config : new Uint8Array(config.length).fill(0xff);
    }),
  });
}

function configOf(record: ConfigRecord): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x00, record.vendor, true);
  view.setUint16(0x02, record.device, true);
  view.setUint32(0x08, record.class << 8, true);
  return bytes;
}

function errorBufferOf(afu: Afu, contents: Uint8Array): Uint8Array {
  // The guest backend answers 0 bytes whatever the hypervisor told it.
  if (afu.kernel.guest) return new Uint8Array(0);
  if (!afu.adapter.linkOk) return new Uint8Array(contents.length).fill(0xff);
  return contents;
}

function modesSupported(afu: Afu): string {
  return (['dedicated', 'directed'] as const)
    .filter((mode) => afu.modesSupported.includes(mode))
    .map((mode) => `${modeNames[mode]}\n`)
    .join('');
}

function changeInterruptsMaximum(afu: Afu, text: string): number {
  const value = integerOf(text);
  if (value === undefined || value < afu.interruptsMinimum) return -errnos.EINVAL;
  if (value > afu.adapter.userInterrupts) return -errnos.EINVAL;
  afu.interruptsMaximum = value;
  return 0;
}

function changeMode(afu: Afu, text: string): number {
  if (afu.contexts.size > 0) return -errnos.EBUSY;
  const mode = (['none', 'dedicated', 'directed'] as const).find((known) =>
    text.startsWith(modeNames[known]),
  );
  return mode === undefined ? -errnos.EINVAL : afu.changeMode(mode);
}

function changePrefault(afu: Afu, text: string): number {
  const mode = wordOf(text, ['none', 'work_element_descriptor', 'all'] as const);
  // PSL9 hosts translate by radix tables, where nothing can be faulted in ahead.
  const radix = afu.adapter.caiaMajor === 2;
  if (mode === undefined || (radix && mode !== 'none')) return -errnos.EINVAL;
  afu.prefault = mode;
  return 0;
}

/** Words are compared as far as they go, as the driver does: what follows is not looked at. */
function wordOf<T extends string>(text: string, words: readonly T[]): T | undefined {
  return words.find((word) => text.startsWith(word));
}

/** As sscanf's %i: decimal, 0x or 0 for octal, a sign; what follows is not looked at. */
function integerOf(text: string): number | undefined {
  const match = /^\s*([-+]?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)/i.exec(text);
  if (match === null) return undefined;
  const digits = match[2]!;
  const base = /^0x/i.test(digits) ? 16 : digits.startsWith('0') ? 8 : 10;
  const value = Number.parseInt(digits, base);
  return match[1] === '-' ? -value : value;
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

function cardMinor(adapter: Adapter): number {
  return adapter.number * minorsPerAdapter;
}

function minor(afu: Afu, node: 'd' | 'm' | 's'): number {
  return cardMinor(afu.adapter) + 1 + 3 * afu.slice + { d: 0, m: 1, s: 2 }[node];
}
