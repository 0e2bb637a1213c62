import { checkString } from '../shared/checks';
import { valueError } from '../shared/errors';

const ADDRESS = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i;

/**
 * A PCI address in full and in lower case: `0d:00.0` is `0000:0d:00.0`.
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 * @example
 * import { parseAddress } from 'node-cxl/doe';
 *
 * console.log(parseAddress('0D:00.0')); // 0000:0d:00.0
 */
export function parseAddress(address: string): string {
  return checkAddress('address', address);
}

/** @internal As parseAddress(); `name` is what errors name. */
export function checkAddress(name: string, address: string): string {
  const match = ADDRESS.exec(checkString(name, address));
  if (match === null) {
    throw valueError(name, 'domain:bus:device.function, such as 0000:0d:00.0', address);
  }
  return `${match[1] ?? '0000'}:${match[2]}:${match[3]}.${match[4]}`.toLowerCase();
}
