/** How a file in JavaScript reads events: what arm(), disarm() and readSync() of the seam do. */
import type { EventSink } from '../binding';
import { ERRNOS } from '../shared/errno';
import { CXL_READ_MIN_SIZE } from './event-bytes';
import { realTimers } from './real-timers';

/** Bytes of events that a batch has at most. Other events stay at their source, which coalesces them. */
const BATCH_SIZE = 16 * CXL_READ_MIN_SIZE;

/** Where events come from: poll() and read() of a context. */
export interface EventSource {
  poll(): { readonly readable: boolean; readonly error: boolean };
  /** Calls back at every change that wakes poll(), until the returned function is called. */
  onWake(callback: () => void): () => void;
  /** read() of a non-blocking file: bytes read, or -errno. */
  read(target: Uint8Array): number;
}

/**
 * Waits for one batch of events, as poll() does: until the context is readable or in error. The
 * detach of a context that was not started ends no wait.
 */
export class EventWait {
  sink: EventSink | undefined;
  readonly #source: EventSource;
  readonly #buffer = new Uint8Array(BATCH_SIZE);
  #stopWatching: (() => void) | undefined;
  #keepAlive: NodeJS.Timeout | undefined;
  #delivery: NodeJS.Immediate | undefined;

  constructor(source: EventSource) {
    this.#source = source;
  }

  get armed(): boolean {
    return this.#stopWatching !== undefined;
  }

  arm(): void {
    if (this.armed) return;
    this.#stopWatching = this.#source.onWake(() => this.#check());
    // A wait keeps the Node process alive, as in the addon.
    this.#keepAlive = realTimers.setInterval(() => undefined, 0x7fff_ffff);
    this.#check();
  }

  disarm(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    realTimers.clearInterval(this.#keepAlive);
    if (this.#delivery !== undefined) realTimers.clearImmediate(this.#delivery);
    this.#delivery = undefined;
  }

  #check(): void {
    const { readable, error } = this.#source.poll();
    if (!readable && !error) return;
    this.#delivery ??= realTimers.setImmediate(() => this.readNow());
  }

  /** Reads at once. False: there was nothing. */
  readNow(): boolean {
    this.#delivery = undefined;
    let length = 0;
    let errno = 0;
    while (errno === 0 && length + CXL_READ_MIN_SIZE <= this.#buffer.length) {
      const answer = this.#source.read(this.#buffer.subarray(length));
      if (answer < 0) errno = answer;
      else length += answer;
    }
    if (errno === -ERRNOS.EAGAIN) errno = 0;
    // Another reader took the event: the wait continues.
    if (length === 0 && errno === 0) return false;
    this.disarm();
    this.sink?.(this.#buffer, length, errno);
    return true;
  }
}
