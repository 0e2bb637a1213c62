/** Where the entries of a trace are on a timeline: lanes for contexts, and rows in them. */
import type { TraceEntry, TraceThread } from './entry';
import { type Reaction, Reactions } from './reactions';

/** A context has one lane for what the program did, and one for the events that it got. */
export interface Lane {
  /** Their order: a context's events come after what the program did. Some numbers are not taken. */
  readonly index: number;
  readonly thread: TraceThread;
  readonly name: string;
}

/**
 * Something on the timeline. In a row nothing overlaps: calls that are under way at the same time
 * are in different rows of their lane.
 */
export interface TimelineItem {
  /** From 0, in the order of the items. */
  readonly index: number;
  readonly lane: Lane;
  /** From 0. */
  readonly row: number;
  /** Microseconds since the recording began. */
  readonly start: number;
  readonly end: number;
  /** `delivery`: where a batch of events came to the program, in the lane of what that did. */
  readonly kind: 'call' | 'access' | 'memory' | 'event' | 'delivery' | 'note';
  readonly entry: TraceEntry;
}

/** From an event to its delivery to the program's next call. */
export interface Arrow {
  readonly from: TimelineItem;
  readonly over: TimelineItem;
  readonly to: TimelineItem;
  readonly latency: number;
}

/** What an entry adds to the timeline. The arrows end at it. */
export interface TimelineStep {
  readonly items: readonly TimelineItem[];
  readonly arrows: readonly Arrow[];
}

/** Microseconds: the length of what has none. */
const MARK = 0.1;
/** Times are whole microseconds: marks of the same one are put side by side. */
const ROUNDED = 1;

export class Timeline {
  readonly lanes: Lane[] = [];
  /** By thread and context: the lane of what the program did, and that of events. */
  readonly #contexts = new Map<string, { index: number; lanes: [Lane?, Lane?] }>();
  /** When each row of a lane is free again. */
  readonly #rows = new Map<Lane, number[]>();
  readonly #reactions = new Reactions();
  /** The items of batches that may get an arrow yet. */
  readonly #batches = new WeakMap<TraceEntry, readonly [TimelineItem, TimelineItem]>();
  #count = 0;
  /** When the last item ends, in microseconds. */
  end = 0;

  /** The items of a trace's entries, in their order. */
  *add(entries: Iterable<TraceEntry>): Generator<TimelineStep> {
    const unfinished: TraceEntry[] = [];
    for (const entry of entries) {
      this.end = Math.max(this.end, entry.time);
      // They last to the end, which is not known yet.
      if (entry.unfinished) unfinished.push(entry);
      const items = entry.unfinished ? [] : this.#itemsOf(entry);
      const reactions = this.#reactions.take(entry);
      const [item] = items;
      yield { items, arrows: item === undefined ? [] : this.#arrows(reactions, item) };
    }
    for (const entry of unfinished) yield { items: this.#itemsOf(entry), arrows: [] };
  }

  /** How many rows a lane has, 1 at least. */
  rowsOf(lane: Lane): number {
    return this.#rows.get(lane)!.length;
  }

  #itemsOf(entry: TraceEntry): TimelineItem[] {
    switch (entry.kind) {
      case 'events': {
        const event = this.#item(entry, 'event');
        const delivery = this.#item(entry, 'delivery');
        this.#batches.set(entry, [event, delivery]);
        return [event, delivery];
      }
      case 'call':
      case 'memory':
        return [this.#item(entry, entry.kind)];
      case 'access':
      case 'block':
        return [this.#item(entry, 'access')];
      default:
        return [this.#item(entry, 'note')];
    }
  }

  #arrows(reactions: readonly Reaction[], to: TimelineItem): Arrow[] {
    return reactions.flatMap(({ events, latency }) => {
      const items = this.#batches.get(events);
      if (items === undefined) return [];
      const [from, over] = items;
      return [{ from, over, to, latency }];
    });
  }

  #item(entry: TraceEntry, kind: TimelineItem['kind']): TimelineItem {
    const lane = this.#lane(entry, kind === 'event');
    const rows = this.#rows.get(lane)!;
    const { time, unfinished, duration = unfinished ? this.end - time : 0 } = entry;
    const isMark = duration === 0;
    const first = rows.findIndex((free) => free <= time || (isMark && free < time + ROUNDED));
    const row = first < 0 ? rows.length : first;
    const start = isMark ? Math.max(time, rows[row] ?? 0) : time;
    const end = start + Math.max(duration, MARK);
    rows[row] = end;
    this.end = Math.max(this.end, end);
    const index = this.#count;
    this.#count += 1;
    return { index, lane, row, start, end, kind, entry };
  }

  #lane({ thread, context }: TraceEntry, ofEvents: boolean): Lane {
    const key = `${thread.index} ${context}`;
    const known = this.#contexts.get(key) ?? { index: this.#contexts.size, lanes: [] };
    this.#contexts.set(key, known);
    const which = ofEvents ? 1 : 0;
    const made = known.lanes[which];
    if (made !== undefined) return made;
    const name = ofEvents ? `${context} events` : context;
    const lane = { index: known.index * 2 + which, thread, name };
    known.lanes[which] = lane;
    this.lanes.push(lane);
    this.#rows.set(lane, []);
    return lane;
  }
}
