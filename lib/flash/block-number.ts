import { checkInteger } from '../shared/checks';
import { rangeError } from '../shared/errors';

/** A number of blocks, or of the first of some: a non-negative integer as number or bigint. */
export function checkBlockNumber(name: string, value: unknown): bigint {
  if (typeof value === 'bigint') {
    if (value < 0n) throw rangeError(name, 'at least 0', value);
    return value;
  }
  return BigInt(checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER));
}
