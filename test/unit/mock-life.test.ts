import { createMockCxl, echoAfu, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { operandsOf } from '../../dist/binding/operands';
import type { AfuFile, Binding, ProblemStateMapping } from '../../lib/binding';
import { injectionAfu } from '../conformance/injection-afu';
import { attached, codeOf, master, oneCard, oneEcho, slave, thrownCode } from './mock-support';

const none = { files: 0, mappings: 0, bytes: 0, contexts: 0 };

function small(processes: number, interrupts = 2037): MockCxl {
  return createMockCxl({ cards: [{ interrupts, afus: [{ model: memcpyAfu({ processes }) }] }] });
}

function dedicated(): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: echoAfu(), mode: 'dedicated' }] }] });
}

describe('open', () => {
  it('assigns process elements from 0, and those of closed contexts again', async () => {
    const mock = oneCard();
    const [a, b] = [await mock.open(slave), await mock.open(master)];
    expect([a.processElement, b.processElement]).toEqual([0, 1]);
    await a.close();
    const c = await mock.open(slave);
    expect(c.processElement).toBe(0);
    await b.close();
    await c.close();
    expect(mock.counters).toEqual(none);
  });

  it('is ENOSPC when all are taken, slaves and masters together', async () => {
    const mock = small(2);
    const contexts = [await mock.open(slave), await mock.open(master)];
    expect(await codeOf(mock.open(slave))).toBe('ENOSPC');
    await contexts[0]!.close();
    contexts[0] = await mock.open(slave);
    for (const context of contexts) await context.close();
  });

  it('is ENOSPC the second time in dedicated mode', async () => {
    const mock = dedicated();
    const context = await mock.open('/dev/cxl/afu0.0d');
    expect(await codeOf(mock.open('/dev/cxl/afu0.0d'))).toBe('ENOSPC');
    expect(context.afuId().mode).toBe('dedicated_process');
    await context.close();
  });

  it('is EIO while the link is down and the driver has not noticed, then ENOENT', async () => {
    const mock = oneCard();
    mock.card(0).freeze();
    expect(await codeOf(mock.open(slave))).toBe('EIO');
    mock.card(0).notice();
    expect(await codeOf(mock.open(slave))).toBe('ENOENT');
  });

  it('is ENOENT for a node there is not', async () => {
    const mock = oneCard();
    for (const path of ['/dev/cxl/afu0.0d', '/dev/cxl/afu0.1s', '/dev/cxl/afu1.0s']) {
      expect(await codeOf(mock.open(path))).toBe('ENOENT');
    }
  });

  it('follows the link that udev rules make', async () => {
    const mock = oneCard({ udevLinks: true });
    const context = await mock.open('/dev/cxl/afu0.0');
    expect(context.path).toBe(slave);
    await context.close();
  });
});

describe('START_WORK', () => {
  it('is EIO the second time', async () => {
    const context = await attached(oneCard());
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EIO');
    // Whatever else is wrong with it.
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 1 }))).toBe('EIO');
    await context.close();
  });

  it('is EIO after a detach', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    mock.card(0).afu(0).detachAll();
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EIO');
    await context.close();
  });

  it('takes irqs_min without a number, and refuses one outside irqs_min to irqs_max', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 3 }))).toBe('EINVAL');
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 2038 }))).toBe('EINVAL');
    await context.attach({ wed: 0x1234n, amr: 5n });
    expect(mock.card(0).afu(0).context(0)).toMatchObject({
      status: 'STARTED',
      role: 'slave',
      wed: 0x1234n,
      amr: 5n,
      interrupts: 4,
    });
    await context.close();
  });

  it('is ENOSPC when the adapter has too few interrupts left, and gives them back', async () => {
    const mock = small(8, 10);
    const [a, b] = [await mock.open(slave), await mock.open(slave)];
    await a.attach({ wed: 0n, interrupts: 7 });
    expect(await codeOf(b.attach({ wed: 0n }))).toBe('ENOSPC');
    expect(mock.card(0).freeInterrupts).toBe(3);
    await a.close();
    expect(mock.card(0).freeInterrupts).toBe(10);
    await b.attach({ wed: 0n, interrupts: 10 });
    await b.close();
  });

  it('shares interrupts among all AFUs of the card', async () => {
    const model = memcpyAfu({ interruptsMinimum: 1 });
    const mock = createMockCxl({ cards: [{ interrupts: 5, afus: [{ model }, { model }] }] });
    const [a, b] = [await mock.open('afu0.0s'), await mock.open('afu0.1s')];
    await a.attach({ wed: 0n, interrupts: 3 });
    expect(await codeOf(b.attach({ wed: 0n, interrupts: 3 }))).toBe('ENOSPC');
    await b.attach({ wed: 0n, interrupts: 2 });
    await a.close();
    await b.close();
  });

  it('waits for slow hardware, and is EBUSY when that takes too long', async () => {
    const mock = oneCard({ attachTimeout: 30 });
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(200);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    expect(mock.card(0).freeInterrupts).toBe(2037);
    mock.card(0).afu(0).delayNextAttach(10);
    const before = performance.now();
    await context.attach({ wed: 0n });
    expect(performance.now() - before).toBeLessThan(1000);
    await context.close();
  });

  it('is delayed once', async () => {
    const mock = oneCard({ attachTimeout: 30 });
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(200);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    await context.attach({ wed: 0n });
    await context.close();
  });

  it('does not block the thread when it is synchronous', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(4000);
    const before = performance.now();
    expect(context.attachSync({ wed: 0n })).toEqual({ tid: undefined });
    expect(performance.now() - before).toBeLessThan(1000);
    await context.close();
  });

  it('returns a thread id on POWER9 alone, and refuses the flag before API version 3', async () => {
    type Flavor = 'bare-metal' | 'guest';
    const tid = async (caiaVersion: string, apiVersion: 2 | 3, flavor: Flavor = 'bare-metal') => {
      const mock = createMockCxl({ flavor, cards: [{ caiaVersion, afus: [{ apiVersion }] }] });
      const context = await mock.open(slave);
      try {
        return context.attachSync({ wed: 0n, tid: true }).tid;
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await context.close();
      }
    };
    expect(await tid('1.0', 3)).toBe(0);
    expect(await tid('1.0', 2)).toBe('EINVAL');
    expect(await tid('2.0', 3)).toBe(1);
    expect(await tid('2.0', 2)).toBe('EINVAL');
    expect(await tid('2.0', 3, 'guest')).toBe(0);
  });
});

describe('mmap', () => {
  it('is EIO before the attach, and past a detach', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    expect(thrownCode(() => context.mapProblemState())).toBe('EIO');
    await context.attach({ wed: 0n });
    mock.card(0).afu(0).detachAll();
    expect(thrownCode(() => context.mapProblemState())).toBe('EIO');
    await context.close();
  });

  it('gives a slave its own area, a master the whole, and EINVAL past either', async () => {
    const mock = small(3);
    const [a, b] = [await attached(mock), await attached(mock, master)];
    expect(a.mapProblemState().length).toBe(0x10000);
    expect(b.mapProblemState().length).toBe(0x40000);
    expect(thrownCode(() => a.mapProblemState({ length: 0x10001 }))).toBe('EINVAL');
    expect(thrownCode(() => a.mapProblemState({ offset: 0x10000, length: 8 }))).toBe('EINVAL');
    expect(thrownCode(() => b.mapProblemState({ length: 0x40008 }))).toBe('EINVAL');
    expect(b.mapProblemState({ offset: 0x30000 }).length).toBe(0x10000);
    await a.close();
    await b.close();
  });

  it('shows a master the registers of every slave, and all ones where there is none', async () => {
    const mock = small(3);
    const [a, b] = [await attached(mock), await attached(mock, master)];
    const registers = b.mapProblemState();
    expect(registers.read64(0x20008)).toBe(1n << 48n);
    expect(registers.read64(0x30008)).toBe(0xffff_ffff_ffff_ffffn);
    registers.write64(0, 0x2000_0000_0000_0000n);
    expect(registers.read64(0)).toBe(0x2000_0000_0000_0000n);
    await a.close();
    await b.close();
  });

  it('has nothing where no model has registers of the AFU as a whole', async () => {
    const mock = oneEcho();
    const [a, b] = [await attached(mock), await attached(mock, master)];
    const registers = b.mapProblemState();
    registers.write64(0, 5n);
    expect(registers.read64(0)).toBe(0n);
    // The areas of the processes begin after it: of process element 0, then 1, which is the master.
    registers.write64(0x10000, 7n);
    registers.write64(0x20000, 8n);
    expect(a.mapProblemState().read64(0)).toBe(7n);
    expect([registers.read64(0x10000), registers.read64(0x20000)]).toEqual([7n, 8n]);
    registers.write64(0x30000, 9n);
    expect(registers.read64(0x30000)).toBe(0xffff_ffff_ffff_ffffn);
    expect(registers.read32(0x30000)).toBe(0xffff_ffff);
    await a.close();
    await b.close();
  });

  it('is EINVAL where the AFU has no area, also for a dedicated process', async () => {
    const model = echoAfu();
    const descriptor = { ...model.descriptor, problemStateSize: 0 };
    delete (descriptor as { perProcess?: unknown }).perProcess;
    const mock = createMockCxl({
      cards: [{ afus: [{ model: { ...model, descriptor }, mode: 'dedicated' }] }],
    });
    const { binding } = mock as unknown as { binding: Binding };
    const file = (await binding.openAfu('/dev/cxl/afu0.0d')) as AfuFile;
    await file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 0n });
    expect(file.map(0, 0, 'big')).toBe(-22);
    await file.close();
  });

  it('is EINVAL past the area or at no page, in whole pages', async () => {
    const mock = createMockCxl({ pageSize: 4096, cards: [{ afus: [{ model: echoAfu() }] }] });
    const { binding } = mock as unknown as { binding: Binding };
    const file = (await binding.openAfu(slave)) as AfuFile;
    await file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 0n });
    const map = (offset: number, length: number) => {
      const mapping = file.map(offset, length, 'big');
      if (typeof mapping === 'number') return mapping;
      mapping.unmap();
      return mapping.length;
    };
    expect([map(0, 0x10000), map(0xf000, 1), map(0xf000, 4096)]).toEqual([0x10000, 1, 4096]);
    expect([map(0xf000, 4097), map(0x10000, 1), map(8, 8)]).toEqual([-22, -22, -22]);
    await file.close();
  });

  it('is EINVAL where the AFU has no area for each process, even for a master', async () => {
    const model = memcpyAfu();
    const { perProcess: _, ...descriptor } = model.descriptor;
    const mock = createMockCxl({ cards: [{ afus: [{ model: { ...model, descriptor } }] }] });
    const context = await attached(mock, master);
    expect(thrownCode(() => context.mapProblemState())).toBe('EINVAL');
    await context.close();
  });

  it('converts the byte order it is mapped with', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }] });
    const context = await mock.open('afu0.0s');
    await context.attach({ wed: 0x0102_0304_0506_0708n });
    const little = context.mapProblemState({ endian: 'little' });
    const big = context.mapProblemState({ endian: 'big' });
    expect(big.read64(0)).toBe(0x0102_0304_0506_0708n);
    expect(little.read64(0)).toBe(0x0807_0605_0403_0201n);
    expect([big.read32(0), big.read32(4)]).toEqual([0x0102_0304, 0x0506_0708]);
    expect(little.read32(4)).toBe(0x0807_0605);
    little.write32(0, 0xaabb_ccdd);
    expect(big.read64(0)).toBe(0xddcc_bbaa_0506_0708n);
    const block = new BigUint64Array(2);
    big.readBlock(0, block);
    expect([...block]).toEqual([0xddcc_bbaa_0506_0708n, 1n]);
    await context.close();
  });
});

describe('a block of registers', () => {
  it('ends at the access that faults: what was transferred before it stays', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: injectionAfu() }] }] });
    const registers = (await attached(mock)).mapProblemState();
    const [value, count] = [0x1008, 0x1010];
    registers.writeBlock(value, BigUint64Array.of(1n, 2n));
    mock.inject({ name: 'mmio', registers: count, times: 2 });
    expect(thrownCode(() => registers.writeBlock(value, BigUint64Array.of(3n, 4n)))).toBe('EIO');
    const block = BigUint64Array.of(9n, 9n);
    expect(thrownCode(() => registers.readBlock(value, block))).toBe('EIO');
    expect([...block]).toEqual([3n, 9n]);
    registers.readBlock(value, block);
    expect([...block]).toEqual([3n, 2n]);
  });

  it('of signed numbers has the same bits', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: injectionAfu() }] }] });
    const registers = (await attached(mock)).mapProblemState();
    registers.writeBlock(0x1008, Int32Array.of(-2, 1));
    expect(registers.read64(0x1008)).toBe(0xffff_fffe_0000_0001n);
    registers.writeBlock(0x1008, BigInt64Array.of(-2n));
    expect(registers.read64(0x1008)).toBe(0xffff_ffff_ffff_fffen);
  });
});

describe('a mapping after a detach', () => {
  it('faults', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    mock.card(0).afu(0).detachAll();
    expect(thrownCode(() => registers.read64(0))).toBe('EIO');
    expect(thrownCode(() => registers.write64(0, 1n))).toBe('EIO');
    await context.close();
  });

  it('is an ordinary page of all ones with ERR_FF, the same at every page', async () => {
    const mock = createMockCxl({
      pageSize: 4096,
      cards: [{ afus: [{ model: memcpyAfu({ processes: 2 }) }] }],
    });
    const context = await mock.open(slave);
    await context.attach({ wed: 0n, errFf: true });
    const registers = context.mapProblemState({ endian: 'big' });
    mock.card(0).afu(0).detachAll();
    expect(registers.read64(8)).toBe(0xffff_ffff_ffff_ffffn);
    registers.write32(8, 0x1234_5678);
    expect(registers.read64(8)).toBe(0x1234_5678_ffff_ffffn);
    expect(registers.read32(4096 + 8)).toBe(0x1234_5678);
    await context.close();
  });

  it('has that page in the byte order of the mapping', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    await context.attach({ wed: 0n, errFf: true });
    const big = context.mapProblemState({ endian: 'big' });
    const little = context.mapProblemState({ endian: 'little' });
    mock.card(0).afu(0).detachAll();
    big.write64(0, 0x0102_0304_0506_0708n);
    expect([little.read64(0), big.read64(0)]).toEqual([
      0x0807_0605_0403_0201n,
      0x0102_0304_0506_0708n,
    ]);
    expect([little.read32(4), big.read32(4)]).toEqual([0x0807_0605, 0x0506_0708]);
    little.write64(8, 1n);
    little.write32(0, 2);
    expect([big.read64(8), big.read32(0)]).toEqual([1n << 56n, 0x0200_0000]);
    const block = new Uint32Array(2);
    big.readBlock(0, block);
    expect([...block]).toEqual([0x0200_0000, 0x0506_0708]);
    await context.close();
  });

  it('keeps the context attached after its close', async () => {
    const mock = oneCard();
    const { binding } = mock as unknown as { binding: Binding };
    const operands = operandsOf(binding.operands);
    const file = (await binding.openAfu(slave)) as AfuFile;
    await file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 0n });
    const mapping = file.map(0, 0x10000, 'big') as ProblemStateMapping;
    await file.close();
    expect(mock.counters).toMatchObject({ files: 0, mappings: 1, contexts: 1 });
    expect(mock.card(0).afu(0).context(0).status).toBe('STARTED');
    operands.offset[0] = 0;
    expect(mapping.read64()).toBe(true);
    expect(operands.value64[0]).toBe(0n);
    mapping.unmap();
    expect(mock.counters).toEqual(none);
    expect(mapping.read64()).toBe(false);
  });
});

describe('adopt', () => {
  it('is EBADF for no descriptor, ENODEV for one of a card', async () => {
    const mock = oneCard({ flavor: 'guest' });
    expect(thrownCode(() => mock.adopt(9999))).toBe('EBADF');
    const binding = (mock as unknown as { binding: { openCard(path: string): Promise<CardLike> } })
      .binding;
    const card = await binding.openCard('/dev/cxl/card0');
    expect(thrownCode(() => mock.adopt(card.fd))).toBe('ENODEV');
    await card.close();
  });
});

interface CardLike {
  readonly fd: number;
  close(): Promise<number>;
}

describe('an adopted descriptor that is not owned', () => {
  it('is EBADF once its owner has closed it', async () => {
    const mock = oneCard();
    const owner = await attached(mock);
    const { binding } = mock as unknown as {
      binding: Binding;
    };
    const file = binding.adoptAfu(owner.fd, false) as AfuFile;
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toEqual({ processElement: 0 });
    await owner.close();
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toBe(-9);
    const other = await attached(mock);
    expect(file.ioctlSync('GET_PROCESS_ELEMENT', {})).toBe(-9);
    await other.close();
  });
});

describe('a descriptor', () => {
  it('is the lowest free one, above those of the process', async () => {
    const mock = oneCard();
    const [a, b] = [await mock.open(slave), await mock.open(slave)];
    expect([a.fd, b.fd]).toEqual([4096, 4097]);
    await a.close();
    const c = await mock.open(slave);
    expect(c.fd).toBe(4096);
    await b.close();
    await c.close();
  });
});

describe('the log of the driver', () => {
  it('has slice errors with their value, and the newest 1000 lines', () => {
    const mock = oneCard();
    mock.card(0).afu(0).sliceError(0x12n);
    expect(mock.log.slice(-2)).toEqual([
      'afu0.0: PSL Slice error received. Check AFU for root cause.',
      'afu0.0: PSL_SERR_An: 0x0000000000000012',
    ]);
    const before = mock.log.length;
    expect(mock.log[0]).toBe('afu0.0: Activating AFU directed mode');
    while (mock.log.length < 1000) mock.card(0).afu(0).sliceError(0n);
    expect(before).toBeLessThan(1000);
    mock.card(0).afu(0).sliceError(0x34n);
    expect(mock.log).toHaveLength(1000);
    expect(mock.log.at(-1)).toBe('afu0.0: PSL_SERR_An: 0x0000000000000034');
  });
});

describe('closing', () => {
  it('detaches: the process element and the interrupts are free again', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    context.mapProblemState();
    await context.close();
    await context.close();
    expect(mock.counters).toEqual(none);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });
});
