import type { HostCalls } from '../binding/flash';
import { flashFlags, provisionSubcommands } from '../binding/flash';
import { systemOption } from '../default-system';
import type { Cxl } from '../device/cxl';
import { abortable, checkSignal, throwIfAborted } from '../shared/abort';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { ERRNOS } from '../shared/errno';
import { type CxlError, systemError, typeError, valueError } from '../shared/errors';
import { flashBindingOf } from './flash-binding';
import { FlashNode } from './flash-node';
import { toSizeUnits } from './geometry';
import { OPEN_OPTIONS, type OpenLunOptions } from './lun';

/** LUNs and capacity of a port. */
export interface PortCapacity {
  /** Number of LUNs, and the most that the port can have. */
  readonly luns: bigint;
  /** The most LUNs that the port can have. */
  readonly maxLuns: bigint;
  /** Capacity in use by LUNs, and in total, in blocks of 4 KiB. */
  readonly blocks: bigint;
  /** Total capacity, in blocks of 4 KiB. */
  readonly maxBlocks: bigint;
}

/** Result of createLun(). */
export interface ProvisionedLun {
  /** Argument of deleteLun(). */
  readonly lunId: bigint;
  /** 16 bytes, NAA 6. */
  readonly wwid: Uint8Array;
}

const MAX_PORTS = 4;
const SUBCOMMAND_BYTES = 12;
const MAX_DEBUG_BYTES = 262144;
const PROVISION_BLOCK_BYTES = 4096;

/**
 * Opens the node of a flash adapter.
 *
 * @param path /dev/cxlflash/cxlflashN
 * @throws ENOENT, EACCES; ENOSYS when the backend has no cxlflash. Source: cxlflash_chr_open.
 * @example
 * import { openFlashHost } from 'node-cxl/flash';
 *
 * await using host = await openFlashHost('/dev/cxlflash/cxlflash0');
 * for (const port of [0, 1]) {
 *   const { luns, maxLuns } = await host.queryPort(port);
 *   console.log(`port ${port}: ${luns} of ${maxLuns} LUNs`);
 * }
 */
export async function openFlashHost(
  path: string,
  options: OpenLunOptions = {},
): Promise<FlashHost> {
  if (typeof path !== 'string') throw typeError('path', 'a string', path);
  const { system, signal } = checkOptions(options, OPEN_OPTIONS);
  throwIfAborted(checkSignal(signal));
  return await abortable(openNode(systemOption(system), path), signal, (host) => host.close());
}

async function openNode(system: Cxl, path: string): Promise<FlashHost> {
  const file = await flashBindingOf(system).openHost(path);
  if (typeof file === 'number') throw systemError(file, 'open', path);
  return new FlashHost(file, path);
}

/** Options of FlashHost.debug(). */
export interface DebugOptions {
  /** Whether `data` is sent to the AFU, instead of being filled by it. Default false. */
  write?: boolean | undefined;
}
const DEBUG_OPTIONS: OptionNames<DebugOptions> = { write: true };

/**
 * The node of a flash adapter: creates and deletes LUNs, and sends debug commands to the AFU.
 *
 * @example
 * import { openFlashHost } from 'node-cxl/flash';
 *
 * await using host = await openFlashHost('/dev/cxlflash/cxlflash0');
 * const { lunId } = await host.createLun(0, 65_536); // 256 MiB on port 0
 * const { luns } = await host.queryPort(0);
 * console.log(luns); // 2n
 * await host.deleteLun(0, lunId);
 */
export class FlashHost extends FlashNode<HostCalls> {
  /**
   * Creates a LUN of `blocks` blocks of 4 KiB on a port (0 to 3). It is listed after a SCSI rescan.
   *
   * @throws EOPNOTSUPP the AFU cannot provision; EINVAL no such port; EIO the AFU refused. Source:
   *   cxlflash_lun_provision.
   */
  async createLun(port: number, blocks: number | bigint): Promise<ProvisionedLun> {
    const size = toSizeUnits('blocks', blocks, PROVISION_BLOCK_BYTES);
    const { lunId, wwid } = await this.#provision('create', port, { size });
    return { lunId, wwid };
  }

  /** Deletes a LUN of a port (0 to 3), with its data. @throws as createLun() */
  async deleteLun(port: number, lunId: bigint): Promise<void> {
    if (typeof lunId !== 'bigint') throw typeError('lunId', 'a bigint', lunId);
    await this.#provision('delete', port, { lunId });
  }

  /** LUNs and capacity of a port (0 to 3). @throws as createLun() */
  async queryPort(port: number): Promise<PortCapacity> {
    const answer = await this.#provision('queryPort', port, {});
    return {
      luns: answer.curNumLuns,
      maxLuns: answer.maxNumLuns,
      blocks: answer.curCapPort,
      maxBlocks: answer.maxCapPort,
    };
  }

  #provision(
    subcommand: keyof typeof provisionSubcommands,
    port: number,
    fields: { size?: bigint; lunId?: bigint },
  ) {
    checkInteger('port', port, 0, MAX_PORTS - 1);
    return this.call('LUN_PROVISION', {
      subcmd: provisionSubcommands[subcommand],
      port,
      ...fields,
    });
  }

  /**
   * Sends a debug command of 12 bytes to the AFU unchanged. `data` (up to 256 KiB) is sent to the
   * AFU with `write: true`, else filled by it; it must not be used until the promise settles.
   *
   * @throws EOPNOTSUPP the AFU has no debug commands; EIO it refused. Source: cxlflash_afu_debug.
   */
  async debug(command: Uint8Array, data?: Uint8Array, options: DebugOptions = {}): Promise<void> {
    if (!(command instanceof Uint8Array)) throw typeError('command', 'a Uint8Array', command);
    if (command.length !== SUBCOMMAND_BYTES) throw valueError('command', '12 bytes', command);
    if (data !== undefined) {
      if (!(data instanceof Uint8Array)) throw typeError('data', 'a Uint8Array', data);
      checkInteger('data.length', data.length, 0, MAX_DEBUG_BYTES);
    }
    const write = checkBoolean(
      'options.write',
      checkOptions(options, DEBUG_OPTIONS).write ?? false,
    );
    const flags = write ? flashFlags.hostWrite : 0n;
    await this.call('AFU_DEBUG', { flags, afuSubcmd: command, data });
  }

  /** @internal */
  protected override ioctlError(name: keyof HostCalls, errno: number): CxlError {
    return errno === -ERRNOS.ENOTSUPP
      ? systemError('EOPNOTSUPP', `ioctl(${name})`, this.path)
      : super.ioctlError(name, errno);
  }
}
