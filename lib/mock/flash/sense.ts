/** Sense data as a target makes it, in fixed format. */
import { senseBytes } from '../../flash/sislite';

/** `key` of 4 bits, additional sense code and qualifier (SPC-4, fixed format 0x70). */
export function makeSense(key: number, code: number, qualifier = 0): Uint8Array {
  const sense = new Uint8Array(senseBytes);
  sense[0] = 0x70;
  sense[2] = key;
  sense[7] = 10;
  sense[12] = code;
  sense[13] = qualifier;
  return sense;
}

export const senseOutOfRange = () => makeSense(0x05, 0x21);
export const senseInvalidCommand = () => makeSense(0x05, 0x24);

/** Key and code of sense data in either format; undefined when it is neither. */
export function parseSense(bytes: Uint8Array): { key: number; code: number } | undefined {
  const format = bytes[0] ?? 0;
  if ((format & 0x70) !== 0x70) return undefined;
  if ((format & 0x7f) >= 0x72) return { key: (bytes[1] ?? 0) & 0xf, code: bytes[2] ?? 0 };
  const length = Math.min(bytes.length, (bytes[7] ?? 0) + 8);
  return { key: (bytes[2] ?? 0) & 0xf, code: length > 12 ? (bytes[12] ?? 0) : 0 };
}
