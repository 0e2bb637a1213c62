import type { Binding } from '../binding';
import { checkBoolean, checkOptions } from '../shared/checks';
import { valueError } from '../shared/errors';
import { Attributes, together } from '../sysfs/attributes';
import { CLASS_DIRECTORY, pciPath } from '../sysfs/layout';
import type { Afu } from './afu';
import type { Cxl } from './cxl';
import { downloadImage, type ImageDownloadOptions } from './image-download';

const PERST_CHOICES = ['none', 'user', 'factory'] as const;
/** Which image the card loads when it is reset (PERST). */
export type LoadImageOnPerst = (typeof PERST_CHOICES)[number];

/**
 * A CAPI card, as /sys/class/cxl/cardN tells of it (Documentation/ABI/testing/sysfs-class-cxl).
 *
 * Getters answer undefined where the attribute is absent, as several are in a PowerVM guest
 * and on older kernels; they throw EBADMSG where its text is not as the ABI has it.
 */
export class Adapter {
  /** Such as 'card0'. */
  readonly name: string;
  /** The N of cardN. */
  readonly number: number;
  /** Its directory in sysfs. */
  readonly path: string;
  /** The PCI device it sits on (/sys/devices/…), where sysfs has one. */
  readonly pciPath: string | undefined;
  readonly #system: Cxl;
  readonly #binding: Binding;
  readonly #attributes: Attributes;

  /** @internal Use Cxl.adapters(). */
  constructor(system: Cxl, binding: Binding, number: number, pci: string | undefined) {
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

  /** Its AFUs, in slice order. */
  async afus(): Promise<Afu[]> {
    return (await this.#system.afus()).filter((afu) => afu.adapterNumber === this.number);
  }

  /** Version of the architecture, such as '1.0' (POWER8) or '2.0' (POWER9). */
  caiaVersion(): Promise<string | undefined> {
    return this.#attributes.matching('caia_version', /^\d+\.\d+$/, 'a version such as 1.0');
  }

  /** Revision of the PSL. */
  pslRevision(): Promise<number | undefined> {
    return this.#attributes.number('psl_revision');
  }

  /** Revision of the base image. */
  baseImage(): Promise<number | undefined> {
    return this.#attributes.number('base_image');
  }

  /** Which image the card runs now. */
  imageLoaded(): Promise<'user' | 'factory' | undefined> {
    return this.#attributes.oneOf('image_loaded', ['user', 'factory']);
  }

  /** Which image a reset loads into the card; 'none': it goes on with the one it has. */
  loadImageOnPerst(): Promise<LoadImageOnPerst | undefined> {
    return this.#attributes.oneOf('load_image_on_perst', PERST_CHOICES);
  }

  /** @throws ENOENT where the attribute is absent; EACCES unless root. */
  setLoadImageOnPerst(image: LoadImageOnPerst): Promise<void> {
    if (!PERST_CHOICES.includes(image)) {
      return Promise.reject(valueError('image', "'none', 'user' or 'factory'", image));
    }
    return this.#attributes.write('load_image_on_perst', image);
  }

  /**
   * Whether the image will be the same after a reset. Only then, or with load_image_on_perst
   * none, does the driver recover contexts' nodes after a link error rather than opt out.
   */
  perstReloadsSameImage(): Promise<boolean | undefined> {
    return this.#attributes.flag('perst_reloads_same_image');
  }

  /** @throws ENOENT where the attribute is absent; EACCES unless root. */
  async setPerstReloadsSameImage(value: boolean): Promise<void> {
    const text = checkBoolean('value', value) ? '1' : '0';
    await this.#attributes.write('perst_reloads_same_image', text);
  }

  /** Whether the PSL timebase follows the processors' (Linux 4.6 on). */
  pslTimebaseSynced(): Promise<boolean | undefined> {
    return this.#attributes.flag('psl_timebase_synced');
  }

  /** Whether as_notify and atomics are tunnelled (Linux 4.18 on). */
  tunneledOpsSupported(): Promise<boolean | undefined> {
    return this.#attributes.flag('tunneled_ops_supported');
  }

  /**
   * Resets the card.
   *
   * @param options.force reset under attached contexts, which are then detached
   * @throws EBUSY while a context is attached, unless forced; EINVAL on bare metal while
   *   perst_reloads_same_image is 1
   */
  async reset(options: { force?: boolean } = {}): Promise<void> {
    const { force = false } = checkOptions(options);
    await this.#attributes.write('reset', checkBoolean('options.force', force) ? '-1' : '1');
  }

  /** Every attribute at once. */
  attributes() {
    return together({
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
   * Downloads an adapter image and has it validated, in a PowerVM guest. The adapter is reset
   * and its AFUs are gone from then on; contexts still attached are lost.
   *
   * @throws ENOENT on bare metal, which has no /dev/cxl/cardN; EINVAL or EIO as the
   *   hypervisor has it; EBADMSG when the image is too short or too long for the adapter
   */
  downloadImage(image: Uint8Array, options: ImageDownloadOptions = {}): Promise<void> {
    return downloadImage(this.#binding, `/dev/cxl/${this.name}`, image, options);
  }
}
