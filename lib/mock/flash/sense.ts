/** Sense data: what a LUN answers when a command failed (SPC-4). */
import { SENSE_BYTES } from '../../flash/sislite';

export const SENSE_KEYS = {
  noSense: 0x0,
  recoveredError: 0x1,
  notReady: 0x2,
  illegalRequest: 0x5,
  unitAttention: 0x6,
} as const;

/** Additional sense codes. */
export const SENSE_CODES = {
  lbaOutOfRange: 0x21,
  invalidFieldInCdb: 0x24,
  powerOnOrReset: 0x29,
  parametersChanged: 0x2a,
  targetConditionsChanged: 0x3f,
} as const;

/** Sense data in fixed format (0x70). */
export function makeSense(key: number, code: number, qualifier = 0): Uint8Array {
  const sense = new Uint8Array(SENSE_BYTES);
  sense[0] = 0x70;
  sense[2] = key;
  sense[7] = 10;
  sense[12] = code;
  sense[13] = qualifier;
  return sense;
}

/** Key and code of sense data in fixed or descriptor format; undefined when it is neither. */
export function parseSense(bytes: Uint8Array): { key: number; code: number } | undefined {
  const format = bytes[0] ?? 0;
  if ((format & 0x70) !== 0x70) return undefined;
  if ((format & 0x7f) >= 0x72) return { key: (bytes[1] ?? 0) & 0xf, code: bytes[2] ?? 0 };
  const length = Math.min(bytes.length, (bytes[7] ?? 0) + 8);
  return { key: (bytes[2] ?? 0) & 0xf, code: length > 12 ? (bytes[12] ?? 0) : 0 };
}
