import type { LunCalls, LunFile } from '../binding/flash';
import { flashFlags } from '../binding/flash';
import { systemOption } from '../default-system';
import type { Cxl } from '../device/cxl';
import { abortable, checkSignal, throwIfAborted } from '../shared/abort';
import { checkBoolean, checkOptions, type OptionNames } from '../shared/checks';
import { ERRNOS, errnoName } from '../shared/errno';
import { type CxlError, systemError, typeError } from '../shared/errors';
import { descriptorOf } from './adoption';
import { ATTACH_OPTIONS, type AttachOptions } from './attach-options';
import { flashBindingOf } from './flash-binding';
import { FlashContext } from './flash-context';
import { FlashNode } from './flash-node';
import { parseWwid, readWwid } from './wwid';

/** Options of openLun() and openFlashHost(). */
export interface OpenLunOptions {
  /** Default: `cxl`, this machine or the mock that NODE_CXL_BACKEND names. */
  system?: Cxl | undefined;
  /** An abort rejects with an AbortError at once. A node that is being opened is closed then. */
  signal?: AbortSignal | undefined;
}
/** @internal */
export const OPEN_OPTIONS: OptionNames<OpenLunOptions> = { system: true, signal: true };

/** Options of Lun.enableSuperpipe(). */
export interface SuperpipeOptions {
  /** The LUN's world-wide id (NAA 6): 32 hexadecimal digits or 16 bytes. Default: from sysfs. */
  wwid?: string | Uint8Array | undefined;
  /** The LUN is connected to every port (ALL_PORTS_ACCESSIBLE). Default false. */
  allPorts?: boolean | undefined;
  /**
   * An abort before the ioctl begins rejects with an AbortError, and nothing has changed. Later it
   * has no effect: the ioctl waits for nothing.
   */
  signal?: AbortSignal | undefined;
}
const SUPERPIPE_OPTIONS: OptionNames<SuperpipeOptions> = {
  wwid: true,
  allPorts: true,
  signal: true,
};

const SLOW_AFU = 'the AFU was slow to take the changed table: try again';

/** What an errno of an ioctl means in cxlflash, where it differs from the general hint. */
const HINTS: Record<string, string> = {
  'MANAGE_LUN:EBUSY': 'a context still holds a resource on the LUN: release it first',
  'ATTACH:EINVAL':
    'is superpipe enabled on the LUN? A context takes at most 4 interrupts, at least irqs_min, and each LUN once',
  'ATTACH:ENODEV':
    'the capacity of the LUN cannot be read, the adapter has no context left, or it has failed',
  'ATTACH:ENOSPC': 'the adapter has no interrupts left',
  'ATTACH:EAGAIN': 'the AFU closed the context while it was being attached: try again',
  'USER_DIRECT:EAGAIN': SLOW_AFU,
  'USER_DIRECT:EINVAL': 'the LUN is in use as virtual, or is not attached to the context',
  'USER_DIRECT:EMFILE': 'the resource handle table of the context is full',
  'USER_VIRTUAL:EAGAIN': SLOW_AFU,
  'USER_VIRTUAL:EINVAL': 'the LUN is in use as physical, or is not attached to the context',
  'USER_VIRTUAL:EMFILE': 'the resource handle table of the context is full',
  'USER_VIRTUAL:ENOMEM': 'the LUN is smaller than one chunk of 65536 blocks',
  'USER_VIRTUAL:ENOSPC': 'no chunk of the LUN is free',
  'VLUN_RESIZE:EINVAL': 'only a virtual LUN can be resized',
  'VLUN_RESIZE:ENOSPC': 'no chunk of the LUN is free',
  'VLUN_RESIZE:EAGAIN': SLOW_AFU,
  'RELEASE:EAGAIN': SLOW_AFU,
  'VLUN_CLONE:EAGAIN': SLOW_AFU,
  'VLUN_CLONE:EINVAL':
    'the source must be a context of the parent process, which must still run; the destination must have no resources; the LUN must be virtual',
  'RECOVER_AFU:ENODEV': 'the adapter is gone: release and detach, or close the context',
  'VERIFY:EIO': 'the sense data reports an error, not a changed LUN',
  'VERIFY:ENODEV': 'the capacity of the LUN cannot be read',
};

/**
 * Opens a LUN of a flash adapter.
 *
 * @param path /dev/sdX or /dev/sgX
 * @throws AbortError; ENOENT, EACCES; ENOSYS when the backend has no cxlflash
 * @example
 * import { listLuns, openLun } from 'node-cxl/flash';
 *
 * const [first] = await listLuns();
 * await using lun = await openLun(first?.generic ?? '/dev/sg0');
 * console.log(lun.path); // /dev/sg1
 */
export async function openLun(path: string, options: OpenLunOptions = {}): Promise<Lun> {
  if (typeof path !== 'string') throw typeError('path', 'a string', path);
  const { system: given, signal } = checkOptions(options, OPEN_OPTIONS);
  throwIfAborted(checkSignal(signal));
  const system = systemOption(given);
  // Awaited, so that the stack of an error names the caller.
  return await abortable(openNode(system, path), signal, (lun) => lun.close());
}

async function openNode(system: Cxl, path: string): Promise<Lun> {
  const file = await flashBindingOf(system).openLun(path);
  if (typeof file === 'number') throw systemError(file, 'open', path, openHint(file));
  return new Lun(system, file, path);
}

function openHint(errno: number): string | undefined {
  return errno === -ERRNOS.ENOENT ? 'listLuns() lists the LUNs of flash adapters' : undefined;
}

/**
 * A LUN, opened by its node for one port of the adapter. Superpipe is a property of the LUN, not of
 * this object: it stays enabled after close().
 *
 * @example
 * import { openLun } from 'node-cxl/flash';
 *
 * await using lun = await openLun('/dev/sg1');
 * console.log((await lun.wwid()).length); // 16
 * await lun.enableSuperpipe(); // the block layer loses it
 * await lun.disableSuperpipe(); // and gets it back
 */
export class Lun extends FlashNode<LunCalls> {
  /** @internal */
  readonly system: Cxl;

  /** @internal Use openLun(). */
  constructor(system: Cxl, file: LunFile, path: string) {
    super(file, path);
    this.system = system;
  }

  /** @internal Opens the same node once more, for calls after close(). */
  reopen(): Promise<Lun> {
    return openLun(this.path, { system: this.system });
  }

  override async call<Name extends keyof LunCalls>(
    name: Name,
    input: LunCalls[Name]['input'],
  ): Promise<LunCalls[Name]['answer']> {
    const answer = await this.request(name, input);
    if ('adapFd' in answer) flashBindingOf(this.system).takeDescriptor(descriptorOf(answer));
    return answer;
  }

  /** The LUN's world-wide id (NAA 6, 16 bytes), from sysfs. @throws CxlError ENODATA it has none */
  wwid(): Promise<Uint8Array> {
    return readWwid(this.system.binding.sysfs, this.path);
  }

  /**
   * Makes the LUN available to user space (MANAGE_LUN with ENABLE_SUPERPIPE). Needed before any
   * other call; may be repeated. Does not check whether the disk is mounted or otherwise in use.
   *
   * @throws AbortError; ENODATA when sysfs has no NAA 6 id and `wwid` is not given. Source:
   *   cxlflash_manage_lun.
   */
  async enableSuperpipe(options: SuperpipeOptions = {}): Promise<void> {
    const all = options?.allPorts === true ? flashFlags.allPortsAccessible : 0n;
    await this.#manage(options, flashFlags.enableSuperpipe | all);
  }

  /** Returns the LUN to the block layer. @throws EBUSY while a resource of it is open */
  async disableSuperpipe(options: SuperpipeOptions = {}): Promise<void> {
    await this.#manage(options, flashFlags.disableSuperpipe);
  }

  async #manage(options: SuperpipeOptions, flags: bigint): Promise<void> {
    const { wwid: given, allPorts, signal } = checkOptions(options, SUPERPIPE_OPTIONS);
    if (allPorts !== undefined) checkBoolean('options.allPorts', allPorts);
    throwIfAborted(checkSignal(signal));
    const wwid = given === undefined ? await this.wwid() : parseWwid('options.wwid', given);
    throwIfAborted(signal);
    await this.call('MANAGE_LUN', { flags, wwid });
  }

  /**
   * Makes a context on the adapter, with this LUN attached to it (ATTACH).
   *
   * @throws AbortError; EINVAL superpipe is not enabled, or too many or too few interrupts; ENODEV the capacity
   *   cannot be read, no context is left, or the adapter has failed; ENOSPC no interrupts left;
   *   EAGAIN the AFU closed the context at once, after 20 retries; EBADMSG blocks of this LUN have
   *   not 512 to 4096 bytes
   */
  async attach(options: AttachOptions = {}): Promise<FlashContext> {
    const { signal } = checkOptions(options, ATTACH_OPTIONS);
    throwIfAborted(checkSignal(signal));
    return await abortable(FlashContext.attach(this, options), signal, (context) =>
      context.close(),
    );
  }

  /** @internal */
  protected override ioctlError(name: keyof LunCalls, errno: number): CxlError {
    const hint = HINTS[`${name}:${errnoName(errno)}`];
    return systemError(errno, `ioctl(${name})`, this.path, hint);
  }
}
