/** The PSLSE backend against a fake daemon, which reports whatever would harm a real one. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'node-cxl';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, type FakeOptions, fakeDaemon, settled, UNHARMED } from './support';

let daemon: FakeDaemon;

async function start(options: FakeOptions = {}, client = {}): Promise<FakeDaemon> {
  daemon = await fakeDaemon(options, { mmioTimeout: 400, detachTimeout: 400, ...client });
  return daemon;
}

afterEach(async () => {
  const { violations, connections, left } = await settled(daemon);
  await daemon.stop();
  expect({ violations, connections, left }).toEqual(UNHARMED);
});

async function attached(options?: FakeOptions, client = {}): Promise<Context> {
  const { system } = await start(options, client);
  const context = await system.open('afu0.0');
  await context.attach({ wed: 0x1234n, interrupts: 8 });
  return context;
}

describe('what a daemon tells', () => {
  it('is an adapter and an AFU in sysfs, of PSL8', async () => {
    const { system } = await start();
    expect(system.backend).toBe('pslse');
    const [adapter] = await system.adapters();
    expect(await adapter!.caiaVersion()).toBe('1.0');
    const [afu] = await adapter!.afus();
    expect(await afu!.attributes()).toMatchObject({
      mode: 'dedicated_process',
      modesSupported: ['dedicated_process'],
      irqsMin: 4,
      irqsMax: 16,
      mmioSize: 64 * 1024 * 1024,
      apiVersion: 1,
    });
    expect(afu!.pciPath).toBe(undefined);
    expect(await afu!.contextKinds()).toEqual(['dedicated']);
    const [record] = await afu!.configurationRecords();
    expect(await record!.vendor()).toBe(0x1014);
    expect(await record!.device()).toBe(0x4350);
    expect(await record!.class()).toBe(0x120000);
    expect(await record!.config()).toBe(undefined);
  });

  it('is an AFU with per-process areas, of PSL9', async () => {
    const { system } = await start({ psl: 9, mode: 'directed', contexts: 4 });
    expect(await (await system.adapters())[0]!.caiaVersion()).toBe('2.0');
    const [afu] = await system.afus();
    expect(await afu!.contextKinds()).toEqual(['master', 'slave']);
    expect(await afu!.mmioSize()).toBe(8192);
    expect(await afu!.masterMmioSize()).toBe(64 * 1024 * 1024);
    expect(await afu!.perProcessMmioLength()).toBe(8192);
    expect(await afu!.perProcessMmioOffset()).toBe(0x4000);
  });
});

describe('the longest time-outs', () => {
  it('are time-outs, too', async () => {
    const most = 2 ** 31 - 1;
    const timeouts = { connectTimeout: most, mmioTimeout: most, attachTimeout: most };
    const context = await attached({}, { ...timeouts, detachTimeout: most });
    expect(context.mapProblemState().read64(8)).not.toBe(0n);
    await context.close();
  });
});

describe('a context', () => {
  it('has registers of 32 and 64 bits in both byte orders', async () => {
    const context = await attached();
    expect(context.processElement).toBe(0);
    const big = context.mapProblemState({ endian: 'big' });
    expect(big.read64(8)).toBe(0x1234n);
    big.write64(0x20, 0x0102030405060708n);
    big.write32(0x28, 0x01020304);
    const little = context.mapProblemState({ endian: 'little' });
    expect(little.read64(0x20)).toBe(0x0807060504030201n);
    expect(little.read32(0x28)).toBe(0x04030201);
    little.write64(0x30, 0x0102030405060708n);
    little.write32(0x38, 0x01020304);
    expect(big.read64(0x30)).toBe(0x0807060504030201n);
    expect(big.read32(0x38)).toBe(0x04030201);
    const block = new BigUint64Array(2);
    big.readBlock(0x20, block);
    expect([...block]).toEqual([0x0102030405060708n, 0x01020304n]);
    big.writeBlock(0x40, Int32Array.of(-1, 2));
    expect(big.read32(0x40)).toBe(0xffff_ffff);
    await context.close();
  });

  it('serves memory during an access and from the event loop', async () => {
    const context = await attached();
    const registers = context.mapProblemState({ endian: 'big' });
    const memory = context.allocate(4096, { endian: 'big' });
    memory.store64(16, 0x1122334455667788n);
    registers.write64(0x100, memory.address + 16n);
    expect(registers.read64(0x108)).toBe(0x1122334455667788n);
    registers.write64(0x110, memory.address + 32n);
    expect(registers.read64(0x118)).toBe(1n);
    expect(memory.load64(32)).toBe(0xa0a1a2a3a4a5a6a7n);
    await context.close();
  });

  it('reports memory that is not mapped as a data storage fault', async () => {
    const context = await attached();
    const registers = context.mapProblemState({ endian: 'big' });
    const memory = context.allocate(4096);
    const gone = daemon.system.allocate(4096);
    gone.free();
    for (const address of [0x80n, gone.address, memory.address + 4096n, 1n << 63n]) {
      registers.write64(0x100, address);
      expect(registers.read64(0x108)).toBe(0xdeadn);
      expect(context.takeEvent()).toMatchObject({ type: 'data-storage', address });
      // The AFU tried twice.
      await sleep(20);
      context.takeEvent();
    }
    await context.close();
  });

  it('gets interrupts, each once until it is read, and none beyond its number', async () => {
    const context = await attached();
    const registers = context.mapProblemState({ endian: 'big' });
    for (const irq of [3, 3, 9, 1]) registers.write64(0x120, BigInt(irq));
    await context.waitForInterrupt(3, { timeout: 1000 });
    await context.waitForInterrupt(1, { timeout: 1000 });
    await sleep(20);
    expect(context.takeEvent()).toBe(undefined);
    await context.close();
  });

  it('reads the error buffer while attached', async () => {
    const context = await attached();
    const afu = await context.afu();
    expect([...(await afu.errorBuffer(3, 9))!]).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(await afu.errorBuffer()).toHaveLength(64);
    const registers = context.mapProblemState({ endian: 'big' });
    // A register access waits for its turn.
    const reading = afu.errorBuffer();
    await new Promise((resolve) => setImmediate(resolve));
    expect(registers.read64(8)).toBe(0x1234n);
    expect(await reading).toHaveLength(64);
    await context.close();
  });

  it('has DMA and atomic operations with PSL9', async () => {
    const context = await attached({ psl: 9 });
    const registers = context.mapProblemState({ endian: 'big' });
    const memory = context.allocate(4096, { endian: 'little' });
    new Uint8Array(memory.buffer).fill(1, 0, 512);
    registers.write64(0x130, memory.address);
    expect(registers.read64(0x138)).toBe(512n);
    memory.store64(1024, 37n);
    registers.write64(0x140, memory.address + 1024n);
    expect(registers.read64(0x148)).toBe(37n);
    expect(memory.load64(1024)).toBe(42n);
    registers.write64(0x140, 0x80n);
    expect(registers.read64(0x148)).toBe(0xdeadn);
    await context.close();
  });

  it('is attached and used without the event loop', async () => {
    const { system } = await start();
    const context = await system.open('afu0.0d');
    context.attachSync({ wed: 5n });
    expect(context.mapProblemState().read64(8)).toBe(5n);
    await context.close();
  });

  it('is refused as the driver refuses', async () => {
    const { system } = await start();
    const context = await system.open('afu0.0d');
    expect(context.afuId()).toMatchObject({ mode: 'dedicated_process', slave: false });
    // One context at a time.
    await expect(system.open('afu0.0d')).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(system.open('afu0.0s')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(context.attach({ wed: 0n, interrupts: 3 })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    await expect(context.attach({ wed: 0n, interrupts: 17 })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect(() => context.mapProblemState()).toThrow(expect.objectContaining({ code: 'EIO' }));
    await context.attach({ wed: 0n });
    await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'EIO' });
    expect(() => context.mapProblemState({ length: 128 * 1024 * 1024 })).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    await context.close();
    // Free again.
    await (await system.open('afu0.0d')).close();
    expect((await daemon.status()).attached).toBe(1);
  });
});

describe('contexts of a directed AFU', () => {
  it('share the daemon, and another program finds them taken at its attach', async () => {
    const { system } = await start({ mode: 'directed', contexts: 2 });
    const contexts = await Promise.all([system.open('afu0.0m'), system.open('afu0.0s')]);
    await Promise.all(contexts.map((context, at) => context.attach({ wed: BigInt(at) })));
    expect(contexts.map(({ processElement }) => processElement).sort()).toEqual([0, 1]);
    const third = await system.open('afu0.0s');
    await expect(third.attach({ wed: 3n })).rejects.toMatchObject({ code: 'ENOSPC' });
    await third.close();
    const areas = contexts.map((context) => context.mapProblemState());
    expect(areas.map(({ length }) => length)).toEqual([64 * 1024 * 1024, 8192]);
    await Promise.all(contexts.map((context) => context.close()));
    expect((await daemon.status()).taken).toBe(0);
  });

  it('are detached once their AFU has the memory that it waits for', async () => {
    const { system } = await start({ mode: 'directed' });
    const context = await system.open('afu0.0s');
    await context.attach({ wed: 0n });
    const memory = context.allocate(4096);
    context.mapProblemState().write64(0x200, memory.address);
    await context.close();
    expect((await daemon.status()).taken).toBe(0);
  });

  it('need no problem state area', async () => {
    const { system } = await start({ mode: 'directed', area: false });
    const context = await system.open('afu0.0s');
    await context.attach({ wed: 0n });
    expect(() => context.mapProblemState()).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => context.mapProblemState({ length: 4096 })).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    await context.close();
  });
});

describe('a daemon that sends byte by byte', () => {
  it('is understood', async () => {
    const context = await attached({ psl: 9, mode: 'directed', dribble: true });
    const registers = context.mapProblemState({ endian: 'big' });
    const memory = context.allocate(4096);
    registers.write64(0x130, memory.address);
    registers.write64(0x110, memory.address);
    registers.write64(0x120, 2n);
    await context.waitForInterrupt(2, { timeout: 1000 });
    await context.close();
  });
});
