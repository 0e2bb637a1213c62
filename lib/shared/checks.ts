/**
 * Checks of arguments and options. Each throws a TypeError or RangeError that names the
 * argument, and returns the value otherwise.
 */
import { rangeError, typeError } from './errors';

/** A number that is an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw typeError(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** A bigint from 0n to 2^64 - 1. */
export function checkUint64(name: string, value: unknown): bigint {
  if (typeof value !== 'bigint') throw typeError(name, 'a bigint', value);
  // Faster than two comparisons of bigints.
  if (BigInt.asUintN(64, value) !== value) throw rangeError(name, 'from 0n to 2^64 - 1', value);
  return value;
}

/** A boolean: other values that JavaScript takes for true or false are refused. */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw typeError(name, 'a boolean', value);
  return value;
}

/** An object of options. null is refused: it has no properties, so defaults cannot apply. */
export function checkOptions<T>(value: T): T {
  if (typeof value !== 'object' || value === null) throw typeError('options', 'an object', value);
  return value;
}
