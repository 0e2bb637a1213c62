/** Where two runs of a program part: what each context did, compared in order. */

import { isLoad } from '../record/access-columns';
import { isWait } from './entries';
import type { TraceEntry } from './entry';
import { formatArguments, formatOutcome } from './format';
import { MemoryContents, type MemoryDifference } from './memory-contents';
import type { Trace } from './trace';

/** A call of one run, or several that count as one. */
interface Step {
  /** The call and its arguments, without what differs from run to run. */
  readonly call: string;
  readonly outcome: string;
  /** The last one, where several count as one. */
  readonly entry: TraceEntry;
}

/** Where two runs part in a context. Undefined: that run has no further call in it. */
export interface Departure {
  /** `call`: another call, or none. `result`: the same call with another result. */
  readonly kind: 'call' | 'result';
  /** How many calls of the context agree before it; polls count as one. */
  readonly index: number;
  readonly a: TraceEntry | undefined;
  readonly b: TraceEntry | undefined;
}

export interface ContextDifference {
  /** With the number of the thread where that is not the first: `thread 2 afu0.0s#1`. */
  readonly context: string;
  /** How many calls each run has in it. */
  readonly countA: number;
  readonly countB: number;
  /** The first difference, and the first call that differs where that is a later one. */
  readonly departures: readonly Departure[];
}

export interface TraceDifference {
  /** Contexts that are the same in both. */
  readonly same: readonly string[];
  /** By the time of A, what parts first being first. */
  readonly contexts: readonly ContextDifference[];
  /** Memory whose last contents differ. */
  readonly memory: readonly MemoryDifference[];
  /** Attributes that say which version of a card it was, and that are others. */
  readonly card: readonly CardDifference[];
}

export interface CardDifference {
  /** Below /sys/class/cxl, such as `card0/psl_revision`. */
  readonly path: string;
  readonly a: string | undefined;
  readonly b: string | undefined;
}

/** Fields that the system numbers anew in each run. */
const VARYING = new Set(['fd', 'tid', 'processElement']);

/**
 * Compares two traces, as a replay does: in order within a context, in any order across contexts.
 * Loads of one register with only loads between them are one load, with the last value.
 */
export function diffTraces(a: Trace, b: Trace): TraceDifference {
  const runA = new Run(a);
  const runB = new Run(b);
  const names = new Set([...runA.contexts.keys(), ...runB.contexts.keys()]);
  const same: string[] = [];
  const contexts: ContextDifference[] = [];
  for (const context of names) {
    const stepsA = runA.contexts.get(context)?.steps ?? [];
    const stepsB = runB.contexts.get(context)?.steps ?? [];
    const departures = findDepartures(stepsA, stepsB);
    if (departures.length === 0) same.push(context);
    else contexts.push({ context, countA: stepsA.length, countB: stepsB.length, departures });
  }
  contexts.sort((one, other) => timeOf(one) - timeOf(other));
  const memory = runA.memory.differences(runB.memory);
  return { same, contexts, memory, card: cardDifferences(a.card, b.card) };
}

function cardDifferences(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): CardDifference[] {
  // A snapshot may have been left out.
  if (a.size === 0 || b.size === 0) return [];
  return [...new Set([...a.keys(), ...b.keys()])]
    .sort()
    .map((path) => ({ path, a: a.get(path), b: b.get(path) }))
    .filter(({ a: one, b: other }) => one !== other);
}

function timeOf({ departures: [first] }: ContextDifference): number {
  return first?.a?.time ?? first?.b?.time ?? 0;
}

function findDepartures(a: readonly Step[], b: readonly Step[]): Departure[] {
  const found: Departure[] = [];
  for (let index = 0; index < a.length || index < b.length; index += 1) {
    const one = a[index];
    const other = b[index];
    const sides = { index, a: one?.entry, b: other?.entry };
    if (one?.call !== other?.call) return [...found, { kind: 'call', ...sides }];
    if (one?.outcome !== other?.outcome && found.length === 0) {
      found.push({ kind: 'result', ...sides });
    }
  }
  return found;
}

/** What one run did, by context. */
class Run {
  readonly contexts = new Map<string, ContextSteps>();
  readonly memory = new MemoryContents();

  constructor(entries: Iterable<TraceEntry>) {
    for (const entry of entries) this.#take(entry);
    for (const context of this.contexts.values()) context.endLoads();
  }

  #take(entry: TraceEntry): void {
    const { kind, thread, context, name } = entry;
    const prefix = thread.index === 0 ? '' : `thread ${thread.index + 1} `;
    if (kind === 'memory') {
      this.memory.take(entry, prefix);
    } else if (kind === 'call' || kind === 'access' || kind === 'block' || kind === 'events') {
      if (isWait(name)) return;
      const key = prefix + context;
      const steps = this.contexts.get(key) ?? new ContextSteps();
      this.contexts.set(key, steps);
      steps.take(entry);
    }
  }
}

class ContextSteps {
  readonly steps: Step[] = [];
  /** Loads since the last other call, by what they load. */
  readonly #loads = new Map<string, Step>();

  take(entry: TraceEntry): void {
    const step = stepOf(entry);
    if (entry.kind === 'access' && isLoad(entry.name)) {
      this.#loads.set(step.call, step);
      return;
    }
    this.endLoads();
    if (entry.kind !== 'events') {
      this.steps.push(step);
      return;
    }
    // How many events come in one batch depends on time.
    const events = Array.isArray(entry.result) ? entry.result : [];
    for (const event of events) this.steps.push(stepOf({ ...entry, result: [event] }));
    if (entry.error !== undefined) this.steps.push(stepOf({ ...entry, result: [] }));
  }

  endLoads(): void {
    this.steps.push(...this.#loads.values());
    this.#loads.clear();
  }
}

function stepOf(entry: TraceEntry): Step {
  const input = stable(entry.input) as TraceEntry['input'];
  const result = stable(entry.result);
  const call = formatArguments({ ...entry, input });
  return { call, outcome: formatOutcome({ ...entry, result, times: 1 }), entry };
}

/** Without the fields that differ from run to run. */
function stable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stable);
  if (typeof value !== 'object' || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !VARYING.has(key)));
}
