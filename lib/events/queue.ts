import type { AfuFile } from '../binding';
import { AbortError, onAbort, type WaitOptions } from '../shared/abort';
import { ERRNOS } from '../shared/errno';
import { type CxlError, stateError, systemError } from '../shared/errors';
import { type CxlEvent, parseEvents } from './events';

/** Removes and returns what a wait is for from the pending events; throws to reject the wait. */
export type Selector<T> = (pending: CxlEvent[]) => T | undefined;

/** Milliseconds between two checks that an adopted context still exists. */
const PRESENCE_INTERVAL = 1000;

interface Waiter {
  /** Settles the wait if the pending events allow it; false: it goes on. */
  settle(): boolean;
  reject(error: Error): void;
}

/**
 * The events of one context. The file is armed, that is, read by the event thread, only while a
 * wait is in progress; otherwise events stay in the kernel, which coalesces them. One read brings
 * a batch of events, and those that no wait has taken stay in `#pending`. That list is bounded: by
 * one batch, and what a wait for one interrupt skips, where an interrupt is listed once as in the
 * kernel.
 */
export class EventQueue {
  readonly #file: AfuFile;
  readonly #path: string;
  readonly #present: (() => boolean) | undefined;
  #pending: CxlEvent[] = [];
  /** The last batch ended in bytes that are not an event: thrown once, after its events. */
  #malformed: CxlError | undefined;
  /** Errno of a read() that failed but did not end the context (EFAULT): thrown once. */
  #failed = 0;
  #detached = false;
  #closed = false;
  #reader: symbol | undefined;
  #waiter: Waiter | undefined;

  /**
   * `present` returns whether the context still exists. It is passed for adopted contexts: one
   * that was never started is not woken by the kernel when its AFU is removed, so that the queue
   * has to ask.
   */
  constructor(file: AfuFile, path: string, present?: () => boolean) {
    this.#file = file;
    this.#path = path;
    this.#present = present;
    file.onEvents((bytes, length, errno) => this.#batch(bytes, length, errno));
  }

  /** True once a read has failed with EIO: the context is detached. */
  get detached(): boolean {
    return this.#detached;
  }

  /** Makes the caller the only reader, until release(). */
  claim(): symbol {
    if (this.#reader !== undefined) {
      throw stateError(
        'another call is already waiting for events of this context: one reader at a time',
      );
    }
    this.#reader = Symbol('reader');
    return this.#reader;
  }

  release(reader: symbol): void {
    if (this.#reader === reader) this.#reader = undefined;
  }

  /** Waits until `select` returns something. To be called by the reader. */
  wait<T>(select: Selector<T>, syscall: string, options: WaitOptions): Promise<T> {
    const { signal, timeout } = options;
    return new Promise<T>((resolve, reject) => {
      if (this.#waiter !== undefined) {
        reject(stateError('an earlier next() of this context is still waiting'));
        return;
      }
      if (signal?.aborted) {
        reject(new AbortError(signal));
        return;
      }
      let timer: NodeJS.Timeout | undefined;
      let presenceTimer: NodeJS.Timeout | undefined;
      let removeListener: (() => void) | undefined;
      const stop = () => {
        if (this.#waiter === waiter) {
          this.#waiter = undefined;
          this.#file.disarm();
        }
        clearTimeout(timer);
        clearInterval(presenceTimer);
        removeListener?.();
      };
      const fail = (error: Error) => {
        stop();
        reject(error);
      };
      const waiter: Waiter = {
        settle: () => {
          try {
            const found = select(this.#pending);
            if (found !== undefined) {
              stop();
              resolve(found);
              return true;
            }
            this.#throwIfEnded();
            return false;
          } catch (error) {
            fail(error as Error);
            return true;
          }
        },
        reject: fail,
      };
      if (waiter.settle()) return;
      this.#waiter = waiter;
      if (signal !== undefined)
        removeListener = onAbort(signal, () => fail(new AbortError(signal)));
      if (timeout !== undefined) {
        timer = setTimeout(
          () => fail(systemError('ETIMEDOUT', syscall, this.#path, `nothing within ${timeout} ms`)),
          timeout,
        );
      }
      const present = this.#present;
      if (present !== undefined) {
        presenceTimer = setInterval(() => {
          if (present()) return;
          this.#detached = true;
          waiter.settle();
        }, PRESENCE_INTERVAL).unref();
      }
      this.#file.arm();
    });
  }

  /** Rejects the wait in progress, if any, with ECANCELED. */
  cancel(): void {
    this.#waiter?.reject(canceled(this.#path));
  }

  /** Rejects the wait in progress, and every later one, with ECANCELED. */
  close(): void {
    this.#closed = true;
    this.cancel();
  }

  /** Throws what comes after the pending events, as a new Error each time. */
  #throwIfEnded(): void {
    if (this.#malformed !== undefined) {
      const error = this.#malformed;
      this.#malformed = undefined;
      throw error;
    }
    if (this.#failed !== 0) {
      const errno = this.#failed;
      this.#failed = 0;
      throw systemError(errno, 'read', this.#path);
    }
    if (this.#closed) throw canceled(this.#path);
    if (this.#detached) throw systemError('EIO', 'read', this.#path);
  }

  #batch(bytes: Uint8Array, length: number, errno: number): void {
    // Usually nothing is pending: then there is nothing to compare with.
    const known =
      this.#pending.length === 0
        ? undefined
        : new Set(this.#pending.map((event) => event.type === 'afu-interrupt' && event.irq));
    const take = (event: CxlEvent) => {
      if (event.type === 'afu-interrupt' && known?.has(event.irq)) return;
      this.#pending.push(event);
    };
    this.#malformed = parseEvents(bytes, length, take, this.#path);
    if (errno === -ERRNOS.EIO) this.#detached = true;
    else this.#failed = errno;
    const waiter = this.#waiter;
    // There is no waiter if it was aborted while the batch was read: the events stay pending.
    if (waiter !== undefined && !waiter.settle()) this.#file.arm();
  }
}

function canceled(path: string): CxlError {
  return systemError('ECANCELED', 'read', path, 'the context was closed');
}
