import type { ProblemState } from 'node-cxl';
import type { FlashContext } from 'node-cxl/flash';
import { INJECTION_COMMANDS, INJECTION_REGISTERS } from 'node-cxl/mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { inject, testTarget } from './flash-target';

const ENDIAN_CONTROL = 0x00;
const INTERRUPT_STATUS = 0x08;
const INTERRUPT_CLEAR = 0x10;
const INTERRUPT_MASK = 0x18;
const IOARRIN = 0x20;
const RRQ_START = 0x28;
const RRQ_END = 0x30;
const COMMAND_ROOM = 0x38;
const CONTEXT_CONTROL = 0x40;
const SQ_CONTEXT_RESET = 0x70;

const NO_ROOM = 0x10n;
const COMMAND_READ = 0x08n;
const MAX_COMMANDS = 128n;
const ALL_PORTS_UP = (BigInt(INJECTION_COMMANDS.ports) << 56n) | 0b11n;

// In this mode the simulated device executes each access at once. In SQ mode its registers are plain
// memory that it polls, so that the effect of a single store cannot be checked.
describe('the registers of a context in IOARRIN mode', () => {
  let context: FlashContext;
  let page: ProblemState;
  const target = testTarget('ioarrin', {
    beforeClose: () => {
      if (page.mapped && context.isHealthy()) inject(context, 'hold', 0);
    },
  });

  beforeEach(async () => {
    context = await target.attach(await target.lun());
    page = context.registers;
  });

  it('have room for as many commands as cmd_room says; each command takes one', () => {
    inject(context, 'hold', 1);
    const room = page.read64(COMMAND_ROOM);
    expect(room).toBe(MAX_COMMANDS);
    for (let issued = 1n; issued <= room; issued += 1n) {
      page.write64(IOARRIN, 0x10000n + issued * 128n);
      expect(page.read64(COMMAND_ROOM)).toBe(room - issued);
    }
    expect(page.read64(INTERRUPT_STATUS)).toBe(0n);
  });

  it('raise an AFU error for a command without room', async () => {
    inject(context, 'hold', 1);
    page.write64(CONTEXT_CONTROL, 1n);
    page.write64(INTERRUPT_MASK, ~NO_ROOM & ALL_ONES_64);
    const interrupt = context.context.waitForInterrupt(1, { timeout: 10_000 });
    const room = Number(page.read64(COMMAND_ROOM));
    for (let i = 0; i < room; i += 1) page.write64(IOARRIN, 0x10000n);
    expect(page.read64(INTERRUPT_STATUS)).toBe(0n);
    page.write64(IOARRIN, 0x10000n);
    expect(page.read64(INTERRUPT_STATUS)).toBe(NO_ROOM);
    expect(page.read64(COMMAND_ROOM)).toBe(0n);
    await interrupt;
  });

  it('reset the context when 1 is stored to ioarrin or sq_ctx_reset', () => {
    inject(context, 'hold', 1);
    for (const register of [IOARRIN, SQ_CONTEXT_RESET]) {
      page.write64(IOARRIN, 0x10000n);
      page.write64(IOARRIN, 0x10080n);
      expect(page.read64(COMMAND_ROOM)).toBe(MAX_COMMANDS - 2n);
      page.write64(register, 1n);
      expect(page.read64(register) & 1n).toBe(0n);
      expect(page.read64(COMMAND_ROOM)).toBe(MAX_COMMANDS);
    }
  });

  it('clear the bits of intr_status that are stored to intr_clear', async () => {
    inject(context, 'hold', 1);
    page.write64(CONTEXT_CONTROL, 1n);
    page.write64(INTERRUPT_MASK, 0n);
    const interrupt = context.context.waitForInterrupt(1, { timeout: 10_000 });
    // Not a multiple of 16: the AFU cannot read an IOARCB there.
    for (let i = 0n; i <= MAX_COMMANDS; i += 1n) page.write64(IOARRIN, 0x10008n);
    await interrupt;
    page.write64(INTERRUPT_CLEAR, NO_ROOM | COMMAND_READ);
    expect(page.read64(INTERRUPT_STATUS)).toBe(0n);
    const second = context.context.waitForInterrupt(1, { timeout: 10_000 });
    inject(context, 'hold', 0);
    await second;
    while (page.read64(COMMAND_ROOM) < MAX_COMMANDS) await new Promise(setImmediate);
    expect(page.read64(INTERRUPT_STATUS)).toBe(COMMAND_READ);
    page.write64(INTERRUPT_CLEAR, NO_ROOM);
    expect(page.read64(INTERRUPT_STATUS)).toBe(COMMAND_READ);
    page.write64(INTERRUPT_CLEAR, COMMAND_READ);
    expect(page.read64(INTERRUPT_STATUS)).toBe(0n);
  });

  it('read as their own value, not as the stored one, where they are read-only', () => {
    page.write64(ENDIAN_CONTROL, 0x80n);
    expect(page.read64(ENDIAN_CONTROL)).toBe(0x8000_0000_0000_0080n);
    page.write64(ENDIAN_CONTROL, 0n);
    expect(page.read64(ENDIAN_CONTROL)).toBe(0n);
    page.write64(CONTEXT_CONTROL, 0x1234n);
    expect(page.read64(CONTEXT_CONTROL)).toBe((1n << 63n) | 0x34n);
    for (const register of [INTERRUPT_STATUS, COMMAND_ROOM]) {
      const before = page.read64(register);
      page.write64(register, before ^ 0xffn);
      expect(page.read64(register)).toBe(before);
    }
    page.write64(INTERRUPT_CLEAR, 0xffn);
    expect(page.read64(INTERRUPT_CLEAR)).toBe(0n);
    page.write64(0x8000, 1n);
    expect(page.read64(0x8000)).toBe(0n);
  });

  it('are 64 bits wide: a narrower load is 0, a narrower store is ignored', () => {
    page.write64(RRQ_START, 0x1111_2222_3333_4444n);
    expect([page.read32(RRQ_START), page.read32(RRQ_START + 4)]).toEqual([0, 0]);
    page.write32(RRQ_START, 5);
    page.write32(RRQ_START + 4, 5);
    page.writeBlock(RRQ_START, Uint32Array.of(6, 7));
    const halves = Uint32Array.of(1, 2);
    page.readBlock(RRQ_START, halves);
    expect([...halves]).toEqual([0, 0]);
    expect(page.read64(RRQ_START)).toBe(0x1111_2222_3333_4444n);
  });

  it('are accessed by block transfers, one register after the other', () => {
    page.writeBlock(RRQ_START, BigUint64Array.of(0x10000n, 0x10ff8n));
    expect([page.read64(RRQ_START), page.read64(RRQ_END)]).toEqual([0x10000n, 0x10ff8n]);
    const block = new BigUint64Array(4);
    page.readBlock(IOARRIN, block);
    expect([...block]).toEqual([0n, 0x10000n, 0x10ff8n, MAX_COMMANDS]);
    // The last element is a command.
    inject(context, 'hold', 1);
    page.writeBlock(INTERRUPT_MASK, BigUint64Array.of(ALL_ONES_64, 0x20000n));
    expect(page.read64(COMMAND_ROOM)).toBe(MAX_COMMANDS - 1n);
  });

  it('return the address of each IOARCB in the response ring', async () => {
    const memory = target.system.allocate(4096);
    const order = { endian: 'big' } as const;
    const response = 2048;
    page.write64(ENDIAN_CONTROL, 0x8000_0000_0000_0080n);
    // A ring of one entry: the toggle bit changes with every response.
    const program = () => {
      page.write64(RRQ_START, memory.address + BigInt(response));
      page.write64(RRQ_END, memory.address + BigInt(response));
    };
    const answered = async (offset: number) => {
      memory.store64(response, ALL_ONES_64, order);
      page.write64(IOARRIN, memory.address + BigInt(offset));
      while (memory.load64(response, order) === ALL_ONES_64) await new Promise(setImmediate);
      return memory.load64(response, order) - memory.address;
    };
    program();
    expect(await answered(0)).toBe(1n);
    expect(await answered(256)).toBe(256n);
    expect(await answered(384)).toBe(385n);
    // Writing rrq_end restarts the ring, even with the same value.
    program();
    expect(await answered(512)).toBe(513n);
    // An invalid command is answered by the status behind it.
    expect(new Uint8Array(memory.buffer)[512 + 64 + 1]).toBe(0x21);
    await context.close();
    memory.free();
  });

  it('execute an injection at once', () => {
    const done = page.read64(INJECTION_REGISTERS.done);
    for (let i = 1n; i <= 100n; i += 1n) {
      page.write64(INJECTION_REGISTERS.count, i);
      page.write64(INJECTION_REGISTERS.command, ALL_PORTS_UP);
      expect(page.read64(INJECTION_REGISTERS.done)).toBe(done + i);
      expect(page.read64(INJECTION_REGISTERS.count)).toBe(i);
    }
  });

  it('are all ones after an adapter reset, in every mapping', async () => {
    const second = context.context.mapProblemState({ length: 65536 });
    inject(context, 'errorState', 20);
    expect(page.read64(COMMAND_ROOM)).toBe(ALL_ONES_64);
    expect(second.read64(COMMAND_ROOM)).toBe(ALL_ONES_64);
    expect(second.read32(RRQ_START)).toBe(0xffff_ffff);
    second.unmap();
    await context.recover();
    expect(context.registers.read64(COMMAND_ROOM)).toBe(MAX_COMMANDS);
  });
});
