import type { HostCalls, HostFile } from '../binding/flash';
import { flashFlags, provisionSubcommands } from '../binding/flash';
import { cxl } from '../default-system';
import { checkInteger } from '../shared/checks';
import { stateError, systemError, typeError, valueError } from '../shared/errors';
import { flashOf, type OpenLunOptions } from './lun';
import { Resource } from './resource';

/** A port's LUNs and capacity. */
export interface PortCapacity {
  /** LUNs there are, and may be. */
  readonly luns: bigint;
  readonly maxLuns: bigint;
  /** Capacity that LUNs have taken, and all there is, in blocks of 4 KiB. */
  readonly blocks: bigint;
  readonly maxBlocks: bigint;
}

/** A LUN that createLun() made. */
export interface ProvisionedLun {
  /** What deleteLun() takes. */
  readonly lunId: bigint;
  /** 16 bytes, NAA 6. */
  readonly wwid: Uint8Array;
}

const mostPorts = 4;
const subcommandBytes = 12;
const mostDebugBytes = 262144;
/** ENOTSUPP, a number of the kernel's own that this driver lets out. */
const unsupported = -524;

/**
 * Opens a flash adapter's own node.
 *
 * @param path /dev/cxlflash/cxlflashN
 * @throws ENOENT, EACCES; ENOSYS when the backend has no cxlflash. Source: cxlflash_chr_open.
 */
export async function openFlashHost(path: string, options: OpenLunOptions = {}) {
  if (typeof path !== 'string') throw typeError('path', 'a string', path);
  const file = await flashOf(options.system ?? cxl).openHost(path);
  if (typeof file === 'number') throw systemError(file, 'open', path);
  return new FlashHost(file, path);
}

/** A flash adapter as a whole: provisioning of LUNs, and the AFU's debug commands. */
export class FlashHost {
  readonly path: string;
  readonly #file: HostFile;
  #closing: Promise<void> | undefined;

  /** @internal Use openFlashHost(). */
  constructor(file: HostFile, path: string) {
    this.#file = file;
    this.path = path;
  }

  /**
   * Makes a LUN of `blocks` 4 KiB blocks on a port (0 to 3). It appears after a rescan.
   *
   * @throws EOPNOTSUPP the AFU does not provision; EINVAL no such port; EIO it refused. Source:
   *   cxlflash_lun_provision.
   */
  async createLun(port: number, blocks: number | bigint): Promise<ProvisionedLun> {
    const size = Resource.sizeOf('blocks', blocks, { blockSize: 4096 });
    const { lunId, wwid } = await this.#provision('create', port, { size });
    return { lunId, wwid };
  }

  /** Deletes a LUN of a port (0 to 3) with all that is on it. @throws as createLun() */
  async deleteLun(port: number, lunId: bigint): Promise<void> {
    if (typeof lunId !== 'bigint') throw typeError('lunId', 'a bigint', lunId);
    await this.#provision('delete', port, { lunId });
  }

  /** What a port (0 to 3) has, and has room for. @throws as createLun() */
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
    more: { size?: bigint; lunId?: bigint },
  ) {
    checkInteger('port', port, 0, mostPorts - 1);
    return this.call('LUN_PROVISION', { subcmd: provisionSubcommands[subcommand], port, ...more });
  }

  /**
   * An AFU debug command: 12 bytes, passed through. `data` (up to 256 KiB) goes to the AFU with
   * `write`, else is filled by it, and must be left alone meanwhile.
   *
   * @throws EOPNOTSUPP the AFU has none; EIO it refused. Source: cxlflash_afu_debug.
   */
  async debug(
    command: Uint8Array,
    data?: Uint8Array,
    options: { write?: boolean } = {},
  ): Promise<void> {
    if (!(command instanceof Uint8Array)) throw typeError('command', 'a Uint8Array', command);
    if (command.length !== subcommandBytes) throw valueError('command', '12 bytes', command);
    if (data !== undefined) {
      if (!(data instanceof Uint8Array)) throw typeError('data', 'a Uint8Array', data);
      checkInteger('data.length', data.length, 0, mostDebugBytes);
    }
    const flags = options.write === true ? flashFlags.hostWrite : 0n;
    await this.call('AFU_DEBUG', { flags, afuSubcmd: command, data });
  }

  /** One ioctl as the driver has it. The refusal is thrown. */
  async call<Name extends keyof HostCalls>(
    name: Name,
    input: HostCalls[Name]['input'],
  ): Promise<HostCalls[Name]['answer']> {
    if (this.#closing !== undefined) throw stateError(`${this.path}: closed`);
    const answer = await this.#file.ioctl(name, input as never);
    if (typeof answer === 'number') {
      const errno = answer === unsupported ? 'EOPNOTSUPP' : answer;
      throw systemError(errno, `ioctl(${name})`, this.path);
    }
    return answer as HostCalls[Name]['answer'];
  }

  close(): Promise<void> {
    this.#closing ??= this.#file.close().then((errno) => {
      if (errno < 0) throw systemError(errno, 'close', this.path);
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
