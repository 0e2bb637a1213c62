/** openBlockDevice(): from a node or a world-wide id to a block device, in one call. */
import { systemOption } from '../default-system';
import type { Cxl } from '../device/cxl';
import { checkSignal, throwIfAborted } from '../shared/abort';
import {
  checkBoolean,
  checkFunction,
  checkOptions,
  checkString,
  type OptionNames,
} from '../shared/checks';
import { systemError, typeError } from '../shared/errors';
import { ATTACH_OPTIONS, type AttachOptions, checkAttachOptions } from './attach-options';
import { type LunInfo, listLuns, mountsOf, pathOfNode } from './discovery';
import { LunPath, type PathSetup } from './lun-path';
import { MultipathBlockDevice, type PathChange } from './multipath-device';
import type { OpenVirtualOptions } from './resource';
import { Undo } from './undo';
import { parseWwid } from './wwid';

/** Options of openBlockDevice(): which LUN, and how its context is attached. */
export interface OpenBlockDeviceOptions extends AttachOptions {
  /** Default: `cxl`, this machine or the mock that NODE_CXL_BACKEND names. */
  system?: Cxl | undefined;
  /** One path to the LUN: /dev/sdX, /dev/sgX, or a link to one. Either this or `wwid`. */
  node?: string | undefined;
  /** The LUN's world-wide id, 32 hexadecimal digits or 16 bytes: every path to it is used. */
  wwid?: string | Uint8Array | undefined;
  /**
   * A virtual LUN of the LUN in place of all of it, as FlashContext.openVirtual() makes it. It exists
   * as long as its context, so that it has one path: close() frees it, and a failed path ends it.
   */
  virtual?: Omit<OpenVirtualOptions, 'lun'> | undefined;
  /** Open it even if the disk, or a partition of it, is mounted. Default false. */
  mounted?: boolean | undefined;
  /** Called after each change of the path that serves. */
  onPathChange?: ((change: PathChange) => void) | undefined;
  /** Aborting ends openBlockDevice() after the step under way, and undoes what it did. */
  signal?: AbortSignal | undefined;
}

const OPTIONS: OptionNames<OpenBlockDeviceOptions> = {
  ...ATTACH_OPTIONS,
  system: true,
  node: true,
  wwid: true,
  virtual: true,
  mounted: true,
  onPathChange: true,
  signal: true,
};

/**
 * Opens a LUN for block I/O: finds it, enables superpipe, attaches a context over each path and
 * opens the LUN in it. close() undoes all of that, and so does a step that fails here.
 *
 * ```ts
 * await using device = await openBlockDevice('/dev/sg0');
 * await device.write(0, new Uint8Array(device.blockSize));
 * ```
 *
 * With `wwid`, the LUN's ports and adapters are all used, one at a time: see MultipathBlockDevice.
 * A path that cannot be opened is left out; its error is in `paths` of the device.
 *
 * @param lun a node, for that path alone; or options with `node` or `wwid`
 * @throws ENOENT no such LUN; EBUSY it is mounted; what openLun(), enableSuperpipe(), attach() and
 *   openDirect() throw on the last path when none can be opened; AbortError
 * @example
 * import { openBlockDevice } from 'node-cxl/flash';
 *
 * // A virtual LUN of 1 GiB, which exists until the device is closed.
 * await using device = await openBlockDevice({ node: '/dev/sg1', virtual: { blocks: 131_072 } });
 * await device.write(0, Buffer.alloc(device.blockSize, 'hello'));
 * console.log(device.statistics.writes); // 1
 */
export async function openBlockDevice(
  lun: string | OpenBlockDeviceOptions,
  more: OpenBlockDeviceOptions = {},
): Promise<MultipathBlockDevice> {
  const options = typeof lun === 'string' ? { ...checkOptions(more, OPTIONS), node: lun } : lun;
  const {
    system: given,
    node,
    wwid,
    virtual,
    mounted = false,
    onPathChange,
    signal,
    ...attach
  } = checkOptions(options, OPTIONS);
  if ((node === undefined) === (wwid === undefined)) {
    throw typeError('options', 'given node or wwid, one of the two', options);
  }
  if (node !== undefined) checkString('options.node', node);
  checkBoolean('options.mounted', mounted);
  if (onPathChange !== undefined) checkFunction('options.onPathChange', onPathChange);
  checkAttachOptions(attach);
  throwIfAborted(checkSignal(signal));
  const system = systemOption(given);
  const found = await find(system, node, wwid);
  if (!mounted) await refuseMounted(system, found);
  const setup: PathSetup = { system, attach, virtual, wwid };
  const undo = new Undo();
  try {
    const paths: LunPath[] = [];
    let failure: unknown;
    for (const { info, name } of found) {
      throwIfAborted(signal);
      try {
        const path = await LunPath.open(info, name, setup);
        undo.add(() => path.close());
        paths.push(path);
      } catch (error) {
        failure ??= error;
      }
    }
    // A virtual LUN is one path's; the others are open so that the AFU uses all ports to it.
    let active: LunPath | undefined;
    for (const path of paths) {
      throwIfAborted(signal);
      if (virtual !== undefined && active !== undefined) break;
      try {
        await path.attach();
        active ??= path;
      } catch (error) {
        path.error = error;
        failure ??= error;
      }
    }
    throwIfAborted(signal);
    if (active === undefined) throw failure;
    return new MultipathBlockDevice({
      paths: virtual === undefined ? paths : [active],
      active,
      undo,
      failover: virtual === undefined,
      repeat: attach.onReset !== 'fail',
      onPathChange,
    });
  } catch (error) {
    await undo.run().catch(() => undefined);
    throw error;
  }
}

interface Found {
  readonly info: LunInfo;
  /** The node that is opened. */
  readonly name: string;
}

/** The paths to a LUN, of which a node is one. */
async function find(
  system: Cxl,
  node: string | undefined,
  wwid: string | Uint8Array | undefined,
): Promise<Found[]> {
  const luns = await listLuns({ system });
  if (node !== undefined) {
    const info = await pathOfNode(system.binding.sysfs, luns, node);
    if (info === undefined) throw notFound(node);
    return [{ info, name: node }];
  }
  const wanted = Buffer.from(parseWwid('options.wwid', wwid as string | Uint8Array)).toString(
    'hex',
  );
  const found = luns.flatMap((info): Found[] => {
    const name = info.generic ?? info.block;
    const same = info.wwid?.toLowerCase().replace(/^naa\./, '') === wanted;
    return same && name !== undefined ? [{ info, name }] : [];
  });
  if (found.length === 0) throw notFound(`naa.${wanted}`);
  return found;
}

function notFound(name: string) {
  const hint = 'not a LUN of a flash adapter; listLuns() lists them';
  return systemError('ENOENT', 'find', name, hint);
}

/** A disk is mounted by any of its paths. */
async function refuseMounted(system: Cxl, found: readonly Found[]): Promise<void> {
  for (const { info } of found) {
    if (info.block === undefined) continue;
    const mounts = await mountsOf(system.binding.sysfs, info.block);
    if (mounts.length === 0) continue;
    const hint = `mounted on ${mounts.join(', ')}: unmount it, or pass mounted: true`;
    throw systemError('EBUSY', 'open', info.block, hint);
  }
}
