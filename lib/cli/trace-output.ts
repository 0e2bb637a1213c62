/** What `node-cxl trace --stats` and `trace diff` print, in each form. */
import type { Departure, TraceDifference } from '../trace/diff';
import type { TraceEntry } from '../trace/entry';
import { entryData, formatEntryCall, seconds } from '../trace/format';
import type { MemoryDifference } from '../trace/memory-contents';
import type { Percentiles, TraceStats } from '../trace/stats';
import { bytes, type Data, type DataValue, type Forms, hex } from './output';
import { table } from './table';

/** A document and its other forms, as show() takes them. */
type Document = readonly [data: Data, forms: Forms];

export function statsDocument(stats: TraceStats): Document {
  const contexts = stats.contexts.map(({ latency, ...rest }) => ({ ...rest, ...flat(latency) }));
  const calls = stats.calls.map(({ duration, ...rest }) => ({ ...rest, ...flat(duration) }));
  const text = () =>
    [
      'Contexts (times in seconds, latency from events to the next call in microseconds)',
      table(
        [
          'context',
          'calls',
          'failed',
          'accesses',
          'time',
          'read',
          'written',
          'interrupts',
          'other events',
          ...LATENCY.map((name) => `latency ${name}`),
        ],
        contexts.map(({ time, bytesRead, bytesWritten, ...rest }) => [
          rest.context,
          rest.calls,
          rest.failed,
          rest.accesses,
          seconds(time),
          bytes(bytesRead),
          bytes(bytesWritten),
          rest.interrupts,
          rest.otherEvents,
          ...LATENCY.map((name) => rest[name]),
        ]),
      ),
      'Calls (all together in seconds, each in microseconds)',
      table(
        ['call', 'count', 'failed', 'time', 'read', 'written', ...LATENCY],
        calls.map(({ time, bytesRead, bytesWritten, ...rest }) => [
          rest.name,
          rest.count,
          rest.failed,
          seconds(time),
          bytes(bytesRead),
          bytes(bytesWritten),
          ...LATENCY.map((name) => rest[name]),
        ]),
      ),
    ].join('\n');
  const rows = () => [
    ...contexts.map((each): DataValue[] => ['context', ...Object.values(each)]),
    ...calls.map((each): DataValue[] => ['call', ...Object.values(each)]),
  ];
  const data = {
    contexts: stats.contexts.map((each) => ({ ...each, latency: { ...each.latency } })),
    calls: stats.calls.map((each) => ({ ...each, duration: { ...each.duration } })),
  };
  return [data, { text, rows }];
}

const LATENCY = ['p50', 'p90', 'p99', 'max'] as const;

function flat({ p50, p90, p99, max }: Percentiles) {
  return { p50, p90, p99, max };
}

/** `a` and `b`: the files. */
export function diffDocument(difference: TraceDifference, a: string, b: string): Document {
  const { same, contexts, memory, card } = difference;
  const cardData = card.map(({ path, a: one = null, b: other = null }) => ({
    path,
    a: one,
    b: other,
  }));
  const data = {
    same,
    card: cardData,
    contexts: contexts.map(({ departures, ...rest }) => ({
      ...rest,
      departures: departures.map(({ kind, index, a: one, b: other }) => ({
        kind,
        index,
        a: one === undefined ? null : entryData(one),
        b: other === undefined ? null : entryData(other),
      })),
    })),
    memory: memory.map(({ a: one, b: other, ...rest }) => ({
      ...rest,
      a: one === undefined ? null : { ...one },
      b: other === undefined ? null : { ...other },
    })),
  };
  const text = () =>
    [
      ...cardData.map(({ path, a: one, b: other }) => {
        return `another card: ${path} is ${one ?? 'absent'} in A, ${other ?? 'absent'} in B`;
      }),
      ...contexts.flatMap(({ context, countA, countB, departures }) => [
        `${context}: ${countA} and ${countB} calls`,
        ...departures.flatMap((each) => departureLines(each)),
      ]),
      ...memory.flatMap((each) => memoryLines(each)),
      `A is ${a}, B is ${b}`,
      same.length === 0 ? 'nothing is the same' : `the same in both: ${same.join(', ')}`,
    ].join('\n');
  const rows = () => [
    ...cardData.map(({ path, a: one, b: other }) => [path, 'card', null, one, other]),
    ...contexts.flatMap(({ context, departures }) =>
      departures.map(({ kind, index, a: one, b: other }) => [
        context,
        kind,
        index,
        ...[one, other].map((each) => (each === undefined ? null : formatEntryCall(each))),
      ]),
    ),
    ...memory.map(({ memory: name, offset, words, a: one, b: other }) => [
      name,
      'memory',
      words,
      hex(offset),
      one?.text ?? null,
      other?.text ?? null,
    ]),
  ];
  return [data, { text, rows }];
}

function departureLines({ kind, index, a, b }: Departure): string[] {
  const what = kind === 'call' ? 'another call' : 'another result';
  return [`  ${what} after ${index} that agree:`, `    A ${sideText(a)}`, `    B ${sideText(b)}`];
}

function sideText(entry: TraceEntry | undefined): string {
  if (entry === undefined) return 'no further call';
  const { number, offset } = entry.place;
  return `${seconds(entry.time)} ${formatEntryCall(entry)} (record ${number}, block at byte ${offset})`;
}

function memoryLines({ memory, words, offset, a, b }: MemoryDifference): string[] {
  const side = (word: MemoryDifference['a']) =>
    word === undefined ? 'not changed' : `${seconds(word.time)} ${word.text}`;
  return [
    `${memory}: ${words} word${words === 1 ? '' : 's'} with other last contents, first at ${hex(offset)}:`,
    `    A ${side(a)}`,
    `    B ${side(b)}`,
  ];
}
