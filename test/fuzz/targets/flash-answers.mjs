// What a LUN says about itself: its block size and capacity come through the driver's answers from
// READ CAPACITY as they are. The driver is a mock; its answers are what the input says.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { load, outcomeOf } from './support.mjs';

const { Cxl } = load('device/cxl.js');
const { openLun } = load('flash/index.js');
const { MockCxl } = load('mock/mock-cxl.js');

const VALUES = [0n, 1n, 2n, 511n, 512n, 520n, 4096n, 65536n, 2n ** 24n, 2n ** 31n, 2n ** 32n - 1n];
const LARGE = [2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 2n, 2n ** 64n - 1n];
/** The fields that are the device's; the others are the driver's own. */
const FIELDS = { blockSize: VALUES, maxXfer: VALUES, lastLba: [...VALUES, ...LARGE] };

export const target = {
  maxLength: 48,
  modules: ['geometry', 'resource', 'block-device', 'block-access', 'transfer', 'block-number'].map(
    (name) => `flash/${name}.js`,
  ),
  async run(bytes) {
    const input = new Input(bytes);
    const mock = new MockCxl({ cards: [], flash: [{ luns: [{ blocks: 65536 * 4 }] }] });
    const lun = await openLun('/dev/sg1', { system: hooked(mock, input) });
    await lun.enableSuperpipe();
    let context;
    const outcome = await outcomeOf(
      async () => {
        context = await lun.attach({ queueDepth: 2, bounceBytes: 4096 });
        return await use(context, input);
      },
      (answer) => answer,
    );
    await context?.close();
    await lun.close?.();
    const { files, mappings, bytes: held, contexts } = mock.counters;
    assert.deepEqual([files, mappings, held, contexts], [0, 0, 0, 0], 'something is left');
    return outcome;
  },
};

async function use(context, input) {
  const virtual = input.below(2) === 1;
  const resource = virtual
    ? await context.openVirtual({ blocks: 65536 })
    : await context.openDirect();
  const { blockSize, maxTransfer, blocks } = resource;
  assert.ok(Number.isSafeInteger(blockSize) && blockSize > 0, `a block of ${blockSize} bytes`);
  assert.ok(Number.isSafeInteger(maxTransfer) && maxTransfer > 0, `${maxTransfer} blocks at once`);
  assert.ok(typeof blocks === 'bigint' && blocks >= 0n);
  const device = resource.blockDevice();
  const done = [];
  for (const call of [
    async () => assert.equal((await device.read(0, 1)).length, blockSize),
    async () => device.write(0, new Uint8Array(4096)),
    async () => resource.verify(),
    async () => assert.ok((await resource.resize(2)).blocks >= 0n),
    async () => device.unmap(0, 1),
  ]) {
    done.push(await outcomeOf(call));
  }
  return `${virtual} ${done}`;
}

/** The mock, with other values in the fields of its answers. */
function hooked(mock, input) {
  const { binding } = mock;
  const flash = other(binding.flash, {
    async openLun(path) {
      const file = await binding.flash.openLun(path);
      return other(file, {
        async ioctl(name, request) {
          const answer = await file.ioctl(name, request);
          if (typeof answer === 'number') return answer;
          const changed = { ...answer };
          for (const [field, values] of Object.entries(FIELDS)) {
            if (!(field in answer) || input.below(3) > 0) continue;
            changed[field] = input.below(8) === 7 ? input.uint64() : input.pick(values);
          }
          return changed;
        },
      });
    },
  });
  return new Cxl(() => other(binding, { flash }));
}

/** `target` with other members. */
function other(object, members) {
  return new Proxy(object, {
    get(_, name) {
      if (name in members) return members[name];
      const value = object[name];
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}
