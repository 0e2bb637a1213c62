/** Waits for what a program does. */
import {
  AbortError,
  checkWaitOptions,
  onAbort,
  WAIT_OPTIONS,
  type WaitOptions,
} from '../../shared/abort';
import { systemError } from '../../shared/errors';
import type { CxlContext } from '../kernel/context';
import type { ContextChange, Kernel, MmioAccess } from '../kernel/kernel';

/** The next context of those that match to which the change happens. ETIMEDOUT; AbortError. */
export function expectChange(
  kernel: Kernel,
  change: ContextChange,
  matches: (context: CxlContext) => boolean,
  options: WaitOptions,
): Promise<CxlContext> {
  return expectation(`expect(${change})`, options, (happened) => {
    const watcher = (what: ContextChange, context: CxlContext) => {
      if (what === change && matches(context)) happened(context);
    };
    kernel.watchers.add(watcher);
    return () => kernel.watchers.delete(watcher);
  });
}

/** The next access to registers that matches. ETIMEDOUT; AbortError. */
export function expectAccess(
  kernel: Kernel,
  matches: (access: MmioAccess, context: CxlContext) => boolean,
  options: WaitOptions,
): Promise<MmioAccess & { readonly of: CxlContext }> {
  return expectation('expect(access)', options, (happened) => {
    const watcher = (access: MmioAccess, context: CxlContext) => {
      if (matches(access, context)) happened({ ...access, of: context });
    };
    kernel.accessWatchers.add(watcher);
    return () => kernel.accessWatchers.delete(watcher);
  });
}

/** `watch` begins to watch, and returns what ends that. */
function expectation<T>(
  name: string,
  options: WaitOptions,
  watch: (happened: (value: T) => void) => () => void,
): Promise<T> {
  const { timeout, signal } = checkWaitOptions(options, WAIT_OPTIONS);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortError(signal));
      return;
    }
    const stopWatching = watch((value) => {
      stop();
      resolve(value);
    });
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
            reject(systemError('ETIMEDOUT', name, undefined, 'it did not happen'));
          }, timeout);
    const stop = () => {
      stopWatching();
      unlisten?.();
      clearTimeout(timer);
    };
  });
}
