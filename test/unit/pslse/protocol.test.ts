/** The protocol: what is encoded is decoded, however its bytes arrive. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { operate, reachOf } from '../../../lib/pslse/atomics';
import {
  type DaemonMessage,
  decode,
  decodeMap,
  decodeQuery,
  encode,
} from '../../../lib/pslse/protocol';

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (value: bigint) => Buffer.from(value.toString(16).padStart(16, '0'), 'hex');

/** A message, its bytes as the daemon sends it, and what the client awaits. */
interface Sent {
  message: DaemonMessage;
  bytes: Buffer;
  ackLength: number;
}

const access = (size: number, wide: boolean, address: bigint) => {
  const width = wide ? [size >> 8, size & 0xff] : [size];
  return Buffer.concat([Buffer.from(width), hex(address)]);
};

const sized = (most: number) => fc.integer({ min: 1, max: most });
const sent: fc.Arbitrary<Sent> = fc.oneof(
  fc.constantFrom<Sent>(
    { message: { type: 'attached' }, bytes: Buffer.of(5), ackLength: 0 },
    { message: { type: 'detached' }, bytes: Buffer.of(6), ackLength: 0 },
    { message: { type: 'failed' }, bytes: Buffer.of(0x12), ackLength: 0 },
  ),
  fc.constantFrom(0, 4, 8).chain((length) =>
    bytesOf(length).map(
      (data): Sent => ({
        message: { type: 'ack', data },
        bytes: Buffer.concat([Buffer.of(0x11), data]),
        ackLength: length,
      }),
    ),
  ),
  fc.nat(0xffff).map(
    (irq): Sent => ({
      message: { type: 'interrupt', irq },
      bytes: Buffer.of(0x13, irq >> 8, irq & 0xff),
      ackLength: 0,
    }),
  ),
  uint64.map(
    (error): Sent => ({
      message: { type: 'afu-error', error },
      bytes: Buffer.concat([Buffer.of(0x14), hex(error)]),
      ackLength: 0,
    }),
  ),
  fc.tuple(sized(128), uint64, fc.boolean()).map(
    ([size, address, touch]): Sent => ({
      message: { type: touch ? 'touch' : 'read', address, size },
      bytes: Buffer.concat([Buffer.of(touch ? 9 : 7), access(size, false, address)]),
      ackLength: 0,
    }),
  ),
  fc.tuple(sized(512), uint64).map(
    ([size, address]): Sent => ({
      message: { type: 'read', address, size },
      bytes: Buffer.concat([Buffer.of(0x21), access(size, true, address)]),
      ackLength: 0,
    }),
  ),
  fc.tuple(sized(128).chain(bytesOf), uint64, fc.boolean()).map(
    ([data, address, dma]): Sent => ({
      message: { type: 'write', address, data },
      bytes: Buffer.concat([Buffer.of(dma ? 0x22 : 8), access(data.length, dma, address), data]),
      ackLength: 0,
    }),
  ),
  fc.tuple(fc.constantFrom<4 | 8>(4, 8), uint64, fc.nat(255), bytesOf(16)).map(
    ([size, address, operation, operands]): Sent => ({
      message: { type: 'atomic', address, size, operation, operands },
      bytes: Buffer.concat([
        Buffer.of(0x23),
        access(size, false, address),
        Buffer.of(operation),
        operands,
      ]),
      ackLength: 0,
    }),
  ),
);

describe('a message of the daemon', () => {
  it('is decoded once all its bytes are there, whatever follows', () => {
    fc.assert(
      fc.property(
        sent,
        fc.uint8Array({ maxLength: 20 }),
        ({ message, bytes, ackLength }, after) => {
          for (let length = 0; length < bytes.length; length++) {
            expect(decode(bytes.subarray(0, length), ackLength, 9)).toBe(undefined);
          }
          const all = Uint8Array.from([...bytes, ...after]);
          expect(decode(all, ackLength, 9)).toEqual({ message, length: bytes.length });
        },
      ),
    );
  });

  it('of any bytes is a message, the start of one, or garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.constantFrom<8 | 9>(8, 9), (bytes, psl) => {
        const decoded = decode(bytes, 8, psl);
        if (decoded === undefined || decoded === 'garbage') return;
        expect(decoded.length).toBeLessThanOrEqual(bytes.length);
        expect(decoded.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  it('of PSL9 is garbage of PSL8, and so is an access of no or too many bytes', () => {
    for (const bytes of [
      [0x21, 0, 8],
      [0x22, 0, 8],
      [0x23, 8],
      [7, 0],
      [7, 129],
      [8, 0],
      [9, 200],
      [0x00],
      [0x02],
      [0xff],
    ]) {
      expect(decode(Uint8Array.from(bytes), 0, 8)).toBe('garbage');
    }
    expect(decode(Uint8Array.of(0x21, 2, 1), 0, 9)).toBe('garbage');
    expect(decode(Uint8Array.of(0x23, 5), 0, 9)).toBe('garbage');
  });
});

describe('a message of the client', () => {
  it('has the bytes that the daemon reads', () => {
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    expect(text(encode.greeting(8))).toBe('50534c53450102');
    expect(text(encode.greeting(9))).toBe('50534c53450200');
    expect(text(encode.query(0x12))).toBe('0212');
    expect(text(encode.open(0x31, 's'))).toBe('043173');
    fc.assert(
      fc.property(uint64, fc.nat(), (value, offset) => {
        const at = offset.toString(16).padStart(8, '0');
        const number = text(hex(value));
        expect(text(encode.attach(value))).toBe(`05${number}`);
        expect(text(encode.read64(offset))).toBe(`0d${at}`);
        expect(text(encode.read32(offset))).toBe(`0f${at}`);
        expect(text(encode.errorBuffer(offset))).toBe(`15${at}`);
        expect(text(encode.write64(offset, value))).toBe(`0e${at}${number}`);
        expect(text(encode.write32(offset, offset))).toBe(`10${at}${at}`);
      }),
    );
    expect(text(encode.detach())).toBe('06');
    expect(text(encode.map())).toBe('0c00000001');
    expect(text(encode.success(Uint8Array.of(1, 2)))).toBe('0a0102');
    expect(text(encode.failure())).toBe('0b');
  });
});

describe('the opening of a connection', () => {
  it('tells the AFUs by their bits', () => {
    expect(decodeMap(Uint8Array.of(1, 0x80, 0))).toEqual([0x00]);
    expect(decodeMap(Uint8Array.of(1, 0x10, 0x81))).toEqual([0x03, 0x20, 0x33]);
  });

  it('describes an AFU in the byte order of its host', () => {
    const bytes = Buffer.alloc(39);
    bytes.writeUInt16LE(3, 1);
    bytes.writeUInt16LE(2037, 3);
    bytes.writeUInt16LE(0x8004, 5);
    bytes.writeBigUInt64LE(0x0300_0000_0000_0001n, 7);
    bytes.writeBigUInt64LE(0x1000n, 15);
    bytes.writeBigUInt64LE(0x2000n, 23);
    bytes.write('435010141200000f', 31, 'hex');
    expect(decodeQuery(0x21, bytes)).toEqual({
      card: 2,
      slice: 1,
      irqsMin: 3,
      irqsMax: 2037,
      mode: 'directed',
      hasArea: true,
      perProcess: { size: 4096, offset: 0x1000 },
      errorBufferSize: 0x2000,
      vendor: 0x1014,
      device: 0x4350,
      class: 0x120000,
    });
  });
});

describe('an atomic operation', () => {
  /** Two words of memory, and the operands 5 and 9; the word that it leaves, and its answer. */
  function run(operation: number, old: bigint, next = 0n, little = true) {
    const words = Buffer.alloc(16);
    words.writeBigUInt64LE(old, operation === 0x1c ? 8 : 0);
    words.writeBigUInt64LE(next, operation === 0x1c ? 0 : 8);
    const operands = Buffer.alloc(16);
    if (little) {
      operands.writeBigUInt64LE(5n, 0);
      operands.writeBigUInt64LE(9n, 8);
    } else {
      operands.writeBigUInt64BE(5n, 0);
      operands.writeBigUInt64BE(9n, 8);
    }
    const code = operation | (little ? 0x80 : 0);
    const what = { address: 0x1000n, size: 8, operation: code, operands } as const;
    const { before, length } = reachOf(what);
    const memory = words.subarray(0, length);
    const answer = operate(memory, what);
    const read = (bytes: Uint8Array) =>
      little ? Buffer.from(bytes).readBigUInt64LE() : Buffer.from(bytes).readBigUInt64BE();
    return {
      word: memory.readBigUInt64LE(before),
      answer: answer?.length === 8 ? read(answer) : answer?.length,
    };
  }

  it('stores and answers what its code says', () => {
    const least = 1n << 63n;
    for (const [code, old, word] of [
      [0x00, 7n, 12n],
      [0x00, 2n ** 64n - 1n, 4n],
      [0x01, 7n, 2n],
      [0x02, 8n, 13n],
      [0x03, 12n, 4n],
      [0x04, 7n, 7n],
      [0x04, 1n, 5n],
      [0x05, 2n ** 64n - 1n, 5n],
      [0x06, 7n, 5n],
      [0x07, 2n ** 64n - 1n, 2n ** 64n - 1n],
      [0x08, 7n, 5n],
      [0x10, 7n, 9n],
      [0x10, 5n, 5n],
      [0x11, 5n, 9n],
      [0x11, 7n, 7n],
    ] as const) {
      for (const little of [true, false]) {
        expect([code, run(code, old, 0n, little)]).toEqual([code, { word, answer: old }]);
      }
      if (code < 8) expect(run(0x20 + code, old)).toEqual({ word, answer: 0 });
    }
    expect(run(0x18, 7n, 8n)).toEqual({ word: 8n, answer: 7n });
    expect(run(0x18, 7n, 7n)).toEqual({ word: 7n, answer: least });
    expect(run(0x19, 7n, 7n)).toEqual({ word: 8n, answer: 7n });
    expect(run(0x19, 7n, 8n)).toEqual({ word: 7n, answer: least });
    expect(run(0x1c, 7n, 8n)).toEqual({ word: 6n, answer: 7n });
    expect(run(0x1c, 7n, 7n)).toEqual({ word: 7n, answer: least });
    expect(run(0x38, 7n, 7n)).toEqual({ word: 5n, answer: 0 });
    expect(run(0x38, 7n, 8n)).toEqual({ word: 7n, answer: 0 });
    expect(run(0x3f, 7n)).toEqual({ word: 7n, answer: undefined });
  });

  it('of 4 bytes has its operand where its address says', () => {
    const operands = Buffer.from('00000001000000020000000300000004', 'hex');
    for (const [address, one] of [
      [0n, 1],
      [4n, 2],
      [8n, 3],
      [12n, 4],
    ] as const) {
      const memory = Buffer.alloc(4);
      memory.writeUInt32LE(10);
      operate(memory, { address, size: 4, operation: 0, operands });
      expect(memory.readUInt32LE()).toBe(10 + one);
    }
    const odd = { address: 4n, size: 8, operation: 0, operands } as const;
    expect(operate(Buffer.alloc(8), odd)).toBe(undefined);
  });
});
