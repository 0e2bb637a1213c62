// The configuration space of a PCI function: where its DOE mailboxes are.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { few, load, outcomeOfSync } from './support.mjs';

const { walkCapabilities } = load('doe/capability.js');
const { ERRNOS } = load('shared/errno.js');

const SIZES = [64, 256, 4096];
/** A capability has the registers up to 0x18. */
const LAST = 0x1000 - 0x18;

/** The input: the size, how much only root may read, then 32-bit words with their places. */
export const target = {
  maxLength: 256,
  modules: ['doe/capability.js'],
  run(bytes) {
    const input = new Input(bytes);
    const size = input.pick(SIZES);
    const readable = input.pick([size, size, size, 64]);
    const words = new Map();
    // Ids of a device that is there; a word may overwrite them.
    words.set(0, 0x1d931e98);
    while (!input.done) words.set(input.uint16() & 0xfff & ~3, input.uint32());
    let reads = 0;
    const space = {
      size,
      readDword(offset) {
        reads += 1;
        assert.ok(
          offset >= 0 && offset % 4 === 0 && offset + 4 <= size,
          `reads at ${offset} of ${size}`,
        );
        return offset < readable ? (words.get(offset) ?? 0) : -ERRNOS.ENODATA;
      },
    };
    const outcome = outcomeOfSync(
      () => walkCapabilities(space, '0000:0d:00.0'),
      ({ vendorId, deviceId, capabilities, problem }) => {
        assert.equal(((deviceId << 16) | vendorId) >>> 0, words.get(0));
        const offsets = capabilities.map(({ offset }) => offset);
        assert.equal(new Set(offsets).size, offsets.length, 'a capability is listed twice');
        for (const { offset, version, interrupt } of capabilities) {
          assert.ok(offset >= 0x100 && offset <= LAST && offset % 4 === 0);
          assert.equal(words.get(offset) & 0xffff, 0x2e);
          assert.ok(version >= 0 && version <= 15);
          assert.ok(interrupt.messageNumber >= 0 && interrupt.messageNumber < 2048);
          if (!interrupt.supported) assert.equal(interrupt.messageNumber, 0);
        }
        const why =
          problem &&
          outcomeOfSync(() => {
            throw problem;
          });
        return `${few(offsets.length)} ${why} ${problem?.message.replace(/0x[0-9a-f]+/g, '#')}`;
      },
    );
    // Ids, then a header and registers at each of the places there are.
    assert.ok(reads <= 3 + 2 * 1024, `${reads} reads`);
    return outcome;
  },
};
