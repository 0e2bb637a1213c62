import type { SysFs } from '../binding';
import { checkInteger } from '../shared/checks';
import { Attributes } from './attributes';

/**
 * One of an AFU's configuration records (crN/). Like a PCI function's configuration space, it has
 * a vendor and device id, which say what accelerator this is.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * for (const afu of await cxl.afus()) {
 *   for (const record of await afu.configurationRecords()) {
 *     console.log(afu.name, await record.vendor(), await record.device()); // afu1.0 4116 60480
 *   }
 * }
 */
export class ConfigurationRecord {
  /** The N of crN. */
  readonly index: number;
  /** Its directory in sysfs. */
  readonly path: string;
  readonly #attributes: Attributes;

  /** @internal Use Afu.configurationRecords(). */
  constructor(sysfs: SysFs, afuPath: string, index: number) {
    this.index = index;
    this.path = `${afuPath}/cr${index}`;
    // One level: `device` is an attribute of this directory, not a link to the one above.
    this.#attributes = new Attributes(sysfs, this.path, 1);
  }

  /** Vendor id, such as 0x1014 for IBM. */
  vendor(): Promise<number | undefined> {
    return this.#attributes.hex('vendor');
  }

  /** Device id, such as 0x4350 for the memcpy AFU. */
  device(): Promise<number | undefined> {
    return this.#attributes.hex('device');
  }

  /** 24-bit class code. */
  class(): Promise<number | undefined> {
    return this.#attributes.hex('class');
  }

  /** The whole record, or `length` bytes of it from `offset`. */
  async config(offset?: number, length?: number): Promise<Uint8Array | undefined> {
    if (offset !== undefined) checkInteger('offset', offset, 0, 2 ** 31 - 1);
    if (length !== undefined) checkInteger('length', length, 0, 2 ** 31 - 1);
    return this.#attributes.bytes('config', offset, length);
  }
}
