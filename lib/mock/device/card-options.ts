/** Options of a card and of its AFUs: their defaults and their checks. */
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../../shared/checks';
import { rangeError, typeError, valueError } from '../../shared/errors';
import type { AdapterSetup, PerstImage } from '../kernel/adapter';
import type { AfuSetup, MockAfuMode } from '../kernel/afu';
import type { AfuModel } from '../models/afu-model';
import { memcpyAfu } from '../models/memcpy';
import { checkDescriptor } from './afu-descriptor';

/** An AFU of a card, in its slice. */
export interface MockAfuOptions {
  /** The AFU model. Default memcpyAfu(). */
  readonly model?: AfuModel | undefined;
  /** Mode after probing. Default: directed where the model supports it, else dedicated. */
  readonly mode?: MockAfuMode | undefined;
  /**
   * irqs_max after probing, and in a guest the highest that it can be set to. Default: all AFU
   * interrupts of the card.
   */
  readonly interruptsMaximum?: number | undefined;
  /** The driver's API version: 1, 2 or 3. Default 3. */
  readonly apiVersion?: 1 | 2 | 3 | undefined;
  /** Default 1. The library refuses an AFU with another value: EPROTO. */
  readonly apiVersionCompatible?: number | undefined;
}
export const AFU_OPTIONS: OptionNames<MockAfuOptions> = {
  model: true,
  mode: true,
  interruptsMaximum: true,
  apiVersion: true,
  apiVersionCompatible: true,
};

/** A card, and what its attributes in sysfs say. */
export interface MockCardOptions {
  /** The AFUs, in slices from 0. Default: one memcpy AFU. */
  readonly afus?: readonly MockAfuOptions[] | undefined;
  /** '1.0': POWER8 with PSL8. '2.0': POWER9 with PSL9. Default '1.0'. */
  readonly caiaVersion?: string | undefined;
  /** Default 1. */
  readonly pslRevision?: number | undefined;
  /** Default 0. */
  readonly baseImage?: number | undefined;
  /** Default 'user'. */
  readonly imageLoaded?: 'user' | 'factory' | undefined;
  /**
   * Which image a reset loads. Default 'none': the card keeps its image and recovers. With
   * 'user' or 'factory', and perstReloadsSameImage false, the driver probes it as a new card.
   */
  readonly loadImageOnPerst?: PerstImage | undefined;
  /** Default false. */
  readonly perstReloadsSameImage?: boolean | undefined;
  /** Default true. */
  readonly timebaseSynced?: boolean | undefined;
  /** Only on bare metal of POWER9; elsewhere the driver never has them. Default true. */
  readonly tunneledOps?: boolean | undefined;
  /** AFU interrupts that all contexts of the card share, 0 to 65535. Default 2037. */
  readonly interrupts?: number | undefined;
  /** Default '0000:01:00.0' and so on. */
  readonly pciAddress?: string | undefined;
  /** PCI ids of the card, 16 bits each. Default 0x1014, 0x0477. */
  readonly vendor?: number | undefined;
  /** Device id, 16 bits. Default 0x0477. */
  readonly device?: number | undefined;
  /** How long a reset takes the link down, in milliseconds. Default 10. */
  readonly resetTime?: number | undefined;
}
export const CARD_OPTIONS: OptionNames<MockCardOptions> = {
  afus: true,
  caiaVersion: true,
  pslRevision: true,
  baseImage: true,
  imageLoaded: true,
  loadImageOnPerst: true,
  perstReloadsSameImage: true,
  timebaseSynced: true,
  tunneledOps: true,
  interrupts: true,
  pciAddress: true,
  vendor: true,
  device: true,
  resetTime: true,
};

/** CXL_MAX_SLICES of the driver. */
const MAX_SLICES = 4;

/**
 * The card as the modeled driver finds it. `slot` numbers its default PCI address; `name` is what
 * errors name.
 */
export function adapterSetup(
  card: MockCardOptions,
  slot: number,
  name = `options.cards[${slot}]`,
): AdapterSetup {
  checkOptions(card, CARD_OPTIONS, name);
  const afus = checkArray(`${name}.afus`, card.afus ?? [{}]);
  if (afus.length > MAX_SLICES) throw rangeError(`${name}.afus`, `at most ${MAX_SLICES}`, afus);
  const caiaVersion = checkString(`${name}.caiaVersion`, card.caiaVersion ?? '1.0');
  if (!/^[12]\.\d+$/.test(caiaVersion)) {
    throw valueError(`${name}.caiaVersion`, "such as '1.0' or '2.0'", caiaVersion);
  }
  const standard = `0000:${hexByte(slot + 1)}:00.0`;
  const pciAddress = checkString(`${name}.pciAddress`, card.pciAddress ?? standard);
  if (!/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(pciAddress)) {
    throw valueError(`${name}.pciAddress`, "such as '0000:01:00.0'", pciAddress);
  }
  const flag = (
    option: 'perstReloadsSameImage' | 'timebaseSynced' | 'tunneledOps',
    standard: boolean,
  ) => checkBoolean(`${name}.${option}`, card[option] ?? standard);
  return {
    afus: afus.map((afu, slice) => afuSetup(afu, `${name}.afus[${slice}]`)),
    caiaVersion,
    pslRevision: checkInteger(`${name}.pslRevision`, card.pslRevision ?? 1, 0, 0xffff),
    baseImage: checkInteger(`${name}.baseImage`, card.baseImage ?? 0, 0, 0xffff),
    imageLoaded: checkOneOf(`${name}.imageLoaded`, card.imageLoaded ?? 'user', ['user', 'factory']),
    loadImageOnPerst: checkOneOf(`${name}.loadImageOnPerst`, card.loadImageOnPerst ?? 'none', [
      'none',
      'user',
      'factory',
    ]),
    perstReloadsSameImage: flag('perstReloadsSameImage', false),
    timebaseSynced: flag('timebaseSynced', true),
    tunneledOps: flag('tunneledOps', true),
    interrupts: checkInteger(`${name}.interrupts`, card.interrupts ?? 2037, 0, 0xffff),
    pciAddress,
    vendor: checkInteger(`${name}.vendor`, card.vendor ?? 0x1014, 0, 0xffff),
    device: checkInteger(`${name}.device`, card.device ?? 0x0477, 0, 0xffff),
    resetTime: checkMilliseconds(`${name}.resetTime`, card.resetTime, 10),
  };
}

function afuSetup(afu: MockAfuOptions, name: string): AfuSetup {
  checkOptions(afu, AFU_OPTIONS, name);
  const model = afu.model ?? memcpyAfu();
  if (typeof model?.powerOn !== 'function') {
    throw typeError(`${name}.model`, 'an AfuModel, such as memcpyAfu()', model);
  }
  const { modes } = checkDescriptor(model.descriptor, `${name}.model.descriptor`);
  const { mode, interruptsMaximum, apiVersion = 3, apiVersionCompatible = 1 } = afu;
  if (mode !== undefined) checkOneOf(`${name}.mode`, mode, ['none', ...modes]);
  if (interruptsMaximum !== undefined) {
    checkInteger(`${name}.interruptsMaximum`, interruptsMaximum, 0, 0xffff);
  }
  checkInteger(`${name}.apiVersion`, apiVersion, 1, 3);
  checkInteger(`${name}.apiVersionCompatible`, apiVersionCompatible, 1, 0xffff);
  return {
    model,
    ...(mode === undefined ? {} : { mode }),
    ...(interruptsMaximum === undefined ? {} : { interruptsMaximum }),
    apiVersion,
    apiVersionCompatible,
  };
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** A duration in milliseconds, 0 to 2^31 - 1. */
export function checkMilliseconds(
  name: string,
  value: number | undefined,
  fallback: number,
): number {
  const given = value ?? fallback;
  if (typeof given !== 'number' || !(given >= 0) || given > 2 ** 31 - 1) {
    throw rangeError(name, 'milliseconds, from 0 to 2^31 - 1', value);
  }
  return given;
}
