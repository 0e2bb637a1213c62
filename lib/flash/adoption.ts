/** Takes over the context that ATTACH and RECOVER_AFU answer: its descriptor and its registers. */
import type { AttachAnswer, RecoverAnswer } from '../binding/flash';
import { flashFlags } from '../binding/flash';
import type { Context } from '../device/context';
import type { ProblemState } from '../device/problem-state';
import { systemError } from '../shared/errors';
import { flashBindingOf } from './flash-binding';
import type { Lun } from './lun';

/** What a flash context consists of beside its id; a recovery replaces both. */
export interface Adopted {
  readonly context: Context;
  /** The host-transport page. */
  readonly page: ProblemState;
}

type DescriptorAnswer = Pick<RecoverAnswer, 'adapFd' | 'mmioSize' | 'returnFlags'>;

/** -1 when the call answered none. */
export function descriptorOf({ adapFd }: Pick<DescriptorAnswer, 'adapFd'>): number {
  return Number(BigInt.asIntN(32, adapFd));
}

/**
 * Makes a Context of the descriptor and maps its registers. When that fails, `undo` is called
 * first, and then the descriptor is closed.
 *
 * @throws EBADF there is no descriptor; as Cxl.adopt() and Context.mapProblemState()
 */
export async function adopt(
  lun: Lun,
  answer: DescriptorAnswer,
  undo: () => Promise<unknown>,
): Promise<Adopted> {
  const fd = descriptorOf(answer);
  // Without the flag the driver closes the descriptor itself, at the last DETACH.
  const owned = (answer.returnFlags & flashFlags.appCloseAdapFd) !== 0n;
  const mmioSize = Number(answer.mmioSize);
  let context: Context | undefined;
  try {
    if (fd < 0) throw systemError('EBADF', 'ioctl', lun.path, 'no descriptor was returned');
    context = lun.system.adopt(fd, { owned, mmioSize });
    return { context, page: context.mapProblemState({ endian: 'big', length: mmioSize }) };
  } catch (error) {
    await undo().catch(() => undefined);
    await (context?.close() ?? flashBindingOf(lun.system).closeDescriptor(fd)).catch(
      () => undefined,
    );
    throw error;
  }
}

/**
 * adopt() of what ATTACH answered. When it fails, the context is detached: the driver would keep it,
 * with no way left to free it, until the process ends.
 */
export function adoptAttached(lun: Lun, answer: AttachAnswer): Promise<Adopted> {
  const { contextId } = answer;
  // Before the descriptor is closed: after that, another context can get the same id.
  return adopt(lun, answer, () => lun.call('DETACH', { contextId }));
}
