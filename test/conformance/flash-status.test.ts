import type { FlashContext, Resource } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { OPCODES, WRITE_SAME_UNMAP } from '../../lib/flash/sislite';
import { CHUNK, COMMAND_MODES, LUN_BLOCKS, testTarget } from './flash-target';
import { type RawCommand, RawCommands } from './support/raw-commands';

const SIZE = 4096;
/** An address that no buffer has. */
const NOWHERE = 0x1234n;
const TIMEOUT = 10_000;

/** A command's codes, without those that are 0. */
type Codes = Partial<Record<'flags' | 'afuCode' | 'scsiCode' | 'fcCode' | 'afuExtra', number>>;

const SENSE_VALID = 0x80;
const OVERRUN = 0x20;
const UNDERRUN = 0x10;

for (const mode of COMMAND_MODES) {
  describe(`the status of a command as the card has it, ${mode} mode`, () => {
    const target = testTarget(mode);
    let context: FlashContext;
    let raw: RawCommands;

    async function open(kind: 'direct' | 'virtual'): Promise<Resource> {
      context = await target.attach(await target.lun(1));
      const resource =
        kind === 'direct'
          ? await context.openDirect()
          : await context.openVirtual({ blocks: CHUNK });
      raw = new RawCommands(target.system, context, resource.handle, mode);
      return resource;
    }

    async function close(): Promise<void> {
      await context.close();
      raw.free();
    }

    async function codes(command: RawCommand): Promise<Codes> {
      const { flags, afuCode, scsiCode, fcCode, afuExtra } = await raw.run(command);
      const all = Object.entries({ flags, afuCode, scsiCode, fcCode, afuExtra });
      return Object.fromEntries(all.filter(([, code]) => code !== 0));
    }

    const write = OPCODES.write16;
    const check = { flags: SENSE_VALID, scsiCode: 0x02 };

    it('of a direct LUN', async () => {
      await open('direct');
      expect(await codes({ opcode: write })).toEqual({});
      expect(await codes({ handle: 7 })).toEqual({ afuCode: 0x05 });
      expect(await codes({ handle: 7, opcode: write })).toEqual({ afuCode: 0x05 });
      expect(await codes({ handle: 0xffff })).toEqual({ afuCode: 0x03 });
      expect(await codes({ opcode: 0xfa })).toEqual({ afuCode: 0x21 });
      expect(await codes({ opcode: write, hostWrite: false })).toEqual({ fcCode: 0x58 });
      expect(await codes({ hostWrite: true })).toEqual({ fcCode: 0x58 });
      expect(await codes({ opcode: write, dataLength: SIZE / 2 })).toEqual(check);
      expect(await codes({ opcode: write, dataLength: 0 })).toEqual(check);
      expect(await codes({ opcode: write, blocks: 2, dataLength: SIZE })).toEqual(check);
      const end = LUN_BLOCKS[1];
      expect(await codes({ lba: end })).toEqual(check);
      expect(await codes({ opcode: write, lba: end - 1n, blocks: 2 })).toEqual(check);
      expect(await codes({ blocks: 0, dataLength: SIZE })).toEqual({});
      expect(await codes({ opcode: write, blocks: 0, dataLength: SIZE })).toEqual({});
      expect(await codes({ blocks: 2, dataLength: SIZE })).toEqual({
        flags: OVERRUN,
        fcCode: 0x5a,
      });
      expect(await codes({ dataLength: 2 * SIZE })).toEqual({ flags: UNDERRUN, fcCode: 0x5a });
      await close();
    });

    it('of a virtual LUN: its end is that of its chunks', async () => {
      await open('virtual');
      expect(await codes({ lba: CHUNK - 1n, opcode: write })).toEqual({});
      expect(await codes({ lba: CHUNK })).toEqual({ afuCode: 0x13 });
      expect(await codes({ lba: CHUNK - 1n, blocks: 2, opcode: write })).toEqual({
        afuCode: 0x13,
      });
      expect(await codes({ handle: 1, opcode: write })).toEqual({ afuCode: 0x05 });
      // More blocks than the data begin, or more than a command may move.
      expect(await codes({ opcode: write, blocks: 2, dataLength: SIZE })).toEqual({
        afuCode: 0x13,
      });
      expect(await codes({ opcode: write, dataLength: SIZE / 2 })).toEqual(check);
      expect(await codes({ opcode: write, dataLength: 0 })).toEqual(check);
      expect(await codes({ blocks: 4097 })).toEqual({ afuCode: 0x13 });
      await close();
    });

    it('a resource that was released is as one that was never opened', async () => {
      const resource = await open('direct');
      await resource.release();
      expect(await codes({})).toEqual({ afuCode: 0x05 });
      await close();
    });

    it('WRITE SAME writes one block to each, or unmaps', async () => {
      await open('direct');
      const data = Buffer.from(raw.data.buffer);
      data.fill(0x5a, 0, SIZE);
      const opcode = OPCODES.writeSame16;
      expect(await codes({ opcode, lba: 20n, blocks: 3, dataLength: SIZE })).toEqual({});
      data.fill(0);
      expect(await codes({ lba: 19n, blocks: 5 })).toEqual({});
      const marks = () => [0, 1, 2, 3, 4].map((block) => data[block * SIZE + SIZE - 1]);
      expect(marks()).toEqual([0, 0x5a, 0x5a, 0x5a, 0]);
      const cdbFlags = WRITE_SAME_UNMAP;
      expect(await codes({ opcode, cdbFlags, lba: 21n, dataLength: SIZE })).toEqual({});
      expect(await codes({ lba: 19n, blocks: 5 })).toEqual({});
      expect(marks()).toEqual([0, 0x5a, 0, 0x5a, 0]);
      expect(await codes({ opcode, lba: 20n, dataLength: SIZE / 2 })).toEqual(check);
      await close();
    });

    it('data at any address, aligned or not', async () => {
      await open('direct');
      const data = Buffer.from(raw.data.buffer);
      for (const offset of [8, 24, 1, 4095]) {
        data.fill(0);
        data.fill(offset & 0x7f, offset, offset + SIZE);
        const dataAddress = raw.data.address + BigInt(offset);
        expect(await codes({ opcode: write, lba: 3n, dataAddress })).toEqual({});
        data.fill(0xff);
        expect(await codes({ lba: 3n, dataAddress })).toEqual({});
        expect(data[offset - 1]).toBe(0xff);
        expect(data.subarray(offset, offset + SIZE).every((byte) => byte === (offset & 0x7f))).toBe(
          true,
        );
        expect(data[offset + SIZE]).toBe(0xff);
      }
      await close();
    });

    const fault = { afuCode: 0x31, afuExtra: 0x0b };

    it('data at an address that cannot be translated: a data storage event besides', async () => {
      await open('direct');
      const reads = context.context.waitForEvent({ timeout: TIMEOUT });
      expect(await codes({ dataAddress: NOWHERE })).toEqual(fault);
      expect(await reads).toMatchObject({ type: 'data-storage', address: NOWHERE });
      const writes = context.context.waitForEvent({ timeout: TIMEOUT });
      expect(await codes({ opcode: write, dataAddress: NOWHERE })).toEqual(fault);
      expect(await writes).toMatchObject({ type: 'data-storage', address: NOWHERE });
      const same = context.context.waitForEvent({ timeout: TIMEOUT });
      expect(await codes({ opcode: OPCODES.writeSame16, dataAddress: 0n })).toEqual(fault);
      expect(await same).toMatchObject({ type: 'data-storage', address: 0n });
      await close();
    });

    it('structures at such an address: the event, and a bit of intr_status', async () => {
      await open('direct');
      const page = context.registers;
      page.write64(0x40, 1n);
      page.write64(0x18, 0n);
      page.write64(0x28, 0x10000n);
      page.write64(0x30, 0x10ff8n);
      const types: string[] = [];
      const told = (async () => {
        while (types.length < 2) {
          const event = await context.context.waitForEvent({ timeout: TIMEOUT });
          if (event.type === 'data-storage') expect(event.address).toBe(0x10000n);
          types.push(event.type);
        }
      })();
      raw.run().catch(() => undefined);
      await told;
      expect(types.sort()).toEqual(['afu-interrupt', 'data-storage']);
      expect(page.read64(0x08)).toBe(0x02n);
      await close();
    });
  });
}
