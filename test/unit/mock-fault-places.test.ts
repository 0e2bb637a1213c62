import { AssertionError } from 'node:assert';
import { createMockCxl, echoAfu, type FaultSpec, type MockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf, mapped } from './mock-support';

const ECHO = 0x00;
const COUNT = 0x08;

function twoCards(): MockCxl {
  return createMockCxl({
    cards: [{ afus: [{ model: echoAfu() }] }, { afus: [{ model: echoAfu() }] }],
  });
}

describe('a fault', () => {
  it('can be for one card, AFU or node', async () => {
    const system = twoCards();
    for (const device of ['card1', 'afu1.0', 'afu1.0s']) {
      system.inject({ name: 'open', errno: 'EBUSY', device });
      await (await system.open('afu0.0s')).close();
      if (device === 'afu1.0s') await (await system.open('afu1.0m')).close();
      expect(await codeOf(system.open('afu1.0s'))).toBe('EBUSY');
      system.assertNoPendingFaults();
    }
  });

  it('of a context can be for its card, AFU or node', async () => {
    const system = twoCards();
    const own = await mapped(system, { name: 'afu1.0s' });
    const others = [await mapped(system), await mapped(system, { name: 'afu1.0m' })];
    for (const device of ['card1', 'afu1.0', 'afu1.0s']) {
      system.inject({ name: 'mmio', device });
      for (const { area } of device === 'afu1.0s' ? others : [others[0]!]) area.read64(ECHO);
      expect(() => own.area.read64(ECHO), device).toThrow(/EIO/);
    }
    for (const { context } of [own, ...others]) await context.close();
  });

  it('can be for some registers, loads or stores', async () => {
    const system = twoCards();
    const { area, context } = await mapped(system);
    system.inject({ name: 'mmio', registers: COUNT, access: 'load' });
    area.write64(COUNT, 1n);
    area.read64(ECHO);
    expect(() => area.read64(COUNT)).toThrow(/EIO/);
    system.inject({ name: 'mmio', registers: ECHO });
    area.read64(COUNT);
    expect(() => area.read64(ECHO)).toThrow(/EIO/);
    system.inject({ name: 'all-ones', registers: [0, 7], access: 'store', times: 2 });
    area.write64(ECHO, 5n);
    expect(area.read64(ECHO)).toBe(0n);
    expect(area.read64(COUNT)).toBe(0n);
    area.write32(ECHO + 4, 5);
    expect(area.read64(ECHO)).toBe(0n);
    area.write64(ECHO, 6n);
    expect(area.read64(ECHO)).toBe(6n);
    system.inject({ name: 'all-ones', access: 'load' });
    area.write64(ECHO, 7n);
    expect([area.read64(ECHO), area.read64(ECHO)]).toEqual([2n ** 64n - 1n, 7n]);
    system.inject({ name: 'mmio', access: 'store' });
    area.read64(ECHO);
    expect(() => area.write64(ECHO, 8n)).toThrow(/EIO/);
    system.assertNoPendingFaults();
    await context.close();
  });

  it('counts registers from the start of the area, not of the mapping', async () => {
    const system = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }], pageSize: 4096 });
    const context = await system.open('afu0.0s');
    await context.attach({ wed: 0n });
    const area = context.mapProblemState({ offset: 4096 });
    system.inject({ name: 'mmio', registers: 4096 + 8 });
    area.read64(0);
    expect(() => area.read64(8)).toThrow(/EIO/);
    await context.close();
  });

  it('for a device is not for a call that has none', async () => {
    const system = twoCards();
    system.inject({ name: 'adopt', device: 'afu0.0', errno: 'EPERM' });
    expect(() => system.adopt(9999)).toThrow(/EBADF/);
    const { context } = await mapped(system);
    expect(() => system.adopt(context.fd)).toThrow(/EPERM/);
    await context.close();
  });

  it('can be for one process element', async () => {
    const system = twoCards();
    const contexts = [await mapped(system), await mapped(system)];
    system.inject({ name: 'mmio', processElement: 1 });
    contexts[0]!.area.read64(ECHO);
    expect(() => contexts[1]!.area.read64(ECHO)).toThrow(/EIO/);
    for (const { context } of contexts) await context.close();
  });

  it('can be for one context, and not for a later one with the same process element', async () => {
    const system = twoCards();
    const afu = system.card(0).afu(0);
    const first = await mapped(system);
    afu.context(0).inject({ name: 'start-work' });
    afu.context(0).inject({ name: 'map', errno: 'ENOMEM' });
    expect(() => first.context.mapProblemState()).toThrow(/ENOMEM/);
    await first.context.close();
    const second = await mapped(system);
    expect(() => system.assertNoPendingFaults()).toThrow(/'start-work'/);
    expect(() => afu.context(0).inject({ name: 'open' })).toThrow(/fault\.name/);
    await second.context.close();
  });

  it('can be for one attribute', async () => {
    const system = twoCards();
    system.inject({ name: 'sysfs-read', errno: 'EIO', path: '/afu1.0/irqs_max' });
    const [first, second] = await system.afus();
    expect(await first!.irqsMax()).toBeGreaterThan(0);
    await expect(second!.irqsMax()).rejects.toMatchObject({ code: 'EIO' });
    expect(await second!.irqsMax()).toBeGreaterThan(0);
  });

  it('counts only the operations that fit', async () => {
    const system = twoCards();
    const { area, context } = await mapped(system);
    system.inject({ name: 'mmio', registers: COUNT, after: 2 });
    for (let access = 0; access < 5; access += 1) area.read64(ECHO);
    area.read64(COUNT);
    area.read64(COUNT);
    expect(() => area.read64(COUNT)).toThrow(/EIO/);
    await context.close();
  });

  it('can follow others, in order', async () => {
    const system = twoCards();
    system.inject(
      { name: 'open', errno: 'EBUSY', times: 2 },
      { name: 'start-work', errno: 'ENOSPC' },
      { name: 'open', errno: 'EACCES', after: 1 },
    );
    expect(await codeOf(system.open('afu0.0s'))).toBe('EBUSY');
    expect(() => system.assertNoPendingFaults()).toThrow(/3 faults have not happened/);
    expect(await codeOf(system.open('afu0.0s'))).toBe('EBUSY');
    const context = await system.open('afu0.0s');
    await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'ENOSPC' });
    await context.close();
    await (await system.open('afu0.0s')).close();
    expect(await codeOf(system.open('afu0.0s'))).toBe('EACCES');
    system.assertNoPendingFaults();
  });

  it('is refused with a place that it has not', () => {
    const bad: object[] = [
      { name: 'allocate', device: 'afu0.0' },
      { name: 'open', registers: 8 },
      { name: 'mmio', path: '/x' },
      { name: 'mmio', registers: [8, 0] },
      { name: 'mmio', registers: [8] },
      { name: 'mmio', registers: -8 },
      { name: 'mmio', access: 'read' },
      { name: 'mmio', device: '/dev/cxl/afu0.0s' },
      { name: 'mmio', processElement: -1 },
      { name: 'mmio', register: 8 },
    ];
    for (const fault of bad) {
      expect(() => twoCards().inject(fault as FaultSpec), JSON.stringify(fault)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^ERR_/) }),
      );
    }
  });
});

describe('several faults of one call', () => {
  it('happen one after the other: an operation that one fails does not count for the next', async () => {
    const system = twoCards();
    system.inject({ name: 'open', errno: 'EBUSY' });
    system.inject({ name: 'open', errno: 'EACCES', after: 1 });
    const codes: (string | undefined)[] = [];
    for (let count = 0; count < 4; count++) codes.push(await codeOf(system.open('afu0.0s')));
    expect(codes).toEqual(['EBUSY', undefined, 'EACCES', undefined]);
  });

  it('follow each other when the first has happened as often as it may', async () => {
    const system = twoCards();
    const { area, context } = await mapped(system);
    system.inject({ name: 'mmio', registers: COUNT, times: 2 }, { name: 'mmio', registers: ECHO });
    expect(() => area.read64(COUNT)).toThrow(/EIO/);
    area.read64(ECHO);
    expect(() => area.read64(COUNT)).toThrow(/EIO/);
    expect(() => area.read64(ECHO)).toThrow(/EIO/);
    await context.close();
  });

  it('happen at once where the first only counts', async () => {
    const system = twoCards();
    system.inject({ name: 'open', errno: 'EBUSY', after: 1 });
    system.inject({ name: 'open', errno: 'EACCES' });
    expect(await codeOf(system.open('afu0.0s'))).toBe('EACCES');
    expect(await codeOf(system.open('afu0.0s'))).toBe('EBUSY');
    expect(await codeOf(system.open('afu0.0s'))).toBe(undefined);
  });
});

describe('assertNoPendingFaults', () => {
  it('lists those that follow another too, until that one is cleared', async () => {
    const system = twoCards();
    const pending = () => caught(() => system.assertNoPendingFaults()).message;
    system.inject({ name: 'open' }, { name: 'map', times: 3 });
    system.inject({ name: 'read' }, { name: 'close' });
    expect(pending()).toMatch(/^4 faults have not happened:\n/);
    system.clearFaults('copy');
    expect(pending()).toMatch(/^4 faults/);
    system.clearFaults('read');
    expect(pending()).toMatch(/^2 faults/);
    expect(await codeOf(system.open('afu0.0s'))).toBe('EIO');
    expect(pending()).toMatch(/^1 faults .*\n.*'map'.*times: 3/);
    system.clearFaults('map');
    system.assertNoPendingFaults();
    system.inject({ name: 'open' }, { name: 'map' });
    system.clearFaults();
    system.assertNoPendingFaults();
    await (await system.open('afu0.0s')).close();
  });

  it('wants a fault without limit to have happened once', async () => {
    const system = twoCards();
    system.inject({ name: 'open', times: Number.POSITIVE_INFINITY });
    expect(() => system.assertNoPendingFaults()).toThrow(/1 faults/);
    for (let count = 0; count < 3; count++) {
      expect(await codeOf(system.open('afu0.0s'))).toBe('EIO');
      system.assertNoPendingFaults();
    }
  });

  it('wants nothing of a fault that is to happen no times', async () => {
    const system = twoCards();
    system.inject({ name: 'open', times: 0 });
    await (await system.open('afu0.0s')).close();
    system.assertNoPendingFaults();
    // Nor do those that come after it wait for it.
    system.inject({ name: 'open', times: 0 }, { name: 'open', errno: 'EBUSY' });
    expect(await codeOf(system.open('afu0.0s'))).toBe('EBUSY');
    system.assertNoPendingFaults();
  });

  it('lists what has not happened, and where it was injected', async () => {
    const system = twoCards();
    system.inject({ name: 'open', errno: 'EBUSY', times: 2 });
    await codeOf(system.open('afu0.0s'));
    system.inject({ name: 'mmio', probability: 0.5 });
    const error = caught(() => system.assertNoPendingFaults());
    expect(error).toBeInstanceOf(AssertionError);
    expect(error.message).toMatch(/^2 faults have not happened:\n/);
    expect(error.message).toMatch(/name: 'open'.*: happened 1 times, 1 operations fit/);
    expect(error.message).toMatch(/name: 'mmio'.*: happened 0 times/);
    expect(error.message.match(/mock-fault-places\.test/g)).toHaveLength(2);
    system.clearFaults();
    system.assertNoPendingFaults();
  });
});

function caught(run: () => void): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
