import { decodeSense } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';

describe('sense data', () => {
  it('is decoded in fixed and in descriptor format', () => {
    const fixed = Uint8Array.of(0x70, 0, 0x16, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 0x09, 0, 0, 0, 0);
    expect(decodeSense(fixed)).toMatchObject({
      key: 'unit-attention',
      code: 0x2a,
      qualifier: 9,
      meaning: 'capacity data has changed',
    });
    expect(decodeSense(Uint8Array.of(0x72, 0x03, 0x11, 0x00))).toMatchObject({
      key: 'medium-error',
      code: 0x11,
    });
  });

  it('has code 0 where it is too short', () => {
    const short = Uint8Array.of(0xf1, 0, 0x5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0x24, 0);
    expect(decodeSense(short)).toMatchObject({
      key: 'illegal-request',
      code: 0,
      meaning: undefined,
    });
  });

  it('of any other format is undefined', () => {
    for (const format of [0, 0x6f, 0x74, 0x7f]) {
      expect(decodeSense(Uint8Array.of(format, 0, 0))).toBe(undefined);
    }
    expect(decodeSense(new Uint8Array(0))).toBe(undefined);
  });

  it('has a copy of the bytes', () => {
    const bytes = Uint8Array.of(0x70, 0, 6);
    const sense = decodeSense(bytes);
    bytes[2] = 0;
    expect(sense?.bytes[2]).toBe(6);
  });
});
