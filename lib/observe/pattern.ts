/** Patterns that calls are compared with. */
import { isDeepStrictEqual } from 'node:util';
import type { Call, CallName } from './call';
import { formatValue } from './format';

/** A value that a field must have, a RegExp that matches its text, or a function that accepts it. */
export type Expected = unknown;

/**
 * What a call must be like. A field that is absent may have any value; of the objects `input` and
 * `answer` only the properties given are compared. A RegExp matches text, a function is called with
 * the value and accepts it by returning true.
 *
 * @example
 * import { type CallPattern, createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * await (await system.open('/dev/cxl/afu0.0s')).close();
 * const opens: CallPattern = { name: 'open', path: /afu0\.0[ms]$/, input: {} };
 * system.calls.assertCalled(opens, 1);
 */
export interface CallPattern {
  /** The call's name, or what matches it. */
  readonly name?: CallName | RegExp;
  /** The call's path, or what matches it. */
  readonly path?: string | RegExp;
  /** The descriptor of the call's file. */
  readonly fd?: number;
  /** Fields that went in. */
  readonly input?: Readonly<Record<string, Expected>>;
  /** What came out. */
  readonly answer?: Expected;
  /** `null`: the call must have succeeded. */
  readonly error?: string | null;
}

const FIELDS = ['name', 'path', 'fd', 'input', 'answer', 'error'] as const;

/** In what a call differs from a pattern: nothing when it matches. */
export function differences(call: Call, pattern: CallPattern): string[] {
  const found: string[] = [];
  for (const field of FIELDS) {
    const expected = pattern[field];
    if (expected === undefined) continue;
    const actual = call[field];
    if (field === 'error' && expected === null) {
      if (actual !== undefined) found.push(`error: expected none, got ${actual}`);
    } else {
      compare(field, actual, expected, found);
    }
  }
  return found;
}

function compare(name: string, actual: unknown, expected: Expected, found: string[]): void {
  if (isPlainObject(expected) && isPlainObject(actual)) {
    for (const [key, value] of Object.entries(expected)) {
      compare(`${name}.${key}`, actual[key], value, found);
    }
    return;
  }
  if (accepts(expected, actual)) return;
  const key = name.slice(name.lastIndexOf('.') + 1);
  found.push(`${name}: expected ${formatValue(expected, key)}, got ${formatValue(actual, key)}`);
}

function accepts(expected: Expected, actual: unknown): boolean {
  if (typeof expected === 'function') return expected(actual) === true;
  if (expected instanceof RegExp) return typeof actual === 'string' && expected.test(actual);
  return isDeepStrictEqual(actual, expected);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A pattern as text, for the message of an assertion. */
export function formatPattern(pattern: CallPattern): string {
  const { path, fd, name, input, answer, error } = pattern;
  const parts = [
    ...(path === undefined ? [] : [formatName(path)]),
    ...(fd === undefined ? [] : [`(${fd})`]),
    name === undefined ? 'any call' : formatName(name),
    ...(input === undefined ? [] : [formatValue(input)]),
    ...(answer === undefined ? [] : [`= ${formatValue(answer)}`]),
    ...(error === undefined ? [] : [`= ${error ?? 'success'}`]),
  ];
  return parts.join(' ');
}

function formatName(name: string | RegExp): string {
  return typeof name === 'string' ? name : String(name);
}
