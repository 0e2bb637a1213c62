/** The options of waits for events. */
import { checkWaitOptions, WAIT_OPTIONS, type WaitOptions } from '../shared/abort';
import { checkInteger, type OptionNames } from '../shared/checks';

/** How long a thread that blocks for events sleeps, and does not. */
export interface SyncWaitOptions extends Pick<WaitOptions, 'timeout'> {
  /**
   * Microseconds, 0 to 2^31 - 1, for which the calling thread, that of JavaScript, asks the driver
   * again and again before it sleeps: an interrupt that comes meanwhile costs no wake-up, but the
   * thread uses its core, and the event loop stands still. Default 0.
   */
  spin?: number | undefined;
}

export interface EventWaitOptions extends SyncWaitOptions, Pick<WaitOptions, 'signal'> {}

/** @internal */
export const SYNC_WAIT_OPTIONS: OptionNames<SyncWaitOptions> = { timeout: true, spin: true };
/** @internal */
export const EVENT_WAIT_OPTIONS: OptionNames<EventWaitOptions> = { ...WAIT_OPTIONS, spin: true };

/** @internal As checkWaitOptions(), with `spin`. */
export function checkEventWaitOptions<T extends EventWaitOptions>(
  options: T,
  names: OptionNames<NoInfer<T>>,
): T {
  const { spin } = checkWaitOptions(options, names);
  if (spin !== undefined) checkInteger('options.spin', spin, 0, 2 ** 31 - 1);
  return options;
}
