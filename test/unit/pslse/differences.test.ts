/**
 * What differs from the driver: a test for each row of the table in lib/pslse/README.md, which has the
 * same titles. table.test.ts compares them.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import net from 'node:net';
import type { CxlEvent } from 'node-cxl';
import { createPslseCxl, type PslseOptions } from 'node-cxl/pslse';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, type FakeOptions, fakeDaemon, settled } from './support';

const daemons: FakeDaemon[] = [];
let harmless = true;

afterEach(async () => {
  for (const daemon of daemons.splice(0)) {
    const { violations, connections } = await settled(daemon);
    await daemon.stop();
    if (harmless) expect({ violations, connections }).toEqual({ violations: [], connections: 0 });
  }
  harmless = true;
});

async function start(options: FakeOptions = {}, client: PslseOptions = {}): Promise<FakeDaemon> {
  const daemon = await fakeDaemon(options, client);
  daemons.push(daemon);
  return daemon;
}

async function attached(options: FakeOptions = {}, client: PslseOptions = {}) {
  const daemon = await start(options, client);
  const context = await daemon.system.open('afu0.0');
  await context.attach({ wed: 0x1234n, interrupts: 8 });
  return { daemon, context, registers: context.mapProblemState({ endian: 'big' }) };
}

const coded = (code: string) => expect.objectContaining({ code });

describe('a difference from the driver', () => {
  it('process element before `attach()`', async () => {
    const { system } = await start();
    const context = await system.open('afu0.0d');
    expect(context.processElement).toBe(undefined);
    await context.attach({ wed: 0n });
    expect(context.processElement).toBe(0);
    await context.close();
  });

  it('all contexts are taken', async () => {
    for (const [mode, contexts] of [['dedicated', 1] as const, ['directed', 2] as const]) {
      const { system, port } = await start({ mode, contexts });
      const taken = await Promise.all(
        Array.from({ length: contexts }, () => system.open('afu0.0')),
      );
      await Promise.all(taken.map((context) => context.attach({ wed: 0n })));
      // Another program, which only the daemon knows of.
      const other = await createPslseCxl({ port }).open('afu0.0');
      await expect(other.attach({ wed: 0n })).rejects.toMatchObject({ code: 'ENOSPC' });
      await other.close();
      const open = system.open('afu0.0');
      if (mode === 'dedicated') await expect(open).rejects.toMatchObject({ code: 'ENOSPC' });
      else await (await open).close();
      await Promise.all(taken.map((context) => context.close()));
    }
  });

  it('the daemon refuses an attach', async () => {
    for (const mode of ['dedicated', 'directed'] as const) {
      const { system } = await start({ mode, fault: { at: 'attach', kind: 'refused' } });
      const context = await system.open('afu0.0');
      await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'EBUSY' });
      await context.close();
    }
  });

  it('a daemon that cannot be reached', async () => {
    const answering = async (answer: (socket: net.Socket) => void) => {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => answer(socket));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as net.AddressInfo;
      return { system: createPslseCxl({ port, connectTimeout: 300 }), server };
    };
    const other = await answering((socket) => socket.end(Buffer.of(6)));
    await expect(other.system.adapters()).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
    const silent = await answering(() => {});
    await expect(silent.system.adapters()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    for (const { server } of [other, silent]) await new Promise((done) => server.close(done));
    await expect(other.system.adapters()).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringContaining('no PSLSE daemon listens there'),
    });
    await expect(other.system.open('afu0.0d')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('a daemon or simulation that is gone', async () => {
    const { daemon, context, registers } = await attached();
    const { system } = daemon;
    const wait = expect(context.waitForInterrupt(1)).rejects.toMatchObject({ code: 'EIO' });
    daemon.kill();
    await wait;
    expect(context.linkState()).toBe('down');
    expect(() => registers.read64(8)).toThrow(coded('EIO'));
    await context.close();
    // It can be used once it is back. With errFf a mapping reads as ones.
    const next = await system.open('afu0.0d');
    await next.attach({ wed: 7n, errFf: true });
    const ones = next.mapProblemState();
    expect(ones.read64(8)).toBe(7n);
    const end = expect(next.waitForInterrupt(1)).rejects.toMatchObject({ code: 'EIO' });
    daemon.kill();
    await end;
    expect(ones.read64(8)).toBe(2n ** 64n - 1n);
    expect(ones.read32(8)).toBe(0xffff_ffff);
    ones.write64(8, 0n);
    await next.close();
  });

  it('a register access that the AFU does not answer', async () => {
    const { context, registers } = await attached(
      { fault: { at: 'read64', kind: 'silence' } },
      { mmioTimeout: 200 },
    );
    const begin = performance.now();
    expect(() => registers.read64(8)).toThrow(coded('EIO'));
    expect(performance.now() - begin).toBeGreaterThanOrEqual(199);
    expect(context.linkState()).toBe('down');
    await expect(context.waitForEvent()).rejects.toMatchObject({ code: 'EIO' });
    await context.close();
  });

  it('a register access after an AFU error', async () => {
    const { context, registers } = await attached();
    registers.write64(0x128, 0xbadn);
    await context.waitForEvent({ timeout: 15_000 });
    expect(() => registers.read64(8)).toThrow(coded('EIO'));
    expect(() => registers.write32(8, 1)).toThrow(coded('EIO'));
    expect(context.linkState()).toBe('up');
    await context.close();
  });

  it('AFU errors', async () => {
    const { context, registers } = await attached();
    registers.write64(0x128, 0xbadn);
    const wait = context.waitForInterrupt(1, { timeout: 15_000 });
    await expect(wait).rejects.toMatchObject({ code: 'EREMOTEIO', event: { error: 0xbadn } });
    // The daemon tells twice.
    expect(() => context.waitForEventSync({ timeout: 50 })).toThrow(coded('ETIMEDOUT'));
    await context.close();
    const directed = await attached({ mode: 'directed' });
    directed.registers.write64(0x128, 0xbadn);
    expect(() => directed.context.waitForEventSync({ timeout: 50 })).toThrow(coded('ETIMEDOUT'));
    expect(directed.registers.read64(8)).toBe(0x1234n);
    await directed.context.close();
  });

  it('interrupts', async () => {
    const { system } = await start({ mode: 'directed', contexts: 4 });
    const contexts = await Promise.all([1, 2, 3, 4].map(() => system.open('afu0.0s')));
    // Each gets all that the AFU has.
    for (const context of contexts) await context.attach({ wed: 0n, interrupts: 16 });
    await Promise.all(contexts.map((context) => context.close()));
    const context = await system.open('afu0.0s');
    await context.attach({ wed: 0n, interrupts: 8 });
    const registers = context.mapProblemState({ endian: 'big' });
    for (const irq of [9, 16, 8]) registers.write64(0x120, BigInt(irq));
    expect(context.waitForEventSync({ timeout: 15_000 })).toMatchObject({ irq: 8 });
    expect(() => context.waitForEventSync({ timeout: 50 })).toThrow(coded('ETIMEDOUT'));
    await context.close();
  });

  it('AMR', async () => {
    const { system, status } = await start();
    // No storage key is allowed by the second, and yet memory is reached.
    for (const amr of [undefined, 2n ** 64n - 1n]) {
      const context = await system.open('afu0.0d');
      await context.attach({ wed: 5n, amr });
      const memory = context.allocate(4096, { endian: 'big' });
      memory.store64(0, 9n);
      const registers = context.mapProblemState({ endian: 'big' });
      registers.write64(0x100, memory.address);
      expect(registers.read64(0x108)).toBe(9n);
      await context.close();
    }
    const attaches = (await status()).log.filter((entry) => /^attach/.test(entry));
    expect(attaches).toEqual(['attach 050000000000000005', 'attach 050000000000000005']);
  });

  it('memory', async () => {
    const { daemon, context, registers } = await attached();
    const read = (address: bigint) => {
      registers.write64(0x100, address);
      return registers.read64(0x108);
    };
    const buffer = context.hold(Buffer.alloc(8, 7));
    expect(read(daemon.system.addressOf(buffer))).toBe(0x0707070707070707n);
    expect(read(context.allocate(4096).address)).toBe(0n);
    // What would be code or stack of a process: nothing is there.
    expect(read(0x1000_0000n)).toBe(0xdeadn);
    expect(context.takeEvent()).toMatchObject({ type: 'data-storage', address: 0x1000_0000n });
    await context.close();
  });

  it('the end of a buffer', async () => {
    const { daemon, context, registers } = await attached();
    const buffer = context.hold(Buffer.alloc(4100, 7));
    const end = daemon.system.addressOf(buffer) + 4100n;
    registers.write64(0x100, end - 4n);
    expect(registers.read64(0x108)).toBe(0x0707070700000000n);
    registers.write64(0x110, end - 4n);
    expect(registers.read64(0x118)).toBe(1n);
    expect(buffer.subarray(-5).toString('hex')).toBe('07a0a1a2a3');
    registers.write64(0x100, end - 4n);
    expect(registers.read64(0x108)).toBe(0xa0a1a2a300000000n);
    expect(context.takeEvent()).toBe(undefined);
    await context.close();
  });

  it('DSISR', async () => {
    const dsisr = async (psl: 8 | 9, register: number) => {
      const { context, registers } = await attached({ psl });
      registers.write64(register, 0x80n);
      const event: CxlEvent = context.waitForEventSync({ timeout: 15_000 });
      await context.close();
      return event.type === 'data-storage' ? event.dsisr : undefined;
    };
    // A read; a write, which begins with a touch; a write by DMA, which does not.
    expect(await dsisr(8, 0x100)).toBe(0x4000_0000_4000_0000n);
    expect(await dsisr(8, 0x110)).toBe(0x4000_0000_4000_0000n);
    expect(await dsisr(9, 0x110)).toBe(0x1000_0000_0000_0000n);
    expect(await dsisr(9, 0x158)).toBe(0x1000_0000_0200_0000n);
  });

  it('attributes', async () => {
    const { system } = await start();
    const [adapter] = await system.adapters();
    const [afu] = await system.afus();
    const refused = { code: 'EOPNOTSUPP' };
    await expect(afu!.setIrqsMax(8)).rejects.toMatchObject(refused);
    await expect(afu!.setMode('none')).rejects.toMatchObject(refused);
    await expect(afu!.setPrefaultMode('none')).rejects.toMatchObject(refused);
    await expect(afu!.reset()).rejects.toMatchObject(refused);
    await expect(adapter!.reset()).rejects.toMatchObject(refused);
    expect(await adapter!.baseImage()).toBe(undefined);
    const [record] = await afu!.configurationRecords();
    expect(await record!.vendor()).toBe(0x1014);
    expect(await record!.config()).toBe(undefined);
  });

  it('the error buffer', async () => {
    const { context } = await attached();
    const afu = await context.afu();
    expect(await afu.errorBuffer(0, 4)).toEqual(Uint8Array.of(0, 1, 2, 3));
    await context.close();
    expect(await afu.errorBuffer()).toBe(undefined);
  });

  it('`adopt()`', async () => {
    const { system } = await start();
    expect(() => system.adopt(5)).toThrow(coded('EOPNOTSUPP'));
  });

  it('waits for wakeups', async () => {
    const { system } = await start();
    const context = await system.open('afu0.0d');
    expect(context.attachSync({ wed: 0n, tid: true })).toEqual({ tid: 0 });
    expect(() => context.waitForWakeup({ timeout: 10 })).toThrow(coded('EOPNOTSUPP'));
    await context.close();
    const psl9 = await start({ psl: 9 });
    const refused = await psl9.system.open('afu0.0d');
    expect(() => refused.attachSync({ wed: 0n, tid: true })).toThrow(coded('ENODEV'));
    await refused.attach({ wed: 0n });
    await refused.close();
  });

  it('`/dev/cxl/cardN`, PCI devices', async () => {
    const { system } = await start();
    const [adapter] = await system.adapters();
    await expect(adapter!.downloadImage(Buffer.alloc(4096))).rejects.toMatchObject({
      code: 'ENOENT',
      path: '/dev/cxl/card0',
    });
    expect(adapter!.pciPath).toBe(undefined);
    const [afu] = await adapter!.afus();
    expect(afu!.pciPath).toBe(undefined);
  });

  it('a process that a signal kills', async () => {
    harmless = false;
    const daemon = await start({ mode: 'directed' });
    const entry = createRequire(import.meta.url).resolve('node-cxl/pslse');
    const program = `
      const system = require(${JSON.stringify(entry)}).createPslseCxl({ port: ${daemon.port} });
      const attached = async () => {
        const context = await system.open('afu0.0s');
        await context.attach({ wed: 0n });
        process.kill(process.pid, 'SIGKILL');
      };
      attached();`;
    const child = spawn(process.execPath, ['-e', program], { timeout: 15_000 });
    await new Promise((resolve) => child.on('close', resolve));
    expect((await settled(daemon)).taken).toBe(1);
    const context = await daemon.system.open('afu0.0s');
    await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'ENOSPC' });
    await context.close();
  });
});
