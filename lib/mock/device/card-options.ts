/** Options of a card and of its AFUs: their defaults and their checks. */
import { checkInteger } from '../../shared/checks';
import { rangeError, typeError, valueError } from '../../shared/errors';
import type { AdapterSetup, PerstImage } from '../kernel/adapter';
import type { AfuMode, AfuSetup } from '../kernel/afu';
import type { AfuModel } from '../models/afu-model';
import { memcpyAfu } from '../models/memcpy';

export interface MockAfuOptions {
  /** The AFU model. Default memcpyAfu(). */
  readonly model?: AfuModel;
  /** Mode after probing. Default: directed where the model supports it, else dedicated. */
  readonly mode?: AfuMode;
  /**
   * irqs_max after probing, and in a guest the highest that it can be set to. Default: all AFU
   * interrupts of the card.
   */
  readonly interruptsMaximum?: number;
  /** The driver's API version: 1, 2 or 3. Default 3. */
  readonly apiVersion?: 1 | 2 | 3;
  /** Default 1. The library refuses an AFU with another value: EPROTO. */
  readonly apiVersionCompatible?: number;
}

export interface MockCardOptions {
  /** The AFUs, in slices from 0. Default: one memcpy AFU. */
  readonly afus?: readonly MockAfuOptions[];
  /** '1.0': POWER8 with PSL8. '2.0': POWER9 with PSL9. Default '1.0'. */
  readonly caiaVersion?: string;
  /** Default 1. */
  readonly pslRevision?: number;
  /** Default 0. */
  readonly baseImage?: number;
  /** Default 'user'. */
  readonly imageLoaded?: 'user' | 'factory';
  /**
   * Which image a reset loads. Default 'none': the card keeps its image and recovers. With
   * 'user' or 'factory', and perstReloadsSameImage false, the driver probes it as a new card.
   */
  readonly loadImageOnPerst?: PerstImage;
  /** Default false. */
  readonly perstReloadsSameImage?: boolean;
  /** Default true. */
  readonly timebaseSynced?: boolean;
  /** Only on bare metal of POWER9; elsewhere the driver never has them. Default true. */
  readonly tunneledOps?: boolean;
  /** AFU interrupts that all contexts of the card share, 0 to 65535. Default 2037. */
  readonly interrupts?: number;
  /** Default '0000:01:00.0' and so on. */
  readonly pciAddress?: string;
  /** PCI ids of the card, 16 bits each. Default 0x1014, 0x0477. */
  readonly vendor?: number;
  readonly device?: number;
  /** How long a reset takes the link down, in milliseconds. Default 10. */
  readonly resetTime?: number;
}

/** The card as the modeled driver finds it. `slot` numbers its default PCI address. */
export function adapterSetup(card: MockCardOptions, slot: number): AdapterSetup {
  const afus = card.afus ?? [{}];
  if (!Array.isArray(afus)) throw typeError('card.afus', 'an array', afus);
  const caiaVersion = card.caiaVersion ?? '1.0';
  if (!/^[12]\.\d+$/.test(caiaVersion)) {
    throw valueError('card.caiaVersion', "such as '1.0' or '2.0'", caiaVersion);
  }
  const pciAddress = card.pciAddress ?? `0000:${hexByte(slot + 1)}:00.0`;
  if (!/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(pciAddress)) {
    throw valueError('card.pciAddress', "such as '0000:01:00.0'", pciAddress);
  }
  return {
    afus: afus.map(afuSetup),
    caiaVersion,
    pslRevision: card.pslRevision ?? 1,
    baseImage: card.baseImage ?? 0,
    imageLoaded: card.imageLoaded ?? 'user',
    loadImageOnPerst: card.loadImageOnPerst ?? 'none',
    perstReloadsSameImage: card.perstReloadsSameImage ?? false,
    timebaseSynced: card.timebaseSynced ?? true,
    tunneledOps: card.tunneledOps ?? true,
    interrupts: checkInteger('card.interrupts', card.interrupts ?? 2037, 0, 0xffff),
    pciAddress,
    vendor: checkInteger('card.vendor', card.vendor ?? 0x1014, 0, 0xffff),
    device: checkInteger('card.device', card.device ?? 0x0477, 0, 0xffff),
    resetTime: checkMilliseconds('card.resetTime', card.resetTime, 10),
  };
}

function afuSetup(afu: MockAfuOptions): AfuSetup {
  const model = afu.model ?? memcpyAfu();
  if (typeof model?.powerOn !== 'function') {
    throw typeError('afu.model', 'an AfuModel, such as memcpyAfu()', model);
  }
  const { processes, interruptsMinimum } = model.descriptor;
  checkInteger('descriptor.processes', processes, 1, 0xffff);
  checkInteger('descriptor.interruptsMinimum', interruptsMinimum, 0, 2037);
  return {
    model,
    ...(afu.mode === undefined ? {} : { mode: afu.mode }),
    ...(afu.interruptsMaximum === undefined ? {} : { interruptsMaximum: afu.interruptsMaximum }),
    apiVersion: checkInteger('afu.apiVersion', afu.apiVersion ?? 3, 1, 3),
    apiVersionCompatible: checkInteger(
      'afu.apiVersionCompatible',
      afu.apiVersionCompatible ?? 1,
      1,
      0xffff,
    ),
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
