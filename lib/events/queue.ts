import type { AfuFile } from '../binding';
import { AbortError, onAbort, type WaitOptions } from '../shared/abort';
import { errnos } from '../shared/errno';
import { type CxlError, stateError, systemError } from '../shared/errors';
import { type CxlEvent, parseEvents } from './events';

/** Picks (and removes) what a reader wants from the pending events; throws to reject it. */
export type Select<T> = (pending: CxlEvent[]) => T | undefined;

/** Milliseconds between two looks whether a context that others attached is still there. */
const PRESENCE_INTERVAL = 1000;

interface Waiter {
  /** Tries to settle with what is pending; false to go on waiting. */
  attempt(): boolean;
  reject(error: Error): void;
}

/**
 * A context's events, pulled: the file is armed only while somebody waits, so the kernel's own
 * coalescing is the back-pressure. What a batch brought beyond what the reader took stays in
 * `#pending`: a batch at most, and what a wait for one interrupt passes over; of the other
 * interrupts each number once, as in the kernel.
 */
export class EventQueue {
  readonly #file: AfuFile;
  readonly #path: string;
  readonly #present: (() => boolean) | undefined;
  #pending: CxlEvent[] = [];
  /** Bytes that were no event: told once, after the events before them. */
  #malformed: CxlError | undefined;
  /** A read that failed without ending the context (EFAULT): told once. */
  #failed = 0;
  #detached = false;
  #closed = false;
  #reader: symbol | undefined;
  #waiter: Waiter | undefined;

  /**
   * `present` asks whether the context is still there. It is given where the kernel would not
   * tell: a context that was opened but never started is not woken when its AFU goes away.
   */
  constructor(file: AfuFile, path: string, present?: () => boolean) {
    this.#file = file;
    this.#path = path;
    this.#present = present;
    file.onEvents((bytes, length, errno) => this.#batch(bytes, length, errno));
  }

  /** True once the kernel has told that the context is detached. */
  get detached(): boolean {
    return this.#detached;
  }

  /** Makes the caller the one reader until release(). */
  claim(): symbol {
    if (this.#reader !== undefined) {
      throw stateError(
        'somebody is already waiting for events of this context: one reader at a time',
      );
    }
    this.#reader = Symbol('reader');
    return this.#reader;
  }

  release(reader: symbol): void {
    if (this.#reader === reader) this.#reader = undefined;
  }

  /** Waits, as the reader, until `select` finds something. */
  wait<T>(select: Select<T>, syscall: string, options: WaitOptions): Promise<T> {
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
      let look: NodeJS.Timeout | undefined;
      let unlisten: (() => void) | undefined;
      const stop = () => {
        if (this.#waiter === waiter) {
          this.#waiter = undefined;
          this.#file.disarm();
        }
        clearTimeout(timer);
        clearInterval(look);
        unlisten?.();
      };
      const fail = (error: Error) => {
        stop();
        reject(error);
      };
      const waiter: Waiter = {
        attempt: () => {
          try {
            const found = select(this.#pending);
            if (found !== undefined) {
              stop();
              resolve(found);
              return true;
            }
            this.#raise();
            return false;
          } catch (error) {
            fail(error as Error);
            return true;
          }
        },
        reject: fail,
      };
      if (waiter.attempt()) return;
      this.#waiter = waiter;
      if (signal !== undefined) unlisten = onAbort(signal, () => fail(new AbortError(signal)));
      if (timeout !== undefined) {
        timer = setTimeout(
          () => fail(systemError('ETIMEDOUT', syscall, this.#path, `nothing within ${timeout} ms`)),
          timeout,
        );
      }
      const present = this.#present;
      if (present !== undefined) {
        look = setInterval(() => {
          if (present()) return;
          this.#detached = true;
          waiter.attempt();
        }, PRESENCE_INTERVAL).unref();
      }
      this.#file.arm();
    });
  }

  /** Ends the wait, if any, with ECANCELED; the queue itself goes on. */
  cancel(): void {
    this.#waiter?.reject(canceled(this.#path));
  }

  /** Ends the wait, if any, and every later one, with ECANCELED. */
  close(): void {
    this.#closed = true;
    this.cancel();
  }

  /** What stands after the pending events, thrown: each wait gets an Error of its own. */
  #raise(): void {
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
    // Mostly nothing is left over, and there is nothing to compare with.
    const known =
      this.#pending.length === 0
        ? undefined
        : new Set(this.#pending.map((event) => event.type === 'afu-interrupt' && event.irq));
    const take = (event: CxlEvent) => {
      if (event.type === 'afu-interrupt' && known?.has(event.irq)) return;
      this.#pending.push(event);
    };
    this.#malformed = parseEvents(bytes, length, take, this.#path);
    if (errno === -errnos.EIO) this.#detached = true;
    else this.#failed = errno;
    const waiter = this.#waiter;
    // Nobody may be waiting any more: an abort crossed the batch, whose events stay pending.
    if (waiter !== undefined && !waiter.attempt()) this.#file.arm();
  }
}

function canceled(path: string): CxlError {
  return systemError('ECANCELED', 'read', path, 'the context was closed');
}
