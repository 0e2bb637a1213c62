/** Pieces of a MemoryPool. */
import type { MemoryPool } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { COMPLETE, COPY, startCopyJob } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
const path = `/dev/cxl/${afu}s`;
const pools: MemoryPool[] = [];

afterEach(() => {
  for (const pool of pools.splice(0)) pool.free({ force: true });
});

function makePool(...args: Parameters<typeof system.allocatePool>): MemoryPool {
  const pool = system.allocatePool(...args);
  pools.push(pool);
  return pool;
}

describe('a piece of a pool', () => {
  test('lies in the pool, aligned, apart from the others', [], () => {
    const pool = makePool(65536, { alignment: 65536 });
    const end = pool.address + BigInt(pool.size);
    const taken: (readonly [bigint, bigint])[] = [];
    for (const size of [1, 128, 129, 4096, 64, 1000, 8192]) {
      const piece = pool.allocate(size);
      expect(piece.size).toBe(size);
      const alignment = BigInt(Math.max(128, 2 ** Math.ceil(Math.log2(size))));
      expect(piece.address % alignment).toBe(0n);
      const to = piece.address + BigInt(size);
      expect(piece.address >= pool.address && to <= end).toBe(true);
      for (const [start, stop] of taken) {
        expect(to <= start || piece.address >= stop).toBe(true);
      }
      taken.push([piece.address, to]);
      expect(system.addressOf(piece)).toBe(piece.address);
    }
    expect(pool.allocate(1, { alignment: 4096 }).address % 4096n).toBe(0n);
    expect(pool.pieces).toBe(8);
  });

  test('is accessed within its bounds alone', [], async () => {
    const pool = makePool(4096);
    const [first, second] = [pool.allocate(100), pool.allocate(128)];
    second.bytes.fill(0xff);
    first.store64(88, 0x0102_0304_0506_0708n, { endian: 'big' });
    expect([...first.bytes.subarray(88, 96)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(first.bytes.length).toBe(100);
    expect(first.load32(92, { endian: 'big' })).toBe(0x0506_0708);
    for (const access of [
      () => first.load64(96),
      () => first.load8(100),
      () => first.store8(-1, 0),
      () => first.store32(100, 0),
    ]) {
      expect(await codeOf(access)).toBe('ERR_OUT_OF_RANGE');
    }
    expect(second.bytes.every((byte) => byte === 0xff)).toBe(true);
    expect(await codeOf(() => first.buffer)).toBe('ERR_INVALID_STATE');
  });

  test('is zeroed when it is given out, unless told not to', [], () => {
    const pool = makePool(4096);
    const first = pool.allocate(128);
    first.bytes.fill(0xaa);
    const { address } = first;
    first.free();
    const dirty = pool.allocate(128, { zeroed: false });
    expect(dirty.address).toBe(address);
    expect(dirty.load8(127)).toBe(0xaa);
    dirty.free();
    const clean = pool.allocate(128);
    expect(clean.address).toBe(address);
    expect(clean.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('ENOMEM when the pool is full; what is freed is joined and used again', [], async () => {
    const pool = makePool(3 * 4096, { alignment: 4096 });
    const pieces = Array.from({ length: 96 }, () => pool.allocate(128));
    expect(new Set(pieces.map((piece) => piece.address)).size).toBe(96);
    expect(pool.used).toBe(pool.size);
    const error = await failure(() => pool.allocate(1));
    expect(error).toMatchObject({ code: 'ENOMEM', syscall: 'allocate' });
    expect(error.message).toContain('128 bytes');
    // In another order than they were taken.
    for (let at = 0; at < 96; at += 1) pieces[(at * 35) % 96]?.free();
    expect([pool.used, pool.pieces]).toEqual([0, 0]);
    pool.allocate(8192).free();
    expect(await codeOf(() => pool.allocate(3 * 4096))).toBe('ENOMEM');
  });

  test('is freed once, and refused afterwards', [], async () => {
    const pool = makePool(4096);
    const piece = pool.allocate(64);
    piece.free();
    piece.free();
    piece[Symbol.dispose]();
    expect([piece.freed, piece.disposed, pool.pieces]).toEqual([true, true, 0]);
    expect(await codeOf(() => piece.load8(0))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => piece.bytes)).toBe('ERR_INVALID_STATE');
  });

  test('refuses invalid arguments', [], async () => {
    const pool = makePool(4096, { alignment: 4096 });
    expect(await codeOf(() => pool.allocate(0))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => pool.allocate(4097))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => pool.allocate(1, { alignment: 96 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => pool.allocate(1, { alignment: 8192 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => pool.allocate(1, { zero: true } as never))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(await codeOf(() => pool.allocate(1, { endian: 'odd' as never }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(await codeOf(() => system.allocatePool(0))).toBe('ERR_OUT_OF_RANGE');
    expect(pool.pieces).toBe(0);
  });
});

describe('a pool', () => {
  test('is freed with its pieces: none outlives it', [], async () => {
    const pool = makePool(4096);
    const piece = pool.allocate(64);
    pool.free();
    pool.free();
    expect([pool.freed, piece.freed, pool.pieces]).toEqual([true, true, 0]);
    expect(await codeOf(() => piece.load8(0))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => pool.allocate(64))).toBe('ERR_INVALID_STATE');
    piece.free();
  });

  test(
    'that an attached context holds: its pieces are freed at will, the pool is not',
    [],
    async () => {
      const context = await system.open(path);
      const pool = context.allocatePool(8192);
      pools.push(pool);
      const queue = pool.allocate(128);
      await context.attach({ wed: queue.address | 1n });
      pool.allocate(64).free();
      expect(await failure(() => pool.free())).toMatchObject({ code: 'EBUSY', path });
      await context.close();
      pool.free();
    },
  );

  test('EBUSY while an attached context holds one of its pieces', [], async () => {
    const pool = makePool(8192);
    const piece = pool.allocate(128);
    const context = await system.open(path);
    await context.attach({ wed: piece.address | 1n, holds: [piece] });
    expect(await failure(() => pool.free())).toMatchObject({ code: 'EBUSY', path });
    expect(await codeOf(() => piece.free())).toBe('EBUSY');
    piece[Symbol.dispose]();
    expect([piece.disposed, piece.freed, pool.pieces]).toEqual([true, false, 1]);
    pool[Symbol.dispose]();
    expect([pool.disposed, pool.freed]).toEqual([true, false]);
    expect(await codeOf(() => pool.allocate(64))).toBe('ERR_INVALID_STATE');
    await context.close();
    expect([piece.freed, pool.freed]).toEqual([true, true]);
  });

  test('an AFU copies from one piece to another', [], async () => {
    const job = await startCopyJob(system, path);
    try {
      const pool = job.context.allocatePool(65536);
      pools.push(pool);
      const [source, destination] = [pool.allocate(128), pool.allocate(128)];
      source.bytes.fill(0x5a);
      const at = job.queue.add({
        command: COPY,
        length: 128,
        source: source.address,
        destination: destination.address,
      });
      expect(await job.queue.finished(at)).toBe(COMPLETE);
      expect(destination.bytes.every((byte) => byte === 0x5a)).toBe(true);
    } finally {
      await job.end();
    }
  });
});
