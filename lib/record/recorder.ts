/** What is recorded of a program: gets the calls of recorded objects, and writes records of them. */
import type { MemoryRegion } from '../binding';
import { type AccessRow, encodeBatch } from './access-columns';
import { AddressMap, FollowedMemory } from './followed-memory';
import type { CheckedOptions } from './options';
import type {
  EndRecord,
  MemoryAddress,
  MemoryRecord,
  NoteRecord,
  RecordedAccessName,
  RecordedCallName,
  RecordedItem,
} from './records';
import type { RecordingWriter } from './writer';

/** Accesses that are kept in memory before they are written. */
const BATCH = 256;
/** Milliseconds that they are kept for at most. */
const BATCH_TIME = 10;
/** Bytes of memory that are compared at every access. More is compared at most once a millisecond. */
const SMALL_MEMORY = 64 * 1024;
const COMPARE_INTERVAL = 1;

/** Writes one recording. */
export class Recorder {
  readonly writer: RecordingWriter;
  readonly options: CheckedOptions;
  /** Called by stop(). */
  onStop: () => void = () => {};
  readonly #origin = performance.now();
  readonly #memories = new Map<number, FollowedMemory>();
  readonly #addresses = new AddressMap();
  #followed = 0;
  /** How many contexts were started and not closed: while there are any, a device may write. */
  readonly #running = new Set<number>();
  #nextObject = 1;
  #nextCall = 1;
  #batch: AccessRow[] = [];
  /** The runs of `batch` that the next load may prolong, by object, name and offset. */
  readonly #runs = new Map<string, AccessRow>();
  #timer: NodeJS.Timeout | undefined;
  #compared = Number.NEGATIVE_INFINITY;

  constructor(writer: RecordingWriter, options: CheckedOptions) {
    this.writer = writer;
    this.options = options;
  }

  /** Microseconds since the recording began. */
  now(): number {
    return Math.round((performance.now() - this.#origin) * 1000);
  }

  newObject(): number {
    return this.#nextObject++;
  }

  /** Writes records, after the accesses before them. */
  write(...records: RecordedItem[]): void {
    this.#endBatch();
    for (const record of records) this.writer.add(record);
    this.writer.flush();
  }

  /** A call begins. Returns its number, for end(). */
  begin(name: RecordedCallName, object: number, input: Record<string, unknown>): number {
    const call = this.#nextCall++;
    const addresses: Record<string, MemoryAddress> = {};
    for (const [key, value] of Object.entries(input)) {
      const found = typeof value === 'bigint' ? this.#addresses.find(value) : undefined;
      if (found !== undefined) addresses[key] = found;
    }
    const some = Object.keys(addresses).length > 0;
    const record = { type: 'call', time: this.now(), call, name, object, input } as const;
    this.write(some ? { ...record, addresses } : record);
    return call;
  }

  /** The call returned: with its answer, or (a negative number) an errno. */
  end(call: number, answer: unknown, created?: number): void {
    const failed = typeof answer === 'number' && answer < 0;
    this.write({
      type: 'return',
      time: this.now(),
      call,
      ...(failed ? { errno: answer } : answer === undefined ? {} : { answer }),
      ...(created === undefined ? {} : { created }),
    });
  }

  /** A load of a register, of memory or of configuration space. */
  load(
    name: RecordedAccessName,
    object: number,
    offset: number,
    value: bigint | number,
    flags: number,
  ): void {
    const key = `${name} ${object} ${offset} ${flags}`;
    const run = this.options.polls === 'count' ? this.#runs.get(key) : undefined;
    const news = run === undefined || run.value !== value;
    if (this.#isDue(news)) this.compare('device');
    const time = this.now();
    // The comparison may have found something, and ended the run.
    const open = news ? undefined : this.#runs.get(key);
    if (open !== undefined) {
      open.times += 1;
      open.last = time;
      this.#written();
      return;
    }
    if (run !== undefined) this.#runs.clear();
    this.#runs.set(key, this.#add(name, object, offset, value, flags, time));
    this.#written();
  }

  /** A store is about to be made: what the program wrote before it belongs before it. */
  beforeStore(always: boolean): void {
    if (this.#isDue(always)) this.compare('program');
  }

  /** A store, or a barrier, was made. */
  store(
    name: RecordedAccessName,
    object: number,
    offset: number,
    value: bigint | number,
    flags: number,
    time: number,
  ): void {
    this.#runs.clear();
    this.#add(name, object, offset, value, flags, time);
    this.#written();
  }

  /** The contents of a memory, where they are recorded. */
  followed(object: number): FollowedMemory | undefined {
    return this.#memories.get(object);
  }

  /** A context was started: from now on its device may write. */
  started(object: number): void {
    this.#running.add(object);
  }

  closed(object: number): void {
    this.#running.delete(object);
  }

  /** A memory was allocated, and has zeros. Returns its id. */
  allocated(region: MemoryRegion): number {
    const id = this.newObject();
    this.#addresses.add(id, region.address, region.size);
    this.#follow(id, region.address, region.size, () => new Uint8Array(region.buffer));
    return id;
  }

  freed(id: number): void {
    this.#addresses.delete(id);
    this.#forget(id);
  }

  /** The place of an address, in a memory that is known. */
  find(address: bigint): MemoryAddress | undefined {
    return this.#addresses.find(address);
  }

  /** The address of a buffer of the program was taken. Returns its id. */
  addressed(address: bigint, view: ArrayBufferView): number {
    const id = this.newObject();
    this.#addresses.add(id, address, view.byteLength);
    const bytes = () => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    this.#follow(id, address, view.byteLength, bytes);
    return id;
  }

  #follow(id: number, address: bigint, size: number, bytes: () => Uint8Array): void {
    const { maxMemory, exclude } = this.options;
    const excluded = exclude({ address, size });
    if (excluded || this.#followed + size > maxMemory) {
      const why = excluded ? 'it was excluded' : `the limit of all is ${maxMemory}`;
      const message = `the contents of a memory of ${size} bytes are not recorded: ${why}`;
      this.#note(excluded ? 'memory-excluded' : 'memory-limit', message, id);
      return;
    }
    this.#memories.set(id, new FollowedMemory(id, address, bytes()));
    this.#followed += size;
  }

  #note(code: NoteRecord['code'], message: string, object: number): void {
    this.write({ type: 'note', time: this.now(), code, message, object });
  }

  #forget(id: number): void {
    const memory = this.#memories.get(id);
    if (memory === undefined) return;
    this.#memories.delete(id);
    this.#followed -= memory.size;
  }

  #isDue(always: boolean): boolean {
    if (always || this.#followed <= SMALL_MEMORY) return true;
    return performance.now() - this.#compared >= COMPARE_INTERVAL;
  }

  /** Records what has changed in memory, as written by the device or by the program. */
  compare(by: MemoryRecord['by']): void {
    const certain = this.#running.size === 0;
    for (const [object, memory] of this.#memories) {
      const ranges = memory.changes();
      if (ranges === undefined) {
        this.#addresses.delete(object);
        this.#forget(object);
      } else if (ranges.length > 0) {
        const described = ranges.map(({ offset, bytes }) => this.#addresses.range(offset, bytes));
        this.#endBatch();
        // Flushed with the record that it belongs to.
        const time = this.now();
        this.writer.add({ type: 'memory', time, object, by, certain, ranges: described });
      }
    }
    this.#compared = performance.now();
  }

  #add(
    name: RecordedAccessName,
    object: number,
    offset: number,
    value: bigint | number,
    flags: number,
    time: number,
  ): AccessRow {
    const address = typeof value === 'bigint' ? this.#addresses.find(value) : undefined;
    const row = { name, object, offset, value, flags, address, time, times: 1, last: time };
    this.#batch.push(row);
    return row;
  }

  /** An access was added to the batch. */
  #written(): void {
    const { length } = this.#batch;
    if (length >= BATCH || this.options.flush === 'access') this.flush();
    else if (this.now() - this.#batch[0]!.time > BATCH_TIME * 1000) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_TIME).unref();
  }

  #endBatch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#batch.length === 0) return;
    this.writer.add(encodeBatch(this.#batch));
    this.#batch = [];
    this.#runs.clear();
  }

  /** Writes what is in memory. */
  flush(): void {
    this.#endBatch();
    this.writer.flush();
  }

  /** Ends the recording. Idempotent. */
  stop(reason: EndRecord['reason'], code?: number): void {
    this.onStop();
    if (!this.writer.open) return;
    this.compare('device');
    this.write({ type: 'end', time: this.now(), reason, ...(code === undefined ? {} : { code }) });
    this.writer.close();
  }
}
