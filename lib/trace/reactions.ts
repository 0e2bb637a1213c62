/** From an event to what the program did about it. */
import { isWait } from './entries';
import type { TraceEntry } from './entry';

/** A batch of events, and the first call of the program after it. */
export interface Reaction {
  /** The batch: a recording knows when it came, not when the AFU raised an interrupt. */
  readonly events: TraceEntry;
  /** The first call or access of the same thread afterwards. */
  readonly next: TraceEntry;
  /** Microseconds from `events` to `next`. */
  readonly latency: number;
}

/**
 * Finds reactions in the entries of a trace, in their order. A batch to which another of the same
 * context follows before the program makes any call has none.
 */
export class Reactions {
  /** The batches of each thread without a call after them, by context. */
  readonly #pending = new Map<number, Map<string, TraceEntry>>();

  /** What `entry` is the reaction to. */
  take(entry: TraceEntry): Reaction[] {
    const { kind, thread, context, name } = entry;
    const pending = this.#pending.get(thread.index) ?? new Map<string, TraceEntry>();
    if (kind === 'events') {
      if (entry.events.length > 0) this.#pending.set(thread.index, pending.set(context, entry));
      return [];
    }
    const isCall = kind === 'call' || kind === 'access' || kind === 'block';
    if (!isCall || isWait(name)) return [];
    this.#pending.delete(thread.index);
    return [...pending.values()].map((events) => ({
      events,
      next: entry,
      latency: entry.time - events.time,
    }));
  }
}
