import type { ProblemState } from 'node-cxl';
import type { FlashContext } from 'node-cxl/flash';
import { provokeCommands, provokeRegisters } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FlashTarget, flashTarget, provoke } from './flash-target';

const allOnes = (1n << 64n) - 1n;
const endianControl = 0x00;
const interruptStatus = 0x08;
const interruptClear = 0x10;
const interruptMask = 0x18;
const ioarrin = 0x20;
const rrqStart = 0x28;
const rrqEnd = 0x30;
const commandRoom = 0x38;
const contextControl = 0x40;
const sqContextReset = 0x70;

const noRoom = 0x10n;
const commandRead = 0x08n;
const mostCommands = 128n;
const allPortsUp = (BigInt(provokeCommands.ports) << 56n) | 0b11n;

// The simulated device carries out each access by itself in this mode. In the other its registers
// are memory that it looks at, and what follows of a single store would not hold there.
describe('the registers of a context in IOARRIN mode', () => {
  let target: FlashTarget;
  let context: FlashContext;
  let page: ProblemState;

  beforeEach(async () => {
    target = await flashTarget('ioarrin');
    context = await (await target.lun()).attach();
    page = context.registers;
  });

  afterEach(async () => {
    if (page.mapped && context.isHealthy()) provoke(context, 'hold', 0);
    await context.close();
    await target.close();
  });

  it('have room for as many commands as cmd_room says, and each takes one', () => {
    provoke(context, 'hold', 1);
    const room = page.read64(commandRoom);
    expect(room).toBe(mostCommands);
    for (let issued = 1n; issued <= room; issued += 1n) {
      page.write64(ioarrin, 0x10000n + issued * 128n);
      expect(page.read64(commandRoom)).toBe(room - issued);
    }
    expect(page.read64(interruptStatus)).toBe(0n);
  });

  it('make a command that there is no room for an AFU error', async () => {
    provoke(context, 'hold', 1);
    page.write64(contextControl, 1n);
    page.write64(interruptMask, ~noRoom & allOnes);
    const interrupt = context.context.waitForInterrupt(1, { timeout: 10_000 });
    const room = Number(page.read64(commandRoom));
    for (let i = 0; i < room; i += 1) page.write64(ioarrin, 0x10000n);
    expect(page.read64(interruptStatus)).toBe(0n);
    page.write64(ioarrin, 0x10000n);
    expect(page.read64(interruptStatus)).toBe(noRoom);
    expect(page.read64(commandRoom)).toBe(0n);
    await interrupt;
  });

  it('are a context reset when 1 is stored to ioarrin, or to sq_ctx_reset', () => {
    provoke(context, 'hold', 1);
    for (const register of [ioarrin, sqContextReset]) {
      page.write64(ioarrin, 0x10000n);
      page.write64(ioarrin, 0x10080n);
      expect(page.read64(commandRoom)).toBe(mostCommands - 2n);
      page.write64(register, 1n);
      expect(page.read64(register) & 1n).toBe(0n);
      expect(page.read64(commandRoom)).toBe(mostCommands);
    }
  });

  it('clear those bits of intr_status that are stored to intr_clear', async () => {
    provoke(context, 'hold', 1);
    page.write64(contextControl, 1n);
    page.write64(interruptMask, 0n);
    const interrupt = context.context.waitForInterrupt(1, { timeout: 10_000 });
    // No multiple of 16: such an IOARCB cannot be read.
    for (let i = 0n; i <= mostCommands; i += 1n) page.write64(ioarrin, 0x10008n);
    await interrupt;
    page.write64(interruptClear, noRoom | commandRead);
    expect(page.read64(interruptStatus)).toBe(0n);
    const second = context.context.waitForInterrupt(1, { timeout: 10_000 });
    provoke(context, 'hold', 0);
    await second;
    while (page.read64(commandRoom) < mostCommands) await new Promise(setImmediate);
    expect(page.read64(interruptStatus)).toBe(commandRead);
    page.write64(interruptClear, noRoom);
    expect(page.read64(interruptStatus)).toBe(commandRead);
    page.write64(interruptClear, commandRead);
    expect(page.read64(interruptStatus)).toBe(0n);
  });

  it('read as what they are, not as what was stored', () => {
    page.write64(endianControl, 0x80n);
    expect(page.read64(endianControl)).toBe(0x8000_0000_0000_0080n);
    page.write64(endianControl, 0n);
    expect(page.read64(endianControl)).toBe(0n);
    page.write64(contextControl, 0x1234n);
    expect(page.read64(contextControl)).toBe((1n << 63n) | 0x34n);
    for (const register of [interruptStatus, commandRoom]) {
      const before = page.read64(register);
      page.write64(register, before ^ 0xffn);
      expect(page.read64(register)).toBe(before);
    }
    page.write64(interruptClear, 0xffn);
    expect(page.read64(interruptClear)).toBe(0n);
    page.write64(0x8000, 1n);
    expect(page.read64(0x8000)).toBe(0n);
  });

  it('are 64 bits wide: a narrower load is 0, a narrower store nothing', () => {
    page.write64(rrqStart, 0x1111_2222_3333_4444n);
    expect([page.read32(rrqStart), page.read32(rrqStart + 4)]).toEqual([0, 0]);
    page.write32(rrqStart, 5);
    page.write32(rrqStart + 4, 5);
    page.writeBlock(rrqStart, Uint32Array.of(6, 7));
    const halves = Uint32Array.of(1, 2);
    page.readBlock(rrqStart, halves);
    expect([...halves]).toEqual([0, 0]);
    expect(page.read64(rrqStart)).toBe(0x1111_2222_3333_4444n);
  });

  it('move in blocks, one register after the other', () => {
    page.writeBlock(rrqStart, BigUint64Array.of(0x10000n, 0x10ff8n));
    expect([page.read64(rrqStart), page.read64(rrqEnd)]).toEqual([0x10000n, 0x10ff8n]);
    const block = new BigUint64Array(4);
    page.readBlock(ioarrin, block);
    expect([...block]).toEqual([0n, 0x10000n, 0x10ff8n, mostCommands]);
    // The last element is a command.
    provoke(context, 'hold', 1);
    page.writeBlock(interruptMask, BigUint64Array.of(allOnes, 0x20000n));
    expect(page.read64(commandRoom)).toBe(mostCommands - 1n);
  });

  it('have the address of each IOARCB come back in the response ring', async () => {
    const memory = target.system.allocate(4096);
    const order = { endian: 'big' } as const;
    const response = 2048;
    page.write64(endianControl, 0x8000_0000_0000_0080n);
    // A ring of one entry: every lap, the toggle bit changes.
    const program = () => {
      page.write64(rrqStart, memory.address + BigInt(response));
      page.write64(rrqEnd, memory.address + BigInt(response));
    };
    const answered = async (offset: number) => {
      memory.store64(response, allOnes, order);
      page.write64(ioarrin, memory.address + BigInt(offset));
      while (memory.load64(response, order) === allOnes) await new Promise(setImmediate);
      return memory.load64(response, order) - memory.address;
    };
    program();
    expect(await answered(0)).toBe(1n);
    expect(await answered(256)).toBe(256n);
    expect(await answered(384)).toBe(385n);
    // Writing the end begins a new lap, whether or not it is another one.
    program();
    expect(await answered(512)).toBe(513n);
    // What is no command is answered by its status, which follows it.
    expect(new Uint8Array(memory.buffer)[512 + 64 + 1]).toBe(0x21);
    await context.close();
    memory.free();
  });

  it('take what a test provokes at once', () => {
    const done = page.read64(provokeRegisters.done);
    for (let i = 1n; i <= 100n; i += 1n) {
      page.write64(provokeRegisters.count, i);
      page.write64(provokeRegisters.command, allPortsUp);
      expect(page.read64(provokeRegisters.done)).toBe(done + i);
      expect(page.read64(provokeRegisters.count)).toBe(i);
    }
  });

  it('are all ones after an adapter reset, in every mapping', async () => {
    const second = context.context.mapProblemState({ length: 65536 });
    provoke(context, 'errorState', 20);
    expect(page.read64(commandRoom)).toBe(allOnes);
    expect(second.read64(commandRoom)).toBe(allOnes);
    expect(second.read32(rrqStart)).toBe(0xffff_ffff);
    second.unmap();
    await context.recover();
    expect(context.registers.read64(commandRoom)).toBe(mostCommands);
  });
});
