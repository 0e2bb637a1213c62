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
    expect(decodeSense(Uint8Array.of(0x73, 0x02, 0x04, 0x01))).toMatchObject({
      key: 'not-ready',
      code: 4,
      qualifier: 1,
    });
  });

  it('has the meaning of the code, with or without the qualifier', () => {
    for (const [code, qualifier, meaning] of [
      [0x04, 0, 'logical unit not ready'],
      [0x0c, 0, 'write error'],
      [0x11, 0, 'unrecovered read error'],
      [0x20, 0, 'invalid command operation code'],
      [0x21, 0, 'logical block address out of range'],
      [0x24, 0, 'invalid field in command'],
      [0x25, 0, 'logical unit not supported'],
      [0x27, 0, 'write protected'],
      [0x29, 0, 'power on or reset occurred'],
      [0x29, 3, 'power on or reset occurred'],
      [0x2a, 1, 'mode parameters changed'],
      [0x2a, 9, 'capacity data has changed'],
      [0x2a, 2, undefined],
      [0x3f, 0x0e, 'reported LUNs data has changed'],
      [0x44, 0, 'internal target failure'],
    ] as const) {
      expect(decodeSense(Uint8Array.of(0x72, 0, code, qualifier))?.meaning).toBe(meaning);
    }
  });

  it('has code 0 where it is too short', () => {
    // 12 bytes: the code would be the next one.
    const short = Uint8Array.of(0xf1, 0, 0x5, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x24, 0);
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
