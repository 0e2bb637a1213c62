// A recording: the bytes of a file, or what the blocks of one hold, with checksums that are right.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { few, load, outcomeOfSync } from './support.mjs';

const { readRecording } = load('record/reader.js');
const { BLOCK_ENCODINGS, FILE_START, makeBlock } = load('record/blocks.js');
const { encodeItem } = load('record/cbor.js');

const HEADER = encodeItem({ format: 'node-cxl recording', version: 1, group: 'g', started: 0 });
const KINDS = ['cut', 'damaged', 'unknown'];

export const target = {
  maxLength: 600,
  modules: ['record/reader.js', 'record/blocks.js', 'record/access-columns.js', 'record/cbor.js'],
  run(bytes) {
    const input = new Input(bytes);
    const file = input.below(4) === 3 ? input.rest() : fileOf(input);
    return outcomeOfSync(
      () => readRecording(file),
      (recording) => {
        const first = read(recording, file.length);
        // It can be read again, with the same result.
        assert.deepEqual(read(recording, file.length), first);
        return `${[...new Set(first.entries.map(({ type }) => type))].sort()} ${few(first.entries.length)} ${[...new Set(first.problems.map(({ kind }) => kind))]}`;
      },
    );
  },
};

/** A file of blocks whose records are what the input says, with damage between them. */
function fileOf(input) {
  const parts = [FILE_START, HEADER];
  let first = 0;
  while (!input.done) {
    const count = input.below(5);
    const skipped = input.below(8) === 7 ? input.byte() - 128 : 0;
    const encoding = input.below(4) === 3 ? BLOCK_ENCODINGS.DEFLATE : BLOCK_ENCODINGS.STORED;
    const records = input.bytes(input.byte());
    parts.push(makeBlock(Math.max(0, first + skipped), count, records, encoding));
    if (input.below(8) === 7) parts.push(input.bytes(input.below(16)));
    first += count;
  }
  return Buffer.concat(parts);
}

function read(recording, length) {
  const entries = [];
  let number = -1;
  for (const entry of recording) {
    assert.equal(typeof entry.type, 'string');
    assert.ok(entry.place.number >= number, 'the records are not in their order');
    assert.ok(entry.place.offset >= 0 && entry.place.offset < length);
    number = entry.place.number;
    entries.push(entry);
  }
  for (const { kind, offset, message } of recording.problems) {
    assert.ok(KINDS.includes(kind));
    assert.ok(offset >= 0 && offset <= length);
    assert.match(message, /^at byte \d+: \S/);
    assert.doesNotMatch(message, /\n/);
  }
  return { entries, problems: [...recording.problems] };
}
