// A Coherent Device Attribute Table, as a device or a file has it.
import assert from 'node:assert/strict';
import { few, load, outcomeOfSync } from './support.mjs';

const { cdatChecksumValid, decodeCdatHeader, decodeCdatStructures } =
  load('doe/cdat-structures.js');
const { encodeCdat } = load('mock/doe/cdat.js');

export const target = {
  maxLength: 512,
  modules: ['doe/cdat-structures.js', 'mock/doe/cdat.js'],
  run(bytes) {
    const header = outcomeOfSync(
      () => decodeCdatHeader(bytes),
      (decoded) => {
        assert.equal(decoded.length, bytes.readUInt32LE(0));
        return 'header';
      },
    );
    const structures = outcomeOfSync(
      () => decodeCdatStructures(bytes, 'device'),
      (decoded) => check(bytes, decoded),
    );
    return `${header} ${structures} ${cdatChecksumValid(bytes)}`;
  },
};

function check(bytes, structures) {
  const encoded = encodeCdat(structures);
  assert.equal(encoded.length, Math.max(16, bytes.length), 'the lengths do not add up');
  assert.ok(cdatChecksumValid(encoded));
  assert.deepEqual(decodeCdatStructures(encoded, 'device'), structures);
  // What is unknown keeps its bytes, and not those of its table.
  const before = structuredClone(structures);
  bytes.fill(0x5a);
  assert.deepEqual(structuredClone(structures), before);
  const kinds = [
    ...new Set(
      structures.map(({ kind, dataType, efiMemoryType }) =>
        [kind, dataType, efiMemoryType].join('.'),
      ),
    ),
  ];
  return `${kinds.length > 2 ? few(kinds.length) : kinds.sort()}`;
}
