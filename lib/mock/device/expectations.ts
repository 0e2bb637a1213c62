/** Waits for what a program does to a context. */
import {
  AbortError,
  checkWaitOptions,
  onAbort,
  WAIT_OPTIONS,
  type WaitOptions,
} from '../../shared/abort';
import { systemError } from '../../shared/errors';
import type { CxlContext } from '../kernel/context';
import type { ContextChange, Kernel } from '../kernel/kernel';

/** The next context of those that match to which the change happens. ETIMEDOUT; AbortError. */
export function expectChange(
  kernel: Kernel,
  change: ContextChange,
  matches: (context: CxlContext) => boolean,
  options: WaitOptions,
): Promise<CxlContext> {
  const { timeout, signal } = checkWaitOptions(options, WAIT_OPTIONS);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortError(signal));
      return;
    }
    const watcher = (happened: ContextChange, context: CxlContext) => {
      if (happened !== change || !matches(context)) return;
      stop();
      resolve(context);
    };
    const unlisten =
      signal &&
      onAbort(signal, () => {
        stop();
        reject(new AbortError(signal));
      });
    const timer =
      timeout === undefined
        ? undefined
        : setTimeout(() => {
            stop();
            reject(systemError('ETIMEDOUT', `expect(${change})`, undefined, 'it did not happen'));
          }, timeout);
    const stop = () => {
      kernel.watchers.delete(watcher);
      unlisten?.();
      clearTimeout(timer);
    };
    kernel.watchers.add(watcher);
  });
}
