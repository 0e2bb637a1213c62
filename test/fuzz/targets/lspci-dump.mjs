// The text of `lspci -xxxx`, recorded on another machine.
import assert from 'node:assert/strict';
import { few, load, outcomeOf, outcomeOfSync } from './support.mjs';

const { DumpPci, formatLspciDump, parseLspciDump } = load('doe/dump.js');
const { Doe } = load('doe/doe.js');

export const target = {
  maxLength: 1500,
  modules: ['doe/dump.js', 'doe/address.js'],
  dictionary: [
    '00:00.0 x\n',
    '00: 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\n',
    '0000:0d:00.0 ',
  ],
  async run(bytes) {
    const text = bytes.toString('latin1');
    const parsed = outcomeOfSync(() => parseLspciDump(text), check);
    const scanned = await outcomeOf(
      async () => {
        const doe = new Doe(new DumpPci(text));
        const scans = await doe.scan();
        const functions = await doe.functions();
        assert.deepEqual(
          scans.map(({ address }) => address),
          functions,
        );
        return scans;
      },
      (scans) => few(scans.length),
    );
    assert.equal(parsed.startsWith('ERR_'), scanned.startsWith('ERR_'));
    return `${parsed} ${scanned}`;
  },
};

function check(functions) {
  let formatted = '';
  for (const [address, bytes] of functions) {
    assert.ok([64, 256, 4096].includes(bytes.length));
    assert.match(address, /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/);
    formatted += formatLspciDump(address, bytes, 'Memory controller');
  }
  assert.deepEqual(parseLspciDump(formatted), functions);
  return `${few(functions.size)} of ${[...functions.values()].map(({ length }) => length).slice(0, 2)}`;
}
