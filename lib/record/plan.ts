/**
 * What a recording expects of a program, in the order in which a replay needs it: the calls of each
 * object, and which objects belong together.
 */
import { formatValue } from '../observe/format';
import { isLoad } from './access-columns';
import { callText } from './departure';
import type {
  AccessRecord,
  BlockRecord,
  CallRecord,
  EventsRecord,
  MemoryRecord,
  NoteRecord,
  RecordedEntry,
  RecordPlace,
  ReturnRecord,
  SysfsRecord,
  SystemRecord,
} from './records';

/** Something that the program did, or got. `seq` is its place in the order of the whole recording. */
export interface Step {
  readonly seq: number;
  readonly place: RecordPlace;
  readonly time: number;
  done: boolean;
}

/** A call that is no load: made in the order of its object. */
export interface CallStep extends Step {
  readonly kind: 'call';
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Undefined: under way when the recording ended. */
  answer?: ReturnRecord;
  /** The id of the object that it made. */
  created?: number;
  readonly text: string;
}

/**
 * A load, or several of the same value. A call that only asks (GET_AFU_ID, a wake-up that is waited
 * for in pieces) is as one: how often it is made makes no difference.
 */
export interface LoadStep extends Step {
  readonly kind: 'load';
  readonly record: AccessRecord | BlockRecord | ReturnRecord;
  /** What it returned, to be compared with that of others. */
  readonly value: bigint | number | string | undefined;
  /** How many of them are left. */
  left: number;
  readonly text: string;
}

export interface EventsStep extends Step {
  readonly kind: 'events';
  readonly record: EventsRecord;
}

/** The loads of one register or the like, in order. */
export interface LoadQueue {
  readonly steps: LoadStep[];
  /** Index of the next. */
  next: number;
  /** What was loaded last. */
  last: LoadStep | undefined;
}

/** The steps of one object: a file with its mappings, a memory, or a configuration space. */
export interface Lane {
  readonly id: number;
  readonly path: string | undefined;
  group: Group;
  readonly calls: CallStep[];
  /** Calls before this index were made. */
  made: number;
  /** Of `firsts`, those before this index. */
  loaded: number;
  /** Of `events`. */
  delivered: number;
  /** By what is loaded: loadKey(). */
  readonly loads: Map<string, LoadQueue>;
  /** The first load of each register. */
  readonly firsts: LoadStep[];
  readonly events: EventsStep[];
  /** Waits for events: arm() and readSync(). */
  readonly waits: CallStep[];
}

/**
 * Objects that belong together: contexts, and the memories that their devices reach. Within a group
 * a load or an event comes only when what the program did before it was done.
 */
export class Group {
  /** Calls of all its lanes, in order. */
  readonly calls: CallStep[] = [];
  /** Changes of memory, in order. */
  readonly changes: (MemoryRecord & { readonly seq: number; readonly place: RecordPlace })[] = [];
  /** How many of `changes` are in the memories. */
  changed = 0;
  /** When a call was made last: in the replay (milliseconds), and in the recording (microseconds). */
  anchor: { replayed: number; recorded: number } | undefined;
  #next = 0;

  /** The place of the first call that was not made yet. */
  get pending(): number {
    while (this.calls[this.#next]?.done === true) this.#next += 1;
    return this.calls[this.#next]?.seq ?? Number.POSITIVE_INFINITY;
  }
}

export interface RecordedMemoryPlan {
  readonly id: number;
  readonly address: bigint;
  readonly size: number;
  group: Group;
}

/** Everything of one file. */
export interface Plan {
  readonly systems: ReadonlyMap<'cxl' | 'pci', SystemRecord>;
  readonly lanes: ReadonlyMap<number, Lane>;
  readonly memories: ReadonlyMap<number, RecordedMemoryPlan>;
  /** Calls that are of no object: open, allocate, sysfs and so on. By their names. */
  readonly free: ReadonlyMap<string, readonly CallStep[]>;
  readonly sysfs: ReadonlyMap<string, SysfsRecord>;
  /** Memories whose contents were not recorded. */
  readonly unknown: ReadonlySet<number>;
  /** What the recorder has left out, as it says itself. */
  readonly notes: readonly NoteRecord[];
}

/** What the steps of accesses have in common. There are many, so what is seldom wanted is made then. */
abstract class AccessStep {
  readonly seq: number;
  readonly record: RecordedEntry & AccessRecord;
  done = false;
  readonly #lane: Lane;

  constructor(seq: number, record: RecordedEntry & AccessRecord, lane: Lane) {
    this.seq = seq;
    this.record = record;
    this.#lane = lane;
  }

  get place(): RecordPlace {
    return this.record.place;
  }

  get time(): number {
    return this.record.time;
  }

  /** As the replayed program passes it. */
  get input(): Record<string, unknown> {
    const { name, offset, value, swapped } = this.record;
    return { offset, ...(isLoad(name) ? {} : { value }), ...(swapped ? { swapped } : {}) };
  }

  get text(): string {
    return callText(this.#lane.path, this.record.name, this.input);
  }
}

class AccessLoad extends AccessStep implements LoadStep {
  readonly kind = 'load';
  left: number;

  constructor(seq: number, record: RecordedEntry & AccessRecord, lane: Lane) {
    super(seq, record, lane);
    this.left = record.times;
  }

  get value(): bigint | number | undefined {
    return this.record.value ?? this.record.errno;
  }
}

class AccessStore extends AccessStep implements CallStep {
  readonly kind = 'call';

  get name(): string {
    return this.record.name;
  }

  get answer(): ReturnRecord {
    const { time, failed, errno = -1 } = this.record;
    return { type: 'return', time, call: 0, ...(failed ? { errno } : {}) };
  }
}

const WAITS = new Set(['arm', 'disarm', 'readSync']);
/** Calls that only ask. */
const QUERIES = new Set(['ioctl(GET_PROCESS_ELEMENT)', 'ioctl(GET_AFU_ID)', 'waitForWakeup']);
/** Not compared: they are done in any order, and nothing depends on them. */
const UNCOMPARED = new Set(['free', 'memoryBarrier']);

export function makePlan(records: Iterable<RecordedEntry>): Plan {
  return new Planner().read(records);
}

class Planner {
  readonly #systems = new Map<'cxl' | 'pci', SystemRecord>();
  readonly #lanes = new Map<number, Lane>();
  readonly #memories = new Map<number, RecordedMemoryPlan>();
  readonly #free = new Map<string, CallStep[]>();
  readonly #sysfs = new Map<string, SysfsRecord>();
  readonly #notes: NoteRecord[] = [];
  /** By number: calls whose return has not come. */
  readonly #open = new Map<number, { record: CallRecord; step: CallStep }>();
  /** Of a mapping its file; of anything else itself. */
  readonly #owners = new Map<number, number>();
  /** Union of objects: each refers to another of its group. */
  readonly #unions = new Map<number, number>();
  readonly #changes: (MemoryRecord & { seq: number; place: RecordPlace })[] = [];
  /** Changes that no record has followed yet. */
  #loose: MemoryRecord[] = [];
  readonly #paths = new Map<number, string>();
  #seq = 0;

  read(records: Iterable<RecordedEntry>): Plan {
    for (const record of records) {
      this.#seq += 1;
      this.#add(record);
    }
    const groups = new Map<number, Group>();
    const groupOf = (id: number) => {
      const root = this.#root(id);
      const group = groups.get(root) ?? new Group();
      groups.set(root, group);
      return group;
    };
    for (const lane of this.#lanes.values()) lane.group = groupOf(lane.id);
    for (const memory of this.#memories.values()) memory.group = groupOf(memory.id);
    for (const change of this.#changes) groupOf(change.object).changes.push(change);
    for (const lane of this.#lanes.values()) {
      // A call that is known by its return was added then.
      lane.calls.sort((a, b) => a.seq - b.seq);
      // Not by spreading: there may be more than a call can have arguments.
      for (const call of lane.calls) lane.group.calls.push(call);
    }
    for (const group of groups.values()) group.calls.sort((a, b) => a.seq - b.seq);
    return {
      systems: this.#systems,
      lanes: this.#lanes,
      memories: this.#memories,
      free: this.#free,
      sysfs: this.#sysfs,
      unknown: new Set(this.#notes.map(({ object }) => object)),
      notes: this.#notes,
    };
  }

  #add(record: RecordedEntry): void {
    switch (record.type) {
      case 'system':
        this.#systems.set(record.system, record);
        break;
      case 'sysfs':
        this.#sysfs.set(record.path, record);
        break;
      case 'note':
        this.#notes.push(record);
        break;
      case 'call':
        this.#call(record);
        break;
      case 'return':
        this.#return(record);
        break;
      case 'access':
        this.#access(record);
        break;
      case 'block':
        this.#block(record);
        break;
      case 'events':
        this.#carried(record.object);
        this.#lane(record.object).events.push({ kind: 'events', ...this.#step(record), record });
        break;
      case 'memory':
        this.#changes.push({ ...record, seq: this.#seq });
        this.#loose.push(record);
        for (const { addresses = [] } of record.ranges) {
          for (const { memory } of addresses) this.#join(record.object, memory);
        }
        break;
      default:
    }
  }

  #step(record: RecordedEntry) {
    return { seq: this.#seq, place: record.place, time: record.time, done: false };
  }

  #call(record: RecordedEntry & CallRecord): void {
    const { name, object, input, addresses = {} } = record;
    const owner = this.#owners.get(object) ?? object;
    const path = this.#paths.get(owner);
    const text = callText(path, name, input);
    const step: CallStep = { kind: 'call', ...this.#step(record), name, input, text };
    this.#open.set(record.call, { record, step });
    for (const { memory } of Object.values(addresses)) this.#join(owner, memory);
    if (object === 0 || name === 'addressOf') this.#freeCall(step);
    else if (WAITS.has(name)) this.#lane(owner).waits.push(step);
    else if (!UNCOMPARED.has(name)) {
      this.#carried(owner);
      // Whether it only asked is known by its return.
      if (!QUERIES.has(name) && name !== 'mmap') this.#lane(owner).calls.push(step);
    }
  }

  #return(record: RecordedEntry & ReturnRecord): void {
    const begun = this.#open.get(record.call);
    if (begun === undefined) return;
    this.#open.delete(record.call);
    const { step } = begun;
    const { name, object, input } = begun.record;
    step.answer = record;
    if (QUERIES.has(name) || (name === 'mmap' && record.errno !== undefined)) {
      const key = loadKey(name, name === 'mmap' ? input['offset'] : 0);
      const value = formatValue(record.errno ?? record.answer);
      const { text, seq, place, time } = step;
      const query = { seq, place, time, done: false, record, value, left: 1, text } as const;
      this.#load(this.#lane(object), key, { kind: 'load', ...query });
    } else if (name === 'mmap') {
      this.#lane(object).calls.push(step);
    }
    const { created } = record;
    if (created === undefined) return;
    step.created = created;
    this.#owners.set(created, name === 'mmap' ? object : created);
    const { path, fd } = input as { path?: string; fd?: number };
    const answer = record.answer as { address?: bigint; size?: number; path?: string } | undefined;
    const memory = answer?.address === undefined ? undefined : `memory ${created}`;
    const shown = path ?? answer?.path ?? memory ?? (fd === undefined ? undefined : `fd ${fd}`);
    if (shown !== undefined) this.#paths.set(created, shown);
    if (answer?.address !== undefined) {
      const size = answer.size ?? (input['size'] as number);
      const { address } = answer;
      this.#memories.set(created, { id: created, address, size, group: new Group() });
    }
    if (name !== 'mmap') this.#lane(created);
  }

  #freeCall(step: CallStep): void {
    const steps = this.#free.get(step.name);
    if (steps === undefined) this.#free.set(step.name, [step]);
    else steps.push(step);
  }

  #access(record: RecordedEntry & AccessRecord): void {
    const { name, object, offset, address } = record;
    if (UNCOMPARED.has(name)) return;
    const owner = this.#owners.get(object) ?? object;
    this.#carried(owner);
    if (address !== undefined) this.#join(owner, address.memory);
    const lane = this.#lane(owner);
    if (isLoad(name)) {
      const key = loadKey(name, offset);
      const read = new AccessLoad(this.#seq, record, lane);
      if (!lane.loads.has(key) && !this.#memories.has(owner)) lane.firsts.push(read);
      this.#load(lane, key, read);
    } else {
      lane.calls.push(new AccessStore(this.#seq, record, lane));
    }
  }

  #block(record: RecordedEntry & BlockRecord): void {
    const { name, object, offset, width, count, values, moved } = record;
    const owner = this.#owners.get(object) ?? object;
    this.#carried(owner);
    const lane = this.#lane(owner);
    const shape = { offset, width, count };
    const text = callText(lane.path, name, name === 'readBlock' ? shape : { ...shape, values });
    const step = this.#step(record);
    if (name === 'readBlock') {
      const value = Buffer.from(values).toString('hex');
      const read = { kind: 'load', ...step, record, value, left: 1, text } as const;
      this.#load(lane, loadKey(blockName(width, count), offset), read);
    } else {
      const answer: ReturnRecord = { type: 'return', time: record.time, call: 0, answer: moved };
      const input = { ...shape, values: Buffer.from(values) };
      lane.calls.push({ kind: 'call', ...step, name, input, answer, text });
    }
  }

  #load(lane: Lane, key: string, step: LoadStep): void {
    const queue = lane.loads.get(key);
    if (queue === undefined) lane.loads.set(key, { steps: [step], next: 0, last: undefined });
    else queue.steps.push(step);
  }

  #lane(id: number): Lane {
    const owner = this.#owners.get(id) ?? id;
    let lane = this.#lanes.get(owner);
    if (lane === undefined) {
      lane = {
        id: owner,
        path: this.#paths.get(owner),
        group: new Group(),
        calls: [],
        made: 0,
        loaded: 0,
        delivered: 0,
        loads: new Map(),
        firsts: [],
        events: [],
        waits: [],
      };
      this.#lanes.set(owner, lane);
    }
    return lane;
  }

  /** A record of `object` follows changes of memory: where nothing else says whose they are, its. */
  #carried(object: number): void {
    for (const { object: memory, by } of this.#loose) {
      const alone = ![...this.#lanes.keys()].some(
        (id) => !this.#memories.has(id) && this.#root(id) === this.#root(memory),
      );
      if (by === 'device' && alone && !this.#memories.has(object)) this.#join(object, memory);
    }
    this.#loose = [];
  }

  #join(one: number, other: number): void {
    if (one === 0 || other === 0) return;
    this.#unions.set(this.#root(one), this.#root(other));
  }

  #root(id: number): number {
    let root = id;
    for (let next = this.#unions.get(root); next !== undefined && next !== root; ) {
      root = next;
      next = this.#unions.get(root);
    }
    return root;
  }
}

/** What the loads of one place have in common. */
export function loadKey(name: string, offset: unknown): string {
  return `${name} ${String(offset)}`;
}

export function blockName(width: number, count: number): string {
  return `readBlock ${width} x ${count}`;
}
