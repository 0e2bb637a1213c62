/** Register accesses: widths, byte order, blocks, bounds. */
import { runInNewContext } from 'node:vm';
import type { ProblemState } from 'node-cxl';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { ALL_ONES_32, ALL_ONES_64 } from '../../lib/shared/all-ones';
import { codeOf, failure } from './support/errors';
import { type Job, startJob } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
/** Injection registers that read as what was written, and do nothing. */
const VALUE = 0x1008;
const COUNT = 0x1010;

let job: Job;

beforeEach(async () => {
  job = await startJob(system, `/dev/cxl/${afu}s`);
});

afterEach(async () => {
  await job.end();
});

describe('read and write', () => {
  test('the AFU has the work element descriptor', [], () => {
    expect(job.regs.read64(0)).toBe(job.queue.wed);
  });

  test('64 bits', ['injection'], () => {
    for (const value of [0n, 1n, 0x0123_4567_89ab_cdefn, 1n << 63n, ALL_ONES_64]) {
      job.regs.write64(VALUE, value);
      expect(job.regs.read64(VALUE)).toBe(value);
    }
  });

  test('32 bits, the high word first on a big-endian AFU', ['injection'], () => {
    job.regs.write64(VALUE, 0x0123_4567_89ab_cdefn);
    expect(job.regs.read32(VALUE)).toBe(0x0123_4567);
    expect(job.regs.read32(VALUE + 4)).toBe(0x89ab_cdef);
    job.regs.write32(VALUE + 4, ALL_ONES_32);
    expect(job.regs.read64(VALUE)).toBe(0x0123_4567_ffff_ffffn);
  });

  test('byte order is the mapping’s: big by default, little, host', ['injection'], () => {
    job.regs.write64(VALUE, 0x0102_0304_0506_0708n);
    const little = job.context.mapProblemState({ endian: 'little' });
    const host = job.context.mapProblemState({ endian: 'host' });
    const unnamed = job.context.mapProblemState();
    expect(little.read64(VALUE)).toBe(0x0807_0605_0403_0201n);
    expect(little.read32(VALUE)).toBe(0x0403_0201);
    expect(unnamed.read64(VALUE)).toBe(0x0102_0304_0506_0708n);
    const hostIsLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
    expect(host.read64(VALUE)).toBe((hostIsLittle ? little : unnamed).read64(VALUE));
    little.write32(VALUE, 0x1122_3344);
    expect(job.regs.read32(VALUE)).toBe(0x4433_2211);
  });
});

describe('blocks', () => {
  test('of 64-bit elements, converted as single accesses are', ['injection'], () => {
    const out = BigUint64Array.of(0x0102_0304_0506_0708n, 0xffn);
    job.regs.writeBlock(VALUE, out);
    expect(job.regs.read64(VALUE)).toBe(0x0102_0304_0506_0708n);
    expect(job.regs.read64(COUNT)).toBe(0xffn);
    const back = new BigUint64Array(2);
    job.regs.readBlock(VALUE, back);
    expect(back).toEqual(out);
    const signed = new BigInt64Array(1);
    job.regs.write64(VALUE, (1n << 64n) - 2n);
    job.regs.readBlock(VALUE, signed);
    expect(signed[0]).toBe(-2n);
  });

  test('of 32-bit elements, and of a part of a larger array', ['injection'], () => {
    const source = Uint32Array.of(9, 0x1122_3344, 0x5566_7788, 9);
    job.regs.writeBlock(VALUE, source.subarray(1, 3));
    expect(job.regs.read64(VALUE)).toBe(0x1122_3344_5566_7788n);
    const target32 = new Int32Array(4);
    job.regs.readBlock(VALUE, target32.subarray(1, 3));
    expect([...target32]).toEqual([0, 0x1122_3344, 0x5566_7788, 0]);
  });

  test('of arrays made in another realm', ['injection'], () => {
    const wide: BigUint64Array = runInNewContext('BigUint64Array.of(0x1122334455667788n)');
    job.regs.writeBlock(VALUE, wide);
    const narrow: Uint32Array = runInNewContext('new Uint32Array(2)');
    job.regs.readBlock(VALUE, narrow);
    expect([...narrow]).toEqual([0x1122_3344, 0x5566_7788]);
    wide.fill(0n);
    job.regs.readBlock(VALUE, wide);
    expect(wide[0]).toBe(0x1122_3344_5566_7788n);
  });

  test('of no elements do nothing', ['injection'], () => {
    job.regs.readBlock(VALUE, new Uint32Array(0));
    job.regs.writeBlock(VALUE, new BigUint64Array(0));
  });
});

describe('bad arguments', () => {
  const bad = (call: (regs: ProblemState) => unknown) => codeOf(() => call(job.regs));
  /** Any value as an argument of any type, as JavaScript programs can pass it. */
  const untyped = (value: unknown) => value as never;

  test('a misaligned access', [], async () => {
    expect(await bad((regs) => regs.read64(4))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.read32(2))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write64(12, 0n))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write32(0x1007, 0))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.readBlock(4, new BigUint64Array(1)))).toBe('ERR_OUT_OF_RANGE');
  });

  test('an access out of bounds', [], async () => {
    const end = job.regs.length;
    expect(await bad((regs) => regs.read64(end))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.read64(-8))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write32(end, 0))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.read32(2 ** 53))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.readBlock(end - 8, new BigUint64Array(2)))).toBe(
      'ERR_OUT_OF_RANGE',
    );
    expect(await bad((regs) => regs.read64(Number.NaN))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.read64(0.5))).toBe('ERR_OUT_OF_RANGE');
    expect(job.regs.read64(end - 8)).toBeTypeOf('bigint');
  });

  test('wrong types and values that do not fit', [], async () => {
    expect(await bad((regs) => regs.read64(untyped('0')))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await bad((regs) => regs.read64(untyped(0n)))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await bad((regs) => regs.write64(0, untyped(0)))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await bad((regs) => regs.write64(0, -1n))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write64(0, 1n << 64n))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write32(0, untyped(0n)))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await bad((regs) => regs.write32(0, -1))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.write32(0, 2 ** 32))).toBe('ERR_OUT_OF_RANGE');
    expect(await bad((regs) => regs.readBlock(0, untyped(new Uint8Array(8))))).toBe(
      'ERR_INVALID_ARG_TYPE',
    );
    expect(await bad((regs) => regs.writeBlock(0, untyped([1])))).toBe('ERR_INVALID_ARG_TYPE');
  });

  test('of mapProblemState', [], async () => {
    const { context } = job;
    expect(await codeOf(() => context.mapProblemState(null as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => context.mapProblemState({ offset: 8 }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(await codeOf(() => context.mapProblemState({ offset: -1 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => context.mapProblemState({ length: 0 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => context.mapProblemState({ endian: 'middle' as 'big' }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
  });
});

describe('unmap', () => {
  test('is idempotent; an access afterwards is ERR_INVALID_STATE', [], async () => {
    const other = job.context.mapProblemState();
    other.unmap();
    other.unmap();
    expect(other.mapped).toBe(false);
    const error = await failure(() => other.read64(0));
    expect(error.code).toBe('ERR_INVALID_STATE');
    expect(job.regs.mapped).toBe(true);
    expect(job.regs.read64(0)).toBe(job.queue.wed);
  });
});
