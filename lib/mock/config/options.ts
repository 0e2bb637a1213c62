/** Options of a whole mock: their defaults and their checks. */
import type { CallLogOptions } from '../../observe/call-log';
import {
  checkArray,
  checkBoolean,
  checkOneOf,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import { checkMilliseconds, type MockCardOptions } from '../device/card-options';
import type { FlashAdapterOptions } from '../flash/options';
import { FAULT_OPTIONS, type FaultOptions } from '../kernel/faults';
import type { KernelOptions } from '../kernel/kernel';
import { echoAfu } from '../models/echo';
import { memcpyAfu } from '../models/memcpy';

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

/** The options that the modeled kernel takes, checked and with their defaults. */
export function kernelOptions(options: MockOptions): KernelOptions {
  checkOptions(options, MOCK_OPTIONS);
  const flavor = options.flavor ?? 'bare-metal';
  const guest = checkOneOf('options.flavor', flavor, ['bare-metal', 'guest']) === 'guest';
  const pageSize = checkOneOf('options.pageSize', options.pageSize ?? 65536, [65536, 4096]);
  if (options.cards !== undefined) checkArray('options.cards', options.cards);
  if (options.flash !== undefined) checkArray('options.flash', options.flash);
  const { seed, faults, latency } = options;
  return {
    guest,
    pageSize,
    errorPollInterval: checkMilliseconds('errorPollInterval', options.errorPollInterval, 3000),
    attachTimeout: checkMilliseconds('attachTimeout', options.attachTimeout, guest ? 60000 : 5000),
    udevLinks: checkBoolean('options.udevLinks', options.udevLinks ?? false),
    faults: { seed, faults, latency },
  };
}
