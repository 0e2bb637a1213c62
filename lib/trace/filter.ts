/** Which entries of a trace are wanted. */
import type { TraceEntry } from './entry';

export interface TraceFilter {
  /** Names of contexts: `afu0.0s#1`, or for all openings of it `afu0.0s` or its path. Empty: all. */
  readonly contexts: readonly string[];
  /** Names of calls. `ioctl` is every ioctl, `START_WORK` one, `read*` those that begin so. Empty: all. */
  readonly calls: readonly string[];
  /** Microseconds since the recording began: entries that were under way then or later. */
  readonly from: number;
  /** Entries that began before. */
  readonly to: number;
}

/** Applies a filter, and knows afterwards which of its names nothing had. */
export class EntryFilter {
  readonly #filter: TraceFilter;
  readonly #unused: Set<string>;
  readonly #contexts = new Set<string>();
  readonly #calls = new Set<string>();

  constructor(filter: TraceFilter) {
    this.#filter = filter;
    this.#unused = new Set([...filter.contexts, ...filter.calls]);
  }

  *apply(entries: Iterable<TraceEntry>): Generator<TraceEntry> {
    for (const entry of entries) if (this.takes(entry)) yield entry;
  }

  takes(entry: TraceEntry): boolean {
    const { contexts, calls, from, to } = this.#filter;
    this.#contexts.add(entry.context);
    this.#calls.add(entry.name);
    const context = this.#some(contexts, (name) => hasContext(entry, name));
    const call = this.#some(calls, (name) => hasCall(entry.name, name));
    return context && call && entry.time < to && entry.time + (entry.duration ?? 0) >= from;
  }

  /** A line about each name that no entry of the trace has, whatever its time. */
  get unused(): string[] {
    const { contexts, calls } = this.#filter;
    const missing = (kind: string, names: readonly string[], known: Set<string>) =>
      names
        .filter((name) => this.#unused.has(name))
        .map((name) => `no ${kind} '${name}' in the recording: ${[...known].sort().join(', ')}`);
    return [
      ...missing('context', contexts, this.#contexts),
      ...missing('call', calls, this.#calls),
    ];
  }

  #some(names: readonly string[], matches: (name: string) => boolean): boolean {
    let found = names.length === 0;
    for (const name of names) {
      if (!matches(name)) continue;
      this.#unused.delete(name);
      found = true;
    }
    return found;
  }
}

function hasContext({ context, path }: TraceEntry, wanted: string): boolean {
  return context === wanted || path === wanted || context.replace(/#\d+$/, '') === wanted;
}

function hasCall(name: string, wanted: string): boolean {
  if (wanted.endsWith('*')) return name.startsWith(wanted.slice(0, -1));
  if (name === wanted || name === `ioctl(${wanted})`) return true;
  return wanted === 'ioctl' && name.startsWith('ioctl(');
}
