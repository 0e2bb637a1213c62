/** Options of a flash adapter: their defaults and their checks. */
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../../shared/checks';
import { valueError } from '../../shared/errors';

/** A LUN of a flash adapter. */
export interface FlashLunOptions {
  /** Blocks of blockSize, 1 to 2^40. */
  readonly blocks: number | bigint;
  /** Bytes, 512 or 4096. Default 4096. */
  readonly blockSize?: 512 | 4096 | undefined;
  /** 32 hexadecimal digits. Default: made from the seed of the mock. */
  readonly wwid?: string | undefined;
  /** File that keeps the LUN's data; created when absent. Default: data is kept in memory. */
  readonly file?: string | undefined;
  /** Ports it is reached by, from 0. Default: all. */
  readonly ports?: readonly number[] | undefined;
}
export const LUN_OPTIONS: OptionNames<FlashLunOptions> = {
  blocks: true,
  blockSize: true,
  wwid: true,
  file: true,
  ports: true,
};

/** A flash adapter (cxlflash): its LUNs, and what its AFU can do. */
export interface FlashAdapterOptions {
  /** Default: one of 262144 blocks (1 GiB, four chunks). */
  readonly luns?: readonly FlashLunOptions[] | undefined;
  /** 1 to 4. Default 2. */
  readonly ports?: number | undefined;
  /** Contexts, 1 to 512. Default 512. */
  readonly contexts?: number | undefined;
  /** irqs_min, 0 to 4. Default 2. */
  readonly interruptsMinimum?: number | undefined;
  /** How commands are issued. Default `ioarrin`. */
  readonly commandMode?: 'ioarrin' | 'sq' | undefined;
  /** Commands that a context can have outstanding, 1 to 4096. Default 128. */
  readonly commandRoom?: number | undefined;
  /** Whether WRITE SAME can unmap. Default true. */
  readonly unmap?: boolean | undefined;
  /** Whether LUN_PROVISION is supported. Default true. */
  readonly provisioning?: boolean | undefined;
  /** Whether AFU_DEBUG is supported. Default true. */
  readonly debugging?: boolean | undefined;
}
export const FLASH_OPTIONS: OptionNames<FlashAdapterOptions> = {
  luns: true,
  ports: true,
  contexts: true,
  interruptsMinimum: true,
  commandMode: true,
  commandRoom: true,
  unmap: true,
  provisioning: true,
  debugging: true,
};

export interface CheckedOptions {
  readonly luns: readonly FlashLunOptions[];
  readonly ports: number;
  readonly contexts: number;
  readonly interruptsMinimum: number;
  readonly squeue: boolean;
  readonly commandRoom: number;
  readonly unmap: boolean;
  readonly provisioning: boolean;
  readonly debugging: boolean;
}

const DEFAULT_BLOCKS = 262144;

/** `name`: what errors name. */
export function checkAdapterOptions(options: FlashAdapterOptions, name = 'flash'): CheckedOptions {
  checkOptions(options, FLASH_OPTIONS, name);
  const luns = checkArray(`${name}.luns`, options.luns ?? [{ blocks: DEFAULT_BLOCKS }]);
  const ports = checkInteger(`${name}.ports`, options.ports ?? 2, 1, 4);
  for (const [index, lun] of luns.entries()) checkLun(lun, ports, `${name}.luns[${index}]`);
  const mode = checkOneOf(`${name}.commandMode`, options.commandMode ?? 'ioarrin', [
    'ioarrin',
    'sq',
  ]);
  const flag = (option: 'unmap' | 'provisioning' | 'debugging') =>
    checkBoolean(`${name}.${option}`, options[option] ?? true);
  return {
    luns,
    ports,
    contexts: checkInteger(`${name}.contexts`, options.contexts ?? 512, 1, 512),
    interruptsMinimum: checkInteger(
      `${name}.interruptsMinimum`,
      options.interruptsMinimum ?? 2,
      0,
      4,
    ),
    squeue: mode === 'sq',
    commandRoom: checkInteger(`${name}.commandRoom`, options.commandRoom ?? 128, 1, 4096),
    unmap: flag('unmap'),
    provisioning: flag('provisioning'),
    debugging: flag('debugging'),
  };
}

function checkLun(lun: FlashLunOptions, ports: number, name: string): void {
  checkOptions(lun, LUN_OPTIONS, name);
  const { blocks, blockSize = 4096, wwid, file } = lun;
  checkInteger(`${name}.blocks`, typeof blocks === 'bigint' ? Number(blocks) : blocks, 1, 2 ** 40);
  checkOneOf(`${name}.blockSize`, blockSize, [512, 4096]);
  if (wwid !== undefined && !/^[0-9a-f]{32}$/.test(checkString(`${name}.wwid`, wwid))) {
    throw valueError(`${name}.wwid`, '32 hexadecimal digits', wwid);
  }
  if (file !== undefined && checkString(`${name}.file`, file) === '') {
    throw valueError(`${name}.file`, 'the path of a file', file);
  }
  for (const port of checkArray(`${name}.ports`, lun.ports ?? []))
    checkInteger(`${name}.ports`, port, 0, ports - 1);
}
