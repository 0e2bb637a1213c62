import { type InspectOptions, inspect } from 'node:util';
import type { Binding } from '../binding';
import { checkBoolean, checkOneOf, checkOptions, type OptionNames } from '../shared/checks';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { Attributes, awaitProperties } from '../sysfs/attributes';
import { CLASS_DIRECTORY, pciPath } from '../sysfs/layout';
import type { Afu } from './afu';
import type { Cxl } from './cxl';
import { downloadImage, type ImageDownloadOptions } from './image-download';

const PERST_CHOICES = ['none', 'user', 'factory'] as const;
/**
 * Which image the card loads when it is reset (PERST); 'none': it keeps the one it has.
 *
 * @useDeclaredType
 */
export type LoadImageOnPerst = (typeof PERST_CHOICES)[number];

/** Options of Adapter.reset(). */
export interface ResetOptions {
  /** Reset even while contexts are attached; the driver detaches them. Default false. */
  force?: boolean | undefined;
}
const RESET_OPTIONS: OptionNames<ResetOptions> = { force: true };

/** The attributes of a card, each as the method of its name returns it. */
export interface AdapterAttributes {
  /** Adapter.caiaVersion(). */
  readonly caiaVersion: string | undefined;
  /** Adapter.pslRevision(). */
  readonly pslRevision: number | undefined;
  /** Adapter.baseImage(). */
  readonly baseImage: number | undefined;
  /** Adapter.imageLoaded(). */
  readonly imageLoaded: 'user' | 'factory' | undefined;
  /** Adapter.loadImageOnPerst(). */
  readonly loadImageOnPerst: LoadImageOnPerst | undefined;
  /** Adapter.perstReloadsSameImage(). */
  readonly perstReloadsSameImage: boolean | undefined;
  /** Adapter.pslTimebaseSynced(). */
  readonly pslTimebaseSynced: boolean | undefined;
  /** Adapter.tunneledOpsSupported(). */
  readonly tunneledOpsSupported: boolean | undefined;
}

/**
 * A CAPI card: the attributes of /sys/class/cxl/cardN.
 *
 * Attributes that are absent, as several are in a PowerVM guest and on older kernels, read as
 * undefined. An attribute whose text is not what the kernel's ABI documents
 * (Documentation/ABI/testing/sysfs-class-cxl) rejects with EBADMSG.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * for (const adapter of await cxl.adapters()) {
 *   console.log(adapter.name, 'CAIA', await adapter.caiaVersion()); // card0 CAIA 1.0
 *   const afus = await adapter.afus();
 *   console.log(afus.map((afu) => afu.name)); // [ 'afu0.0' ]
 * }
 */
export class Adapter extends Uncloneable {
  /** Such as 'card0'. */
  readonly name: string;
  /** The N of cardN. */
  readonly number: number;
  /** Its directory in sysfs. */
  readonly path: string;
  /** Directory of its PCI device (/sys/devices/…); undefined where it has none. */
  readonly pciPath: string | undefined;
  readonly #system: Cxl;
  readonly #binding: Binding;
  readonly #attributes: Attributes;

  /** @internal Use Cxl.adapters(). */
  constructor(system: Cxl, binding: Binding, number: number, pci: string | undefined) {
    super();
    this.#system = system;
    this.#binding = binding;
    this.number = number;
    this.name = `card${number}`;
    this.path = `${CLASS_DIRECTORY}/${this.name}`;
    this.pciPath = pci;
    this.#attributes = new Attributes(binding.sysfs, this.path);
  }

  /** @internal */
  static async at(system: Cxl, binding: Binding, number: number): Promise<Adapter> {
    const pci = await pciPath(binding.sysfs, `${CLASS_DIRECTORY}/card${number}`);
    return new Adapter(system, binding, number, pci);
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      name: this.name,
      pciPath: this.pciPath,
    });
  }

  /** Its AFUs, sorted by slice. */
  async afus(): Promise<Afu[]> {
    return (await this.#system.afus()).filter((afu) => afu.adapterNumber === this.number);
  }

  /** Version of the CAIA (the CAPI architecture), such as '1.0' (POWER8) or '2.0' (POWER9). */
  caiaVersion(): Promise<string | undefined> {
    return this.#attributes.matching('caia_version', /^\d+\.\d+$/, 'a version such as 1.0');
  }

  /** Revision of the POWER service layer (PSL). */
  pslRevision(): Promise<number | undefined> {
    return this.#attributes.number('psl_revision');
  }

  /** Revision of the base image. */
  baseImage(): Promise<number | undefined> {
    return this.#attributes.number('base_image');
  }

  /** Which FPGA image the card runs. */
  imageLoaded(): Promise<'user' | 'factory' | undefined> {
    return this.#attributes.oneOf('image_loaded', ['user', 'factory']);
  }

  /** Which image a reset (PERST) loads into the card; 'none': it keeps the one it has. */
  loadImageOnPerst(): Promise<LoadImageOnPerst | undefined> {
    return this.#attributes.oneOf('load_image_on_perst', PERST_CHOICES);
  }

  /**
   * Chooses the image that a reset (PERST) loads into the card.
   *
   * @throws ENOENT where the attribute is absent; EACCES unless root. Source:
   *   load_image_on_perst_store.
   */
  async setLoadImageOnPerst(image: LoadImageOnPerst): Promise<void> {
    await this.#attributes.write('load_image_on_perst', checkOneOf('image', image, PERST_CHOICES));
  }

  /**
   * Whether the user vouches that the card has the same image after a reset. After a link error
   * (EEH) the driver recovers the card only then, or if load_image_on_perst is 'none'; otherwise
   * the card is probed anew.
   */
  perstReloadsSameImage(): Promise<boolean | undefined> {
    return this.#attributes.flag('perst_reloads_same_image');
  }

  /**
   * Vouches that the card has the same image after a reset, or takes that back.
   *
   * @throws ENOENT where the attribute is absent; EACCES unless root. Source:
   *   perst_reloads_same_image_store.
   */
  async setPerstReloadsSameImage(value: boolean): Promise<void> {
    const text = checkBoolean('value', value) ? '1' : '0';
    await this.#attributes.write('perst_reloads_same_image', text);
  }

  /** Whether the PSL's timebase is synchronized with the processor's (since Linux 4.6). */
  pslTimebaseSynced(): Promise<boolean | undefined> {
    return this.#attributes.flag('psl_timebase_synced');
  }

  /** Whether the card supports tunneled operations: as_notify and atomics (since Linux 4.18). */
  tunneledOpsSupported(): Promise<boolean | undefined> {
    return this.#attributes.flag('tunneled_ops_supported');
  }

  /**
   * Resets the card.
   *
   * @throws EBUSY while a context is attached, unless forced; EINVAL on bare metal while
   *   perst_reloads_same_image is 1; EACCES unless root. Source: reset_adapter_store.
   */
  async reset(options: ResetOptions = {}): Promise<void> {
    const { force = false } = checkOptions(options, RESET_OPTIONS);
    await this.#attributes.write('reset', checkBoolean('options.force', force) ? '-1' : '1');
  }

  /**
   * Every attribute, read at the same time.
   *
   * @throws as the methods of their names
   */
  attributes(): Promise<AdapterAttributes> {
    return awaitProperties({
      caiaVersion: this.caiaVersion(),
      pslRevision: this.pslRevision(),
      baseImage: this.baseImage(),
      imageLoaded: this.imageLoaded(),
      loadImageOnPerst: this.loadImageOnPerst(),
      perstReloadsSameImage: this.perstReloadsSameImage(),
      pslTimebaseSynced: this.pslTimebaseSynced(),
      tunneledOpsSupported: this.tunneledOpsSupported(),
    });
  }

  /**
   * Downloads an adapter image and has the hypervisor validate it, in a PowerVM guest. The driver
   * removes the adapter's AFUs, which detaches their contexts, and resets the adapter at the end.
   *
   * @throws ENOENT on bare metal, which has no /dev/cxl/cardN; EINVAL or EIO from the
   *   hypervisor; EBADMSG when the image is too short or too long for the adapter
   */
  downloadImage(image: Uint8Array, options: ImageDownloadOptions = {}): Promise<void> {
    return downloadImage(this.#binding, `/dev/cxl/${this.name}`, image, options);
  }
}
