/** Mappings of problem state areas: what can be mapped, and what an access to a mapping reaches. */
import { createMockCxl, echoAfu, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { operandsOf } from '../../dist/binding/operands';
import type { AfuFile, Binding, ProblemStateMapping } from '../../lib/binding';
import { injectionAfu } from '../conformance/injection-afu';
import { attached, master, oneCard, oneEcho, slave, thrownCode } from './mock-support';

const EINVAL = -22;

function small(processes: number): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: memcpyAfu({ processes }) }] }] });
}

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
    expect(file.map(0, 0, 'big')).toBe(EINVAL);
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
    expect([map(0xf000, 4097), map(0x10000, 1), map(8, 8)]).toEqual([EINVAL, EINVAL, EINVAL]);
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

  it('touches no register after its last', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: injectionAfu() }] }] });
    const registers = (await attached(mock)).mapProblemState();
    mock.inject({ name: 'mmio', registers: 0x1018 });
    registers.writeBlock(0x1008, BigUint64Array.of(1n, 2n));
    registers.readBlock(0x1008, new BigUint64Array(2));
    expect(() => mock.assertNoPendingFaults()).toThrow(/0 operations fit/);
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
    expect(thrownCode(() => registers.read32(0))).toBe('EIO');
    expect(thrownCode(() => registers.write64(0, 1n))).toBe('EIO');
    await context.close();
  });

  it('of the seam fails every access once it is unmapped, and can be unmapped again', async () => {
    const mock = oneCard();
    const { binding } = mock as unknown as { binding: Binding };
    const file = (await binding.openAfu(slave)) as AfuFile;
    await file.ioctl('START_WORK', { flags: 0n, workElementDescriptor: 0n });
    const [one, other] = [0, 0].map(() => file.map(0, 0x10000, 'big') as ProblemStateMapping);
    operandsOf(binding.operands).offset[0] = 0;
    expect([one!.read64(), one!.write64(), one!.read32(), one!.write32()]).not.toContain(false);
    one!.unmap();
    one!.unmap();
    expect([one!.read64(), one!.write64(), one!.read32(), one!.write32()]).not.toContain(true);
    await file.close();
    // The other mapping keeps the context attached.
    expect(other!.read64()).toBe(true);
    other!.unmap();
    expect(mock.counters.contexts).toBe(0);
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
    expect(mock.counters).toMatchObject({ mappings: 0, contexts: 0 });
    expect(mapping.read64()).toBe(false);
  });
});
