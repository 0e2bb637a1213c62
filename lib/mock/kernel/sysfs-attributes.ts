/**
 * The sysfs attributes of adapters and AFUs: what reading and writing them does. The model of
 * drivers/misc/cxl/sysfs.c.
 */

import {
  attribute,
  binary,
  type Directory,
  directory,
  type Entry,
  link,
  writeOnly,
} from '../../emulation/virtual-files';
import { ERRNOS } from '../../shared/errno';
import type { ConfigRecord } from '../models/afu-model';
import type { CxlAdapter } from './adapter';
import type { CxlAfu, MockAfuMode } from './afu';

const CLASS_DIRECTORY = '/sys/class/cxl';
/** The kernel assigns the major number; the driver has 13 minor numbers per card. */
export const MAJOR = 246;
const MINORS_PER_ADAPTER = 13;

const MODE_NAMES: Record<MockAfuMode, string> = {
  none: 'none',
  dedicated: 'dedicated_process',
  directed: 'afu_directed',
};

/** The directory of an adapter, with those of its AFUs. */
export function adapterDirectory(adapter: CxlAdapter): Directory {
  const { setup, kernel } = adapter;
  const bareMetal = (entry: Entry) => (kernel.guest ? undefined : entry);
  const afus = adapter.afus.map((afu) => [afu.name, afuDirectory(afu)] as const);
  return directory({
    ...Object.fromEntries(afus),
    device: link('../..'),
    subsystem: link(CLASS_DIRECTORY),
    dev: kernel.guest ? attribute(() => `${MAJOR}:${cardMinor(adapter)}`) : undefined,
    caia_version: attribute(() => setup.caiaVersion),
    psl_revision: attribute(() => setup.pslRevision),
    base_image: bareMetal(attribute(() => setup.baseImage)),
    image_loaded: bareMetal(attribute(() => setup.imageLoaded)),
    psl_timebase_synced: attribute(() => Number(kernel.guest || setup.timebaseSynced)),
    tunneled_ops_supported: attribute(() => Number(adapter.tunneledOps)),
    load_image_on_perst: bareMetal(
      attribute(
        () => adapter.loadImageOnPerst,
        (text) => {
          const image = wordOf(text, ['none', 'user', 'factory'] as const);
          if (image === undefined) return -ERRNOS.EINVAL;
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
          if (value !== 0 && value !== 1) return -ERRNOS.EINVAL;
          adapter.perstReloadsSameImage = value === 1;
          return 0;
        },
      ),
    ),
    reset: writeOnly((text) => {
      const value = integerOf(text);
      if (value !== 1 && value !== -1) return -ERRNOS.EINVAL;
      return adapter.reset(value === -1);
    }),
  });
}

function afuDirectory(afu: CxlAfu): Directory {
  const nodes = afu.nodes.map((node) => [`${afu.name}${node}`, nodeDirectory(afu, node)] as const);
  const records = (afu.descriptor.configRecords ?? []).map(
    (record, index) => [`cr${index}`, recordDirectory(afu, record)] as const,
  );
  const { errorBuffer, problemStateSize } = afu.descriptor;
  return directory({
    ...Object.fromEntries(nodes),
    ...Object.fromEntries(records),
    device: link(`../../${afu.adapter.name}`),
    subsystem: link(CLASS_DIRECTORY),
    mmio_size: attribute(() => afu.perProcessSize || problemStateSize),
    irqs_min: attribute(() => afu.interruptsMinimum),
    irqs_max: attribute(
      () => afu.interruptsMaximum,
      (text) => changeInterruptsMaximum(afu, text),
    ),
    modes_supported: { kind: 'file', read: () => Buffer.from(modesSupported(afu)) },
    mode: attribute(
      () => MODE_NAMES[afu.mode],
      (text) => changeMode(afu, text),
    ),
    prefault_mode: attribute(
      () => afu.prefault,
      (text) => changePrefault(afu, text),
    ),
    api_version: attribute(() => afu.apiVersion),
    api_version_compatible: attribute(() => afu.setup.apiVersionCompatible ?? 1),
    reset: writeOnly(() => {
      return afu.contexts.size > 0 ? -ERRNOS.EBUSY : afu.reset();
    }),
    afu_err_buff: errorBuffer && binary(() => errorBufferOf(afu, errorBuffer)),
  });
}

function nodeDirectory(afu: CxlAfu, node: 'd' | 'm' | 's'): Directory {
  const common = {
    device: link(`../../${afu.name}`),
    subsystem: link(CLASS_DIRECTORY),
    dev: attribute(() => `${MAJOR}:${minor(afu, node)}`),
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

function recordDirectory(afu: CxlAfu, record: ConfigRecord): Directory {
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

function errorBufferOf(afu: CxlAfu, contents: Uint8Array): Uint8Array {
  // The guest backend returns 0 bytes whatever the hypervisor returned.
  if (afu.kernel.guest) return new Uint8Array(0);
  if (!afu.adapter.linkOk) return new Uint8Array(contents.length).fill(0xff);
  return contents;
}

function modesSupported(afu: CxlAfu): string {
  return (['dedicated', 'directed'] as const)
    .filter((mode) => afu.modesSupported.includes(mode))
    .map((mode) => `${MODE_NAMES[mode]}\n`)
    .join('');
}

function changeInterruptsMaximum(afu: CxlAfu, text: string): number {
  const value = integerOf(text);
  if (value === undefined || value < afu.interruptsMinimum) return -ERRNOS.EINVAL;
  if (value > afu.interruptsLimit) return -ERRNOS.EINVAL;
  afu.interruptsMaximum = value;
  return 0;
}

function changeMode(afu: CxlAfu, text: string): number {
  if (afu.contexts.size > 0) return -ERRNOS.EBUSY;
  const mode = (['none', 'dedicated', 'directed'] as const).find((known) =>
    text.startsWith(MODE_NAMES[known]),
  );
  return mode === undefined ? -ERRNOS.EINVAL : afu.changeMode(mode);
}

function changePrefault(afu: CxlAfu, text: string): number {
  const mode = wordOf(text, ['none', 'work_element_descriptor', 'all'] as const);
  // With PSL9 the host uses radix translation, for which the driver has no prefault.
  const radix = afu.adapter.caiaMajor === 2;
  if (mode === undefined || (radix && mode !== 'none')) return -ERRNOS.EINVAL;
  afu.prefault = mode;
  return 0;
}

/** The word that a text begins with. As in the driver, what follows is ignored. */
function wordOf<T extends string>(text: string, words: readonly T[]): T | undefined {
  return words.find((word) => text.startsWith(word));
}

/**
 * An integer as %i of the kernel's sscanf reads it (lib/vsprintf.c): decimal, hexadecimal with 0x, or
 * octal with 0; a minus, but no plus. What follows is ignored, and only the low 32 bits count.
 */
function integerOf(text: string): number | undefined {
  const match = /^\s*(-?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)/i.exec(text);
  if (match === null) return undefined;
  const digits = match[2]!;
  const octal = digits.length > 1 && digits.startsWith('0') && !/^0x/i.test(digits);
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits.toLowerCase());
  return Number(BigInt.asIntN(32, match[1] === '-' ? -value : value));
}

export function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Minor number of /dev/cxl/cardN. */
export function cardMinor(adapter: CxlAdapter): number {
  return adapter.number * MINORS_PER_ADAPTER;
}

/** Minor number of a device node of an AFU. */
export function minor(afu: CxlAfu, node: 'd' | 'm' | 's'): number {
  return cardMinor(afu.adapter) + 1 + 3 * afu.slice + { d: 0, m: 1, s: 2 }[node];
}
