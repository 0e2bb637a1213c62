/** Memory belongs to the contexts that hold it: who keeps it from being freed, and until when. */
import type { Context, Holdable, Memory } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { until } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
const path = `/dev/cxl/${afu}s`;
const made: Memory[] = [];
const opened: Context[] = [];

afterEach(async () => {
  for (const context of opened.splice(0)) await context.close();
  for (const memory of made.splice(0)) memory.free({ force: true });
});

/** What this package's other parts have of a Memory. */
interface Holdings {
  hold(holder: object): void;
  release(holder: object): void;
}

function allocate(size = 4096): Memory & Holdings {
  const memory = system.allocate(size);
  made.push(memory);
  return memory as Memory & Holdings;
}

async function open(): Promise<Context> {
  const context = await system.open(path);
  opened.push(context);
  return context;
}

/** A context that runs on the AFU without work, and holds this memory. */
async function attached(...holds: Holdable[]): Promise<Context> {
  const context = await open();
  // One cache line of work elements, none of them valid.
  const queue = allocate();
  await context.attach({ wed: queue.address | 1n, holds: [queue, ...holds] });
  return context;
}

describe('free', () => {
  test(
    'of memory that no context holds: another context that is attached does not matter',
    [],
    async () => {
      await attached();
      const memory = allocate();
      memory.free();
      expect(memory.freed).toBe(true);
    },
  );

  test('EBUSY: an attached context holds the memory; the error says which', [], async () => {
    const [one, two] = [allocate(), allocate()];
    const context = await attached(one);
    context.hold(two);
    for (const memory of [one, two]) {
      const error = await failure(() => memory.free());
      expect(error).toMatchObject({ code: 'EBUSY', syscall: 'munmap', path });
      expect(error.message).toContain(`process element ${context.processElement}`);
      expect(error.message).toContain('force');
      expect(memory.freed).toBe(false);
      expect(memory.disposed).toBe(false);
      memory.store8(0, 1);
      expect(memory.load8(0)).toBe(1);
    }
    await context.close();
    one.free();
    two.free();
    expect([one.freed, two.freed]).toEqual([true, true]);
  });

  test('EBUSY while a view of the bytes, or their buffer, is held', [], async () => {
    const [one, two] = [allocate(), allocate()];
    const context = await attached(one.buffer, new Uint8Array(two.buffer, 128, 128));
    expect(await codeOf(() => one.free())).toBe('EBUSY');
    expect(await codeOf(() => two.free())).toBe('EBUSY');
    await context.close();
    one.free();
    two.free();
  });

  test('EBUSY until the last of several contexts is closed', [], async () => {
    const memory = allocate();
    const [first, second] = [await attached(memory), await attached(memory)];
    expect((await failure(() => memory.free())).message).toContain('1 other');
    await first.close();
    expect((await failure(() => memory.free())).message).toContain(
      `process element ${second.processElement}`,
    );
    await second.close();
    memory.free();
  });

  test('forced, takes the memory from the contexts that hold it', [], async () => {
    const memory = allocate();
    const context = await attached(memory);
    memory.free({ force: true });
    expect(memory.freed).toBe(true);
    expect(await codeOf(() => context.hold(memory))).toBe('ERR_INVALID_STATE');
  });

  test('of memory that a context holds which is not attached', [], async () => {
    const memory = allocate();
    const context = await open();
    context.hold(memory);
    memory.free();
    expect(memory.freed).toBe(true);
    expect(await codeOf(() => context.attach({ wed: 0n, holds: [memory] }))).toBe(
      'ERR_INVALID_STATE',
    );
  });

  test('EBUSY while START_WORK is being made; not once it has failed', [], async () => {
    const memory = allocate();
    const context = await open();
    const attaching = context.attach({ wed: 0n, interrupts: 0x7fff, holds: [memory] });
    expect(await codeOf(() => memory.free())).toBe('EBUSY');
    expect(await codeOf(() => attaching)).toBe('EINVAL');
    memory.free();
  });

  test('a second attach, which is refused, takes nothing from the first', [], async () => {
    const [one, two] = [allocate(), allocate()];
    const context = await attached(one);
    expect(await codeOf(() => context.attach({ wed: 0n, holds: [one, two] }))).toBe('EIO');
    expect(await codeOf(() => one.free())).toBe('EBUSY');
    two.free();
  });
});

describe('Context.allocate', () => {
  test('allocates and holds', [], async () => {
    const context = await open();
    const memory = context.allocate(4096, { endian: 'big' });
    made.push(memory);
    expect(memory.size).toBe(4096);
    await context.attach({ wed: memory.address | 1n });
    expect(await codeOf(() => memory.free())).toBe('EBUSY');
    await context.close();
    memory.free();
    expect(await codeOf(() => context.allocate(4096))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => context.allocatePool(4096))).toBe('ERR_INVALID_STATE');
  });
});

describe('Context.release', () => {
  test('lets go of memory, however it came to be held', [], async () => {
    const one = allocate();
    const context = await attached(one);
    const two = context.hold(context.hold(context.allocate(4096)));
    made.push(two);
    for (const memory of [one, two]) {
      expect(await codeOf(() => memory.free())).toBe('EBUSY');
      context.release(memory);
      memory.free();
      context.release(memory);
    }
    expect(await codeOf(() => context.release({} as Memory))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => context.release(null as never))).toBe('ERR_INVALID_ARG_TYPE');
  });

  test('gives the pages of disposed memory back', [], async () => {
    const memory = allocate();
    const [first, second] = [await attached(memory), await attached(memory)];
    memory[Symbol.dispose]();
    first.release(memory);
    expect(memory.freed).toBe(false);
    second.release(memory);
    expect(memory.freed).toBe(true);
  });
});

describe('a context that the driver has detached', () => {
  test('keeps no memory from being freed', ['injection'], async () => {
    const [one, two] = [allocate(), allocate()];
    const context = await attached(one, two);
    const regs = context.mapProblemState({ endian: 'big' });
    one[Symbol.dispose]();
    expect(await codeOf(() => two.free())).toBe('EBUSY');
    // DETACH_ALL, as in the recovery of a card.
    regs.write64(0x1000, 7n << 56n);
    await until(() => context.linkState() === 'down', 'the detach');
    two.free();
    const three = allocate();
    context.hold(three);
    three.free();
    // Disposed of before the detach: its pages go at close().
    expect(one.freed).toBe(false);
    await context.close();
    expect(one.freed).toBe(true);
  });
});

describe('disposal', () => {
  test('frees what no attached context holds', [], () => {
    const memory = allocate();
    memory[Symbol.dispose]();
    memory[Symbol.dispose]();
    expect([memory.disposed, memory.freed]).toEqual([true, true]);
  });

  test('of memory that an attached context holds: its pages go with the last one', [], async () => {
    const memory = allocate();
    const contexts = [await attached(memory), await attached(memory)];
    memory[Symbol.dispose]();
    memory[Symbol.dispose]();
    expect([memory.disposed, memory.freed]).toEqual([true, false]);
    expect(await codeOf(() => memory.load8(0))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => memory.store64(0, 0n))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => memory.buffer)).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => memory.free())).toBe('EBUSY');
    await contexts[1]?.close();
    expect(memory.freed).toBe(false);
    await contexts[0]?.close();
    expect([memory.disposed, memory.freed]).toEqual([true, true]);
  });

  test('free({ force: true }) does not wait for the contexts', [], async () => {
    const memory = allocate();
    await attached(memory);
    memory[Symbol.dispose]();
    memory.free({ force: true });
    expect(memory.freed).toBe(true);
  });
});

describe('a holder for a time, as a command in flight', () => {
  const holder = { path: '/dev/sg0', reason: 'a command in flight' as string | undefined };

  test('keeps the memory from being freed, as often as it holds it', [], async () => {
    const memory = allocate();
    memory.hold(holder);
    memory.hold(holder);
    const error = await failure(() => memory.free());
    expect(error).toMatchObject({ code: 'EBUSY', path: '/dev/sg0' });
    expect(error.message).toContain('a command in flight');
    memory.release(holder);
    expect(await codeOf(() => memory.free())).toBe('EBUSY');
    memory.release(holder);
    memory.free();
    expect(await codeOf(() => memory.hold(holder))).toBe('ERR_INVALID_STATE');
  });

  test('keeps the pages of memory that is disposed of until it lets go', [], () => {
    const memory = allocate();
    memory.hold(holder);
    memory[Symbol.dispose]();
    expect(memory.freed).toBe(false);
    memory.release(holder);
    expect(memory.freed).toBe(true);
  });
});
