/** Options of a flash adapter: their defaults and their checks. */
import { checkInteger } from '../../shared/checks';
import { typeError, valueError } from '../../shared/errors';

export interface FlashLunOptions {
  /** Blocks of blockSize, 1 to 2^40. */
  readonly blocks: number | bigint;
  /** Bytes, 512 or 4096. Default 4096. */
  readonly blockSize?: 512 | 4096;
  /** 32 hexadecimal digits. Default: made from the seed of the mock. */
  readonly wwid?: string;
  /** File that keeps the LUN's data; created when absent. Default: data is kept in memory. */
  readonly file?: string;
  /** Ports it is reached by, from 0. Default: all. */
  readonly ports?: readonly number[];
}

export interface FlashAdapterOptions {
  /** Default: one of 262144 blocks (1 GiB, four chunks). */
  readonly luns?: readonly FlashLunOptions[];
  /** 1 to 4. Default 2. */
  readonly ports?: number;
  /** Contexts, 1 to 512. Default 512. */
  readonly contexts?: number;
  /** irqs_min, 0 to 4. Default 2. */
  readonly interruptsMinimum?: number;
  /** How commands are issued. Default `ioarrin`. */
  readonly commandMode?: 'ioarrin' | 'sq';
  /** Commands that a context can have outstanding, 1 to 4096. Default 128. */
  readonly commandRoom?: number;
  /** Whether WRITE SAME can unmap. Default true. */
  readonly unmap?: boolean;
  /** Whether LUN_PROVISION is supported. Default true. */
  readonly provisioning?: boolean;
  /** Whether AFU_DEBUG is supported. Default true. */
  readonly debugging?: boolean;
}

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

export function checkOptions(options: FlashAdapterOptions): CheckedOptions {
  const luns = options.luns ?? [{ blocks: DEFAULT_BLOCKS }];
  if (!Array.isArray(luns)) throw typeError('flash.luns', 'an array', luns);
  const ports = checkInteger('flash.ports', options.ports ?? 2, 1, 4);
  for (const lun of luns) checkLun(lun, ports);
  const mode = options.commandMode ?? 'ioarrin';
  if (mode !== 'ioarrin' && mode !== 'sq') {
    throw valueError('flash.commandMode', "'ioarrin' or 'sq'", mode);
  }
  return {
    luns,
    ports,
    contexts: checkInteger('flash.contexts', options.contexts ?? 512, 1, 512),
    interruptsMinimum: checkInteger(
      'flash.interruptsMinimum',
      options.interruptsMinimum ?? 2,
      0,
      4,
    ),
    squeue: mode === 'sq',
    commandRoom: checkInteger('flash.commandRoom', options.commandRoom ?? 128, 1, 4096),
    unmap: options.unmap ?? true,
    provisioning: options.provisioning ?? true,
    debugging: options.debugging ?? true,
  };
}

function checkLun(lun: FlashLunOptions, ports: number): void {
  checkInteger('lun.blocks', Number(lun.blocks), 1, 2 ** 40);
  const { blockSize = 4096, wwid } = lun;
  if (blockSize !== 512 && blockSize !== 4096) {
    throw valueError('lun.blockSize', '512 or 4096', blockSize);
  }
  if (wwid !== undefined && !/^[0-9a-f]{32}$/.test(wwid)) {
    throw valueError('lun.wwid', '32 hexadecimal digits', wwid);
  }
  for (const port of lun.ports ?? []) checkInteger('lun.ports', port, 0, ports - 1);
}
