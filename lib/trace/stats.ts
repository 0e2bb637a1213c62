/** Counts and times of a trace, by context and by call. */
import type { TraceEntry } from './entry';
import { Reactions } from './reactions';

/** Microseconds. Null where there is nothing to measure. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

export interface ContextStats {
  /** With the thread, where the recording has several. */
  readonly context: string;
  /** Without accesses. */
  readonly calls: number;
  readonly failed: number;
  /** Each repetition counts; blocks are one. */
  readonly accesses: number;
  /** Microseconds in calls, all together. Calls under way at the same time each count. */
  readonly time: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Of AFU interrupts; other events are faults, errors and what the driver sends. */
  readonly interrupts: number;
  readonly otherEvents: number;
  /** Microseconds from a batch of events to the program's next call. */
  readonly latency: Percentiles;
}

export interface CallStats {
  readonly name: string;
  /** Each repetition of an access counts. */
  readonly count: number;
  readonly failed: number;
  /** Microseconds, all together. */
  readonly time: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Microseconds of a call; accesses have no durations. */
  readonly duration: Percentiles;
}

export interface TraceStats {
  readonly contexts: readonly ContextStats[];
  readonly calls: readonly CallStats[];
}

type Counter<Stats, Name extends keyof Stats> = {
  -readonly [Key in keyof Stats]: Key extends Name ? number[] : Stats[Key];
};

/**
 * @param wanted which entries count. Reactions are looked for in all of them, because a filter of
 *   calls would leave out what the program did next.
 */
export function traceStats(
  entries: Iterable<TraceEntry>,
  wanted: (entry: TraceEntry) => boolean,
  severalThreads: boolean,
): TraceStats {
  const contexts = new Map<string, Counter<ContextStats, 'latency'>>();
  const calls = new Map<string, Counter<CallStats, 'duration'>>();
  const reactions = new Reactions();
  const counted = new Set<TraceEntry>();
  const contextOf = (entry: TraceEntry) => {
    const context = severalThreads ? `${entry.thread.name} ${entry.context}` : entry.context;
    return found(contexts, context, () => ({ context, ...NOTHING, latency: [] }));
  };
  for (const entry of entries) {
    for (const { events, latency } of reactions.take(entry)) {
      if (counted.delete(events)) contextOf(events).latency.push(latency);
    }
    if (!wanted(entry)) continue;
    const { kind, name, times, duration, bytesRead, bytesWritten } = entry;
    if (kind === 'system' || kind === 'note' || kind === 'end') continue;
    const context = contextOf(entry);
    context.bytesRead += bytesRead;
    context.bytesWritten += bytesWritten;
    if (kind === 'events') {
      if (entry.events.length > 0) counted.add(entry);
      for (const { type } of entry.events) {
        if (type === 'afu-interrupt') context.interrupts += 1;
        else context.otherEvents += 1;
      }
      continue;
    }
    if (kind === 'memory') continue;
    const call = found(calls, name, () => ({ name, ...NOTHING_CALLED, duration: [] }));
    call.count += times;
    call.bytesRead += bytesRead;
    call.bytesWritten += bytesWritten;
    if (kind === 'call') {
      context.calls += 1;
      context.time += duration ?? 0;
      call.time += duration ?? 0;
      if (duration !== undefined) call.duration.push(duration);
    } else {
      context.accesses += times;
    }
    if (entry.error === undefined) continue;
    context.failed += 1;
    call.failed += 1;
  }
  return {
    contexts: [...contexts.values()].map(({ latency, ...rest }) => ({
      ...rest,
      latency: percentiles(latency),
    })),
    calls: [...calls.values()]
      .sort((a, b) => b.time - a.time || b.count - a.count)
      .map(({ duration, ...rest }) => ({ ...rest, duration: percentiles(duration) })),
  };
}

const NOTHING_CALLED = { count: 0, failed: 0, time: 0, bytesRead: 0, bytesWritten: 0 };
const NOTHING = {
  calls: 0,
  failed: 0,
  accesses: 0,
  time: 0,
  bytesRead: 0,
  bytesWritten: 0,
  interrupts: 0,
  otherEvents: 0,
};

function found<T>(map: Map<string, T>, key: string, make: () => T): T {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

/** By the nearest rank: each is one of the values. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? null;
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
