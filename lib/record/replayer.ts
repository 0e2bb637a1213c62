/** Finds for each call of a program what was recorded of it. */
import { isDeepStrictEqual } from 'node:util';
import { realTimers } from '../emulation/real-timers';
import { formatValue } from '../observe/format';
import { cardVersion, formatVersion } from './card-version';
import { type AboutRecording, callText, type ExpectedCall, ReplayDivergedError } from './departure';
import {
  type CallStep,
  type EventsStep,
  type Group,
  type Lane,
  type LoadStep,
  loadKey,
  type Plan,
} from './plan';
import type { BoundMemory, MemoryDifference } from './replayed-memory';

/** The options of a replay, checked. */
export interface ReplaySettings {
  /** What the durations of the recording are multiplied by. 0: at once. */
  readonly pace: number;
  readonly strict: boolean;
  /** Whether a poll is as short as it can be, or as many loads as were recorded. */
  readonly polls: 'collapse' | 'each';
  /** What attributes of the recorded cards must be. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** How often the same load may be repeated, when nothing that the program can wait for is to come. */
const MAX_REPEATS = 100_000;
/** After a departure these go on, so that the program can clean up, and its error is not hidden. */
const CLEANING = new Set(['close', 'munmap', 'closeDescriptor', 'config.unlock', 'config.close']);

export class Replayer {
  readonly path: string;
  readonly plan: Plan;
  readonly settings: ReplaySettings;
  /** Where the program departed first. */
  departure: ReplayDivergedError | undefined;
  /** Called when something was done that an event may have waited for. */
  readonly onProgress = new Set<() => void>();
  readonly #memories = new Map<number, BoundMemory>();
  readonly #start = realTimers.now();
  readonly #about: AboutRecording;
  /** How often in succession a load found nothing new. */
  #repeats = 0;

  constructor(path: string, plan: Plan, settings: ReplaySettings) {
    this.path = path;
    this.plan = plan;
    this.settings = settings;
    this.#about = {
      path,
      card: formatVersion(cardVersion(plan.sysfs.values())),
      leftOut: plan.notes.map(({ message }) => message),
    };
  }

  bind(memory: BoundMemory): void {
    this.#memories.set(memory.id, memory);
  }

  unbind(id: number): void {
    this.#memories.delete(id);
  }

  bound(id: number): BoundMemory | undefined {
    return this.#memories.get(id);
  }

  lane(id: number): Lane {
    return this.plan.lanes.get(id)!;
  }

  /**
   * The next call of an object, which must be this one. Undefined: the program cleans up after a
   * departure.
   *
   * @throws ReplayDivergedError
   */
  call(lane: Lane, name: string, input: Readonly<Record<string, unknown>>): CallStep | undefined {
    if (this.departure !== undefined) {
      if (CLEANING.has(name)) return undefined;
      throw this.departure;
    }
    const next = nextCall(lane);
    const fields = withoutUndefined(input);
    const same = (step: CallStep) =>
      step.name === name && (sameFields(step.input, fields) ?? sameInput(step.input, fields));
    let found = next !== undefined && same(next) ? next : undefined;
    if (this.settings.strict) {
      const unread = found && firstUnread(lane, found.seq);
      if (unread !== undefined) throw this.#departed(lane, name, fields, unread);
      if (found === undefined) throw this.#departed(lane, name, fields, next);
    } else {
      const rest = lane.calls.slice(lane.made).filter((step) => !step.done);
      found ??= rest.find(same) ?? rest.find((step) => step.name === name);
      if (found === undefined) throw this.#departed(lane, name, fields, next);
      for (const step of rest) if (step.seq < found.seq) step.done = true;
    }
    found.done = true;
    this.#repeats = 0;
    lane.group.anchor = { replayed: realTimers.now(), recorded: found.time };
    this.#advance(lane.group, found.seq, name, lane, fields);
    for (const progress of [...this.onProgress]) progress();
    return found;
  }

  /** Whether the next call of an object is this one. */
  isNext(lane: Lane, name: string, input: Readonly<Record<string, unknown>>): boolean {
    const next = nextCall(lane);
    return next?.name === name && sameInput(next.input, withoutUndefined(input));
  }

  /** Whether a call that only asks was recorded before the next call, and has not been made. */
  asksBefore(lane: Lane, name: string, offset: number): boolean {
    const queue = lane.loads.get(loadKey(name, offset));
    const next = queue?.steps[queue.next];
    return next !== undefined && next.seq < (nextCall(lane)?.seq ?? Number.POSITIVE_INFINITY);
  }

  /**
   * What a load returned: the next that was recorded, or the last again where nothing new may come
   * yet. Undefined where none was recorded.
   */
  load(lane: Lane, name: string, offset: number): LoadStep | undefined {
    const queue = lane.loads.get(loadKey(name, offset));
    if (queue === undefined) return undefined;
    const { pending } = lane.group;
    let found: LoadStep | undefined;
    for (let step = queue.steps[queue.next]; step !== undefined; step = queue.steps[queue.next]) {
      if (step.seq > pending) break;
      // A poll lasts as long as it did; a load that is no poll is made when the program makes it.
      if (isPoll(queue.last) && this.#dueIn(lane.group, step.time) > 0) break;
      found = step;
      found.done = true;
      found.left -= 1;
      if (this.settings.polls === 'each') {
        if (found.left === 0) queue.next += 1;
        break;
      }
      queue.next += 1;
      if (found.value !== queue.last?.value) break;
    }
    if (found === undefined) {
      this.#repeats += 1;
      return queue.last;
    }
    if (found.value !== queue.last?.value) this.#repeats = 0;
    queue.last = found;
    this.#advance(lane.group, found.seq, name, lane, { offset });
    return found;
  }

  /** As load(), for what the program cannot do without. @throws ReplayDivergedError */
  required(lane: Lane, name: string, offset: number, input: Record<string, unknown>): LoadStep {
    if (this.departure !== undefined && this.settings.strict) throw this.departure;
    const found = this.load(lane, name, offset);
    const next = nextCall(lane);
    if (found === undefined) throw this.#departed(lane, name, input, next);
    if (this.#repeats > MAX_REPEATS && this.settings.pace === 0) {
      const times = { ...input, times: this.#repeats };
      throw this.#departed(lane, name, times, next);
    }
    return found;
  }

  /** The next events of a context that may come now; or in how many milliseconds; or why none. */
  nextEvents(lane: Lane): EventsStep | number | 'blocked' | 'none' {
    const next = lane.events[lane.delivered];
    if (next === undefined) return 'none';
    if (next.seq > lane.group.pending) return 'blocked';
    const left = this.#dueIn(lane.group, next.time);
    return left > 0 ? left : next;
  }

  takeEvents(lane: Lane, step: EventsStep): void {
    step.done = true;
    lane.delivered += 1;
    this.#repeats = 0;
    this.#advance(lane.group, step.seq, 'read', lane, {});
  }

  /** A call of no object: the first of those that were recorded with the same input. */
  free(
    name: string,
    input: Readonly<Record<string, unknown>>,
    accepts: (step: CallStep) => boolean = () => true,
  ): CallStep | undefined {
    if (this.departure !== undefined && this.settings.strict) throw this.departure;
    const fields = withoutUndefined(input);
    const found = this.plan.free
      .get(name)
      ?.find((step) => !step.done && accepts(step) && sameInput(step.input, fields));
    if (found !== undefined) found.done = true;
    return found;
  }

  /** The departure of a call of no object that was not recorded. */
  notRecorded(name: string, input: Readonly<Record<string, unknown>>): ReplayDivergedError {
    const fields = withoutUndefined(input);
    const same = (this.plan.free.get(name) ?? []).filter((step) => !step.done);
    return this.#diverged(callText(undefined, name, fields), same[0], nearest(same, name, fields));
  }

  /** A program waits for events, and none can come. */
  noEvents(lane: Lane): ReplayDivergedError {
    const next = nextCall(lane);
    return this.#diverged(`${lane.path ?? ''} waits for events`, next, undefined);
  }

  /** The milliseconds that a call takes. */
  duration(step: CallStep): number {
    const { answer } = step;
    return answer === undefined ? 0 : ((answer.time - step.time) / 1000) * this.settings.pace;
  }

  /** The recording ends within this call. */
  unfinished(step: CallStep): ReplayDivergedError {
    const expected = {
      text: 'no more calls: the recording ends within this one',
      place: step.place,
    };
    return this.#diverged(step.text, expected, undefined);
  }

  /** The departure of a program that has ended before the recording. */
  endedEarly(): ReplayDivergedError | undefined {
    if (!this.settings.strict) return undefined;
    const [next] = this.left();
    return next && this.#diverged('the end of the program', next, undefined);
  }

  /** Calls that were recorded, and the program has not made. */
  left(): CallStep[] {
    const calls = [...this.plan.lanes.values()].flatMap((lane) => lane.calls);
    const opened = ['open', 'adopt', 'allocate'].flatMap((name) => this.plan.free.get(name) ?? []);
    return [...calls, ...opened]
      .filter((step) => !step.done && step.answer !== undefined)
      .sort((a, b) => a.seq - b.seq);
  }

  #dueIn(group: Group, time: number): number {
    const { pace } = this.settings;
    if (pace === 0) return 0;
    const { replayed, recorded } = group.anchor ?? { replayed: this.#start, recorded: 0 };
    return replayed + ((time - recorded) / 1000) * pace - realTimers.now();
  }

  /** Brings the memories of a group to where the recording was at `seq`. */
  #advance(
    group: Group,
    seq: number,
    name: string,
    lane: Lane,
    input: Readonly<Record<string, unknown>>,
  ): void {
    const { strict } = this.settings;
    for (
      let change = group.changes[group.changed];
      change !== undefined && change.seq < seq;
      change = group.changes[group.changed]
    ) {
      group.changed += 1;
      const difference = this.#memories.get(change.object)?.change(change);
      if (difference !== undefined && strict) {
        throw this.#wroteOther(change.object, difference, change.place, lane, name, input);
      }
    }
    // The recorder compared everything at these.
    if (!strict || !COMPARED.test(name)) return;
    const later = group.changes.slice(group.changed);
    for (const memory of this.#memories.values()) {
      if (this.plan.memories.get(memory.id)?.group !== group) continue;
      const difference = memory.unexpected(later);
      if (difference === undefined) continue;
      throw this.#wroteOther(memory.id, difference, undefined, lane, name, input);
    }
  }

  #wroteOther(
    id: number,
    { offset, expected, actual }: MemoryDifference,
    place: ExpectedCall['place'],
    lane: Lane,
    name: string,
    input: Readonly<Record<string, unknown>>,
  ): ReplayDivergedError {
    const { size } = this.plan.memories.get(id)!;
    const where = `memory ${id} (${size} bytes) at offset 0x${offset.toString(16)}`;
    const wanted = { text: `${where} to have ${formatValue(expected)}`, place };
    const call = callText(lane.path, name, input);
    return this.#diverged(`${formatValue(actual)} there, at ${call}`, wanted, undefined);
  }

  #departed(
    lane: Lane,
    name: string,
    input: Readonly<Record<string, unknown>>,
    expected: ExpectedCall | undefined,
  ): ReplayDivergedError {
    const rest = lane.calls.filter((step) => !step.done && step !== expected);
    return this.#diverged(callText(lane.path, name, input), expected, nearest(rest, name, input));
  }

  #diverged(
    actual: string,
    expected: ExpectedCall | undefined,
    near: ExpectedCall | undefined,
  ): ReplayDivergedError {
    const error = new ReplayDivergedError(this.#about, actual, expected, near);
    this.departure ??= error;
    return error;
  }
}

function nextCall(lane: Lane): CallStep | undefined {
  while (lane.calls[lane.made]?.done === true) lane.made += 1;
  return lane.calls[lane.made];
}

/** Whether the same value was loaded several times. */
function isPoll(load: LoadStep | undefined): boolean {
  return load?.record.type === 'access' && load.record.times > 1;
}

/** The first load of a register that was made before `seq`, and that the program has not made. */
function firstUnread(lane: Lane, seq: number): LoadStep | undefined {
  while (lane.firsts[lane.loaded]?.done === true) lane.loaded += 1;
  const first = lane.firsts[lane.loaded];
  return first !== undefined && first.seq < seq ? first : undefined;
}

/** Calls at which the whole memory was compared with what the program wrote. */
const COMPARED = /^(write|ioctl\(START_WORK\))/;

function withoutUndefined(input: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
}

function sameInput(recorded: unknown, given: unknown): boolean {
  if (recorded === given) return true;
  return isDeepStrictEqual(plain(recorded), plain(given));
}

/** As sameInput(), for the fields of accesses, which are many. */
function sameFields(recorded: object, given: object): boolean | undefined {
  const entries = Object.entries(recorded);
  if (entries.some(([, value]) => typeof value === 'object')) return undefined;
  const other = given as Record<string, unknown>;
  return (
    entries.length === Object.keys(other).length &&
    entries.every(([key, value]) => other[key] === value)
  );
}

/** A Buffer and a Uint8Array with the same bytes are the same. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([key, field]) => [key, plain(field)]),
  );
}

/** The call that has most in common with one that came. */
function nearest(
  steps: readonly CallStep[],
  name: string,
  input: Readonly<Record<string, unknown>>,
): CallStep | undefined {
  let best: CallStep | undefined;
  let most = 0;
  for (const step of steps.slice(0, 10_000)) {
    if (step.name !== name) continue;
    const common = Object.entries(input).filter(([key, value]) =>
      sameInput(step.input[key], value),
    ).length;
    if (best === undefined || common > most) {
      best = step;
      most = common;
    }
  }
  return best;
}
