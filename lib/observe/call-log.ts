/** The log of a program's calls, for a test to look at. */
import { AssertionError } from 'node:assert';
import { checkInteger, checkOneOf, checkOptions, type OptionNames } from '../shared/checks';
import { errnoName } from '../shared/errno';
import type { Call } from './call';
import { compareCalls } from './comparison';
import { formatCall } from './format';
import type { Observer } from './observer';
import { type CallPattern, differences, formatPattern } from './pattern';

/**
 * Which calls are logged: none; all but accesses to registers and memory; or all. Accesses are many,
 * and each takes an object in the log.
 */
export type CallDetail = 'none' | 'calls' | 'accesses';

/** Which calls a log keeps. */
export interface CallLogOptions {
  /** Default 'calls'. */
  readonly detail?: CallDetail | undefined;
  /** How many calls are kept: when there are more, the oldest go. 1 to 10^7. Default 10000. */
  readonly limit?: number | undefined;
}

const OPTION_NAMES: OptionNames<CallLogOptions> = { detail: true, limit: true };
const DETAILS: readonly CallDetail[] = ['none', 'calls', 'accesses'];
const DEFAULT_LIMIT = 10_000;
const MAX_LIMIT = 10_000_000;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * The calls that a program made at the seam between this package and the driver, oldest first: what
 * strace would show of it, and accesses to registers and memory.
 *
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl({ calls: { detail: 'accesses' } });
 * const context = await system.open('/dev/cxl/afu1.0s');
 * await context.attach({ wed: 0n });
 * const registers = context.mapProblemState();
 * registers.write64(0x00, 1n);
 * registers.read64(0x00);
 * await context.close();
 * system.calls.assertCalls(
 *   [{ name: 'write64', input: { offset: 0x00, value: 1n } }, { name: 'read64', answer: 1n }],
 *   { among: { name: /^(read|write)64$/ } },
 * );
 */
export class CallLog implements Iterable<Call> {
  /** @internal What the observed backend tells. */
  readonly observer: Observer;
  readonly #limit: number;
  #calls: Mutable<Call>[] = [];
  #detail: CallDetail;
  #next = 0;
  #dropped = 0;

  /** @internal Use createMockCxl(). @throws ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE */
  constructor(options: CallLogOptions = {}, name = 'options.calls') {
    const { detail = 'calls', limit = DEFAULT_LIMIT } = checkOptions(options, OPTION_NAMES, name);
    this.#detail = checkOneOf(`${name}.detail`, detail, DETAILS);
    this.#limit = checkInteger(`${name}.limit`, limit, 1, MAX_LIMIT);
    this.observer = this.#makeObserver();
  }

  /** Which calls are logged from now on. */
  get detail(): CallDetail {
    return this.#detail;
  }

  /** @throws ERR_INVALID_ARG_VALUE */
  set detail(detail: CallDetail) {
    this.#detail = checkOneOf('detail', detail, DETAILS);
  }

  /** How many calls are in the log. */
  get length(): number {
    return this.#calls.length;
  }

  /** How many calls were removed because there were more than `limit`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The calls, the oldest first. */
  [Symbol.iterator](): Iterator<Call> {
    return this.#calls[Symbol.iterator]();
  }

  /** Forgets the calls so far. Those under way stay forgotten. */
  clear(): void {
    this.#calls = [];
    this.#dropped = 0;
  }

  /** The calls that match, oldest first. Without a pattern: all. */
  filter(pattern: CallPattern | ((call: Call) => boolean) = {}): Call[] {
    if (typeof pattern === 'function') return this.#calls.filter((call) => pattern(call));
    return this.#calls.filter((call) => differences(call, pattern).length === 0);
  }

  /**
   * Checks that the calls are those expected, all of them and in this order.
   *
   * @param options `among`: of the calls that match this pattern. Default: of all
   * @throws AssertionError, whose message has the calls and the patterns side by side
   */
  assertCalls(expected: readonly CallPattern[], options: { among?: CallPattern } = {}): void {
    const { among = {} } = checkOptions(options, { among: true });
    this.#assertComplete();
    const calls = this.filter(among);
    const difference = compareCalls(calls, expected);
    if (difference === undefined) return;
    throw new AssertionError({
      message: `the calls differ from what was expected (- expected, + made):\n${difference}`,
      actual: calls.map(formatCall),
      expected: expected.map(formatPattern),
      operator: 'assertCalls',
      stackStartFn: this.assertCalls,
    });
  }

  /**
   * Checks that a call was made.
   *
   * @param times how often. Default: at least once; 0: never
   * @throws AssertionError, with the call nearest to the pattern and in what it differs
   */
  assertCalled(pattern: CallPattern, times?: number): void {
    this.#assertComplete();
    const found = this.filter(pattern);
    if (times === undefined ? found.length > 0 : found.length === times) return;
    const wanted = times === undefined ? 'at least once' : times === 0 ? 'never' : `${times} times`;
    const shown =
      found.length > 0 ? found.map((call) => `  ${formatCall(call)}`) : this.#nearest(pattern);
    throw new AssertionError({
      message: [
        `expected ${wanted}: ${formatPattern(pattern)}`,
        `it was made ${found.length} times`,
        ...shown,
      ].join('\n'),
      actual: found.length,
      expected: times ?? 1,
      operator: 'assertCalled',
      stackStartFn: this.assertCalled,
    });
  }

  /** The log as text, one call a line. */
  toString(): string {
    return this.#calls.map(formatCall).join('\n');
  }

  #nearest(pattern: CallPattern): string[] {
    let nearest: { call: Call; found: string[] } | undefined;
    for (const call of this.#calls) {
      const found = differences(call, pattern);
      if (nearest === undefined || found.length < nearest.found.length) nearest = { call, found };
    }
    if (nearest === undefined) return ['there are no calls in the log'];
    return [`nearest: ${formatCall(nearest.call)}`, ...nearest.found.map((text) => `  ${text}`)];
  }

  /** A check of a log without its oldest calls would say nothing. */
  #assertComplete(): void {
    if (this.#dropped === 0) return;
    throw new AssertionError({
      message: `${this.#dropped} calls were dropped: set a higher limit, less detail, or clear() the log earlier`,
      stackStartFn: this.#assertComplete,
    });
  }

  #makeObserver(): Observer {
    const log = this;
    return {
      get wantsAccesses() {
        return log.#detail === 'accesses';
      },
      begin(name, subject, input) {
        const call = { number: log.#next, name, ...subject, input, time: performance.now() };
        if (log.#detail !== 'none') log.#add(call);
        return call;
      },
      end(call, answer) {
        const ended: Mutable<Call> = call;
        ended.duration = performance.now() - call.time;
        if (typeof answer === 'number' && answer < 0) ended.error = errnoName(answer);
        else if (answer !== undefined) ended.answer = answer;
      },
      access(name, subject, input, answer) {
        const call = { number: log.#next, name, ...subject, input, time: performance.now() };
        if (answer === 'SIGBUS') log.#add({ ...call, error: answer, duration: 0 });
        else if (answer === undefined) log.#add({ ...call, duration: 0 });
        else log.#add({ ...call, answer, duration: 0 });
      },
      events(subject, events, errno) {
        if (log.#detail === 'none') return;
        const time = performance.now();
        const call = { number: log.#next, name: 'read' as const, ...subject, input: {}, time };
        const error = errno < 0 ? { error: errnoName(errno) } : {};
        log.#add({ ...call, answer: events, ...error, duration: 0 });
      },
    };
  }

  #add(call: Mutable<Call>): void {
    this.#next += 1;
    this.#calls.push(call);
    if (this.#calls.length <= this.#limit) return;
    // In one go, since each removal moves the rest.
    const removed = Math.ceil(this.#limit / 10);
    this.#calls.splice(0, removed);
    this.#dropped += removed;
  }
}
