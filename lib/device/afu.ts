import { type InspectOptions, inspect } from 'node:util';
import type { Binding } from '../binding';
import { checkInteger, checkOneOf } from '../shared/checks';
import { unwrap } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { Attributes, awaitProperties } from '../sysfs/attributes';
import { ConfigurationRecord } from '../sysfs/configuration-record';
import { CLASS_DIRECTORY, pciPath } from '../sysfs/layout';
import type { Context } from './context';
import type { Cxl, OpenOptions } from './cxl';

const MODES = ['dedicated_process', 'afu_directed', 'none'] as const;
/**
 * An AFU's programming model, as `mode` in sysfs has it.
 *
 * @useDeclaredType
 */
export type AfuMode = (typeof MODES)[number];

const PREFAULT_MODES = ['none', 'work_element_descriptor', 'all'] as const;
/**
 * Which pages the driver faults in when a context is attached, as `prefault_mode` in sysfs has it.
 *
 * @useDeclaredType
 */
export type PrefaultMode = (typeof PREFAULT_MODES)[number];

const KINDS = ['master', 'slave', 'dedicated'] as const;
/**
 * Which of an AFU's device nodes a context is opened by: afuX.Ym, afuX.Ys or afuX.Yd.
 *
 * @useDeclaredType
 */
export type ContextKind = (typeof KINDS)[number];

/** The letter at the end of a node's name. */
export const CONTEXT_SUFFIXES: Readonly<Record<ContextKind, string>> = {
  master: 'm',
  slave: 's',
  dedicated: 'd',
};

/** The attributes of an AFU, each as the method of its name returns it. */
export interface AfuAttributes {
  /** Afu.apiVersion(). */
  readonly apiVersion: number | undefined;
  /** Afu.apiVersionCompatible(). */
  readonly apiVersionCompatible: number | undefined;
  /** Afu.irqsMin(). */
  readonly irqsMin: number | undefined;
  /** Afu.irqsMax(). */
  readonly irqsMax: number | undefined;
  /** Afu.mmioSize(). */
  readonly mmioSize: number | undefined;
  /** Afu.mode(). */
  readonly mode: AfuMode | undefined;
  /** Afu.modesSupported(). */
  readonly modesSupported: AfuMode[] | undefined;
  /** Afu.prefaultMode(). */
  readonly prefaultMode: PrefaultMode | undefined;
  /** Afu.masterMmioSize(). */
  readonly masterMmioSize: number | undefined;
  /** Afu.perProcessMmioLength(). */
  readonly perProcessMmioLength: number | undefined;
  /** Afu.perProcessMmioOffset(). */
  readonly perProcessMmioOffset: number | undefined;
}

/**
 * An accelerator function unit: the attributes of /sys/class/cxl/afuX.Y, and its contexts.
 *
 * Attributes that are absent read as undefined. An attribute whose text is not what the kernel's
 * ABI documents (Documentation/ABI/testing/sysfs-class-cxl) rejects with EBADMSG.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const [afu] = await cxl.afus();
 * console.log(await afu?.mode(), await afu?.contextKinds()); // afu_directed [ 'master', 'slave' ]
 * const context = await afu?.open('slave');
 * await context?.close();
 */
export class Afu extends Uncloneable {
  /** Such as 'afu0.0'. */
  readonly name: string;
  /** The X of afuX.Y: its card. */
  readonly adapterNumber: number;
  /** The Y of afuX.Y: its slice. */
  readonly slice: number;
  /** Its directory in sysfs. */
  readonly path: string;
  /** Directory of its PCI device (/sys/devices/…); undefined where it has none. */
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
    super();
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

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      name: this.name,
      pciPath: this.pciPath,
    });
  }

  /** Version of the driver's interface: 1, 2 (AFU-driver events) or 3 (TID). */
  apiVersion(): Promise<number | undefined> {
    return this.#attributes.number('api_version');
  }

  /** The oldest version of the interface that the driver still supports. */
  apiVersionCompatible(): Promise<number | undefined> {
    return this.#attributes.number('api_version_compatible');
  }

  /** The fewest interrupts of a context; the number it gets unless attach() asks for more. */
  irqsMin(): Promise<number | undefined> {
    return this.#attributes.number('irqs_min');
  }

  /** The most interrupts that a context can be attached with. */
  irqsMax(): Promise<number | undefined> {
    return this.#attributes.number('irqs_max');
  }

  /**
   * Sets the most interrupts that a context can be attached with.
   *
   * @param count 0 to 32767
   * @throws EINVAL below irqs_min or above what the adapter has; EACCES unless root. Source:
   *   irqs_max_store.
   */
  async setIrqsMax(count: number): Promise<void> {
    checkInteger('count', count, 0, 0x7fff);
    await this.#attributes.write('irqs_max', String(count));
  }

  /** Bytes of a process's problem state area. In a PowerVM guest it can change at the first attach. */
  mmioSize(): Promise<number | undefined> {
    return this.#attributes.number('mmio_size');
  }

  /** The active programming model; 'none': no context can be opened. */
  mode(): Promise<AfuMode | undefined> {
    return this.#attributes.oneOf('mode', MODES);
  }

  /**
   * Changes the programming model: the device nodes of the old one go, those of the new one come.
   *
   * @throws EBUSY while any context exists; EINVAL a model that the AFU does not support; EACCES
   *   unless root. Source: mode_store.
   */
  async setMode(mode: AfuMode): Promise<void> {
    await this.#attributes.write('mode', checkOneOf('mode', mode, MODES));
  }

  /** The programming models that setMode() takes. */
  modesSupported(): Promise<AfuMode[] | undefined> {
    return this.#attributes.words('modes_supported', MODES);
  }

  /** Which pages the driver faults in when a context is attached. */
  prefaultMode(): Promise<PrefaultMode | undefined> {
    return this.#attributes.oneOf('prefault_mode', PREFAULT_MODES);
  }

  /**
   * Chooses which pages the driver faults in when a context is attached.
   *
   * @throws EINVAL with a radix MMU; EACCES unless root. Source: prefault_mode_store.
   */
  async setPrefaultMode(mode: PrefaultMode): Promise<void> {
    await this.#attributes.write('prefault_mode', checkOneOf('mode', mode, PREFAULT_MODES));
  }

  /** Bytes of the whole problem state area, which the master context maps; undefined without a master node. */
  masterMmioSize(): Promise<number | undefined> {
    return this.#device('master').number('mmio_size');
  }

  /** Bytes of each process's part of the whole area; undefined without a master node. */
  perProcessMmioLength(): Promise<number | undefined> {
    return this.#device('master').number('pp_mmio_len');
  }

  /** Byte offset of the first process's part; undefined without a master node and in a guest. */
  perProcessMmioOffset(): Promise<number | undefined> {
    return this.#device('master').number('pp_mmio_off');
  }

  /**
   * Resets the AFU.
   *
   * @throws EBUSY while any context exists; EACCES unless root. Source: reset_store_afu.
   */
  reset(): Promise<void> {
    return this.#attributes.write('reset', '1');
  }

  /**
   * The AFU error buffer, or `length` bytes of it from `offset`: what the AFU wrote there about
   * an error. Undefined when the AFU has none; empty in a guest.
   */
  async errorBuffer(offset?: number, length?: number): Promise<Uint8Array | undefined> {
    if (offset !== undefined) checkInteger('offset', offset, 0, 2 ** 31 - 1);
    if (length !== undefined) checkInteger('length', length, 0, 2 ** 31 - 1);
    return (
      (await this.#attributes.bytes('afu_err_buff', offset, length)) ??
      // The name in the kernel's ABI document; the driver's is the one above.
      (await this.#attributes.bytes('afu_err_buf', offset, length))
    );
  }

  /** The AFU's configuration records, sorted by index. */
  async configurationRecords(): Promise<ConfigurationRecord[]> {
    const names = unwrap(await this.#binding.sysfs.readdir(this.path), 'scandir', this.path);
    return names
      .filter((name) => /^cr\d+$/.test(name))
      .map((name) => Number(name.slice(2)))
      .sort((a, b) => a - b)
      .map((index) => new ConfigurationRecord(this.#binding.sysfs, this.path, index));
  }

  /** Which kinds of context can be opened now: those whose device node exists. */
  async contextKinds(): Promise<ContextKind[]> {
    const names = await this.#binding.sysfs.readdir(CLASS_DIRECTORY);
    const present = new Set(unwrap(names, 'scandir', CLASS_DIRECTORY));
    return KINDS.filter((kind) => present.has(this.name + CONTEXT_SUFFIXES[kind]));
  }

  /**
   * Every attribute, read at the same time.
   *
   * @throws as the methods of their names
   */
  attributes(): Promise<AfuAttributes> {
    return awaitProperties({
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
   * Opens a context of this kind; by default a dedicated one if the AFU is in dedicated mode,
   * else a slave. Errors as Cxl.open().
   */
  async open(kind?: ContextKind, options: OpenOptions = {}): Promise<Context> {
    const letter = kind === undefined ? '' : CONTEXT_SUFFIXES[checkOneOf('kind', kind, KINDS)];
    return this.#system.open(`/dev/cxl/${this.name}${letter}`, options);
  }

  /**
   * Attributes of the device node's own directory, which exists while its mode is active.
   * `device/` is not followed: mmio_size has another meaning in the AFU's directory.
   */
  #device(kind: ContextKind): Attributes {
    return new Attributes(this.#binding.sysfs, `${this.path}${CONTEXT_SUFFIXES[kind]}`, 1);
  }
}
