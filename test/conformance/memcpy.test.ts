/** Whole jobs through the memcpy AFU: the program an application would write. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import {
  ADDRESS_ERROR,
  COMPARE_AND_SWAP,
  COMPLETE,
  COPY,
  INCREMENT,
  INTERRUPT,
  INVALID_SOURCE,
  type Job,
  RESTART,
  registers,
  STOPPED,
  startJob,
  UNDEFINED_COMMAND,
  until,
} from './support/work-queue';
import { row, target } from './target';

const { system, afu } = target;
let job: Job;

beforeEach(async () => {
  job = await startJob(system, `/dev/cxl/${afu}s`, { interrupts: 4, lines: 2 });
});

afterEach(async () => {
  await job.end();
});

async function stopped(): Promise<void> {
  await until(() => (job.regs.read64(registers.status) & STOPPED) !== 0n, 'the AFU to stop');
}

describe('the memcpy AFU', () => {
  row('copies, between Memory and ordinary buffers', [], async () => {
    const { context, queue } = job;
    const source = context.hold(randomBytes(4096));
    const middle = system.allocate(4096);
    const destination = context.hold(Buffer.alloc(4096));
    // 128 bytes a time: what every PSL can copy.
    for (let at = 0; at < 4096; at += 128) {
      const one = queue.add({
        command: COPY,
        length: 128,
        source: system.addressOf(source) + BigInt(at),
        destination: middle.address + BigInt(at),
      });
      expect(await queue.finished(one)).toBe(COMPLETE);
      const two = queue.add({
        command: COPY,
        length: 128,
        source: middle.address + BigInt(at),
        destination: system.addressOf(destination) + BigInt(at),
      });
      expect(await queue.finished(two)).toBe(COMPLETE);
    }
    expect(destination.equals(source)).toBe(true);
    middle.free({ force: true });
  });

  row('goes round its queue many times', [], async () => {
    const { context, queue } = job;
    const source = context.hold(randomBytes(128));
    const destination = context.hold(Buffer.alloc(128));
    for (let n = 0; n < 50; n += 1) {
      source.writeUInt32BE(n, 0);
      const element = queue.add({
        command: COPY,
        length: 128,
        source: system.addressOf(source),
        destination: system.addressOf(destination),
      });
      expect(await queue.finished(element)).toBe(COMPLETE);
      expect(destination.readUInt32BE(0)).toBe(n);
    }
  });

  row('interrupts, stops, and goes on when restarted', [], async () => {
    const { context, queue, regs } = job;
    const wait = context.waitForInterrupt(2, { timeout: 15_000 });
    const element = queue.add({ command: INTERRUPT, length: 2 });
    await wait;
    expect(await queue.finished(element)).toBe(COMPLETE);
    await stopped();
    const source = context.hold(randomBytes(128));
    const destination = context.hold(Buffer.alloc(128));
    const copy = queue.add({
      command: COPY,
      length: 128,
      source: system.addressOf(source),
      destination: system.addressOf(destination),
    });
    regs.write64(registers.control, RESTART);
    expect(await queue.finished(copy)).toBe(COMPLETE);
    expect(destination.equals(source)).toBe(true);
  });

  row('increments a big-endian word', [], async () => {
    const { context, queue } = job;
    const words = context.hold(Buffer.alloc(256));
    words.writeUInt32BE(0x00ff_ffff, 0);
    const element = queue.add({
      command: INCREMENT,
      length: 4,
      source: system.addressOf(words),
      destination: system.addressOf(words) + 128n,
    });
    expect(await queue.finished(element)).toBe(COMPLETE);
    expect(words.readUInt32BE(128)).toBe(0x0100_0000);
  });

  row('flags an undefined command and an invalid interrupt source', [], async () => {
    const { queue, regs } = job;
    const interrupt = queue.add({ command: INTERRUPT, length: 2000 });
    expect((await queue.finished(interrupt)) & INVALID_SOURCE).toBe(INVALID_SOURCE);
    if ((regs.read64(registers.status) & STOPPED) !== 0n) regs.write64(registers.control, RESTART);
    const undefinedCommand = queue.add({ command: 0x3f });
    expect((await queue.finished(undefinedCommand)) & UNDEFINED_COMMAND).toBe(UNDEFINED_COMMAND);
  });

  row('a bad address is a data storage fault with that address', [], async () => {
    const { context, queue } = job;
    const destination = context.hold(Buffer.alloc(128));
    const bad = 0x80n;
    const wait = context.waitForEvent({ timeout: 15_000 });
    const element = queue.add({
      command: COPY,
      length: 128,
      source: bad,
      destination: system.addressOf(destination),
    });
    expect(await wait).toMatchObject({ type: 'data-storage', address: bad });
    expect((await queue.finished(element)) & ADDRESS_ERROR).toBe(ADDRESS_ERROR);
  });

  row('tells its process handle and the time', [], async () => {
    const { context, regs } = job;
    expect(regs.read64(registers.processHandle) >> 48n).toBe(BigInt(context.processElement ?? -1));
    regs.write64(registers.timebase, 0n);
    await until(() => regs.read64(registers.timebase) !== 0n, 'the timebase');
  });
});

describe('its atomics', () => {
  row('compare and swap: only where equal', [], async () => {
    const { context, queue } = job;
    const word = context.hold(Buffer.alloc(128));
    word.writeBigUInt64BE(5n, 0);
    const swap = async (expected: bigint, value: bigint) => {
      const element = queue.add({
        command: COMPARE_AND_SWAP,
        length: 8,
        extra: 0x11,
        atomicOperand: expected,
        source: value,
        destination: system.addressOf(word),
      });
      expect(await queue.finished(element)).toBe(COMPLETE);
      return word.readBigUInt64BE(0);
    };
    expect(await swap(5n, 9n)).toBe(9n);
    expect(await swap(5n, 12n)).toBe(9n);
  });
});
