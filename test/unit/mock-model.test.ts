import {
  type AfuModel,
  type AfuProcess,
  createMockCxl,
  echoAfu,
  type MockCardOptions,
  Registers,
} from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { injectionAfu } from '../conformance/injection-afu';
import { attached, codeOf, master, slave, thrownCode, until } from './mock-support';

/** A model that does nothing but count its steps; each register reads as their number. */
function stepCounter() {
  let steps = 0;
  const model: AfuModel = {
    ...echoAfu(),
    powerOn: () => ({
      attach: () => ({
        mmioRead: () => BigInt(steps),
        mmioWrite: () => undefined,
        step: () => {
          steps += 1;
          return false;
        },
      }),
    }),
  };
  return { model, steps: () => steps };
}

describe('a block of registers', () => {
  const block = (endian: 'big' | 'little') => {
    let value = 0x1111_2222_3333_4444n;
    return new Registers(
      {
        8: {
          read: () => value,
          write: (written) => {
            value = written;
          },
        },
        16: {},
      },
      endian,
    );
  };

  it('finds the halves of a register by its byte order', () => {
    expect([block('big').read(0x08, 4), block('big').read(0x0c, 4)]).toEqual([
      0x1111_2222n,
      0x3333_4444n,
    ]);
    expect(block('little').read(0x08, 4)).toBe(0x3333_4444n);
  });

  it('keeps the other half at a store of 32 bits', () => {
    const registers = block('big');
    registers.write(0x0c, 4, 0xaaaa_bbbbn);
    expect(registers.read(0x08, 8)).toBe(0x1111_2222_aaaa_bbbbn);
    registers.write(0x08, 4, 0xcccc_ddddn);
    expect(registers.read(0x08, 8)).toBe(0xcccc_dddd_aaaa_bbbbn);
  });

  it('reads as zero where there is nothing', () => {
    const registers = block('big');
    registers.write(0x10, 8, 5n);
    registers.write(0x18, 4, 5n);
    expect([registers.read(0x10, 8), registers.read(0x18, 8)]).toEqual([0n, 0n]);
    expect([registers.has(0x14), registers.has(0x18)]).toEqual([true, false]);
  });
});

describe('a model', () => {
  it('gets each attach and detach, and takes steps only in between', async () => {
    const seen: string[] = [];
    let process: AfuProcess | undefined;
    const model: AfuModel = {
      ...echoAfu(),
      powerOn: () => ({
        attach: (attached) => {
          process = attached;
          seen.push('attach');
          return {
            mmioRead: () => 0n,
            mmioWrite: () => undefined,
            step: () => seen.push('step') < 0,
            detach: () => seen.push('detach'),
          };
        },
      }),
    };
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const context = await mock.open(slave);
    mock.memoryBarrier();
    expect(seen).toEqual([]);
    await context.attach({ wed: 0n });
    mock.memoryBarrier();
    expect(seen.slice(0, 2)).toEqual(['attach', 'step']);
    await context.close();
    mock.memoryBarrier();
    expect(seen.at(-1)).toBe('detach');
    expect(process?.attached).toBe(false);
    expect(process?.raiseInterrupt(1)).toBe(false);
    expect(process?.access(mock.allocate(8).address, 8, 'read')).toBe(undefined);
  });

  it('takes a step at each access to its registers or to memory, before any timer', async () => {
    const { model, steps } = stepCounter();
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const registers = (await attached(mock)).mapProblemState();
    const before = registers.read64(0);
    registers.write64(0, 0n);
    expect(registers.read64(0)).toBe(before + 2n);
    const memory = mock.allocate(8);
    const last = steps();
    memory.load64(0);
    expect(steps()).toBe(last + 1);
    memory.store64(0, 1n);
    expect(steps()).toBe(last + 2);
  });

  it('that fails to attach a process leaves a context that can be closed', async () => {
    const model: AfuModel = {
      ...echoAfu(),
      powerOn: () => ({
        attach: () => {
          throw new Error('no room');
        },
      }),
    };
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const context = await mock.open(slave);
    expect(() => context.attachSync({ wed: 0n })).toThrow('no room');
    await context.close();
    expect(mock.counters.contexts).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('starts in directed mode where it supports that, else in the one it supports', () => {
    for (const [modes, mode, line] of [
      [['dedicated', 'directed'], 'directed', 'afu0.0: Activating AFU directed mode'],
      [['dedicated'], 'dedicated', 'afu0.0: Activating dedicated process mode'],
    ] as const) {
      const model: AfuModel = { ...echoAfu(), descriptor: { ...echoAfu().descriptor, modes } };
      const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
      expect([mock.card(0).afu(0).mode, mock.log]).toEqual([mode, [line]]);
    }
  });

  it('has the areas that its descriptor tells, of which a master reaches those in use', async () => {
    const page = 65_536;
    const model: AfuModel = {
      ...echoAfu(),
      descriptor: {
        ...echoAfu().descriptor,
        processes: 3,
        problemStateSize: 13 * page,
        perProcess: { offset: page, size: 4 * page },
      },
      powerOn: () => ({
        attach: ({ index }) => ({
          mmioRead: (offset) => BigInt(index * 0x1_0000_0000 + offset),
          mmioWrite: () => undefined,
        }),
      }),
    };
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const whole = (await attached(mock, master)).mapProblemState();
    const own = (await attached(mock)).mapProblemState();
    await mock.open(slave);
    expect([whole.length, own.length]).toEqual([13 * page, 4 * page]);
    expect(own.read64(page + 8)).toBe(0x1_0001_0008n);
    expect(whole.read64(page + 4 * page + page + 8)).toBe(0x1_0001_0008n);
    expect(whole.read64(page + 16)).toBe(16n);
    // Opened, but not attached.
    expect(whole.read64(page + 8 * page)).toBe(0xffff_ffff_ffff_ffffn);
    expect(whole.read64(8)).toBe(0n);
  });

  it('without areas of its processes is attached, but not mapped', async () => {
    const { perProcess: _, ...descriptor } = echoAfu().descriptor;
    for (const flavor of ['bare-metal', 'guest'] as const) {
      const model = { ...echoAfu(), descriptor };
      const mock = createMockCxl({ flavor, cards: [{ afus: [{ model }] }] });
      for (const path of [slave, master]) {
        const context = await attached(mock, path);
        expect([path, thrownCode(() => context.mapProblemState())]).toEqual([path, 'EINVAL']);
        await context.close();
      }
    }
  });

  it('takes no steps while the link is down', async () => {
    const { model, steps } = stepCounter();
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const context = await mock.open(slave);
    await context.attach({ wed: 0n });
    mock.memoryBarrier();
    mock.card(0).freeze();
    const before = steps();
    mock.memoryBarrier();
    expect(steps()).toBe(before);
    expect(before).toBeGreaterThan(0);
    await context.close();
  });
});

describe('a process of a model', () => {
  /** A context of a model that does nothing, and its process. */
  async function idle(card: MockCardOptions = {}, flavor: 'bare-metal' | 'guest' = 'bare-metal') {
    let process: AfuProcess | undefined;
    const model: AfuModel = {
      ...echoAfu(),
      powerOn: () => ({
        attach: (attached) => {
          process = attached;
          return { mmioRead: () => 0n, mmioWrite: () => undefined };
        },
      }),
    };
    const mock = createMockCxl({ flavor, cards: [{ ...card, afus: [{ model }] }] });
    await mock.open(slave);
    const context = await mock.open(slave);
    await context.attach({ wed: 9n, amr: 3n, interrupts: 4 });
    return { mock, context, process: process! };
  }

  it('has what the attach gave it', async () => {
    const { process } = await idle();
    expect(process).toMatchObject({ role: 'slave', wed: 9n, amr: 3n, interrupts: 4 });
    expect(process).toMatchObject({ index: 1, processElement: 1, attached: true });
    expect(process.afu).toMatchObject({ name: 'afu0.0', caiaMajor: 1 });
    const guest = await idle({ caiaVersion: '2.0' }, 'guest');
    expect(guest.process).toMatchObject({ index: 1, processElement: 33 });
    expect(guest.process.afu.caiaMajor).toBe(2);
  });

  it('reaches the memory of the program, and has a fault elsewhere', async () => {
    for (const [caiaVersion, notFound] of [
      ['1.0', 0x4000_0000_4000_0000n],
      ['2.0', 0x1000_0000_0000_0000n],
    ] as const) {
      const { mock, context, process } = await idle({ caiaVersion });
      const memory = mock.allocate(4096);
      process.access(memory.address + 8n, 2, 'write')?.set([1, 2]);
      expect([memory.load8(8), memory.load8(9)]).toEqual([1, 2]);
      expect(process.access(memory.address + 8n, 2, 'read')).toEqual(Uint8Array.of(1, 2));
      expect(process.isMapped(memory.address, 4096)).toBe(true);
      expect(process.isMapped(0x10, 8)).toBe(false);
      expect(process.access(0x10, 8, 'read')).toBe(undefined);
      const type = 'data-storage';
      expect(await context.waitForEvent()).toMatchObject({ type, address: 0x10n, dsisr: notFound });
      expect(process.access(0x18n, 8, 'write')).toBe(undefined);
      const dsisr = notFound | 0x0200_0000n;
      expect(await context.waitForEvent()).toMatchObject({ type, address: 0x18n, dsisr });
      await context.close();
    }
  });

  it('raises the interrupts that it has, and wakes no thread without an id', async () => {
    const { context, process } = await idle();
    expect([0, 5, -1].map((irq) => process.raiseInterrupt(irq))).toEqual([false, false, false]);
    expect([1, 4].map((irq) => process.raiseInterrupt(irq))).toEqual([true, true]);
    expect(await context.waitForEvent()).toMatchObject({ irq: 1 });
    expect(await context.waitForEvent()).toMatchObject({ irq: 4 });
    expect([process.wakeThread(0), process.wakeThread(1)]).toEqual([false, false]);
    await context.close();
  });

  it('has no effect once it is detached', async () => {
    const { mock, context, process } = await idle();
    mock.card(0).afu(0).detachAll();
    process.afuError(5n);
    expect(process.raiseInterrupt(1)).toBe(false);
    expect(process.access(0x10, 8, 'read')).toBe(undefined);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await context.close();
  });
});

describe('the echo AFU', () => {
  it('echoes, counts, and writes to memory with an interrupt', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }] });
    const context = await mock.open(slave);
    await context.attach({ wed: 0x99n });
    const registers = context.mapProblemState({ endian: 'big' });
    expect(registers.read64(0)).toBe(0x99n);
    registers.write64(0, 0x1234n);
    expect([registers.read64(0), registers.read64(8)]).toEqual([0x1234n, 1n]);
    const memory = mock.allocate(8);
    registers.write64(0x10, memory.address);
    await context.waitForInterrupt(1);
    expect(memory.load64(0, { endian: 'big' })).toBe(0x1234n);
    registers.write64(0x10, 0x10n);
    expect(await context.waitForEvent()).toMatchObject({ type: 'data-storage', address: 0x10n });
    await context.close();
  });
});

describe('the injection registers', () => {
  const mockWithInjection = () => createMockCxl({ cards: [{ afus: [{ model: injectionAfu() }] }] });
  const block = { command: 0x1000, value: 0x1008, count: 0x1010, done: 0x1018 };

  for (const node of [slave, master]) {
    it(`raises interrupts, faults and errors on ${node}`, async () => {
      const mock = mockWithInjection();
      const context = await attached(mock, node);
      const registers = context.mapProblemState();
      registers.write64(block.count, 3n);
      registers.write64(block.command, (1n << 56n) | 0b1010n);
      registers.write64(block.value, 0xbadn);
      registers.write64(block.command, 2n << 56n);
      registers.write64(block.command, 3n << 56n);
      registers.write64(block.command, 5n << 56n);
      expect(registers.read64(block.command)).toBe(0n);
      expect(registers.read64(block.done)).toBe(4n);
      const events = [];
      for (let count = 0; count < 4; count++) events.push(await context.waitForEvent());
      expect(events).toMatchObject([
        { irq: 2 },
        { irq: 4 },
        { type: 'data-storage', address: 0xbadn },
        { type: 'afu-error', error: 0xbadn },
      ]);
      expect(mock.log.filter((line) => line.includes('PSL_SERR_An')).length).toBe(3);
      await context.close();
    });
  }

  it('touches memory that is there without a fault', async () => {
    const mock = mockWithInjection();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    registers.write64(block.value, mock.allocate(8).address);
    registers.write64(block.command, 2n << 56n);
    expect(await codeOf(context.waitForEvent({ timeout: 10 }))).toBe('ETIMEDOUT');
    await context.close();
  });

  it('puts the adapter in error and lets it recover', async () => {
    const mock = mockWithInjection();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    registers.write64(block.command, (4n << 56n) | 5n);
    expect(registers.read64(8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await until(() => mock.card(0).link === 'ok');
    await context.close();
  });

  it('slows the next attach, and detaches all', async () => {
    const mock = mockWithInjection();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    registers.write64(block.command, (6n << 56n) | 15n);
    const before = performance.now();
    const second = await attached(mock);
    expect(performance.now() - before).toBeGreaterThan(10);
    registers.write64(block.command, 7n << 56n);
    expect(thrownCode(() => registers.read64(8))).toBe('EIO');
    expect(await codeOf(second.waitForEvent())).toBe('EIO');
    expect(await codeOf(mock.open(slave).then((third) => third.close()))).toBe(undefined);
    await second.close();
    await context.close();
  });

  it('leaves the memcpy AFU as it is', async () => {
    const mock = mockWithInjection();
    const context = await attached(mock, master);
    const registers = context.mapProblemState();
    registers.write64(0, 0x2000_0000_0000_0000n);
    expect(registers.read64(0)).toBe(0x2000_0000_0000_0000n);
    expect(registers.read64(0x10008)).toBe(0n);
    await context.close();
  });
});
