import type { FlashBinding, LunCalls, LunFile } from '../binding/flash';
import { flashFlags } from '../binding/flash';
import { cxl } from '../default-system';
import type { Cxl } from '../device/cxl';
import { errnos } from '../shared/errno';
import { stateError, systemError, typeError } from '../shared/errors';
import type { AttachOptions } from './attach-options';
import { FlashContext } from './flash-context';
import { parseWwid, readWwid } from './wwid';

export interface OpenLunOptions {
  /** Default: `cxl`, the real system or as NODE_CXL_BACKEND says. */
  system?: Cxl;
}

export interface SuperpipeOptions {
  /** The LUN's NAA 6 id: 32 hexadecimal digits or 16 bytes. Default: read from sysfs. */
  wwid?: string | Uint8Array;
  /** The LUN is reachable over every port: ALL_PORTS_ACCESSIBLE. */
  allPorts?: boolean;
}

/** @internal Where the backend has cxlflash. */
export function flashOf(system: Cxl): FlashBinding {
  const { flash } = system.binding;
  if (flash === undefined) {
    throw systemError('ENOSYS', 'cxlflash', undefined, 'this backend has no flash adapter');
  }
  return flash;
}

const slowAfu = 'the AFU was slow to take the changed table: try again';

/** What to do about refusals, where cxlflash means something of its own. */
const hints: Record<string, string> = {
  'MANAGE_LUN:EBUSY': 'a context still holds a resource on the LUN: release it first',
  'ATTACH:EINVAL':
    'is superpipe enabled on the LUN? A context takes at most 4 interrupts, at least irqs_min, and each LUN once',
  'ATTACH:ENODEV':
    'the capacity of the LUN cannot be read, the adapter has no context left, or it has failed',
  'ATTACH:ENOSPC': 'the adapter has no interrupts left',
  'ATTACH:EAGAIN': 'the context was closed before the AFU knew of it: try again',
  'USER_DIRECT:EAGAIN': slowAfu,
  'USER_DIRECT:EINVAL': 'the LUN is in use as virtual, or the context does not reach it',
  'USER_DIRECT:EMFILE': 'the resource handle table of the context is full',
  'USER_VIRTUAL:EAGAIN': slowAfu,
  'USER_VIRTUAL:EINVAL': 'the LUN is in use as physical, or the context does not reach it',
  'USER_VIRTUAL:EMFILE': 'the resource handle table of the context is full',
  'USER_VIRTUAL:ENOMEM': 'the LUN is smaller than one chunk of 65536 blocks',
  'USER_VIRTUAL:ENOSPC': 'no chunk of the LUN is free',
  'VLUN_RESIZE:EINVAL': 'only a virtual LUN can be resized',
  'VLUN_RESIZE:ENOSPC': 'no chunk of the LUN is free',
  'VLUN_RESIZE:EAGAIN': slowAfu,
  'RELEASE:EAGAIN': slowAfu,
  'VLUN_CLONE:EAGAIN': slowAfu,
  'VLUN_CLONE:EINVAL':
    'the source must belong to the living parent process, the destination be fresh, the LUN virtual',
  'RECOVER_AFU:ENODEV': 'the adapter is gone: release and detach, or close the context',
  'VERIFY:EIO': 'the sense data tells of an error, not of a changed LUN',
  'VERIFY:ENODEV': 'the capacity of the LUN cannot be read',
};

/**
 * Opens a LUN of a flash adapter.
 *
 * @param path /dev/sdX or /dev/sgX
 * @throws ENOENT, EACCES; ENOSYS when the backend has no cxlflash
 */
export async function openLun(path: string, options: OpenLunOptions = {}): Promise<Lun> {
  if (typeof path !== 'string') throw typeError('path', 'a string', path);
  const system = options.system ?? cxl;
  const file = await flashOf(system).openLun(path);
  if (typeof file === 'number') throw systemError(file, 'open', path, openHint(file));
  return new Lun(system, file, path);
}

function openHint(errno: number): string | undefined {
  return errno === -errnos.ENOENT ? 'listLuns() tells which LUNs flash adapters have' : undefined;
}

/**
 * A LUN on one of an adapter's ports. Superpipe is a property of the LUN, not of this object:
 * it stays enabled when the LUN is closed.
 */
export class Lun {
  readonly path: string;
  /** @internal */
  readonly system: Cxl;
  readonly #file: LunFile;
  #closing: Promise<void> | undefined;

  /** @internal Use openLun(). */
  constructor(system: Cxl, file: LunFile, path: string) {
    this.system = system;
    this.#file = file;
    this.path = path;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** The 16 bytes that name the LUN, from sysfs. */
  wwid(): Promise<Uint8Array> {
    return readWwid(this.system.binding.sysfs, this.path);
  }

  /**
   * Sets the LUN aside for user space: MANAGE_LUN with ENABLE_SUPERPIPE. Needed before any
   * other call; doing it again is harmless. Whoever else uses the disk is not asked.
   *
   * @throws ENODATA when sysfs has no NAA 6 id and none was given. Source:
   *   cxlflash_manage_lun.
   */
  async enableSuperpipe(options: SuperpipeOptions = {}): Promise<void> {
    const all = options.allPorts === true ? flashFlags.allPortsAccessible : 0n;
    await this.#manage(options, flashFlags.enableSuperpipe | all);
  }

  /** Gives the LUN back to the block layer. @throws EBUSY while a resource of it is open */
  async disableSuperpipe(options: SuperpipeOptions = {}): Promise<void> {
    await this.#manage(options, flashFlags.disableSuperpipe);
  }

  async #manage(options: SuperpipeOptions, flags: bigint): Promise<void> {
    const given = options.wwid;
    const wwid = given === undefined ? await this.wwid() : parseWwid('options.wwid', given);
    await this.call('MANAGE_LUN', { flags, wwid });
  }

  /**
   * Makes a context on the adapter and joins this LUN to it (ATTACH).
   *
   * @throws EINVAL superpipe is not enabled, or too many or too few interrupts; ENODEV no
   *   capacity known and none readable, no context left, or the adapter has failed; ENOSPC no
   *   interrupts left; EAGAIN the AFU closed the context at once, after several tries
   */
  attach(options: AttachOptions = {}): Promise<FlashContext> {
    return FlashContext.attach(this, options);
  }

  /**
   * One ioctl as the driver has it, for what the typed calls do not cover. The refusal is
   * thrown.
   */
  async call<Name extends keyof LunCalls>(
    name: Name,
    input: LunCalls[Name]['input'],
  ): Promise<LunCalls[Name]['answer']> {
    if (this.closed) throw stateError(`${this.path}: this LUN is closed`);
    const answer = await this.#file.ioctl(name, input as never);
    if (typeof answer === 'number') {
      const error = systemError(answer, `ioctl(${name})`, this.path);
      const hint = hints[`${name}:${error.code}`];
      throw hint === undefined ? error : systemError(answer, `ioctl(${name})`, this.path, hint);
    }
    return answer as LunCalls[Name]['answer'];
  }

  /** Closes the node; calls under way finish first. Idempotent. Contexts stay. */
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
