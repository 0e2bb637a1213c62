/** SCSI sense data, decoded (SPC-4). */
import { checkBytes } from '../shared/checks';

const KEYS = [
  'no-sense',
  'recovered-error',
  'not-ready',
  'medium-error',
  'hardware-error',
  'illegal-request',
  'unit-attention',
  'data-protect',
  'blank-check',
  'vendor-specific',
  'copy-aborted',
  'aborted-command',
  'reserved',
  'volume-overflow',
  'miscompare',
  'completed',
] as const;

/**
 * The sense key of SCSI sense data (SPC-4, 4.5.6), by its name.
 *
 * @useDeclaredType
 */
export type SenseKey = (typeof KEYS)[number];

/** Meaning of code << 8 | qualifier, for those that flash LUNs send. */
const MEANINGS: Record<number, string> = {
  1024: 'logical unit not ready',
  3072: 'write error',
  4352: 'unrecovered read error',
  8192: 'invalid command operation code',
  8448: 'logical block address out of range',
  9216: 'invalid field in command',
  9472: 'logical unit not supported',
  9984: 'write protected',
  10496: 'power on or reset occurred',
  10753: 'mode parameters changed',
  10761: 'capacity data has changed',
  16142: 'reported LUNs data has changed',
  17408: 'internal target failure',
};

/** SCSI sense data, decoded (SPC-4): why the target could not carry out a command. */
export interface Sense {
  /** What kind of condition it is. */
  readonly key: SenseKey;
  /** Additional sense code and its qualifier, a byte each. */
  readonly code: number;
  /** Additional sense code qualifier, a byte. */
  readonly qualifier: number;
  /** Meaning of the code; undefined for codes that this library does not know. */
  readonly meaning: string | undefined;
  /** The sense data as the target sent it; Resource.verify() takes it. */
  readonly bytes: Uint8Array;
}

/**
 * Sense data in fixed (0x70, 0x71) or descriptor (0x72, 0x73) format; undefined in any other.
 *
 * @example
 * import { decodeSense } from 'node-cxl/flash';
 *
 * const bytes = Uint8Array.of(0x70, 0, 0x06, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0, 0, 0, 0, 0);
 * const sense = decodeSense(bytes);
 * console.log(sense?.key, sense?.meaning); // unit-attention power on or reset occurred
 */
export function decodeSense(bytes: Uint8Array): Sense | undefined {
  checkBytes('bytes', bytes);
  const format = (bytes[0] ?? 0) & 0x7f;
  if (format < 0x70 || format > 0x73) return undefined;
  const fixed = format < 0x72;
  const length = fixed ? Math.min(bytes.length, (bytes[7] ?? 0) + 8) : bytes.length;
  const at = (index: number) => (index < length ? (bytes[index] ?? 0) : 0);
  const key = KEYS[at(fixed ? 2 : 1) & 0xf] as SenseKey;
  const code = at(fixed ? 12 : 2);
  const qualifier = at(fixed ? 13 : 3);
  const meaning = MEANINGS[(code << 8) | qualifier] ?? MEANINGS[code << 8];
  return { key, code, qualifier, meaning, bytes: Uint8Array.from(bytes) };
}
