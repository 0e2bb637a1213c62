/** A modeled PCI function: its configuration space, its mailboxes and its driver. */
import type { NegativeErrno } from '../../binding';
import type { ConfigSpace, Owner } from '../../binding/configuration-space';
import { checkAddress } from '../../doe/address';
import { REGISTERS_LENGTH } from '../../doe/registers';
import { ALL_ONES_32 } from '../../shared/all-ones';
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { typeError, valueError } from '../../shared/errors';
import { MAILBOX_OPTIONS, MockMailbox, type MockMailboxOptions } from './mailbox';

/** A mailbox, and where its capability is. */
export interface PlacedMailboxOptions extends MockMailboxOptions {
  /** Byte offset in configuration space, a multiple of 4 from 0x104. */
  readonly at?: number | undefined;
}
export const PLACED_MAILBOX_OPTIONS: OptionNames<PlacedMailboxOptions> = {
  ...MAILBOX_OPTIONS,
  at: true,
};

/** Options of a modeled PCI function. */
export interface MockFunctionOptions {
  /** `0000:0d:00.0`, or without the domain. */
  readonly address: string;
  /** 16 bits. Default 0x8086. */
  readonly vendorId?: number | undefined;
  /** 16 bits. Default 0x0d93, QEMU's memory device. */
  readonly deviceId?: number | undefined;
  /**
   * Default: none. `at` is the byte offset of the capability in configuration space, a multiple
   * of 4 from 0x104. Default: 0x190 for the first mailbox, 0x20 after the one before for others.
   */
  readonly mailboxes?: readonly PlacedMailboxOptions[] | undefined;
  /** Bytes of configuration space: 64, 256 or 4096. Default 4096. */
  readonly size?: number | undefined;
  /**
   * Bytes of configuration space that this user may read: all for root, who may write as well,
   * and 64 for others. Default: all.
   */
  readonly readable?: number | undefined;
  /** The driver bound to the function: see DoeMailbox.usedBy(). Default: none. */
  readonly driver?: string | undefined;
  /** Names in `doe_features` (Linux 6.15 and later), such as `0001:01`. Default: none. */
  readonly kernelFeatures?: readonly string[] | undefined;
  /** Paths of the `CDAT` attributes that the kernel has for this device. Default: none. */
  readonly kernelTables?: readonly string[] | undefined;
  /** Whether it is a conventional PCI function, without a PCI Express capability. Default false. */
  readonly conventional?: boolean | undefined;
  /** Values that dwords of configuration space read as, by offset: a corrupt list, for example. */
  readonly dwords?: Readonly<Record<number, number>> | undefined;
}
export const FUNCTION_OPTIONS: OptionNames<MockFunctionOptions> = {
  address: true,
  vendorId: true,
  deviceId: true,
  mailboxes: true,
  size: true,
  readable: true,
  driver: true,
  kernelFeatures: true,
  kernelTables: true,
  conventional: true,
  dwords: true,
};

const FIRST_MAILBOX = 0x190;
const MAILBOX_DISTANCE = 0x20;
const EXPRESS_CAPABILITY = 0x40;

/**
 * A modeled PCI function, and what a test does to it.
 *
 * @example
 * import { createMockDoe, memoryDevice } from 'node-cxl/mock';
 *
 * const doe = createMockDoe({ functions: [memoryDevice({ driver: 'cxl_pci' })] });
 * const device = doe.function('0000:0d:00.0');
 * await doe.unbind('0000:0d:00.0');
 * console.log(device.driver); // undefined
 */
export class MockFunction {
  /** `0000:0d:00.0`. */
  readonly address: string;
  /** Its mailboxes, in the order of the options. */
  readonly mailboxes: readonly MockMailbox[];
  /** The driver that is bound to it now. */
  driver: string | undefined;
  readonly #firstDriver: string | undefined;
  /** Bytes of configuration space. */
  readonly size: number;
  /** Bytes of configuration space that the user may read; a test can change it. */
  readable: number;
  readonly #config: Buffer;
  readonly #places = new Map<number, MockMailbox>();
  readonly #overrides: ReadonlyMap<number, number>;
  readonly #kernel: Pick<Owner, 'kernelFeatures' | 'kernelTables'>;
  readonly #locks = new Map<object, Set<string>>();
  #state: 'present' | 'unplugged' | 'link down' = 'present';

  /** `name`: what errors name. */
  constructor(options: MockFunctionOptions, name = 'function') {
    checkOptions(options, FUNCTION_OPTIONS, name);
    this.address = checkAddress(`${name}.address`, options.address);
    this.size = options.size ?? 4096;
    checkOneOf(`${name}.size`, this.size, [64, 256, 4096]);
    this.readable = checkInteger(`${name}.readable`, options.readable ?? this.size, 0, 4096);
    if (options.driver !== undefined) checkString(`${name}.driver`, options.driver);
    this.driver = options.driver;
    this.#firstDriver = options.driver;
    this.#kernel = {
      kernelFeatures: checkStrings(`${name}.kernelFeatures`, options.kernelFeatures),
      kernelTables: checkStrings(`${name}.kernelTables`, options.kernelTables),
    };
    const dwords = Object.entries(checkObject(`${name}.dwords`, options.dwords ?? {}));
    for (const [at] of dwords) {
      checkInteger(`${name}.dwords`, /^\d+$/.test(at) ? Number(at) : at, 0, 0xffc);
    }
    this.#overrides = new Map(
      dwords.map(([at, value]) => [
        Number(at),
        checkInteger(`${name}.dwords[${at}]`, value, 0, 0xffff_ffff),
      ]),
    );
    this.#config = Buffer.alloc(4096);
    const id = (option: string, value: number) =>
      checkInteger(`${name}.${option}`, value, 0, 0xffff);
    this.#config.writeUInt16LE(id('vendorId', options.vendorId ?? 0x8086), 0x00);
    this.#config.writeUInt16LE(id('deviceId', options.deviceId ?? 0x0d93), 0x02);
    if (!checkBoolean(`${name}.conventional`, options.conventional ?? false)) {
      this.#config.writeUInt16LE(0x0010, 0x06);
      this.#config.writeUInt8(EXPRESS_CAPABILITY, 0x34);
      this.#config.writeUInt8(0x10, EXPRESS_CAPABILITY);
    }
    let next = FIRST_MAILBOX;
    const mailboxes = checkArray(`${name}.mailboxes`, options.mailboxes ?? []);
    this.mailboxes = mailboxes.map((placed, index) => {
      const where = `${name}.mailboxes[${index}]`;
      const { at, ...rest } = checkOptions(placed, PLACED_MAILBOX_OPTIONS, where);
      const mailbox = new MockMailbox(rest, where);
      mailbox.onGone = (how) => this.remove(how);
      const place = checkInteger(`${where}.at`, at ?? next, 0x104, 4096 - REGISTERS_LENGTH);
      if (place % 4 !== 0) throw valueError(`${where}.at`, 'a multiple of 4', place);
      const taken = [...this.#places.keys()].some(
        (other) => Math.abs(other - place) < REGISTERS_LENGTH,
      );
      if (taken) throw valueError(`${where}.at`, 'outside of the mailboxes before', place);
      this.#places.set(place, mailbox);
      next = place + MAILBOX_DISTANCE;
      return mailbox;
    });
    this.#link();
  }

  /** Unplugs the device, or takes its link down: its registers then read as all ones. */
  remove(how: 'unplugged' | 'link down' = 'unplugged'): void {
    this.#state = checkOneOf('how', how, ['unplugged', 'link down']);
  }

  /** Undoes remove(). */
  restore(): void {
    this.#state = 'present';
  }

  /** A write to `unbind` of its driver: 0, or -ENODEV without one. */
  unbind(): number | NegativeErrno {
    if (this.driver === undefined) return -ERRNOS.ENODEV;
    this.driver = undefined;
    return 0;
  }

  /** A write to `bind` of a driver: 0, -EBUSY, or -ENOENT unless it is the one of the options. */
  bind(driver: string): number | NegativeErrno {
    if (driver !== this.#firstDriver) return -ERRNOS.ENOENT;
    if (this.driver !== undefined) return -ERRNOS.EBUSY;
    this.driver = driver;
    return 0;
  }

  /**
   * Who else may be using the mailboxes: what the options say, and the driver that is bound now.
   */
  owner(): Owner {
    return { ...(this.driver === undefined ? {} : { driver: this.driver }), ...this.#kernel };
  }

  /**
   * Opens its configuration space. -ENOENT once it is unplugged; -EACCES to write what the user
   * cannot read.
   */
  open(access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    if (this.#state === 'unplugged') return -ERRNOS.ENOENT;
    if (access === 'write' && this.readable < this.size) return -ERRNOS.EACCES;
    const holder = {};
    return {
      size: this.size,
      readDword: (offset) => this.#read(offset),
      writeDword: (offset, value) => this.#write(offset, value),
      lock: (offset, length) => this.#lock(holder, `${offset}+${length}`),
      unlock: (offset, length) => {
        this.#locks.get(holder)?.delete(`${offset}+${length}`);
        return 0;
      },
      close: () => {
        this.#locks.delete(holder);
      },
    };
  }

  #lock(holder: object, range: string): number | NegativeErrno {
    for (const [other, ranges] of this.#locks) {
      if (other !== holder && ranges.has(range)) return -ERRNOS.EAGAIN;
    }
    const own = this.#locks.get(holder) ?? new Set();
    this.#locks.set(holder, own.add(range));
    return 0;
  }

  #read(offset: number): number | NegativeErrno {
    if (offset + 4 > this.readable) return -ERRNOS.ENODATA;
    const gone = this.#gone();
    if (gone !== undefined) return gone;
    const override = this.#overrides.get(offset);
    if (override !== undefined) return override >>> 0;
    const place = this.#at(offset);
    if (place === undefined) return this.#config.readUInt32LE(offset);
    const value = place.mailbox.read(place.register);
    return this.#gone() ?? value;
  }

  #write(offset: number, value: number): number | NegativeErrno {
    if (offset + 4 > this.size) return -ERRNOS.EFBIG;
    const gone = this.#gone();
    if (gone === undefined) {
      const place = this.#at(offset);
      place?.mailbox.write(place.register, value);
    }
    // While the link is down, a write succeeds and has no effect.
    return Math.min(this.#gone() ?? 0, 0);
  }

  #gone(): number | undefined {
    if (this.#state === 'unplugged') return -ERRNOS.ENODEV;
    return this.#state === 'link down' ? ALL_ONES_32 : undefined;
  }

  #at(offset: number): { mailbox: MockMailbox; register: number } | undefined {
    for (const [place, mailbox] of this.#places) {
      const register = offset - place;
      if (register > 0 && register < REGISTERS_LENGTH) return { mailbox, register };
    }
    return undefined;
  }

  /** The list of extended capabilities: a vendor-specific one, then those of the mailboxes. */
  #link(): void {
    const places = [...this.#places.keys()];
    this.#config.writeUInt32LE((0x000b | (1 << 16) | ((places[0] ?? 0) << 20)) >>> 0, 0x100);
    places.forEach((place, index) => {
      const header = (this.#places.get(place) as MockMailbox).header(places[index + 1] ?? 0);
      this.#config.writeUInt32LE(header, place);
    });
  }
}

function checkStrings(name: string, values: readonly string[] = []): readonly string[] {
  for (const value of checkArray(name, values)) checkString(name, value);
  return values;
}

function checkObject<T extends object>(name: string, value: T): T {
  if (typeof value !== 'object' || Array.isArray(value)) throw typeError(name, 'an object', value);
  return value;
}
