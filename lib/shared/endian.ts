import { endianness } from 'node:os';
import { valueError } from './errors';

/** Byte order of a value as the AFU sees it; `host` is this machine's own. */
export type Endian = 'big' | 'little' | 'host';

const host = endianness() === 'BE' ? 'big' : 'little';

export function resolveEndian(name: string, endian: Endian): 'big' | 'little' {
  if (endian === 'host') return host;
  if (endian !== 'big' && endian !== 'little') {
    throw valueError(name, "'big', 'little' or 'host'", endian);
  }
  return endian;
}

/** Whether structures the kernel hands over, native-endian by ABI, are little-endian here. */
export const hostIsLittleEndian = host === 'little';
