/** Parsers of command-line arguments, for commander. */
import { InvalidArgumentError } from 'commander';

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
