/** Memory for an AFU to access: allocation, loads and stores, addresses. */
import { runInNewContext } from 'node:vm';
import type { Memory } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import * as differences from './differences';
import { codeOf } from './support/errors';
import { target, test } from './target';

const { system } = target;
const made: Memory[] = [];

afterEach(() => {
  for (const memory of made.splice(0)) memory.free({ force: true });
});

function allocate(...args: Parameters<typeof system.allocate>): Memory {
  const memory = system.allocate(...args);
  made.push(memory);
  return memory;
}

describe('allocate', () => {
  test('is zeroed, of the size asked for, and page-aligned', [], () => {
    const memory = allocate(10_000);
    expect(memory.size).toBe(10_000);
    expect(memory.buffer.byteLength).toBe(10_000);
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0)).toBe(true);
    expect(memory.address % BigInt(system.pageSize)).toBe(0n);
    expect(memory.buffer).toBe(memory.buffer);
  });

  test('is aligned as requested', [], () => {
    for (const alignment of [1, 128, 65536, 2 ** 21]) {
      expect(allocate(4096, { alignment }).address % BigInt(alignment)).toBe(0n);
    }
  });

  test('binds to a NUMA node; EINVAL where there is no such node', ['numa'], async () => {
    const memory = allocate(4096, { numaNode: 0 });
    memory.store64(4088, 1n);
    expect(memory.load64(4088)).toBe(1n);
    expect(await codeOf(() => system.allocate(4096, { numaNode: 1000 }))).toBe('EINVAL');
  });

  test('accepts transparent huge pages', [], () => {
    const memory = allocate(2 ** 21, { hugePages: 'transparent' });
    memory.store64(2 ** 21 - 8, 1n);
    expect(memory.load64(2 ** 21 - 8)).toBe(1n);
  });

  test('uses pages of the hugetlb pool, or fails with ENOMEM or EOPNOTSUPP', ['hugetlb'], () => {
    let explicit: Memory | undefined;
    try {
      explicit = allocate(2 ** 21, { hugePages: 'explicit' });
    } catch (error) {
      expect(['ENOMEM', 'EOPNOTSUPP']).toContain((error as { code: string }).code);
    }
    explicit?.store8(0, 1);
  });

  test('refuses invalid arguments', [], async () => {
    expect(await codeOf(() => system.allocate(0))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.allocate(-1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.allocate(1.5))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.allocate('1' as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.allocate(1, { alignment: 3 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.allocate(1, { hugePages: 'yes' as never }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(await codeOf(() => system.allocate(1, { endian: 'odd' as never }))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(await codeOf(() => system.allocate(1, null as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.allocate(2 ** 40))).toBe('ENOMEM');
    const memory = allocate(64);
    expect(await codeOf(() => memory.free({ force: 1 as never }))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => memory.free(null as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(memory.freed).toBe(false);
  });
});

describe('load and store', () => {
  test('every width, in the byte order of the call', [], () => {
    const memory = allocate(64);
    const bytes = new Uint8Array(memory.buffer);
    memory.store64(0, 0x0102_0304_0506_0708n, { endian: 'big' });
    expect([...bytes.subarray(0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(memory.load64(0, { endian: 'little' })).toBe(0x0807_0605_0403_0201n);
    expect(memory.load32(4, { endian: 'big' })).toBe(0x0506_0708);
    expect(memory.load16(2, { endian: 'big' })).toBe(0x0304);
    expect(memory.load8(7)).toBe(8);
    memory.store32(8, 0xfedc_ba98, { endian: 'little' });
    memory.store16(12, 0xabcd, { endian: 'big' });
    memory.store8(14, 0xff);
    expect([...bytes.subarray(8, 15)]).toEqual([0x98, 0xba, 0xdc, 0xfe, 0xab, 0xcd, 0xff]);
    expect(memory.load32(8, { endian: 'little' })).toBe(0xfedc_ba98);
    expect(memory.load64(16)).toBe(0n);
  });

  test('the byte order given at allocation is the default', [], () => {
    const big = allocate(8, { endian: 'big' });
    big.store32(0, 1);
    expect([...new Uint8Array(big.buffer)]).toEqual([0, 0, 0, 1, 0, 0, 0, 0]);
    const host = allocate(8);
    host.store32(0, 1);
    expect(new Uint32Array(host.buffer)[0]).toBe(1);
  });

  test('reads what JavaScript has written to the buffer', [], () => {
    const memory = allocate(8);
    new BigUint64Array(memory.buffer)[0] = 77n;
    system.memoryBarrier();
    expect(memory.load64(0)).toBe(77n);
  });

  test('refuse misaligned and out-of-bounds offsets, and values that do not fit', [], async () => {
    const memory = allocate(16);
    expect(await codeOf(() => memory.load64(4))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.load64(16))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.load8(-1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.store16(15, 1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.store8(0, 256))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.store32(0, -1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.store64(0, 1n << 64n))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => memory.store64(0, 1 as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => memory.load32('0' as never))).toBe('ERR_INVALID_ARG_TYPE');
  });
});

describe('lifetime', () => {
  test('free detaches the buffer; everything afterwards is ERR_INVALID_STATE', [], async () => {
    const memory = allocate(4096);
    const { buffer } = memory;
    memory.free();
    memory.free();
    expect(memory.freed).toBe(true);
    expect(buffer.byteLength).toBe(differences.byteLengthOnceFreed(system.backend, 4096));
    expect(await codeOf(() => memory.load8(0))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => memory.store8(0, 0))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => memory.buffer)).toBe('ERR_INVALID_STATE');
  });

  test('the buffer cannot be transferred', [], () => {
    const memory = allocate(4096);
    const { port1 } = new MessageChannel();
    try {
      // Newer versions of Node throw; older ones do not transfer it.
      port1.postMessage(memory.buffer, [memory.buffer]);
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError');
    }
    port1.close();
    expect(memory.buffer.byteLength).toBe(4096);
    memory.store8(0, 1);
    expect(new Uint8Array(memory.buffer)[0]).toBe(1);
  });
});

describe('addressOf', () => {
  test('is stable, and that of the view, not of its buffer', [], () => {
    const bytes = new Uint8Array(4096);
    const address = system.addressOf(bytes);
    expect(system.addressOf(bytes)).toBe(address);
    expect(system.addressOf(bytes.subarray(100))).toBe(address + 100n);
    expect(system.addressOf(bytes.buffer)).toBe(address);
    expect(system.addressOf(new DataView(bytes.buffer, 8, 8))).toBe(address + 8n);
    const shared = new Uint8Array(new SharedArrayBuffer(64), 16);
    expect(system.addressOf(shared)).toBe(system.addressOf(shared.buffer) + 16n);
    const small = new Uint8Array(3);
    expect(system.addressOf(small)).toBe(system.addressOf(small));
  });

  test('of a buffer made in another realm', [], () => {
    const bytes: Uint8Array = runInNewContext('new Uint8Array(64).subarray(8)');
    expect(system.addressOf(bytes)).toBe(system.addressOf(bytes.buffer) + 8n);
    const shared: SharedArrayBuffer = runInNewContext('new SharedArrayBuffer(64)');
    expect(system.addressOf(shared)).toBe(system.addressOf(new Uint8Array(shared)));
  });

  test('of Memory and of a view of its buffer agree', [], () => {
    const memory = allocate(4096);
    expect(system.addressOf(memory)).toBe(memory.address);
    expect(system.addressOf(new Uint8Array(memory.buffer, 128))).toBe(memory.address + 128n);
  });

  test('refuses buffers without a stable address', [], async () => {
    expect(await codeOf(() => system.addressOf([1] as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.addressOf('x' as never))).toBe('ERR_INVALID_ARG_TYPE');
    const Resizable = ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer;
    const resizable = new Resizable(8, { maxByteLength: 64 });
    // Versions of Node without resizable buffers create a fixed-length one.
    if ('resizable' in resizable) {
      expect(await codeOf(() => system.addressOf(resizable))).toBe('ERR_INVALID_ARG_VALUE');
    }
  });
});
