import { execFileSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Memory } from 'node-cxl';
import { createMockCxl, type KernelContext } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, inKernel, oneCard, slave, sleep, thrownCode } from './mock-support';

const access = (context: KernelContext, address: bigint, length: number) =>
  context.context.process!.access(address, length, 'read');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage and lets finalizers run. */
async function collectAll(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await sleep(1);
    collect();
  }
  await sleep(1);
}

/** Finalization callbacks run at an unspecified time, so the test waits for them. */
async function collectUntil(gone: () => boolean): Promise<void> {
  for (let round = 0; round < 200 && !gone(); round++) await collectAll();
}

describe('the effective-address space', () => {
  it('gives the AFU the program’s memory itself', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    const memory = mock.allocate(100);
    memory.store32(96, 0x0102_0304, { endian: 'big' });
    expect([...access(context, memory.address + 96n, 4)!]).toEqual([1, 2, 3, 4]);
    access(context, memory.address, 1)![0] = 7;
    expect(memory.load8(0)).toBe(7);
  });

  it('maps an allocation to its last byte and no further', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    const { address } = mock.allocate(100);
    expect(access(context, address + 99n, 1)?.length).toBe(1);
    expect(access(context, address + 99n, 2)).toBe(undefined);
    expect(access(context, address + 100n, 1)).toBe(undefined);
    expect(access(context, address - 1n, 1)).toBe(undefined);
    expect(access(context, 0n, 1)).toBe(undefined);
    expect(access(context, 0xffff_ffff_ffff_ffffn, 1)).toBe(undefined);
  });

  it('aligns, and never gives an address twice', () => {
    const mock = oneCard();
    const addresses = [1, 65536, 2 ** 20, 2 ** 21].map((alignment) => {
      const memory = mock.allocate(10, { alignment });
      expect(memory.address % BigInt(alignment)).toBe(0n);
      memory.free();
      return memory.address;
    });
    expect(new Set(addresses).size).toBe(4);
  });

  it('gives a view the address of its place in the buffer, every time the same', () => {
    const mock = oneCard();
    const buffer = new ArrayBuffer(64);
    const base = mock.addressOf(buffer);
    expect(mock.addressOf(new Uint8Array(buffer, 24))).toBe(base + 24n);
    expect(mock.addressOf(new DataView(buffer, 8))).toBe(base + 8n);
    expect(mock.addressOf(buffer)).toBe(base);
    const shared = new SharedArrayBuffer(8);
    const context = inKernel(mock);
    access(context, mock.addressOf(shared), 8)![0] = 5;
    expect(new Uint8Array(shared)[0]).toBe(5);
  });

  it('faults on what was freed, or transferred', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    const memory = mock.allocate(16);
    memory.free();
    expect(access(context, memory.address, 1)).toBe(undefined);
    const buffer = new ArrayBuffer(16);
    const address = mock.addressOf(buffer);
    expect(access(context, address, 16)?.length).toBe(16);
    structuredClone(buffer, { transfer: [buffer] });
    expect(access(context, address, 1)).toBe(undefined);
  });

  it('is each mock’s own', () => {
    const [a, b] = [oneCard(), oneCard()];
    const { address } = a.allocate(16);
    expect(access(inKernel(a), address, 16)).not.toBe(undefined);
    expect(access(inKernel(b), address, 16)).toBe(undefined);
  });
});

describe('allocated memory', () => {
  it('is not allocated by an invalid request', () => {
    const mock = oneCard();
    expect(thrownCode(() => mock.allocate(1000, { endian: 'odd' as never }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(mock.counters.bytes).toBe(0);
  });

  it('is counted, zeroed, and gone when freed', () => {
    const mock = oneCard();
    const memory = mock.allocate(1000);
    const { buffer } = memory;
    expect(new Uint8Array(buffer).every((byte) => byte === 0)).toBe(true);
    expect(mock.counters.bytes).toBe(1000);
    memory.free();
    expect(mock.counters.bytes).toBe(0);
    expect(thrownCode(() => memory.buffer)).toBe('ERR_INVALID_STATE');
  });

  it('can be allocated and freed 60 times 64 MiB in one turn of the event loop', () => {
    // The bytes go when the collector comes, which it does in time.
    const script = `
      const { createMockCxl } = require('node-cxl/mock');
      const mock = createMockCxl();
      const before = process.resourceUsage().maxRSS;
      for (let i = 0; i < 60; i += 1) {
        const memory = mock.allocate(64 << 20);
        memory.bytes.fill(1);
        memory.free();
      }
      console.log((process.resourceUsage().maxRSS - before) / 1024);
    `;
    const mebibytes = Number(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }));
    expect(mebibytes).toBeGreaterThan(60);
    expect(mebibytes).toBeLessThan(1500);
  }, 60_000);

  it('has one NUMA node and no huge pages', () => {
    const mock = oneCard();
    expect(thrownCode(() => mock.allocate(16, { numaNode: 1 }))).toBe('EINVAL');
    expect(thrownCode(() => mock.allocate(16, { hugePages: 'explicit' }))).toBe('ENOMEM');
    expect(thrownCode(() => mock.allocate(2 ** 40))).toBe('ENOMEM');
    mock.allocate(16, { numaNode: 0, hugePages: 'transparent' }).free();
  });

  it('is collected without references, also while a context is attached that does not hold it', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    for (let count = 0; count < 4; count++) mock.allocate(1000);
    await collectUntil(() => mock.counters.bytes === 0);
    expect(mock.counters.bytes).toBe(0);
    await context.close();
  });

  it('of a closed context is collected', () => {
    // In a process of its own: vitest reads the stacks of errors, which lets go of what they keep.
    const script = `
      const { createMockCxl } = require('node-cxl/mock');
      const mock = createMockCxl();
      const once = async () => {
        const context = await mock.open('/dev/cxl/afu0.0s');
        let memory;
        // A function that refers to the memory is in the stack of its allocation.
        const allocate = () => {
          memory = context.allocate(1000);
        };
        allocate();
        await context.attach({ wed: memory.address | 1n });
        await context.close();
      };
      (async () => {
        for (let count = 0; count < 10; count += 1) await once();
        for (let turn = 0; turn < 100 && mock.counters.bytes > 0; turn += 1) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          gc();
        }
        console.log(mock.counters.bytes);
      })();
    `;
    const left = execFileSync(process.execPath, ['--expose-gc', '-e', script], {
      encoding: 'utf8',
    });
    expect(left).toBe('0\n');
  }, 60_000);

  it('is not collected while an attached context holds it', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    const before = context.hold(mock.allocate(1000)).address;
    await context.attach({ wed: 0n });
    const during = context.hold(mock.allocate(1000)).address;
    await collectAll();
    const kernel = inKernel(mock);
    expect(access(kernel, before, 1000)?.length).toBe(1000);
    expect(access(kernel, during, 1000)?.length).toBe(1000);
    kernel.stop();
    await context.close();
    await collectUntil(() => mock.counters.bytes === 0);
    expect(mock.counters.bytes).toBe(0);
  });
});

describe('a pool', () => {
  it('makes one call of the backend for thousands of pieces', () => {
    const mock = oneCard();
    const pool = mock.allocatePool(1 << 20);
    for (let round = 0; round < 20; round++) {
      const pieces = Array.from({ length: 500 }, (_, n) => pool.allocate(1 + ((n * 37) % 1500)));
      for (const piece of pieces) piece.free();
    }
    pool.free();
    expect(mock.calls.filter().map((call) => call.name)).toEqual(['allocate', 'free']);
  });

  it('never gives a byte to two pieces, whatever is taken and given back', () => {
    const pool = oneCard().allocatePool(100_000, { alignment: 4096 });
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >>> 8) % below;
    };
    const taken: { piece: Memory; value: number }[] = [];
    let full = 0;
    for (let step = 0; step < 20_000; step++) {
      const index = random(taken.length + 1);
      const old = taken[index];
      if (random(2) === 0 && old !== undefined) {
        expect(old.piece.bytes.every((byte) => byte === old.value)).toBe(true);
        old.piece.free();
        taken.splice(index, 1);
        continue;
      }
      try {
        const piece = pool.allocate(1 + random(random(10) === 0 ? 20_000 : 500));
        const value = 1 + (step % 255);
        piece.bytes.fill(value);
        taken.push({ piece, value });
      } catch (error) {
        expect((error as { code: string }).code).toBe('ENOMEM');
        full += 1;
      }
    }
    for (const { piece, value } of taken) {
      expect(piece.bytes.every((byte) => byte === value)).toBe(true);
      piece.free();
    }
    expect(full).toBeGreaterThan(0);
    expect([pool.used, pool.pieces]).toEqual([0, 0]);
    pool.allocate(65_536);
  }, 60_000);
});

describe('page size', () => {
  it('is 64 KiB or 4 KiB', () => {
    expect(oneCard().pageSize).toBe(65536);
    expect(createMockCxl({ pageSize: 4096 }).pageSize).toBe(4096);
    expect(thrownCode(() => createMockCxl({ pageSize: 8192 as 4096 }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
  });
});
