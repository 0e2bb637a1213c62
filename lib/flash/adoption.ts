/** Takes over the context that ATTACH and RECOVER_AFU answer: its descriptor and its registers. */
import type { AttachAnswer, RecoverAnswer } from '../binding/flash';
import { flashFlags } from '../binding/flash';
import type { Context } from '../device/context';
import type { AdoptOptions, Cxl } from '../device/cxl';
import type { ProblemState } from '../device/problem-state';
import { CxlError, systemError } from '../shared/errors';
import { flashBindingOf } from './flash-binding';
import { type Geometry, geometryOf } from './geometry';
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
 * Makes a Context of the descriptor and maps its registers. What fails can be repeated: the driver
 * answers a descriptor only once, and closing it would end the context.
 */
export class Adoption {
  readonly #lun: Lun;
  readonly #answer: DescriptorAnswer;
  #context: Context | undefined;

  constructor(lun: Lun, answer: DescriptorAnswer) {
    this.#lun = lun;
    this.#answer = answer;
  }

  /**
   * @throws EBADF there is no descriptor; EIO the adapter was reset once more, which detached the
   *   context; as Cxl.adopt() and Context.mapProblemState()
   */
  take(): Adopted {
    const { path, system } = this.#lun;
    const fd = descriptorOf(this.#answer);
    const mmioSize = Number(this.#answer.mmioSize);
    if (fd < 0) throw systemError('EBADF', 'ioctl', path, 'no descriptor was returned');
    // Without the flag the driver closes the descriptor itself, at the last DETACH.
    const owned = (this.#answer.returnFlags & flashFlags.appCloseAdapFd) !== 0n;
    this.#context ??= adopt(system, fd, { owned, mmioSize });
    const context = this.#context;
    return { context, page: context.mapProblemState({ endian: 'big', length: mmioSize }) };
  }

  /** Closes the descriptor instead. Never rejects. */
  async discard(): Promise<void> {
    const { system } = this.#lun;
    const closed =
      this.#context?.close() ?? flashBindingOf(system).closeDescriptor(descriptorOf(this.#answer));
    await closed.catch(() => undefined);
  }
}

/** ENODEV would mean that the adapter is gone, which only the driver's own calls say. */
function adopt(system: Cxl, fd: number, options: AdoptOptions): Context {
  try {
    return system.adopt(fd, options);
  } catch (error) {
    if (!(error instanceof CxlError) || error.code !== 'ENODEV') throw error;
    const hint = 'the adapter was reset before the context could be used: try again';
    throw systemError('EIO', 'adopt', `fd ${fd}`, hint);
  }
}

/** What a new context consists of. */
export interface AttachedContext extends Adopted {
  readonly geometry: Geometry;
}

/**
 * Adopts what ATTACH answered. When that fails, the context is detached: the driver would keep it,
 * with no way left to free it, until the process ends.
 */
export async function adoptAttached(lun: Lun, answer: AttachAnswer): Promise<AttachedContext> {
  const adoption = new Adoption(lun, answer);
  try {
    return { geometry: geometryOf(answer, lun.path), ...adoption.take() };
  } catch (error) {
    // Before the descriptor is closed: after that, another context can get the same id.
    await lun.call('DETACH', { contextId: answer.contextId }).catch(() => undefined);
    await adoption.discard();
    throw error;
  }
}
