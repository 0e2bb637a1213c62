/** Streams over a block device that is an array of bytes, whose transfers settle when a test says. */
import { once } from 'node:events';
import { setImmediate as loopTurn } from 'node:timers/promises';
import {
  BlockAccess,
  type BlockStatistics,
  type TransferOptions,
  type TransferRequest,
} from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';

const SIZE = 512;
const coded = (code: string) => expect.objectContaining({ code });

/** Waits as long as it takes for what has been settled to be noticed. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await loopTurn();
}

interface Begun {
  readonly operation: string;
  readonly lba: number;
  readonly blocks: number;
  readonly signal: AbortSignal | undefined;
  settle(error?: Error): void;
}

class Bytes extends BlockAccess {
  readonly statistics = {} as BlockStatistics;
  readonly blockSize = SIZE;
  readonly unmapSupported = false;
  readonly bytes: Uint8Array;
  /** All transfers, and those that have not settled. */
  readonly begun: Begun[] = [];
  readonly active = new Set<Begun>();
  /** Transfers wait until they are settled; else they are at once. */
  held = false;

  constructor(blocks: number) {
    super();
    this.bytes = Uint8Array.from({ length: blocks * SIZE }, (_, at) => 1 + (at % 251));
  }

  get blocks(): bigint {
    return BigInt(this.bytes.length / SIZE);
  }

  submit(requests: readonly TransferRequest[], options?: TransferOptions): Promise<void>[] {
    return requests.map((request) => {
      if (request.operation === 'unmap') throw new Error('a stream unmaps nothing');
      const { operation, lba } = request;
      const data = (request.operation === 'read' ? request.into : request.from) as Uint8Array;
      const at = Number(lba) * SIZE;
      // What a write has copied when it begins is what it writes.
      const written = operation === 'write' ? data : undefined;
      return new Promise<void>((resolve, reject) => {
        const abort = () => one.settle(new Error('aborted'));
        const one: Begun = {
          ...{ operation, lba: Number(lba), blocks: data.length / SIZE, signal: options?.signal },
          settle: (error) => {
            this.active.delete(one);
            options?.signal?.removeEventListener('abort', abort);
            if (error !== undefined) return reject(error);
            if (written !== undefined) this.bytes.set(written, at);
            else data.set(this.bytes.subarray(at, at + data.length));
            resolve();
          },
        };
        this.begun.push(one);
        this.active.add(one);
        options?.signal?.addEventListener('abort', abort);
        if (!this.held) one.settle();
      });
    });
  }

  async drained(): Promise<void> {}

  /** What was begun since, as operation, first block and blocks. */
  taken(): unknown[] {
    return this.begun.splice(0).map(({ operation, lba, blocks }) => [operation, lba, blocks]);
  }
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const errorOf = (stream: NodeJS.EventEmitter) => once(stream, 'error').then(([error]) => error);

describe('the options of a stream', () => {
  const device = new Bytes(8);
  const streams = [
    (options?: object) => device.createReadStream(options),
    (options?: object) => device.createWriteStream(options),
  ];

  it('have defaults', () => {
    for (const create of streams) {
      const stream = create();
      expect(
        'readableHighWaterMark' in stream
          ? stream.readableHighWaterMark
          : stream.writableHighWaterMark,
      ).toBe(262144);
      stream.destroy();
    }
  });

  it('have limits', () => {
    for (const create of streams) {
      for (const wrong of [
        ...[{ start: -1 }, { start: -1n }, { start: 9 }, { start: 9n }, { start: 0.5 }],
        ...[{ transferBytes: 0 }, { transferBytes: 2 ** 30 + 1 }, { transferBytes: 1.5 }],
        ...[{ depth: 0 }, { depth: 1025 }, { depth: 1.5 }],
      ]) {
        const [name = ''] = Object.keys(wrong);
        expect(() => create(wrong), name).toThrow(coded('ERR_OUT_OF_RANGE'));
        expect(() => create(wrong)).toThrow(`options.${name}`);
      }
      expect(() => create({ signal: {} })).toThrow(coded('ERR_INVALID_ARG_TYPE'));
      expect(() => create({ strat: 1 })).toThrow(coded('ERR_INVALID_ARG_VALUE'));
      create({ start: 8, transferBytes: 1, depth: 1024 }).destroy();
    }
    for (const length of [8 * SIZE + 1, 2n ** 64n]) {
      expect(() => device.createReadStream({ length })).toThrow(coded('ERR_OUT_OF_RANGE'));
    }
    expect(() => device.createReadStream({ length: -1 })).toThrow('options.length');
    expect(() => device.createReadStream({ start: 7, length: SIZE + 1 })).toThrow('options.length');
    const lastBlock = 'drop' as never;
    expect(() => device.createWriteStream({ lastBlock })).toThrow(coded('ERR_INVALID_ARG_VALUE'));
    expect(() => device.createWriteStream({ lastBlock })).toThrow('options.lastBlock');
    // 2^30 bytes is the most that a transfer can have.
    device.createReadStream({ transferBytes: 2 ** 30 }).destroy();
  });
});

describe('a stream that reads', () => {
  it('passes on the bytes from a block on, in transfers of whole blocks', async () => {
    const device = new Bytes(8);
    expect(await read(device.createReadStream())).toEqual(Buffer.from(device.bytes));
    expect(device.taken()).toEqual([['read', 0, 8]]);
    for (const [options, transfers] of [
      [
        { start: 1, length: 3 * SIZE, transferBytes: 2 * SIZE - 1 },
        [
          [1, 2],
          [3, 1],
        ],
      ],
      [
        { start: 1n, length: 3 * SIZE + 1, transferBytes: 2 * SIZE },
        [
          [1, 2],
          [3, 2],
        ],
      ],
      [
        { start: 2, length: 4 * SIZE - 1, transferBytes: SIZE + 1 },
        [
          [2, 2],
          [4, 2],
        ],
      ],
      [
        { start: 6, transferBytes: 1 },
        [
          [6, 1],
          [7, 1],
        ],
      ],
      [{ start: 3, length: 1n }, [[3, 1]]],
      [{ start: 3, length: 0 }, []],
      [{ start: 8 }, []],
    ] as [{ start: number | bigint; length?: number | bigint }, number[][]][]) {
      const from = Number(options.start) * SIZE;
      const end = options.length === undefined ? undefined : from + Number(options.length);
      const bytes = await read(device.createReadStream(options));
      expect(bytes).toEqual(Buffer.from(device.bytes.subarray(from, end)));
      expect(device.taken()).toEqual(transfers.map(([lba, blocks]) => ['read', lba, blocks]));
    }
  });

  it('reads `depth` transfers ahead and passes them on in order', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createReadStream({ transferBytes: SIZE, depth: 3 });
    const chunks: number[] = [];
    stream.on('data', (chunk: Uint8Array) => chunks.push(chunk[0] ?? 0));
    await turns();
    expect(device.begun.map(({ lba }) => lba)).toEqual([0, 1, 2]);
    device.begun[2]?.settle();
    device.begun[1]?.settle();
    await turns();
    expect([chunks, device.begun.length]).toEqual([[], 3]);
    device.begun[0]?.settle();
    await turns();
    expect(chunks).toEqual([0, 1, 2].map((block) => device.bytes[block * SIZE]));
    expect(device.begun.map(({ lba }) => lba)).toEqual([0, 1, 2, 3, 4, 5]);
    stream.destroy();
  });

  it('reads no more while nobody takes what was read', async () => {
    const device = new Bytes(16);
    const stream = device.createReadStream({ transferBytes: SIZE, depth: 2 });
    stream.read(0);
    await turns();
    const { length } = device.begun;
    expect(length).toBeLessThanOrEqual(4);
    await turns();
    expect(device.begun).toHaveLength(length);
    expect(await read(stream)).toEqual(Buffer.from(device.bytes));
    expect(device.taken()).toEqual(Array.from({ length: 16 }, (_, lba) => ['read', lba, 1]));
  });

  it('fails as its first transfer does that fails, and ends the others', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createReadStream({ transferBytes: SIZE, depth: 3 });
    const failed = errorOf(stream);
    let closed = false;
    stream.once('close', () => {
      closed = true;
    });
    stream.resume();
    await turns();
    const [first, second, third] = device.begun as [Begun, Begun, Begun];
    // Its turn comes after that of the first one.
    second.settle(new Error('second'));
    await turns();
    expect(stream.destroyed).toBe(false);
    first.settle();
    expect(await failed).toEqual(new Error('second'));
    await turns();
    expect([third.signal?.aborted, device.active.size, closed]).toEqual([true, 0, true]);
  });

  it('passes nothing on once it is destroyed, and closes when its transfers have settled', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createReadStream({ transferBytes: SIZE, depth: 2 });
    stream.resume();
    await turns();
    let settle = () => {};
    // A transfer that an abort does not end at once.
    const late = new Promise<void>((resolve) => {
      settle = resolve;
    });
    device.submit = () => [late];
    device.begun[0]?.settle();
    await turns();
    let closed = false;
    stream.once('close', () => {
      closed = true;
    });
    stream.once('error', () => expect.unreachable());
    stream.destroy();
    await turns();
    expect([closed, device.active.size]).toEqual([false, 0]);
    settle();
    await turns();
    expect(closed).toBe(true);
  });
});

describe('a stream that writes', () => {
  it('writes whole blocks as its transfers are full, and copies what it is given', async () => {
    const device = new Bytes(8);
    const before = device.bytes.slice();
    const data = Uint8Array.from({ length: 5 * SIZE }, (_, at) => at % 253);
    const stream = device.createWriteStream({ start: 1, transferBytes: 2 * SIZE });
    const part = Buffer.from(data);
    stream.write(part.subarray(0, 1));
    stream.write(part.subarray(1, 2 * SIZE - 1));
    stream.write(part.subarray(2 * SIZE - 1, 2 * SIZE - 1));
    await turns();
    expect(device.taken()).toEqual([]);
    stream.write(part.subarray(2 * SIZE - 1, 4 * SIZE + 7));
    await turns();
    expect(device.taken()).toEqual([
      ['write', 1, 2],
      ['write', 3, 2],
    ]);
    const last = part.subarray(4 * SIZE + 7);
    stream.write(last);
    await turns();
    last.fill(0);
    stream.end();
    await once(stream, 'finish');
    expect(device.taken()).toEqual([['write', 5, 1]]);
    expect(device.bytes.subarray(SIZE, 6 * SIZE)).toEqual(data);
    for (const [from, to] of [
      [0, SIZE],
      [6 * SIZE, 8 * SIZE],
    ] as const) {
      expect(device.bytes.subarray(from, to)).toEqual(before.subarray(from, to));
    }
  });

  it('keeps the rest of the last block, or writes zeros there', async () => {
    for (const [options, rest, transfers] of [
      [
        {},
        'kept',
        [
          ['write', 2, 1],
          ['read', 3, 1],
          ['write', 3, 1],
        ],
      ],
      [
        { lastBlock: 'keep' },
        'kept',
        [
          ['write', 2, 1],
          ['read', 3, 1],
          ['write', 3, 1],
        ],
      ],
      [
        { lastBlock: 'zero' },
        'zero',
        [
          ['write', 2, 1],
          ['write', 3, 1],
        ],
      ],
    ] as const) {
      const device = new Bytes(8);
      const expected = device.bytes.slice();
      expected.fill(255, 2 * SIZE, 3 * SIZE + 3);
      if (rest === 'zero') expected.fill(0, 3 * SIZE + 3, 4 * SIZE);
      const stream = device.createWriteStream({ start: 2n, ...options });
      stream.end(Buffer.alloc(SIZE + 3, 255));
      await once(stream, 'finish');
      expect(device.bytes).toEqual(expected);
      expect(device.taken()).toEqual(transfers);
    }
    const device = new Bytes(2);
    const empty = device.createWriteStream();
    empty.end();
    await once(empty, 'finish');
    expect(device.taken()).toEqual([]);
  });

  it('has `depth` transfers in flight, and finishes when all have succeeded', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createWriteStream({ transferBytes: SIZE, depth: 2 });
    let finished = false;
    stream.once('finish', () => {
      finished = true;
    });
    expect(stream.write(Buffer.alloc(4 * SIZE + 1))).toBe(false);
    await turns();
    expect(device.begun.map(({ lba }) => lba)).toEqual([0, 1]);
    device.begun[1]?.settle();
    await turns();
    expect(device.begun.map(({ lba }) => lba)).toEqual([0, 1, 2]);
    device.begun[0]?.settle();
    device.begun[2]?.settle();
    await turns();
    expect(device.begun.map(({ lba }) => lba)).toEqual([0, 1, 2, 3]);
    stream.end();
    await turns();
    // The rest of the last block is read while the one before is written.
    expect(device.begun.slice(4).map(({ operation, lba }) => [operation, lba])).toEqual([
      ['read', 4],
    ]);
    device.begun[4]?.settle();
    await turns();
    device.begun[3]?.settle();
    await turns();
    expect([finished, device.active.size, device.begun.length]).toEqual([false, 1, 6]);
    device.begun[5]?.settle();
    await turns();
    expect(finished).toBe(true);
  });

  it('ends with ENOSPC where the device does, when all that fits has been written', async () => {
    for (const [bytes, writes] of [
      [3 * SIZE, [[6, 2]]],
      [2 * SIZE + 1, [[6, 2]]],
      [7 * SIZE, [[6, 2]]],
    ] as const) {
      for (const transferBytes of [4 * SIZE, 2 * SIZE]) {
        const device = new Bytes(8);
        device.held = true;
        const stream = device.createWriteStream({ start: 6, transferBytes });
        let failure: unknown;
        stream.once('error', (error) => {
          failure = error;
        });
        stream.end(Buffer.alloc(bytes, 255));
        await turns();
        expect([failure, device.begun.length]).toEqual([undefined, 1]);
        device.begun[0]?.settle();
        await turns();
        expect(failure).toMatchObject({ code: 'ENOSPC', syscall: 'write' });
        expect((failure as Error).message).toContain('the device ends at block 8');
        expect(device.taken()).toEqual(writes.map(([lba, blocks]) => ['write', lba, blocks]));
        expect(device.bytes.subarray(6 * SIZE).every((byte) => byte === 255)).toBe(true);
      }
    }
    const device = new Bytes(8);
    const full = device.createWriteStream({ start: 8 });
    full.end(Buffer.alloc(1));
    expect(await errorOf(full)).toMatchObject({ code: 'ENOSPC' });
    expect(device.taken()).toEqual([]);
  });

  it('fails as the first transfer does that fails, and begins no more', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createWriteStream({ transferBytes: SIZE, depth: 3 });
    const failed = errorOf(stream);
    stream.write(Buffer.alloc(8 * SIZE));
    await turns();
    const [first, second, third] = device.begun as [Begun, Begun, Begun];
    second.settle(new Error('second'));
    first.settle(new Error('first'));
    expect(await failed).toEqual(new Error('second'));
    await turns();
    expect([third.signal?.aborted, device.begun.length, stream.closed]).toEqual([true, 3, true]);
  });

  it('begins no more once it is destroyed', async () => {
    const device = new Bytes(16);
    device.held = true;
    const stream = device.createWriteStream({ transferBytes: SIZE, depth: 1 });
    stream.write(Buffer.alloc(3 * SIZE));
    await turns();
    stream.destroy();
    await turns();
    expect([device.active.size, device.begun.length, stream.closed]).toEqual([0, 1, true]);
  });

  it('fails when the last block cannot be read or written', async () => {
    for (const at of [0, 1, 2]) {
      const device = new Bytes(16);
      device.held = true;
      const stream = device.createWriteStream();
      const failed = errorOf(stream);
      stream.once('finish', () => expect.unreachable());
      stream.end(Buffer.alloc(SIZE + 1));
      await turns();
      if (at === 2) {
        device.begun[0]?.settle();
        device.begun[1]?.settle();
        await turns();
      }
      device.begun[at]?.settle(new Error(`transfer ${at}`));
      expect(await failed).toEqual(new Error(`transfer ${at}`));
    }
  });
});

describe('a signal of a stream', () => {
  it('destroys it when it aborts, with its reason', async () => {
    const device = new Bytes(16);
    device.held = true;
    for (const name of ['createReadStream', 'createWriteStream'] as const) {
      const controller = new AbortController();
      const stream = device[name]({ signal: controller.signal, transferBytes: SIZE });
      const failed = errorOf(stream);
      if ('resume' in stream) stream.resume();
      else stream.write(Buffer.alloc(SIZE));
      await turns();
      expect(device.active.size).toBeGreaterThan(0);
      controller.abort('enough');
      expect(await failed).toMatchObject({ code: 'ABORT_ERR', cause: 'enough' });
      await turns();
      expect([stream.closed, device.active.size]).toEqual([true, 0]);
    }
  });

  it('that has aborted before begins nothing', async () => {
    const device = new Bytes(16);
    for (const name of ['createReadStream', 'createWriteStream'] as const) {
      const stream = device[name]({ signal: AbortSignal.abort('before') });
      expect(await errorOf(stream)).toMatchObject({ code: 'ABORT_ERR', cause: 'before' });
    }
    expect(device.begun).toEqual([]);
  });

  it('has no listener once the stream has ended', async () => {
    const device = new Bytes(4);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...parameters: never[]) => {
      listeners += 1;
      add(...(parameters as unknown as Parameters<typeof add>));
    };
    signal.removeEventListener = (...parameters: never[]) => {
      listeners -= 1;
      remove(...(parameters as unknown as Parameters<typeof remove>));
    };
    await read(device.createReadStream({ signal }));
    await turns();
    const stream = device.createWriteStream({ signal });
    stream.end(Buffer.alloc(SIZE));
    await once(stream, 'finish');
    await turns();
    expect(listeners).toBe(0);
  });
});
