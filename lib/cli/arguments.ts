/** Parsers of command-line arguments, for commander. */
import { InvalidArgumentError } from 'commander';
import { parseAddress } from '../doe';

/** A parser of integers that are `minimum` or more. */
export function integerFrom(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`expected a whole number from ${minimum}.`);
    }
    return value;
  };
}

/** Parses an unsigned integer of any size: decimal, or hexadecimal with 0x. */
export function unsignedBigInt(text: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) {
    throw new InvalidArgumentError('expected a number, decimal or 0x….');
  }
  return BigInt(text);
}

/** A parser of hexadecimal numbers, with or without 0x, up to `max`. */
export function hexNumber(max: number): (text: string) => number {
  return (text) => {
    const value = /^(0x)?[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
    if (!(value <= max)) throw new InvalidArgumentError(`hexadecimal, up to ${max.toString(16)}`);
    return value;
  };
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const MAX_DURATION = 2 ** 31 - 1;

/**
 * Parses a duration: a number and its unit, such as 500ms, 1.5s, 2m or 1h. A number alone is
 * refused, because programs differ in whether it would mean seconds or milliseconds.
 *
 * @returns milliseconds, 1 to 2^31 - 1
 */
export function duration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const value = Math.round(Number(number) * UNITS[unit as keyof typeof UNITS]);
  if (!(value >= 1 && value <= MAX_DURATION)) {
    throw new InvalidArgumentError(
      'expected a duration with its unit (ms, s, m, h), such as 500ms or 5s; at most 24 days.',
    );
  }
  return value;
}

const MICROSECONDS = { us: 1, ms: 1000, s: 1e6, m: 60e6, h: 3600e6 } as const;

/**
 * Parses a time since a beginning: as a duration, or with us for microseconds; 0s is the beginning.
 *
 * @returns microseconds
 */
export function instant(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(us|ms|s|m|h)$/.exec(text) ?? [];
  if (number === undefined) {
    throw new InvalidArgumentError(
      'expected a time with its unit (us, ms, s, m, h), such as 250us or 1.5s.',
    );
  }
  return Number(number) * MICROSECONDS[unit as keyof typeof MICROSECONDS];
}

/** A parser of an option that may be repeated. */
export function collected(text: string, previous: readonly string[]): readonly string[] {
  return [...previous, text];
}

/** Parses the address of a PCI function. */
export function pciAddress(text: string): string {
  try {
    return parseAddress(text);
  } catch {
    throw new InvalidArgumentError('domain:bus:device.function, such as 0000:0d:00.0');
  }
}

/** Parses 'OFFSET=VALUE' of a register; each is decimal, or hexadecimal with 0x. */
export function registerWrite(text: string): readonly [offset: number, value: bigint] {
  const [, offset, value] = /^(0x[0-9a-f]+|\d+)=(0x[0-9a-f]+|\d+)$/i.exec(text) ?? [];
  if (offset === undefined || value === undefined) {
    throw new InvalidArgumentError('expected OFFSET=VALUE.');
  }
  return [Number(offset), BigInt(value)];
}
