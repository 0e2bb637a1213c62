import { endianness } from 'node:os';
import { valueError } from './errors';

/** Byte order of a value in memory or in a register; `host` is that of this machine. */
export type Endian = 'big' | 'little' | 'host';

const HOST_ENDIAN = endianness() === 'BE' ? 'big' : 'little';

export function resolveEndian(name: string, endian: Endian): 'big' | 'little' {
  if (endian === 'host') return HOST_ENDIAN;
  if (endian !== 'big' && endian !== 'little') {
    throw valueError(name, "'big', 'little' or 'host'", endian);
  }
  return endian;
}

/** Structures of the kernel's ABI are in the machine's byte order. */
export const HOST_IS_LITTLE_ENDIAN = HOST_ENDIAN === 'little';
