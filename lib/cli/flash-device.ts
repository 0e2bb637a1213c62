/** LUNs as the flash commands use them: their description, and the whole LUN as a block device. */
import {
  type BlockDevice,
  type FlashAttachOptions,
  type LunInfo,
  listLuns,
  openLun,
} from '../flash';
import { mountsOf, pathOfNode } from '../flash/discovery';
import type { Cxl } from '../index';
import { throwIfAborted } from '../shared/abort';
import { stateError, systemError } from '../shared/errors';
import { messageOf } from './failure';
import { complain, type Format, present } from './output';
import { type Session, thenUndo } from './session';

/** The options of commands that use the data of a LUN. */
export interface AccessOptions extends Format {
  readonly superpipe?: boolean;
  readonly force?: boolean;
}

/** Absent attributes are null, so that every object has the same keys. */
export function lunData(lun: LunInfo) {
  const { address, host, port, block, generic, wwid, mode, vendor, model } = lun;
  return {
    ...{ address, host, port, block: present(block), generic: present(generic) },
    ...{ wwid: present(wwid), mode: present(mode), vendor: present(vendor), model: present(model) },
  };
}

/** The LUN of a node, or of a link to one, with the ports and mounts of all paths to it. */
export async function describeLun(system: Cxl, node: string) {
  const luns = await listLuns({ system });
  const found = await pathOfNode(system.binding.sysfs, luns, node);
  if (found === undefined) {
    const hint = 'not a LUN of a flash adapter; `node-cxl flash list` lists them';
    throw systemError('ENOENT', 'find', node, hint);
  }
  const paths = luns.filter((lun) => lun.wwid !== undefined && lun.wwid === found.wwid);
  const blocks = paths.flatMap((lun) => (lun.block === undefined ? [] : [lun.block]));
  const mounts = await Promise.all(blocks.map((block) => mountsOf(system.binding.sysfs, block)));
  return { ...lunData(found), ports: paths.map((lun) => lun.port), mounts: mounts.flat() };
}

/** Calls `use` with the whole LUN as a block device; then closes it and restores its mode. */
export async function withDevice<T>(
  { system, signal }: Session,
  node: string,
  options: AccessOptions,
  attach: FlashAttachOptions,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> {
  const about = await describeLun(system, node);
  if (about.mounts.length > 0 && options.force !== true) {
    const where = about.mounts.join(', ');
    throw stateError(`${node} is mounted on ${where}: unmount it, or use --force`);
  }
  const legacy = about.mode !== 'superpipe';
  if (legacy && options.superpipe !== true) {
    throw stateError(
      `${node} is not in superpipe mode: use --superpipe to enable it for the duration of the command`,
    );
  }
  const report = (error: unknown) => complain('error', error, options);
  const lun = await openLun(node, { system });
  const attached = async () => {
    const context = await lun.attach(attach);
    return thenUndo(
      async () => use((await context.openDirect()).blockDevice()),
      () => context.close(),
      report,
    );
  };
  const inSuperpipe = async () => {
    throwIfAborted(signal);
    if (!legacy) return attached();
    await lun.enableSuperpipe();
    return thenUndo(attached, () => restore(lun, node), report);
  };
  return thenUndo(inSuperpipe, () => lun.close(), report);
}

/** Returns the LUN to the block layer; an error says what mode it is left in. */
async function restore(lun: { disableSuperpipe(): Promise<void> }, node: string): Promise<void> {
  try {
    await lun.disableSuperpipe();
  } catch (error) {
    const message = `${node} remains in superpipe mode: ${messageOf(error)}`;
    throw Object.assign(new Error(message, { cause: error }), {
      code: (error as NodeJS.ErrnoException).code,
    });
  }
}
