/** A program that uses the gzip AFU, and the tests of both. */
import { gunzipSync } from 'node:zlib';
import type { Context, Cxl, Memory } from 'node-cxl';
import { createMockCxl, type MockCxl } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gzipAfu } from './gzip-afu';

const big = { endian: 'big' } as const;
const DOORBELL = 0x00;
const LEVEL = 0x10;

/** The user library of this AFU: it runs on a card as it runs on the mock. */
class Gzip {
  readonly #system: Cxl;
  readonly #context: Context;
  readonly #block: Memory;

  private constructor(system: Cxl, context: Context, block: Memory) {
    this.#system = system;
    this.#context = context;
    this.#block = block;
  }

  static async open(system: Cxl, path: string): Promise<Gzip> {
    const context = await system.open(path);
    const block = system.allocate(64);
    await context.attach({ wed: block.address, interrupts: 1, holds: [block] });
    return new Gzip(system, context, block);
  }

  async compress(source: Uint8Array, options: { level?: bigint; room?: number } = {}) {
    const registers = this.#context.mapProblemState({ endian: 'big' });
    const target = this.#system.allocate(options.room ?? source.length + 1024);
    try {
      if (options.level !== undefined) registers.write64(LEVEL, options.level);
      const block = this.#block;
      block.store64(0, this.#system.addressOf(this.#context.hold(source)), big);
      block.store64(8, BigInt(source.length), big);
      block.store64(16, target.address, big);
      block.store64(24, BigInt(target.size), big);
      block.store32(40, 0, big);
      this.#system.memoryBarrier();
      registers.write64(DOORBELL, 1n);
      await this.#context.waitForInterrupt(1, { timeout: 10000 });
      const result = block.load32(40, big);
      if (result !== 1) throw new Error(`gzip AFU: status ${result}`);
      return new Uint8Array(target.buffer).slice(0, Number(block.load64(32, big)));
    } finally {
      registers.unmap();
      target.free({ force: true });
    }
  }

  /** A job at an address of the caller's choosing. */
  async compressAt(address: bigint): Promise<void> {
    const registers = this.#context.mapProblemState({ endian: 'big' });
    this.#block.store64(0, address, big);
    this.#block.store64(8, 100n, big);
    registers.write64(DOORBELL, 1n);
    try {
      await this.#context.waitForInterrupt(1, { timeout: 10000 });
    } finally {
      registers.unmap();
    }
  }

  async close(): Promise<void> {
    await this.#context.close();
    // `force`: other contexts may be attached, but none of them uses this block.
    this.#block.free({ force: true });
  }
}

describe('the gzip AFU', () => {
  let mock: MockCxl;
  let gzip: Gzip;

  beforeEach(async () => {
    mock = createMockCxl({ cards: [{ afus: [{ model: gzipAfu() }] }] });
    gzip = await Gzip.open(mock, '/dev/cxl/afu0.0s');
  });

  afterEach(async () => {
    await gzip.close();
    expect(mock.counters).toEqual({ files: 0, mappings: 0, bytes: 0, contexts: 0 });
  });

  it('compresses to what gunzip restores', async () => {
    const text = Buffer.from('work element descriptor '.repeat(20000));
    const file = await gzip.compress(text);
    expect(file.length).toBeLessThan(text.length / 20);
    expect(gunzipSync(file).equals(text)).toBe(true);
  });

  it('compresses harder at a higher level', async () => {
    const text = Buffer.from(Array.from({ length: 9000 }, (_, n) => (n * n) % 9973).join(' '));
    const [fast, best] = [
      await gzip.compress(text, { level: 1n }),
      await gzip.compress(text, { level: 9n }),
    ];
    expect(best.length).toBeLessThan(fast.length);
  });

  it('reports a target that is too small', async () => {
    const noise = Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * 7919) % 251));
    const error = await gzip.compress(noise, { room: 20 }).catch((reason: Error) => reason);
    expect((error as Error).message).toBe('gzip AFU: status 2');
  });

  it('reports an invalid address as a data storage fault', async () => {
    const error = await gzip.compressAt(0x1234n).catch((reason) => reason);
    expect(error.code).toBe('EFAULT');
    expect(error.event).toMatchObject({ type: 'data-storage', address: 0x1234n });
  });

  it('reports an invalid level as an AFU error', async () => {
    const error = await gzip.compress(Buffer.from('x'), { level: 10n }).catch((reason) => reason);
    expect(error.code).toBe('EREMOTEIO');
    expect(error.event).toMatchObject({ type: 'afu-error', error: 10n });
  });

  it('keeps the jobs of several processes apart', async () => {
    const second = await Gzip.open(mock, '/dev/cxl/afu0.0s');
    const texts = [Buffer.from('first '.repeat(50000)), Buffer.from('second '.repeat(50000))];
    const files = await Promise.all([gzip.compress(texts[0]!), second.compress(texts[1]!)]);
    expect(files.map((file, n) => gunzipSync(file).equals(texts[n]!))).toEqual([true, true]);
    await second.close();
  });

  it('can be made to fail as a card does', async () => {
    mock.inject({ name: 'translation', after: 1 });
    const error = await gzip.compress(Buffer.from('x')).catch((reason) => reason);
    expect(error.code).toBe('EFAULT');
  });
});
