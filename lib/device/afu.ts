import type { Binding } from '../binding';
import { checkInteger } from '../shared/checks';
import { unwrap, valueError } from '../shared/errors';
import { Attributes, together } from '../sysfs/attributes';
import { ConfigurationRecord } from '../sysfs/configuration-record';
import { CLASS_DIRECTORY, pciPath } from '../sysfs/layout';
import type { Context } from './context';
import type { Cxl } from './cxl';

const MODES = ['dedicated_process', 'afu_directed', 'none'] as const;
/** The AFU's programming model now. */
export type AfuMode = (typeof MODES)[number];

const PREFAULT_MODES = ['none', 'work_element_descriptor', 'all'] as const;
/** What the driver faults in when a context is attached. */
export type PrefaultMode = (typeof PREFAULT_MODES)[number];

/** Which of an AFU's nodes: afuX.Ym, afuX.Ys or afuX.Yd. */
export type ContextKind = 'master' | 'slave' | 'dedicated';

const suffixes: Record<ContextKind, string> = { master: 'm', slave: 's', dedicated: 'd' };

/**
 * An accelerator function unit, as /sys/class/cxl/afuX.Y tells of it.
 *
 * Getters answer undefined where the attribute is absent; they throw EBADMSG where its text
 * is not as the ABI has it.
 */
export class Afu {
  /** Such as 'afu0.0'. */
  readonly name: string;
  /** The X of afuX.Y: its card. */
  readonly adapterNumber: number;
  /** The Y of afuX.Y: its slice. */
  readonly slice: number;
  /** Its directory in sysfs. */
  readonly path: string;
  /** The PCI device it sits on (/sys/devices/…), where sysfs has one. */
  readonly pciPath: string | undefined;
  readonly #system: Cxl;
  readonly #binding: Binding;
  readonly #attributes: Attributes;

  /** @internal Use Cxl.afus() or Adapter.afus(). */
  constructor(
    system: Cxl,
    binding: Binding,
    adapterNumber: number,
    slice: number,
    pci: string | undefined,
  ) {
    this.#system = system;
    this.#binding = binding;
    this.adapterNumber = adapterNumber;
    this.slice = slice;
    this.name = `afu${adapterNumber}.${slice}`;
    this.path = `${CLASS_DIRECTORY}/${this.name}`;
    this.pciPath = pci;
    this.#attributes = new Attributes(binding.sysfs, this.path);
  }

  /** @internal */
  static async at(system: Cxl, binding: Binding, adapter: number, slice: number): Promise<Afu> {
    const pci = await pciPath(binding.sysfs, `${CLASS_DIRECTORY}/afu${adapter}.${slice}`);
    return new Afu(system, binding, adapter, slice, pci);
  }

  /** Version of the driver's interface: 1, 2 (AFU-driver events) or 3 (TID). */
  apiVersion(): Promise<number | undefined> {
    return this.#attributes.number('api_version');
  }

  /** The oldest interface the driver still serves. */
  apiVersionCompatible(): Promise<number | undefined> {
    return this.#attributes.number('api_version_compatible');
  }

  /** Interrupts a context gets at least, and when attach() asks for none in particular. */
  irqsMin(): Promise<number | undefined> {
    return this.#attributes.number('irqs_min');
  }

  /** Interrupts a context may ask for at most. */
  irqsMax(): Promise<number | undefined> {
    return this.#attributes.number('irqs_max');
  }

  /** @throws EINVAL below irqs_min or over what the adapter has; EACCES unless root */
  async setIrqsMax(count: number): Promise<void> {
    checkInteger('count', count, 0, 0x7fff);
    await this.#attributes.write('irqs_max', String(count));
  }

  /** Bytes of a process's problem state area. In a guest it can change at the first attach. */
  mmioSize(): Promise<number | undefined> {
    return this.#attributes.number('mmio_size');
  }

  /** The programming model now; 'none': no context can be opened. */
  mode(): Promise<AfuMode | undefined> {
    return this.#attributes.oneOf('mode', MODES);
  }

  /** @throws EBUSY while any context exists; EACCES unless root */
  async setMode(mode: AfuMode): Promise<void> {
    if (!MODES.includes(mode)) {
      throw valueError('mode', "'dedicated_process', 'afu_directed' or 'none'", mode);
    }
    await this.#attributes.write('mode', mode);
  }

  /** The programming models that setMode() takes. */
  modesSupported(): Promise<AfuMode[] | undefined> {
    return this.#attributes.words('modes_supported', MODES);
  }

  /** What is faulted in when a context is attached. */
  prefaultMode(): Promise<PrefaultMode | undefined> {
    return this.#attributes.oneOf('prefault_mode', PREFAULT_MODES);
  }

  /** @throws EINVAL with a radix MMU; EACCES unless root */
  async setPrefaultMode(mode: PrefaultMode): Promise<void> {
    if (!PREFAULT_MODES.includes(mode)) {
      throw valueError('mode', "'none', 'work_element_descriptor' or 'all'", mode);
    }
    await this.#attributes.write('prefault_mode', mode);
  }

  /** Bytes of the whole problem state area, as the master sees it; undefined without a master. */
  masterMmioSize(): Promise<number | undefined> {
    return this.#device('master').number('mmio_size');
  }

  /** Bytes of each process's slice within the whole area; undefined without a master. */
  perProcessMmioLength(): Promise<number | undefined> {
    return this.#device('master').number('pp_mmio_len');
  }

  /** Byte offset of the first process's slice; undefined without a master and in a guest. */
  perProcessMmioOffset(): Promise<number | undefined> {
    return this.#device('master').number('pp_mmio_off');
  }

  /** Resets the AFU. @throws EBUSY while any context exists; EACCES unless root */
  reset(): Promise<void> {
    return this.#attributes.write('reset', '1');
  }

  /**
   * The AFU error buffer, or a part of it (bytes): what an AFU left to be read after an error.
   * Undefined when the AFU has none; empty in a guest.
   */
  async errorBuffer(offset?: number, length?: number): Promise<Uint8Array | undefined> {
    if (offset !== undefined) checkInteger('offset', offset, 0, 2 ** 31 - 1);
    if (length !== undefined) checkInteger('length', length, 0, 2 ** 31 - 1);
    return (
      (await this.#attributes.bytes('afu_err_buff', offset, length)) ??
      // As the driver's ABI document spells it.
      (await this.#attributes.bytes('afu_err_buf', offset, length))
    );
  }

  /** The AFU's configuration records, by index; none is an empty list. */
  async configurationRecords(): Promise<ConfigurationRecord[]> {
    const names = unwrap(await this.#binding.sysfs.readdir(this.path), 'scandir', this.path);
    return names
      .filter((name) => /^cr\d+$/.test(name))
      .map((name) => Number(name.slice(2)))
      .sort((a, b) => a - b)
      .map((index) => new ConfigurationRecord(this.#binding.sysfs, this.path, index));
  }

  /** Which contexts can be opened now: which of the nodes the driver has made. */
  async contextKinds(): Promise<ContextKind[]> {
    const names = await this.#binding.sysfs.readdir(CLASS_DIRECTORY);
    const present = new Set(unwrap(names, 'scandir', CLASS_DIRECTORY));
    return (['master', 'slave', 'dedicated'] as const).filter((kind) =>
      present.has(this.name + suffixes[kind]),
    );
  }

  /** Every attribute at once. */
  attributes() {
    return together({
      apiVersion: this.apiVersion(),
      apiVersionCompatible: this.apiVersionCompatible(),
      irqsMin: this.irqsMin(),
      irqsMax: this.irqsMax(),
      mmioSize: this.mmioSize(),
      mode: this.mode(),
      modesSupported: this.modesSupported(),
      prefaultMode: this.prefaultMode(),
      masterMmioSize: this.masterMmioSize(),
      perProcessMmioLength: this.perProcessMmioLength(),
      perProcessMmioOffset: this.perProcessMmioOffset(),
    });
  }

  /**
   * Opens a context: of this kind, or a dedicated one where the AFU is in dedicated mode and a
   * slave otherwise. Errors as Cxl.open().
   */
  async open(kind?: ContextKind): Promise<Context> {
    if (kind === undefined) return this.#system.open(`/dev/cxl/${this.name}`);
    if (!Object.hasOwn(suffixes, kind)) {
      throw valueError('kind', "'master', 'slave' or 'dedicated'", kind);
    }
    return this.#system.open(`/dev/cxl/${this.name}${suffixes[kind]}`);
  }

  /**
   * Attributes of the node itself; its directory is absent while its mode is not active.
   * mmio_size means something else one level up, so `device/` is not followed.
   */
  #device(kind: ContextKind): Attributes {
    return new Attributes(this.#binding.sysfs, `${this.path}${suffixes[kind]}`, 1);
  }
}
