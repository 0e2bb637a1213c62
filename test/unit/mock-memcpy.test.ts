import type { Context, Memory } from 'node-cxl';
import { createMockCxl, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, master, oneCard, slave, until } from './mock-support';

const big = { endian: 'big' } as const;
const copy = 0;
const interrupt = 1;
const increment = 4;
const atomic = 5;
const complete = 0x80;
const stopped = 0x0800_0000_0000_0000n;
const restart = 1n << 63n;
const allOnes = 0xffff_ffff_ffff_ffffn;

interface Element {
  readonly command: number;
  readonly length?: number;
  readonly extra?: number;
  readonly operand?: bigint;
  readonly source?: bigint;
  readonly target?: bigint;
}

/** A queue of work elements. */
class Queue {
  readonly memory: Memory;
  readonly elements: number;
  #next = 0;
  #wrap = 0;

  constructor(mock: MockCxl, cacheLines = 2) {
    this.memory = mock.allocate(cacheLines * 128, { alignment: 65536 });
    this.elements = cacheLines * 4;
  }

  get wed(): bigint {
    return this.memory.address | BigInt(this.elements / 4);
  }

  /** Byte offset of the element. */
  put(element: Element): number {
    const at = this.#next * 32;
    this.memory.store8(at + 1, 0);
    this.memory.store16(at + 2, element.length ?? 0, big);
    this.memory.store8(at + 4, element.extra ?? 0);
    this.memory.store64(at + 8, element.operand ?? 0n, big);
    this.memory.store64(at + 16, element.source ?? 0n, big);
    this.memory.store64(at + 24, element.target ?? 0n, big);
    this.memory.store8(at, 0x80 | this.#wrap | element.command);
    this.#next = (this.#next + 1) % this.elements;
    if (this.#next === 0) this.#wrap ^= 0x40;
    return at;
  }

  /** Adds an element and waits for its status. */
  async run(element: Element): Promise<number> {
    const at = this.put(element);
    await until(() => this.memory.load8(at + 1) !== 0);
    return this.memory.load8(at + 1);
  }
}

async function start(mock: MockCxl, cacheLines?: number): Promise<[Queue, Context]> {
  const queue = new Queue(mock, cacheLines);
  const context = await mock.open(slave);
  await context.attach({ wed: queue.wed, interrupts: 4 });
  return [queue, context];
}

describe('the memcpy AFU', () => {
  it('copies', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock);
    const source = Buffer.alloc(1000, 'abc');
    const target = Buffer.alloc(1000);
    const status = await queue.run({
      command: copy,
      length: 900,
      source: mock.addressOf(source),
      target: mock.addressOf(target),
    });
    expect(status).toBe(complete);
    expect(target.subarray(0, 900).equals(source.subarray(0, 900))).toBe(true);
    expect(target.subarray(900).every((byte) => byte === 0)).toBe(true);
    await context.close();
  });

  it('passes through the queue again and again by the wrap bit', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock, 1);
    const memory = mock.allocate(8);
    const [source, target] = [memory.address, memory.address + 4n];
    for (let count = 1; count <= 10; count++) {
      memory.store32(0, count, big);
      expect(await queue.run({ command: increment, source, target })).toBe(complete);
      expect(memory.load32(4, big)).toBe(count + 1);
    }
    await context.close();
  });

  it('does not take an element of the previous pass again', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock, 1);
    for (let count = 0; count < 4; count++) await queue.run({ command: copy });
    for (let count = 0; count < 4; count++) queue.memory.store8(count * 32 + 1, 0);
    for (let count = 0; count < 10; count++) mock.memoryBarrier();
    expect(queue.memory.load8(1)).toBe(0);
    await context.close();
  });

  it('compares and swaps when equal, or when not', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock);
    const memory = mock.allocate(8);
    const swap = async (extra: number, operand: bigint) => {
      memory.store64(0, 5n, big);
      const element = { command: atomic, extra, operand, source: 9n, target: memory.address };
      expect(await queue.run(element)).toBe(complete);
      return memory.load64(0, big);
    };
    expect(await swap(0x11, 5n)).toBe(9n);
    expect(await swap(0x11, 6n)).toBe(5n);
    expect(await swap(0x10, 5n)).toBe(5n);
    expect(await swap(0x10, 6n)).toBe(9n);
    await context.close();
  });

  it('raises an interrupt, stops, shows that in its status, and continues when restarted', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock);
    const registers = context.mapProblemState();
    queue.put({ command: interrupt, length: 3 });
    const after = queue.put({ command: copy });
    await context.waitForInterrupt(3);
    expect(registers.read64(0x10) & stopped).toBe(stopped);
    expect(queue.memory.load8(after + 1)).toBe(0);
    registers.write64(0x18, restart);
    await until(() => queue.memory.load8(after + 1) === complete);
    expect(registers.read64(0x10) & stopped).toBe(0n);
    await context.close();
  });

  it('reports an invalid element in its status', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock);
    const registers = context.mapProblemState();
    for (const length of [5, 0]) {
      expect(await queue.run({ command: interrupt, length })).toBe(0x04);
      expect(registers.read64(0x10) & stopped).toBe(stopped);
      registers.write64(0x18, restart);
    }
    expect(await queue.run({ command: 2 })).toBe(0x01);
    expect(await queue.run({ command: atomic, extra: 7 })).toBe(0x01);
    expect(await queue.run({ command: atomic, extra: 0x11, target: 0x4004n })).toBe(0x01);
    await context.close();
  });

  it('reports an address that is not mapped, faults, and continues', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock);
    const { address } = mock.allocate(16);
    const attempts: [Element, bigint, boolean][] = [
      [{ command: copy, length: 8, source: 0x1000n, target: address }, 0x1000n, false],
      [{ command: copy, length: 8, source: address, target: allOnes }, allOnes, true],
      [{ command: copy, length: 17, source: address, target: address }, address, false],
      [{ command: increment, source: 0x2000n, target: address }, 0x2000n, false],
      [{ command: increment, source: address, target: 0x3000n }, 0x3000n, true],
      [{ command: atomic, extra: 0x11, target: 0x4000n }, 0x4000n, true],
    ];
    for (const [element, fault, store] of attempts) {
      expect(await queue.run(element)).toBe(0x20);
      const event = await context.waitForEvent();
      expect(event).toMatchObject({ type: 'data-storage', address: fault });
      const dsisr = event.type === 'data-storage' ? event.dsisr : 0n;
      expect((dsisr & 0x0200_0000n) !== 0n).toBe(store);
    }
    await context.close();
  });

  it('faults and stops when the queue is not mapped', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    await context.attach({ wed: 0x5001n });
    expect(await context.waitForEvent()).toMatchObject({ type: 'data-storage', address: 0x5000n });
    expect(context.mapProblemState().read64(0x10) & stopped).toBe(stopped);
    await context.close();
  });

  it('shows the work element descriptor and the process handle', async () => {
    const mock = oneCard();
    const first = await mock.open(slave);
    const [queue, context] = await start(mock);
    const registers = context.mapProblemState();
    expect(registers.read64(0)).toBe(queue.wed);
    expect(registers.read64(8)).toBe(1n << 48n);
    expect([registers.read32(8), registers.read32(12)]).toEqual([0x0001_0000, 0]);
    registers.write64(0x40, 0n);
    const early = registers.read64(0x40);
    registers.write64(0x40, 0n);
    expect(registers.read64(0x40)).toBeGreaterThan(early);
    await context.close();
    await first.close();
  });

  it('waits for a restart on an invalid command when the master has configured that', async () => {
    const mock = oneCard();
    const control = await attached(mock, master);
    control.mapProblemState().write64(0, 0x2000_0000_0000_0000n);
    const [queue, context] = await start(mock);
    const registers = context.mapProblemState();
    await until(() => (registers.read64(0x10) & stopped) !== 0n);
    const at = queue.put({ command: copy });
    for (let count = 0; count < 10; count++) mock.memoryBarrier();
    expect(queue.memory.load8(at + 1)).toBe(0);
    registers.write64(0x18, restart);
    await until(() => queue.memory.load8(at + 1) === complete);
    await context.close();
    await control.close();
  });

  it('on PSL9 copies a cache line at most, and only for one process element in four', async () => {
    const mock = createMockCxl({ cards: [{ caiaVersion: '2.0', afus: [{ model: memcpyAfu() }] }] });
    const buffer = mock.allocate(512);
    const element = { command: copy, source: buffer.address, target: buffer.address + 256n };
    const [first, a] = await start(mock);
    const [second, b] = await start(mock);
    expect(await first.run({ ...element, length: 128 })).toBe(0x01);
    expect(await second.run({ ...element, length: 128 })).toBe(complete);
    expect(await second.run({ ...element, length: 129 })).toBe(0x01);
    await a.close();
    await b.close();
  });

  it('serves many processes in rotation, at barriers alone', async () => {
    const mock = oneCard();
    const started: [Queue, Context][] = [];
    for (let count = 0; count < 40; count++) started.push(await start(mock, 1));
    const places = started.map(([queue]) => queue.put({ command: copy }));
    for (let count = 0; count < 6; count++) mock.memoryBarrier();
    const statuses = started.map(([queue], index) => queue.memory.load8(places[index]! + 1));
    expect(statuses.every((status) => status === complete)).toBe(true);
    for (const [, context] of started) await context.close();
  });

  it('works through a whole queue without being polled', async () => {
    const mock = oneCard();
    const [queue, context] = await start(mock, 4095);
    const bytes = new Uint8Array(queue.memory.buffer);
    // Stores through a typed array: they make the AFU take no step.
    for (let at = bytes.length - 32; at >= 0; at -= 32) bytes[at] = 0x80;
    await until(() => bytes[bytes.length - 31] === complete);
    await context.close();
  });
});
