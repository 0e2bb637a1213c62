/**
 * Checks of arguments and options. Each throws a TypeError or RangeError that names the
 * argument, and returns the value otherwise.
 */
import { types } from 'node:util';
import { rangeError, typeError, unknownOption, valueError } from './errors';

/** A number that is an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw typeError(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** A power of two from 1 to `max`, which is at most 2^30. */
export function checkPowerOfTwo(name: string, value: unknown, max: number): number {
  const power = checkInteger(name, value, 1, max);
  if ((power & (power - 1)) !== 0) throw rangeError(name, 'a power of two', power);
  return power;
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

/** A string. */
export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw typeError(name, 'a string', value);
  return value;
}

/** A function that can be called; a class is one only for `new`. */
export function checkFunction<T>(name: string, value: T): T {
  const callable =
    typeof value === 'function' && !/^class\b/.test(Function.prototype.toString.call(value));
  if (!callable) throw typeError(name, 'a function', value);
  return value;
}

/** An array; its elements are the caller's to check. */
export function checkArray<T>(name: string, value: readonly T[]): readonly T[] {
  if (!Array.isArray(value)) throw typeError(name, 'an array', value);
  return value;
}

/** A Buffer or Uint8Array. */
export function checkBytes(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw typeError(name, 'a Buffer or Uint8Array', value);
  return value;
}

/** One of some values. */
export function checkOneOf<T extends string | number>(
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  if ((choices as readonly unknown[]).includes(value)) return value as T;
  const shown = choices.map((choice) => (typeof choice === 'string' ? `'${choice}'` : choice));
  const last = shown.length > 1 ? ` or ${shown.pop()}` : '';
  throw valueError(name, `${shown.join(', ')}${last}`, value);
}

/**
 * The names of the options of type T. The compiler accepts neither a missing nor an additional
 * name, so the list cannot differ from the type.
 */
export type OptionNames<T> = { readonly [Name in keyof T]-?: true };

/**
 * An object of options with known names only. null is refused: it has no properties, so defaults
 * cannot apply. So is a name that is not an option: a misspelled one would have no effect.
 *
 * @param names the options there are, as a constant of the module that declares their type
 * @param name how errors name the object
 */
export function checkOptions<T>(value: T, names: OptionNames<NoInfer<T>>, name = 'options'): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw typeError(name, 'an object', value);
  }
  // Inherited properties too: those of an AbortSignal, passed in place of { signal }, are.
  for (const option in value) {
    if (!Object.hasOwn(names, option)) throw unknownOption(name, option, Object.keys(names));
  }
  return value;
}

/**
 * Refuses null, which is no value of any option, but which a file could have where another option
 * would have its default. Looks into arrays and plain objects alone: not into models and functions.
 */
export function refuseNull(value: unknown, name: string): void {
  if (value === null) throw typeError(name, 'a value, or absent', value);
  if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) refuseNull(each, `${name}[${index}]`);
  } else if (isPlainObject(value)) {
    for (const [key, each] of Object.entries(value)) {
      if (key !== 'model') refuseNull(each, `${name}.${key}`);
    }
  }
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;
}
