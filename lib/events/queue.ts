import type { AfuFile } from '../binding';
import { AbortError, onAbort, throwIfAborted } from '../shared/abort';
import { debugResult } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { type CxlError, stateError, systemError } from '../shared/errors';
import { type CxlEvent, parseEvents } from './events';
import { type PendingEvent, PendingEvents } from './pending';
import type { EventWaitOptions, SyncWaitOptions } from './wait-options';

/** Finds the event that ends a wait among the pending ones. It is called again for each batch. */
export type Find = (pending: PendingEvents) => PendingEvent | undefined;

/** Milliseconds between two checks that an adopted context still exists. */
const PRESENCE_INTERVAL = 1000;
/** How many batches are read at the end of a time-out: an AFU driver may fill its queue faster. */
const MAX_LAST_BATCHES = 64;

/** A thread that blocks uses the real clock, which runs also when a test has replaced this one. */
const now = performance.now.bind(performance);

/** Why a wait went on: an event or an end of the context is there, or the wait was ended. */
type Reason = 'ready' | 'timed-out' | 'aborted' | 'canceled';

interface Waiter {
  readonly find: Find;
  /** A batch has brought what `find` finds, or the end of the events. */
  ready(): void;
  /** Ends the wait for another reason. */
  end(reason: Reason): void;
}

/** Who gets events until it is closed, without a wait for each. */
export interface Subscriber {
  /** What `find` found in a batch: at least one. */
  events(events: readonly CxlEvent[]): void;
  /** No more come: what a wait would reject with. The subscription is over. */
  failed(error: unknown): void;
}

/**
 * The events of one context. The file is armed, that is, read when an event comes, only while a
 * wait is in progress; otherwise events stay in the kernel, which coalesces them. One read brings
 * a batch of events, and those that no wait has taken stay pending.
 *
 * What ends a wait wakes its function, which takes the event or throws: so the stack of an error is
 * that of the caller, by the functions that await it, and costs nothing while the wait succeeds.
 */
export class EventQueue {
  readonly #file: AfuFile;
  readonly #path: string;
  readonly #present: (() => boolean) | undefined;
  readonly #pending = new PendingEvents();
  /** The last batch ended in bytes that are not an event: thrown once, after its events. */
  #malformed: CxlError | undefined;
  /** Errno of a read() that failed: thrown once. A detached context fails again at the next wait. */
  #failed = 0;
  /** The last read failed with EIO. */
  #unreadable = false;
  /** `present` returned false when it was called last. */
  #gone = false;
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

  /** Whether the last read failed with EIO, as of a context that is detached or has no link. */
  get detached(): boolean {
    return this.#unreadable || this.#gone;
  }

  /** How many events have been dropped since waits had passed over too many. */
  get dropped(): number {
    return this.#pending.dropped;
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

  /** What `find` finds now: pending, or in the kernel. To be called by the reader. */
  poll(find: Find): CxlEvent | undefined {
    this.#askWhetherGone();
    return this.#read(find, 0, 0);
  }

  /** Waits until `find` finds an event, and removes it. To be called by the reader. */
  async wait(find: Find, syscall: string, options: EventWaitOptions): Promise<CxlEvent> {
    const { signal, timeout, spin = 0 } = options;
    if (this.#waiter !== undefined) {
      throw stateError('an earlier next() of this context is still waiting');
    }
    throwIfAborted(signal);
    this.#askWhetherGone();
    const spun = Math.min(spin / 1000, timeout ?? Number.POSITIVE_INFINITY);
    const pending = spun === 0 ? this.#take(find) : this.#read(find, spun, spin);
    if (pending !== undefined) return pending;
    const left = timeout === undefined ? undefined : timeout - spun;
    const reason = left === 0 ? 'timed-out' : await this.#woken(find, signal, left);
    // A timer can be served before a batch that came earlier, so a time-out looks again.
    const event = reason === 'timed-out' ? this.poll(find) : this.#take(find);
    if (event !== undefined) return event;
    if (reason === 'aborted') throw new AbortError(signal as AbortSignal);
    if (reason === 'canceled') throw canceled(this.#path);
    throw timedOut(syscall, this.#path, timeout);
  }

  /** As wait(), but blocks the thread until then. */
  waitSync(find: Find, syscall: string, { timeout, spin = 0 }: SyncWaitOptions): CxlEvent {
    this.#askWhetherGone();
    const event = this.#read(find, timeout ?? Number.POSITIVE_INFINITY, spin);
    if (event === undefined) throw timedOut(syscall, this.#path, timeout);
    return event;
  }

  /** What `find` finds within so many milliseconds, the first `spin` microseconds without sleep. */
  #read(find: Find, limit: number, spin: number): CxlEvent | undefined {
    let event = this.#take(find);
    const longest = this.#present === undefined ? limit : PRESENCE_INTERVAL;
    const start = event === undefined ? now() : 0;
    let elapsed = 0;
    for (let last = 0; event === undefined && last < MAX_LAST_BATCHES; elapsed = now() - start) {
      const left = Math.max(0, limit - elapsed);
      if (left === 0) last += 1;
      const spinLeft = Math.max(0, spin - elapsed * 1000);
      const answer = this.#file.readSync(Math.min(left, longest), spinLeft);
      if (answer === -ERRNOS.EAGAIN) {
        if (left === 0) break;
        if (this.#present?.() === false) this.#gone = true;
      }
      event = this.#take(find);
    }
    return event;
  }

  /**
   * Subscribes to all events that `find` finds: to be called by the reader. `subscriber` is called
   * in later turns only. Returns what ends the subscription.
   */
  subscribe(find: Find, subscriber: Subscriber): () => void {
    this.#askWhetherGone();
    const waiter: Waiter = {
      find,
      ready: () => {
        const events: CxlEvent[] = [];
        for (let found = find(this.#pending); found !== undefined; found = find(this.#pending)) {
          this.#pending.remove(found);
          events.push(found.event);
        }
        if (events.length > 0) subscriber.events(events);
        if (this.#waiter !== waiter) return;
        if (!this.#ended) {
          this.#arm(waiter);
          return;
        }
        this.#waiter = undefined;
        try {
          this.#take(find);
        } catch (error) {
          subscriber.failed(error);
        }
      },
      end: (reason) => {
        if (this.#waiter !== waiter) return;
        this.#waiter = undefined;
        this.#file.disarm();
        if (reason === 'canceled') subscriber.failed(canceled(this.#path));
      },
    };
    this.#waiter = waiter;
    // What is pending, or the errno of arm(), must not call the subscriber now.
    queueMicrotask(() => {
      if (this.#waiter === waiter) waiter.ready();
    });
    return () => waiter.end('aborted');
  }

  /** Ends the wait in progress, if any, with ECANCELED. */
  cancel(): void {
    this.#waiter?.end('canceled');
  }

  /** Ends the wait in progress, and every later one, with ECANCELED. */
  close(): void {
    this.#closed = true;
    this.cancel();
  }

  #woken(find: Find, signal: AbortSignal | undefined, timeout: number | undefined) {
    return new Promise<Reason>((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      let presenceTimer: NodeJS.Timeout | undefined;
      let removeListener: (() => void) | undefined;
      const waiter: Waiter = {
        find,
        ready: () => waiter.end('ready'),
        end: (reason) => {
          this.#waiter = undefined;
          this.#file.disarm();
          clearTimeout(timer);
          clearInterval(presenceTimer);
          removeListener?.();
          resolve(reason);
        },
      };
      this.#waiter = waiter;
      if (signal !== undefined) removeListener = onAbort(signal, () => waiter.end('aborted'));
      if (timeout !== undefined) timer = setTimeout(() => waiter.end('timed-out'), timeout);
      const present = this.#present;
      if (present !== undefined) {
        presenceTimer = setInterval(() => {
          if (present()) return;
          this.#gone = true;
          waiter.end('ready');
        }, PRESENCE_INTERVAL).unref();
      }
      this.#arm(waiter);
    });
  }

  #arm(waiter: Waiter): void {
    const errno = this.#file.arm();
    if (errno === 0) return;
    this.#failed = errno;
    waiter.ready();
  }

  /** Removes and returns what `find` finds. Throws what comes after the pending events. */
  #take(find: Find): CxlEvent | undefined {
    const found = find(this.#pending);
    if (found !== undefined) {
      this.#pending.remove(found);
      return found.event;
    }
    if (!this.#ended) return undefined;
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
    throw systemError('EIO', 'read', this.#path);
  }

  get #ended(): boolean {
    return this.#malformed !== undefined || this.#failed !== 0 || this.#closed || this.#gone;
  }

  /** At the begin of a wait: a context that had no link may have one again. */
  #askWhetherGone(): void {
    if (this.#gone) this.#gone = this.#present?.() === false;
  }

  #batch(bytes: Uint8Array, length: number, errno: number): void {
    debugResult('read', this.#path, errno === 0 ? length : errno);
    this.#pending.beginBatch();
    this.#malformed = parseEvents(bytes, length, this.#add, this.#path);
    this.#unreadable = errno === -ERRNOS.EIO;
    // EIO comes again as long as it holds: a link that is up again ends it.
    this.#failed = this.#unreadable && length > 0 ? 0 : errno;
    const waiter = this.#waiter;
    // There is no waiter when a thread that blocks has read the batch.
    if (waiter === undefined) return;
    if (this.#ended || waiter.find(this.#pending) !== undefined) waiter.ready();
    else this.#arm(waiter);
  }

  readonly #add = (event: CxlEvent): void => this.#pending.add(event);
}

function timedOut(syscall: string, path: string, timeout: number | undefined): CxlError {
  const hint = timeout === 0 ? 'nothing is pending' : `nothing within ${timeout} ms`;
  return systemError('ETIMEDOUT', syscall, path, hint);
}

function canceled(path: string): CxlError {
  return systemError('ECANCELED', 'read', path, 'the context was closed');
}
