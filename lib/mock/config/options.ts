/** Options of a whole mock: their defaults and their checks. */
import { CallLog, type CallLogOptions } from '../../observe/call-log';
import {
  checkArray,
  checkBoolean,
  checkOneOf,
  checkOptions,
  type OptionNames,
  refuseNull,
} from '../../shared/checks';
import { valueError } from '../../shared/errors';
import { adapterSetup, checkMilliseconds, type MockCardOptions } from '../device/card-options';
import { checkAdapterOptions, type FlashAdapterOptions } from '../flash/options';
import { checkFaultOptions, FAULT_OPTIONS, type FaultOptions } from '../kernel/faults';
import type { KernelOptions } from '../kernel/kernel';
import { echoAfu } from '../models/echo';
import { memcpyAfu } from '../models/memcpy';

/** Options of createMockCxl(): the devices of the system, its driver, and what fails. */
export interface MockOptions extends FaultOptions {
  /** Default: a card with a memcpy AFU, and one with an echo AFU. */
  readonly cards?: readonly MockCardOptions[] | undefined;
  /** Flash adapters (cxlflash). Each is a card, numbered after `cards`. Default: none. */
  readonly flash?: readonly FlashAdapterOptions[] | undefined;
  /** Which backend of the cxl driver: 'guest' is the one for PowerVM guests. Default 'bare-metal'. */
  readonly flavor?: 'bare-metal' | 'guest' | undefined;
  /** Page size in bytes: 65536 (most POWER distributions) or 4096. Default 65536. */
  readonly pageSize?: 65536 | 4096 | undefined;
  /** How often a guest's driver checks whether an AFU is in error, in milliseconds. Default 3000. */
  readonly errorPollInterval?: number | undefined;
  /**
   * How long an attach may take before it fails with EBUSY, in milliseconds. Default 5000; in a
   * guest 60000.
   */
  readonly attachTimeout?: number | undefined;
  /** Whether there are links /dev/cxl/afuX.Y, which many udev rules make. Default false. */
  readonly udevLinks?: boolean | undefined;
  /** Which calls MockCxl.calls has. Default: all but accesses to registers and memory. */
  readonly calls?: CallLogOptions | undefined;
}
export const MOCK_OPTIONS: OptionNames<MockOptions> = {
  ...FAULT_OPTIONS,
  cards: true,
  flash: true,
  flavor: true,
  pageSize: true,
  errorPollInterval: true,
  attachTimeout: true,
  udevLinks: true,
  calls: true,
};

/** The cards of a mock when options.cards is absent. */
export function defaultCards(): MockCardOptions[] {
  return [{ afus: [{ model: memcpyAfu() }] }, { afus: [{ model: echoAfu() }] }];
}

/**
 * Checks all options, by object or from a file: nothing is made before, such as the file of a LUN.
 * `name` is what errors name.
 */
export function checkMockOptions(options: MockOptions, name = 'options'): MockOptions {
  checkOptions(options, MOCK_OPTIONS, name);
  refuseNull(options, name);
  kernelOptions(options, name);
  const setups = (options.cards ?? []).map((card, slot) =>
    adapterSetup(card, slot, `${name}.cards[${slot}]`),
  );
  const addresses = setups.map(({ pciAddress }) => pciAddress);
  if (new Set(addresses).size < addresses.length) {
    throw valueError(`${name}.cards`, 'cards of different pciAddress', addresses);
  }
  for (const [index, adapter] of (options.flash ?? []).entries()) {
    checkAdapterOptions(adapter, `${name}.flash[${index}]`);
  }
  checkFaultOptions(options, name);
  new CallLog(options.calls, `${name}.calls`);
  return options;
}

/** The options that the modeled kernel takes, checked and with their defaults. */
export function kernelOptions(options: MockOptions, name = 'options'): KernelOptions {
  const flavor = options.flavor ?? 'bare-metal';
  const guest = checkOneOf(`${name}.flavor`, flavor, ['bare-metal', 'guest']) === 'guest';
  const pageSize = checkOneOf(`${name}.pageSize`, options.pageSize ?? 65536, [65536, 4096]);
  if (options.cards !== undefined) checkArray(`${name}.cards`, options.cards);
  if (options.flash !== undefined) checkArray(`${name}.flash`, options.flash);
  const { seed, faults, latency } = options;
  return {
    guest,
    pageSize,
    errorPollInterval: checkMilliseconds(
      `${name}.errorPollInterval`,
      options.errorPollInterval,
      3000,
    ),
    attachTimeout: checkMilliseconds(
      `${name}.attachTimeout`,
      options.attachTimeout,
      guest ? 60000 : 5000,
    ),
    udevLinks: checkBoolean(`${name}.udevLinks`, options.udevLinks ?? false),
    faults: { seed, faults, latency },
  };
}
