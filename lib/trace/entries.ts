/** Makes the entries of a trace of the records of one file. */
import { type CxlEvent, parseEvents } from '../events/events';
import type {
  AccessRecord,
  BlockRecord,
  CallRecord,
  EventsRecord,
  MemoryRecord,
  RecordedEntry,
  ReturnRecord,
  SysfsRecord,
} from '../record';
import { isLoad } from '../record/access-columns';
import { errnoName } from '../shared/errno';
import type { TraceEntry, TraceThread } from './entry';
import { MEMORY, RECORDING, type TraceContext, TraceObjects } from './objects';

/**
 * The entries of a file, in the order in which they began. `start`: microseconds from the beginning of
 * the recording to that of this file. A call is given out when it has returned, and what came after
 * it then too: of a call that lasts long, the entries meanwhile are kept in memory.
 */
export function* entriesOf(
  recording: Iterable<RecordedEntry>,
  thread: TraceThread,
  start: number,
): Generator<TraceEntry> {
  const reader = new EntryReader(thread, start);
  for (const record of recording) {
    reader.take(record);
    yield* reader.ready();
  }
  yield* reader.rest();
}

/** A record of which the entry is made later, because its call has not returned. */
interface Waiting {
  readonly record: Exclude<RecordedEntry, ReturnRecord | SysfsRecord>;
  returned: ReturnRecord | undefined;
}

class EntryReader {
  readonly #thread: TraceThread;
  readonly #start: number;
  readonly #objects = new TraceObjects();
  #queue: Waiting[] = [];
  /** How many at the beginning of the queue have been given out. */
  #done = 0;
  readonly #calls = new Map<number, Waiting>();

  constructor(thread: TraceThread, start: number) {
    this.#thread = thread;
    this.#start = start;
  }

  take(record: RecordedEntry): void {
    if (record.type === 'return') {
      const waiting = this.#calls.get(record.call);
      this.#calls.delete(record.call);
      if (waiting !== undefined) waiting.returned = record;
      return;
    }
    // Not something that the program did.
    if (record.type === 'sysfs') return;
    const waiting = { record, returned: undefined };
    if (record.type === 'call') this.#calls.set(record.call, waiting);
    this.#queue.push(waiting);
  }

  *ready(): Generator<TraceEntry> {
    for (; this.#done < this.#queue.length; this.#done += 1) {
      const waiting = this.#queue[this.#done]!;
      if (waiting.record.type === 'call' && waiting.returned === undefined) break;
      yield this.#entry(waiting);
    }
    if (this.#done > 1000) {
      this.#queue = this.#queue.slice(this.#done);
      this.#done = 0;
    }
  }

  /** The rest: calls that never returned, and what came after them. */
  *rest(): Generator<TraceEntry> {
    for (; this.#done < this.#queue.length; this.#done += 1) {
      yield this.#entry(this.#queue[this.#done]!);
    }
  }

  #entry({ record, returned }: Waiting): TraceEntry {
    switch (record.type) {
      case 'call':
        return this.#call(record, returned);
      case 'access':
        return this.#access(record);
      case 'block':
        return this.#block(record);
      case 'events':
        return this.#events(record);
      case 'memory':
        return this.#memory(record);
      case 'system': {
        const { system, backend, pageSize } = record;
        return this.#make(record, 'system', RECORDING, 'system', {
          input: { system, backend, pageSize },
        });
      }
      case 'note': {
        const { code, message } = record;
        return this.#make(record, 'note', RECORDING, 'note', { input: { code, message } });
      }
      case 'end': {
        const { reason, code } = record;
        return this.#make(record, 'end', RECORDING, 'end', { input: { reason, code } });
      }
    }
  }

  #make(
    record: { readonly time: number; readonly place: TraceEntry['place'] },
    kind: TraceEntry['kind'],
    { name: context, path }: TraceContext,
    name: string,
    more: Partial<TraceEntry>,
  ): TraceEntry {
    return {
      thread: this.#thread,
      place: record.place,
      kind,
      time: this.#start + record.time,
      duration: undefined,
      unfinished: false,
      context,
      path,
      name,
      input: {},
      result: undefined,
      error: undefined,
      times: 1,
      bytesRead: 0,
      bytesWritten: 0,
      events: [],
      ...more,
    };
  }

  #call(call: CallRecord & RecordedEntry, returned: ReturnRecord | undefined): TraceEntry {
    const context = this.#objects.add(call, returned);
    const input = this.#named(call.input, call.addresses);
    // Which memory, where that is not the name of the context.
    const { object } = call;
    const memory = this.#objects.isMemory(object)
      ? { memory: this.#objects.place({ memory: object, offset: 0 }) }
      : {};
    if (call.name === 'free') this.#objects.freed(object);
    const answer = returned?.answer;
    return this.#make(call, 'call', context, call.name, {
      duration: returned === undefined ? undefined : returned.time - call.time,
      unfinished: returned === undefined,
      input: { ...memory, ...input },
      result: this.#result(answer),
      error: returned?.errno === undefined ? undefined : errnoName(returned.errno),
      bytesRead: answer instanceof Uint8Array ? answer.length : 0,
      bytesWritten: call.name === 'sysfs.write' ? String(call.input['data']).length : 0,
    });
  }

  #access(access: AccessRecord & RecordedEntry): TraceEntry {
    const { name, object, times, value, failed, errno } = access;
    const width = widthOf(name);
    const load = isLoad(name);
    const context = this.#objects.context(object);
    const memory = this.#objects.isMemory(object);
    const shown = access.address === undefined ? value : this.#objects.place(access.address);
    const place = memory
      ? { address: this.#objects.place({ memory: object, offset: access.offset }) }
      : { offset: access.offset };
    const moved = failed === true ? 0 : width * times;
    return this.#make(access, 'access', context, name, {
      duration: access.last > access.time ? access.last - access.time : undefined,
      input: {
        ...(name === 'memoryBarrier' ? {} : place),
        ...(load || shown === undefined ? {} : { value: shown }),
      },
      result: load ? shown : undefined,
      error: failed !== true ? undefined : errno === undefined ? 'SIGBUS' : errnoName(errno),
      times,
      bytesRead: load ? moved : 0,
      bytesWritten: load ? 0 : moved,
    });
  }

  #block(block: BlockRecord & RecordedEntry): TraceEntry {
    const { name, offset, width, count, moved, values } = block;
    const load = name === 'readBlock';
    return this.#make(block, 'block', this.#objects.context(block.object), name, {
      input: { offset, width, count, ...(load ? {} : { values }) },
      result: load ? values : undefined,
      error: moved < count ? 'SIGBUS' : undefined,
      bytesRead: load ? values.length : 0,
      bytesWritten: load ? 0 : values.length,
    });
  }

  #events(batch: EventsRecord & RecordedEntry): TraceEntry {
    const { bytes, errno } = batch;
    const events: CxlEvent[] = [];
    const little = this.#thread.header.endian === 'little';
    const problem = parseEvents(bytes, bytes.length, (event) => events.push(event), '', little);
    return this.#make(batch, 'events', this.#objects.context(batch.object), 'events', {
      result: events.map((event) => {
        const place = 'address' in event ? this.#objects.find(event.address) : undefined;
        return place === undefined ? event : { ...event, address: place };
      }),
      error: errno === 0 ? problem?.code : errnoName(errno),
      bytesRead: bytes.length,
      events,
    });
  }

  #memory(memory: MemoryRecord & RecordedEntry): TraceEntry {
    const { object, by, certain, ranges } = memory;
    const length = ranges.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return this.#make(memory, 'memory', MEMORY, 'memory', {
      bytesRead: by === 'device' ? length : 0,
      bytesWritten: by === 'program' ? length : 0,
      input: {
        by: certain ? by : `${by}?`,
        ranges: ranges.map(({ offset, bytes, addresses = [] }) => ({
          at: this.#objects.place({ memory: object, offset }),
          bytes,
          addresses: addresses.map(({ at, ...place }) => ({ at, to: this.#objects.place(place) })),
        })),
      },
    });
  }

  #named(
    input: CallRecord['input'],
    addresses: CallRecord['addresses'] = {},
  ): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(input)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => {
          const place = Object.hasOwn(addresses, key) ? addresses[key] : undefined;
          return [key, place === undefined ? value : this.#objects.place(place)];
        }),
    );
  }

  /** Addresses of memory that a call returned are places in it as well. */
  #result(answer: unknown): unknown {
    if (typeof answer !== 'object' || answer === null || answer instanceof Uint8Array)
      return answer;
    if (Array.isArray(answer)) return answer;
    return Object.fromEntries(
      Object.entries(answer).map(([key, value]) => [
        key,
        key === 'address' && typeof value === 'bigint'
          ? (this.#objects.find(value) ?? value)
          : value,
      ]),
    );
  }
}

/** Calls by which the package itself waits for events: how many there are depends on time. */
const WAITS = new Set(['arm', 'disarm', 'readSync', 'waitForWakeup']);

export function isWait(name: string): boolean {
  return WAITS.has(name);
}

/** Bytes of an access. */
function widthOf(name: string): number {
  if (name.startsWith('config.')) return 4;
  const [bits] = /\d+$/.exec(name) ?? [];
  return bits === undefined ? 0 : Number(bits) / 8;
}
