/** What a mock is made of, and what it is when nothing is said. */
import { checkInteger } from '../../shared/checks';
import { rangeError, typeError, valueError } from '../../shared/errors';
import type { FaultOptions } from '../device/faults';
import type { AfuModel } from '../device/model';
import { echoAfu } from '../device/models/echo';
import { memcpyAfu } from '../device/models/memcpy';
import type { FlashAdapterOptions } from '../flash/options';
import type { AdapterSetup, PerstImage } from '../kernel/adapter';
import type { AfuMode, AfuSetup } from '../kernel/afu';
import type { KernelOptions } from '../kernel/kernel';

export interface MockAfuOptions {
  /** What the slice is programmed with. Default memcpyAfu(). */
  readonly model?: AfuModel;
  /** Mode after probing. Default: directed where the model supports it, else dedicated. */
  readonly mode?: AfuMode;
  /** irqs_max after probing. Default: all the adapter has. */
  readonly interruptsMaximum?: number;
  /** The driver's API version: 1, 2 or 3. Default 3. */
  readonly apiVersion?: 1 | 2 | 3;
  /** Default 1. Above it, the library refuses the AFU with EPROTO. */
  readonly apiVersionCompatible?: number;
}

export interface MockCardOptions {
  /** Slices, from 0. Default: one memcpy AFU. */
  readonly afus?: readonly MockAfuOptions[];
  /** '1.0': POWER8, PSL8. '2.0': POWER9, PSL9. Default '1.0'. */
  readonly caiaVersion?: string;
  /** Default 1. */
  readonly pslRevision?: number;
  /** Default 0. */
  readonly baseImage?: number;
  /** Default 'user'. */
  readonly imageLoaded?: 'user' | 'factory';
  /**
   * What a reset loads. Default 'none': the card recovers as what it was. With 'user' or
   * 'factory', and perstReloadsSameImage false, it is probed from nothing.
   */
  readonly loadImageOnPerst?: PerstImage;
  /** Default false. */
  readonly perstReloadsSameImage?: boolean;
  /** Default true. */
  readonly timebaseSynced?: boolean;
  /** Default false. */
  readonly tunneledOps?: boolean;
  /** AFU interrupts for all contexts of the card together, 0 to 65535. Default 2037. */
  readonly interrupts?: number;
  /** Default '0000:01:00.0' and so on. */
  readonly pciAddress?: string;
  /** PCI ids of the card, 16 bits each. Default 0x1014, 0x0477. */
  readonly vendor?: number;
  readonly device?: number;
  /** Milliseconds a reset takes the link down for. Default 10. */
  readonly resetTime?: number;
}

export interface MockOptions extends FaultOptions {
  /** Default: one card with one memcpy AFU, and one with an echo AFU. */
  readonly cards?: readonly MockCardOptions[];
  /** Flash adapters (cxlflash), each a card of its own after these. Default: none. */
  readonly flash?: readonly FlashAdapterOptions[];
  /** 'guest': the driver's PowerVM backend. Default 'bare-metal'. */
  readonly flavour?: 'bare-metal' | 'guest';
  /** Bytes, 65536 (most POWER distributions) or 4096. Default 65536. */
  readonly pageSize?: 65536 | 4096;
  /** How often a guest's driver looks whether an AFU is in error, in milliseconds. Default 3000. */
  readonly errorPollInterval?: number;
  /** How slow an attach may be before it is EBUSY, in milliseconds. Default 5000; 60000 in a guest. */
  readonly attachTimeout?: number;
  /** Also present /dev/cxl/afuX.Y, as many udev rules do. Default false. */
  readonly udevLinks?: boolean;
}

export function defaultCards(): MockCardOptions[] {
  return [{ afus: [{ model: memcpyAfu() }] }, { afus: [{ model: echoAfu() }] }];
}

export function kernelOptions(options: MockOptions): KernelOptions {
  const flavour = options.flavour ?? 'bare-metal';
  if (flavour !== 'bare-metal' && flavour !== 'guest') {
    throw valueError('options.flavour', "'bare-metal' or 'guest'", flavour);
  }
  const pageSize = options.pageSize ?? 65536;
  if (pageSize !== 65536 && pageSize !== 4096) {
    throw valueError('options.pageSize', '65536 or 4096', pageSize);
  }
  const guest = flavour === 'guest';
  const { seed, faults, latency } = options;
  return {
    guest,
    pageSize,
    errorPollInterval: milliseconds('errorPollInterval', options.errorPollInterval, 3000),
    attachTimeout: milliseconds('attachTimeout', options.attachTimeout, guest ? 60000 : 5000),
    udevLinks: options.udevLinks ?? false,
    faults: { seed, faults, latency },
  };
}

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
    tunneledOps: card.tunneledOps ?? false,
    interrupts: checkInteger('card.interrupts', card.interrupts ?? 2037, 0, 0xffff),
    pciAddress,
    vendor: checkInteger('card.vendor', card.vendor ?? 0x1014, 0, 0xffff),
    device: checkInteger('card.device', card.device ?? 0x0477, 0, 0xffff),
    resetTime: milliseconds('card.resetTime', card.resetTime, 10),
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

function milliseconds(name: string, value: number | undefined, standard: number): number {
  const given = value ?? standard;
  if (typeof given !== 'number' || !(given >= 0) || given > 2 ** 31 - 1) {
    throw rangeError(name, 'milliseconds, from 0 to 2^31 - 1', value);
  }
  return given;
}
