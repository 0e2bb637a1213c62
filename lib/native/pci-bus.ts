import fs from 'node:fs';
import path from 'node:path';
import type { NegativeErrno } from '../binding';
import type { ConfigSpace, Owner, PciBus, RangeLock } from '../binding/configuration-space';
import { checkFunction, checkOptions, checkString, type OptionNames } from '../shared/checks';
import { ERRNOS } from '../shared/errno';
import { nativeRangeLock } from './range-lock';

/** Options of SysfsPci. */
export interface SysfsOptions {
  /** Folder of the PCI functions. Default /sys/bus/pci/devices. */
  readonly devices?: string | undefined;
  /** Folder of the drivers of PCI functions. Default /sys/bus/pci/drivers. */
  readonly drivers?: string | undefined;
  /** Folder of the kernel's Compute Express Link devices. Default /sys/bus/cxl/devices. */
  readonly cxlDevices?: string | undefined;
  /** Default: the addon's. */
  readonly lock?: RangeLock | undefined;
}
const SYSFS_OPTIONS: OptionNames<SysfsOptions> = {
  devices: true,
  drivers: true,
  cxlDevices: true,
  lock: true,
};

/**
 * The PCI functions of this machine, through sysfs.
 *
 * @example
 * import { Doe, SysfsPci } from 'node-cxl/doe';
 *
 * // The mailboxes of this machine, whatever NODE_CXL_BACKEND says.
 * const machine = new Doe(new SysfsPci());
 * console.log(machine.bus.kind); // native
 */
export class SysfsPci implements PciBus {
  /** Tells the backends apart. */
  readonly kind = 'native';
  readonly #devices: string;
  readonly #drivers: string;
  readonly #cxlDevices: string;
  readonly #lock: RangeLock;

  /**
   * Reads nothing yet.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for an option
   */
  constructor(options: SysfsOptions = {}) {
    checkOptions(options, SYSFS_OPTIONS);
    this.#devices = checkString('options.devices', options.devices ?? '/sys/bus/pci/devices');
    this.#drivers = checkString('options.drivers', options.drivers ?? '/sys/bus/pci/drivers');
    this.#cxlDevices = checkString(
      'options.cxlDevices',
      options.cxlDevices ?? '/sys/bus/cxl/devices',
    );
    this.#lock = checkFunction('options.lock', options.lock ?? nativeRangeLock);
  }

  path(address: string): string {
    return address === '' ? this.#devices : path.join(this.#devices, address, 'config');
  }

  async functions(): Promise<string[] | NegativeErrno> {
    try {
      return (await fs.promises.readdir(this.#devices)).sort();
    } catch (error) {
      return errnoOf(error);
    }
  }

  /**
   * Opens `config` of the function in sysfs. -ENOENT: there is none; -EACCES to write unless root.
   */
  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    const file = this.path(address);
    try {
      const fd = fs.openSync(file, access === 'read' ? 'r' : 'r+');
      return new SysfsConfigSpace(fd, fs.fstatSync(fd).size, this.#lock);
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** The driver and what the kernel found, from the function's attributes in sysfs. */
  async owner(address: string): Promise<Owner> {
    const device = path.join(this.#devices, address);
    const [driver, kernelFeatures, kernelTables] = await Promise.all([
      this.driver(address),
      fs.promises.readdir(path.join(device, 'doe_features')).catch((): string[] => []),
      this.#tables(address),
    ]);
    return {
      ...(driver === undefined ? {} : { driver }),
      kernelFeatures: kernelFeatures.sort(),
      kernelTables,
    };
  }

  async driver(address: string): Promise<string | undefined> {
    const link = path.join(this.#devices, address, 'driver');
    const target = await fs.promises.readlink(link).catch(() => undefined);
    return target === undefined ? undefined : path.basename(target);
  }

  async unbind(address: string): Promise<number | NegativeErrno> {
    const answer = await write(path.join(this.#devices, address, 'driver', 'unbind'), address);
    const there = answer !== -ERRNOS.ENOENT || (await exists(path.join(this.#devices, address)));
    return there && answer === -ERRNOS.ENOENT ? -ERRNOS.ENODEV : answer;
  }

  bind(address: string, driver: string): Promise<number | NegativeErrno> {
    return write(path.join(this.#drivers, driver, 'bind'), address);
  }

  /** `CDAT` attributes of the ports of the cxl bus whose `uport` is a device of this function. */
  async #tables(address: string): Promise<string[]> {
    const names = await fs.promises.readdir(this.#cxlDevices).catch((): string[] => []);
    const tables: string[] = [];
    for (const name of names.sort()) {
      const port = path.join(this.#cxlDevices, name);
      const above = await fs.promises.realpath(path.join(port, 'uport')).catch(() => undefined);
      if (above === undefined || !above.split('/').includes(address)) continue;
      // The path also has the bridges above the function; the last address is the function's.
      if (lastAddress(above) !== address) continue;
      const table = path.join(port, 'CDAT');
      if (await exists(table)) tables.push(table);
    }
    return tables;
  }
}

function exists(file: string): Promise<boolean> {
  return fs.promises.access(file).then(
    () => true,
    () => false,
  );
}

/** Writes to a file that exists. */
async function write(file: string, text: string): Promise<number | NegativeErrno> {
  try {
    const handle = await fs.promises.open(file, fs.constants.O_WRONLY);
    try {
      await handle.write(text);
      return 0;
    } finally {
      await handle.close();
    }
  } catch (error) {
    return errnoOf(error);
  }
}

function lastAddress(devicePath: string): string | undefined {
  return devicePath
    .split('/')
    .filter((part) => /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(part))
    .pop();
}

/** An aligned pread or pwrite of four bytes is one 32-bit access of the device. */
class SysfsConfigSpace implements ConfigSpace {
  readonly size: number;
  readonly #dword = Buffer.alloc(4);
  readonly #rangeLock: RangeLock;
  #fd: number;

  constructor(fd: number, size: number, rangeLock: RangeLock) {
    this.#fd = fd;
    this.size = size;
    this.#rangeLock = rangeLock;
  }

  readDword(offset: number): number | NegativeErrno {
    try {
      const length = fs.readSync(this.#fd, this.#dword, 0, 4, offset);
      // Beyond what the user may read, the kernel returns no bytes and no error.
      return length === 4 ? this.#dword.readUInt32LE() : -ERRNOS.ENODATA;
    } catch (error) {
      return errnoOf(error);
    }
  }

  writeDword(offset: number, value: number): number | NegativeErrno {
    this.#dword.writeUInt32LE(value);
    try {
      const length = fs.writeSync(this.#fd, this.#dword, 0, 4, offset);
      return length === 4 ? 0 : -ERRNOS.EIO;
    } catch (error) {
      return errnoOf(error);
    }
  }

  lock(offset: number, length: number): number | NegativeErrno {
    return this.#rangeLock(this.#fd, offset, length, true);
  }

  unlock(offset: number, length: number): number | NegativeErrno {
    return this.#rangeLock(this.#fd, offset, length, false);
  }

  close(): void {
    if (this.#fd < 0) return;
    fs.closeSync(this.#fd);
    this.#fd = -1;
  }
}

function errnoOf(error: unknown): NegativeErrno {
  const { errno } = error as NodeJS.ErrnoException;
  // Other systems have other errno numbers, and no sysfs to read.
  return typeof errno === 'number' && errno < 0 ? errno : -ERRNOS.EIO;
}
