// SCSI sense data, as a target sends it.
import assert from 'node:assert/strict';
import { load } from './support.mjs';

const { decodeSense } = load('flash/sense.js');

export const target = {
  maxLength: 64,
  modules: ['flash/sense.js'],
  run(bytes) {
    const sense = decodeSense(bytes);
    const format = bytes.length === 0 ? 0 : bytes[0] & 0x7f;
    assert.equal(sense !== undefined, format >= 0x70 && format <= 0x73);
    if (sense === undefined) return 'none';
    assert.match(sense.key, /^[a-z-]+$/);
    assert.ok(Number.isInteger(sense.code) && sense.code >= 0 && sense.code <= 255);
    assert.ok(Number.isInteger(sense.qualifier) && sense.qualifier >= 0 && sense.qualifier <= 255);
    assert.deepEqual([...sense.bytes], [...bytes]);
    bytes.fill(0);
    assert.ok(sense.bytes[0] !== 0, 'shares the bytes of the caller');
    // Of fixed format, byte 7 says where the data ends: nothing behind it counts.
    if (format < 0x72 && 8 + sense.bytes[7] <= 12) assert.equal(sense.code, 0);
    return `${format} ${sense.meaning}`;
  },
};
