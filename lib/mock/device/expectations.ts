/** Waiting, on the device side, for what a program does. */
import { AbortError, checkWaitOptions, onAbort, type WaitOptions } from '../../shared/abort';
import { systemError } from '../../shared/errors';
import type { Context } from '../kernel/context';
import type { ContextHappening, Kernel } from '../kernel/kernel';

/** The first matching context to which it happens from now on. ETIMEDOUT; AbortError. */
export function expectHappening(
  kernel: Kernel,
  happening: ContextHappening,
  matches: (context: Context) => boolean,
  options: WaitOptions,
): Promise<Context> {
  const { timeout, signal } = checkWaitOptions(options);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortError(signal));
      return;
    }
    const watcher = (what: ContextHappening, context: Context) => {
      if (what !== happening || !matches(context)) return;
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
            reject(
              systemError('ETIMEDOUT', `expect(${happening})`, undefined, 'it did not happen'),
            );
          }, timeout);
    const stop = () => {
      kernel.watchers.delete(watcher);
      unlisten?.();
      clearTimeout(timer);
    };
    kernel.watchers.add(watcher);
  });
}
