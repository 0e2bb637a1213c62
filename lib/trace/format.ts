/** An entry of a trace as text, as JSON and as fields. */
import { formatValue } from '../observe/format';
import { MemoryPlace, type TraceEntry } from './entry';

/** Bytes of changed memory that a line has. */
const MAX_RANGES = 4;

/** Seconds with all microseconds, such as 0.001250. */
export function seconds(microseconds: number): string {
  return (microseconds / 1e6).toFixed(6);
}

/** `ioctl(START_WORK, wed=&mem1+0x20) = {tid=0}`: the call, its arguments and its result. */
export function formatEntryCall(entry: TraceEntry): string {
  return `${formatArguments(entry)}${formatOutcome(entry)}`;
}

/** The call with its arguments. Accesses and memory have no names of arguments. */
export function formatArguments({ kind, name, input }: TraceEntry): string {
  if (kind === 'events') return name;
  if (kind === 'memory') return formatMemory(input);
  const fields = Object.entries(input).filter(([, value]) => value !== undefined);
  const texts = fields.map(([key, value]) =>
    kind === 'access' ? formatOperand(value, key) : `${key}=${formatOperand(value, key)}`,
  );
  const [, outer, inner] = /^(ioctl)\((.*)\)$/.exec(name) ?? [];
  return outer === undefined
    ? `${name}(${texts.join(', ')})`
    : `${outer}(${[inner, ...texts].join(', ')})`;
}

/** ` = ` and the result or the errno, with how often an access was made; empty where there is none. */
export function formatOutcome({ result, error, times, unfinished }: TraceEntry): string {
  const again = times === 1 ? '' : ` ×${times}`;
  if (unfinished) return ' <unfinished>';
  if (error !== undefined) {
    // A batch of events may end with an errno.
    const some = Array.isArray(result) && result.length > 0 ? `${formatOperand(result)}, ` : '';
    return ` = ${some}${error}${again}`;
  }
  return result === undefined ? again : ` = ${formatOperand(result)}${again}`;
}

function formatMemory(input: TraceEntry['input']): string {
  const { by, ranges } = input as { by: string; ranges: { at: MemoryPlace; bytes: Uint8Array }[] };
  const shown = ranges
    .slice(0, MAX_RANGES)
    .map(({ at, bytes }) => `${at}: ${formatOperand(bytes)}`);
  const more = ranges.length - shown.length;
  return `memory by ${by} ${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

/** A value on one line: 64-bit values and offsets in hexadecimal, places in memory as `&mem1+0x20`. */
function formatOperand(value: unknown, key = ''): string {
  if (value instanceof MemoryPlace) return `&${value}`;
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (key === 'value' && typeof value === 'number') return `0x${value.toString(16)}`;
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return formatValue(value);
  if (Array.isArray(value)) return `[${value.map((each) => formatOperand(each)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${fields.map(([name, field]) => `${name}=${formatOperand(field, name)}`).join(', ')}}`;
  }
  return formatValue(value, key);
}

/** JSON has no bigints, bytes and places: hexadecimal text, and `mem1+0x20`. */
export type TraceData =
  | string
  | number
  | boolean
  | null
  | readonly TraceData[]
  | { readonly [key: string]: TraceData };

/** An entry as JSON. Each has the same keys; null for what it does not have. */
export function entryData(entry: TraceEntry): { readonly [key: string]: TraceData } {
  return {
    time: entry.time,
    duration: entry.duration ?? null,
    thread: entry.thread.name,
    kind: entry.kind,
    context: entry.context,
    path: entry.path ?? null,
    name: entry.name,
    input: toData(entry.input),
    result: toData(entry.result),
    error: entry.error ?? null,
    unfinished: entry.unfinished,
    times: entry.times,
    file: entry.thread.path ?? null,
    offset: entry.place.offset,
    record: entry.place.number,
  };
}

function toData(value: unknown): TraceData {
  if (value === undefined || value === null) return null;
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (value instanceof MemoryPlace) return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(toData);
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== undefined)
        .map(([key, field]) => [key, toData(field)]),
    );
  }
  return value as string | number | boolean;
}
