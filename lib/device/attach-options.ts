/** The options of attach() and attachSync(), and the ioctl that they make. */
import { START_WORK_FLAGS, type StartWork } from '../binding/cxl-ioctls';
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkUint64,
  type OptionNames,
} from '../shared/checks';
import { typeError } from '../shared/errors';
import { checkHoldable, type Holdable } from './held-memory';

/** What an AFU is started with. */
export interface StartOptions {
  /** Work element descriptor: 64 bits handed to the AFU, which defines them; often an address. */
  wed: bigint;
  /** AFU interrupts to allocate, irqs_min to irqs_max. Default: irqs_min. */
  interrupts?: number | undefined;
  /** Authority mask register: which storage keys the AFU may use. Default: the process's own. */
  amr?: bigint | undefined;
  /**
   * CXL_START_WORK_ERR_FF: once the context is detached by an error, its mapping reads as all
   * ones instead of faulting. Default false.
   */
  errFf?: boolean | undefined;
  /**
   * The memory that the AFU can be led to: what `wed` points to, and what that points to. None of it
   * is freed or garbage-collected before the context is closed, even if the program keeps no
   * reference to it or to the context. What is missing here can be freed while the AFU uses it,
   * at the caller's own risk. Default: none. Context.hold() adds more later, and what
   * Context.allocate() made is held already.
   */
  holds?: readonly Holdable[] | undefined;
}

const START_OPTIONS: OptionNames<StartOptions> = {
  wed: true,
  interrupts: true,
  amr: true,
  errFf: true,
  holds: true,
};

/** Options of Context.attach(). */
export interface AttachOptions extends StartOptions {
  /**
   * An abort rejects with an AbortError. One that comes while the START_WORK ioctl is in progress
   * also closes the context, as the driver stops a context in no other way.
   */
  signal?: AbortSignal | undefined;
}
/** @internal */
export const ATTACH_OPTIONS: OptionNames<AttachOptions> = { ...START_OPTIONS, signal: true };

/** Options of Context.attachSync(). */
export interface AttachSyncOptions extends StartOptions {
  /** POWER9: whether the AFU can wake the thread that makes the call. Default false. */
  tid?: boolean | undefined;
}

/** Result of Context.attachSync(). */
export interface AttachSyncResult {
  /** With the option `tid` the thread's id, to be passed to the AFU, else undefined; 0 on POWER8. */
  tid: number | undefined;
}
/** @internal */
export const ATTACH_SYNC_OPTIONS: OptionNames<AttachSyncOptions> = { ...START_OPTIONS, tid: true };

/** @internal The START_WORK that checked options ask for. */
export function startWork(options: StartOptions, names: OptionNames<StartOptions>): StartWork {
  const { wed, interrupts, amr, errFf, holds } = checkOptions(options, names);
  checkUint64('options.wed', wed);
  if (interrupts !== undefined) checkInteger('options.interrupts', interrupts, 0, 0x7fff);
  if (amr !== undefined) checkUint64('options.amr', amr);
  if (errFf !== undefined) checkBoolean('options.errFf', errFf);
  if (holds !== undefined) {
    if (!Array.isArray(holds)) throw typeError('options.holds', 'an array', holds);
    for (const view of holds) checkHoldable('options.holds', view);
  }
  const flags =
    (amr === undefined ? 0n : START_WORK_FLAGS.AMR) |
    (interrupts === undefined ? 0n : START_WORK_FLAGS.NUM_IRQS) |
    (errFf === true ? START_WORK_FLAGS.ERR_FF : 0n);
  return { flags, workElementDescriptor: wed, amr, numInterrupts: interrupts };
}
