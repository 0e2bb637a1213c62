/**
 * A trace as Chrome trace events in JSON, which ui.perfetto.dev and chrome://tracing open: a process
 * for each process, a thread for each row of a lane, slices for calls and marks, and a flow from each
 * batch of events to its delivery to the program's next call.
 */
import type { TraceEntry, TraceThread } from './entry';
import { entryData, formatOutcome } from './format';
import { type Arrow, type Lane, Timeline, type TimelineItem } from './timeline';

/** Rows of a lane beyond this share the numbers of the next lane, which no recording has had. */
const ROWS = 1000;

/** The document, in pieces. */
export function* perfettoTrace(entries: Iterable<TraceEntry>, started: number): Generator<string> {
  const timeline = new Timeline();
  const named = new Set<number>();
  const threads = new Set<TraceThread>();
  let flows = 0;
  yield `{"displayTimeUnit":"ns","otherData":{"started":${JSON.stringify(new Date(started).toISOString())}},"traceEvents":[\n`;
  let separator = '';
  const text = (event: object) => {
    const line = separator + JSON.stringify(event);
    separator = ',\n';
    return line;
  };
  for (const { items, arrows } of timeline.add(entries)) {
    for (const item of items) {
      const { lane, row } = item;
      if (!threads.has(lane.thread)) {
        threads.add(lane.thread);
        yield text(processName(lane.thread));
      }
      if (!named.has(tidOf(lane, row))) {
        named.add(tidOf(lane, row));
        for (const event of rowName(lane, row)) yield text(event);
      }
      yield text(slice(item));
    }
    for (const arrow of arrows) {
      flows += 1;
      for (const event of flow(arrow, flows)) yield text(event);
    }
  }
  yield '\n]}\n';
}

function pidOf({ header }: TraceThread): number {
  return header.pid;
}

/** Threads of all processes have different numbers. */
function tidOf({ index }: Lane, row: number): number {
  return index * ROWS + Math.min(row, ROWS - 1) + 1;
}

function processName(thread: TraceThread) {
  const name = thread.header.argv.join(' ');
  return { ph: 'M', name: 'process_name', pid: pidOf(thread), tid: 0, args: { name } };
}

function rowName(lane: Lane, row: number) {
  const { thread, name } = lane;
  const worker = thread.header.threadId === 0 ? '' : `worker ${thread.header.threadId}: `;
  const more = row === 0 ? '' : ` (${row + 1})`;
  const tid = tidOf(lane, row);
  const event = { ph: 'M', pid: pidOf(thread), tid };
  return [
    { ...event, name: 'thread_name', args: { name: `${worker}${name}${more}` } },
    { ...event, name: 'thread_sort_index', args: { sort_index: tid } },
  ];
}

function slice({ lane, row, start, end, kind, entry }: TimelineItem) {
  const { input, result, error, times, offset, record } = entryData(entry);
  return {
    ph: 'X',
    name: sliceName(entry, kind),
    cat: kind,
    ts: start,
    dur: round(end - start),
    pid: pidOf(lane.thread),
    tid: tidOf(lane, row),
    args: { input, result, error, times, offset, record },
  };
}

/** Differences of times that are sums of tenths. */
function round(microseconds: number): number {
  return Math.round(microseconds * 1000) / 1000;
}

/** What stands on a bar or a mark. */
export function sliceName(entry: TraceEntry, kind: TimelineItem['kind']): string {
  if (kind === 'delivery') return 'delivery';
  if (kind === 'event') return eventNames(entry);
  const { name, input } = entry;
  const { offset } = input;
  if (kind === 'access' && typeof offset === 'number') return `${name} 0x${offset.toString(16)}`;
  if (kind === 'access' && input['address'] !== undefined) return `${name} ${input['address']}`;
  return name;
}

/** `interrupt 1, data-storage`; the errno of a batch without events. */
function eventNames(entry: TraceEntry): string {
  const names = entry.events.map((event) =>
    event.type === 'afu-interrupt' ? `interrupt ${event.irq}` : event.type,
  );
  return names.length === 0 ? `events${formatOutcome(entry)}` : names.join(', ');
}

/** Each step lies at the start of a slice: that is what the flow is bound to. */
function flow({ from, over, to }: Arrow, id: number) {
  const step = ({ lane, row, start }: TimelineItem, ph: 's' | 't' | 'f') => ({
    ph,
    id,
    name: 'reaction',
    cat: 'reaction',
    ts: start,
    pid: pidOf(lane.thread),
    tid: tidOf(lane, row),
    ...(ph === 'f' ? { bp: 'e' } : {}),
  });
  return [step(from, 's'), step(over, 't'), step(to, 'f')];
}
