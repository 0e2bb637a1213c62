/** Replays of recordings over the mock: the same program, and programs that were changed. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Context, Cxl } from 'node-cxl';
import { openLun } from 'node-cxl/flash';
import { answers, composeAfu, createMockCxl, memcpyAfu, mockDoeFromConfig } from 'node-cxl/mock';
import {
  type AccessRecord,
  type ReplayDivergedError,
  readRecording,
  recordCxl,
  replayCxl,
} from 'node-cxl/record';
import { beforeAll, describe, expect, it } from 'vitest';
import { HOST_IS_LITTLE_ENDIAN } from '../../../lib/shared/endian';
import { copyText, scratchFolder, writeRecording } from './support';

const folder = scratchFolder();
const file = (name: string) => path.join(folder, `${name}.rec`);

/** Records what a program does with a mock. Returns the file. */
async function record(
  name: string,
  program: (system: Cxl) => Promise<unknown>,
  system: Cxl = createMockCxl(),
): Promise<string> {
  const recorded = recordCxl(system, { file: file(name) });
  await program(recorded);
  recorded.stop();
  return file(name);
}

/** How a program departs from a recording. */
async function departure(
  recording: string,
  program: (system: Cxl) => Promise<unknown>,
): Promise<ReplayDivergedError> {
  const system = replayCxl(recording);
  await program(system).catch(() => undefined);
  expect(system.departure).toMatchObject({ code: 'ERR_CXL_REPLAY_DIVERGED', path: recording });
  return system.departure!;
}

/** A copy by the memcpy AFU in which a test changes one thing. */
interface Changes {
  text?: string;
  wed?: bigint;
  interrupts?: number;
  length?: number;
  firstRead?: boolean;
  barrier?: boolean;
  offset?: number;
  afterwards?: (context: Context) => void;
  node?: string;
  size?: number;
}

async function copy(system: Cxl, changes: Changes = {}): Promise<string> {
  const { text = 'Hello, accelerator', wed = 32n, interrupts = 4, length = 128 } = changes;
  const queue = system.allocate(changes.size ?? 4096, { endian: 'big' });
  const source = system.allocate(128);
  const target = system.allocate(128);
  Buffer.from(source.buffer).write(text);
  const context = await system.open(changes.node ?? '/dev/cxl/afu0.0s');
  try {
    await context.attach({ wed: queue.address | wed, interrupts, holds: [queue, source, target] });
    const registers = context.mapProblemState({ endian: 'big' });
    if (changes.firstRead !== false) registers.read64(0x08);
    queue.store16(2, length);
    queue.store64(16, source.address);
    queue.store64(changes.offset ?? 24, target.address);
    queue.store16(34, 1);
    queue.store8(32, 0x81);
    if (changes.barrier !== false) system.memoryBarrier();
    queue.store8(0, 0x80);
    await context.waitForInterrupt(1, { timeout: 10_000 });
    changes.afterwards?.(context);
    // The AFU stops after an interrupt.
    while ((registers.read64(0x10) & (1n << 59n)) === 0n) await new Promise(setImmediate);
    registers.write64(0x18, 1n << 63n);
    return Buffer.from(target.buffer).toString('utf8', 0, 18);
  } finally {
    await context.close();
  }
}

describe('a replay', () => {
  let recording: string;

  beforeAll(async () => {
    recording = await record('copy', async (system) => {
      expect(await copy(system)).toBe('Hello, accelerator');
    });
  });

  it('gives the same program the same, without a device', async () => {
    const system = replayCxl(recording);
    expect(system.backend).toBe('replay');
    expect(await copy(system)).toBe('Hello, accelerator');
    system.assertFinished();
    // From bytes too.
    expect(await copy(replayCxl(readFileSync(recording)))).toBe('Hello, accelerator');
  });

  const changed: [what: string, changes: Changes, expected: RegExp, came: RegExp][] = [
    [
      'a value stored to memory',
      { length: 64 },
      /^memory 1 store16 \{offset: 0x2, value: 128, swapped: true\}$/,
      /store16 \{offset: 0x2, value: 64, /,
    ],
    ['a place in memory', { offset: 48 }, /store64 \{offset: 0x18, /, /store64 \{offset: 0x30, /],
    [
      'what a buffer has',
      { text: 'Hello, Accelerator' },
      /^memory 2 \(128 bytes\) at offset 0x7 to have <17 bytes: 6163/,
      /^<17 bytes: 4163.* there, at \/dev\/cxl\/afu0\.0s ioctl\(START_WORK\)/,
    ],
    [
      'more in a buffer',
      { text: 'Hello, accelerators and others' },
      /^memory 2 \(128 bytes\) at offset 0x12/,
      /there, at .*START_WORK/,
    ],
    [
      'nothing in a buffer',
      { text: '' },
      /^memory 2 \(128 bytes\) at offset 0x0/,
      /there, at .*START_WORK/,
    ],
    ['the work element descriptor', { wed: 16n }, /START_WORK/, /START_WORK/],
    ['the interrupts', { interrupts: 3 }, /numInterrupts: 4/, /numInterrupts: 3/],
    ['a register that is not read', { firstRead: false }, /read64 \{offset: 0x8\}/, /write64/],
    [
      'a register that is read',
      { afterwards: (context) => context.mapProblemState({ offset: 0 }).read32(0x10) },
      /read64 \{offset: 0x10\}|write64/,
      /mmap/,
    ],
    ['a size', { size: 8192 }, /allocate \{.*size: 4096/, /allocate \{.*size: 8192/],
    ['a node', { node: '/dev/cxl/afu0.0m' }, /sysfs.realpath/, /afu0\.0m/],
  ];
  for (const [what, changes, expected, came] of changed) {
    it(`of a program that was changed in ${what} departs there`, async () => {
      const found = await departure(recording, (system) => copy(system, changes));
      expect(found.expected).toMatch(expected);
      expect(found.actual).toMatch(came);
      expect(found.line).toMatch(/replay\.test\.m?[jt]s:\d+:\d+$/);
      expect(found.message).toContain(`departs from the recording ${recording}\n  expected: `);
      expect(found.stack).toMatch(/replay\.test\.m?[jt]s/);
      const numbers = [...readRecording(recording)].map(({ place }) => place.number);
      if (found.place !== undefined) expect(numbers).toContain(found.place.number);
    });
  }

  it('says which recorded call is nearest', async () => {
    const other = await record('nearest', async (system) => {
      const queue = system.allocate(4096);
      for (const offset of [0, 8, 16, 24]) queue.store64(offset, BigInt(offset));
    });
    const found = await departure(other, async (system) => {
      const queue = system.allocate(4096);
      queue.store64(0, 0n);
      queue.store64(16, 16n);
    });
    expect(found).toMatchObject({
      expected: 'memory 1 store64 {offset: 0x8, value: 0x8n}',
      actual: 'memory 1 store64 {offset: 0x10, value: 0x10n}',
      nearest: 'memory 1 store64 {offset: 0x10, value: 0x10n}',
    });
  });

  it('throws the first departure again, and lets the program clean up', async () => {
    const system = replayCxl(recording);
    await expect(copy(system, { length: 64 })).rejects.toMatchObject({
      code: 'ERR_CXL_REPLAY_DIVERGED',
    });
    await expect(system.open('/dev/cxl/afu0.0s')).rejects.toBe(system.departure);
    expect(() => system.assertFinished()).toThrow('the program departs from the recording');
  });

  it('tells what a program that ends early has not done', async () => {
    const system = replayCxl(recording);
    const context = await system.open('/dev/cxl/afu0.0s');
    await context.attach({ wed: 0n }).catch(() => undefined);
    const early = replayCxl(recording);
    early.allocate(4096, { endian: 'big' });
    expect(() => early.assertFinished()).toThrow(
      /^the program has not made these calls of the recording:\n {2}allocate (.|\n)* and \d+ more$/,
    );
  });

  it('of a program that waits for what cannot come says so', async () => {
    const found = await departure(recording, async (system) => {
      await copy(system, {
        afterwards: (context) => {
          context.waitForInterrupt(2).catch(() => undefined);
        },
      });
    });
    expect(found.actual).toBe('/dev/cxl/afu0.0s waits for events');
  });

  it('lenient: goes on where the program does less, or writes something else', async () => {
    const system = replayCxl(recording, { mode: 'lenient' });
    expect(await copy(system, { firstRead: false, text: 'Hello' })).toBe('Hello, accelerator');
    const other = replayCxl(recording, { mode: 'lenient' });
    expect(await copy(other, { length: 64 })).toBe('Hello, accelerator');
    // What was never recorded cannot be answered.
    await expect(copy(other)).rejects.toMatchObject({ code: 'ERR_CXL_REPLAY_DIVERGED' });
  });

  it('repeats what failed: a mapping before the one that was made, a store that faulted', async () => {
    const mock = createMockCxl();
    const codeOf = async (call: () => unknown) => {
      try {
        return call() === undefined ? 'done' : 'mapped';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    /** `device`: false where the recording has what became of it. */
    const program = async (system: Cxl, device: boolean) => {
      const afu = mock.card(0).afu(0);
      const context = await system.open('/dev/cxl/afu0.0s');
      await context.attach({ wed: 0n });
      if (device) afu.disable();
      const told = [await codeOf(() => context.mapProblemState())];
      if (device) afu.enable();
      told.push(await codeOf(() => context.mapProblemState()));
      const registers = context.mapProblemState({ endian: 'big' });
      if (device) mock.card(0).freeze();
      if (device) mock.card(0).notice();
      told.push(await codeOf(() => registers.write32(0, 7)));
      told.push(await codeOf(() => registers.read32(0)));
      await context.close();
      return told;
    };
    const recording = await record('failed', (system) => program(system, true), mock);
    const replayed = replayCxl(recording);
    expect(await program(replayed, false)).toEqual(['EBUSY', 'mapped', 'EIO', 'EIO']);
    replayed.assertFinished();
  });

  it('comes at once, or takes the time that was recorded', async () => {
    const slow = await record(
      'slow',
      (system) => copy(system),
      createMockCxl({ latency: { 'start-work': 300 } }),
    );
    const time = async (options: Parameters<typeof replayCxl>[1]) => {
      const start = performance.now();
      await copy(replayCxl(slow, options));
      return performance.now() - start;
    };
    expect(await time({ timing: 'immediate' })).toBeLessThan(250);
    expect(await time({ timing: 'recorded' })).toBeGreaterThanOrEqual(295);
    expect(await time({ timing: 2 })).toBeGreaterThanOrEqual(595);
  });
});

describe('polls', () => {
  const accesses = (recording: string) =>
    [...readRecording(recording)].filter(({ type }) => type === 'access') as AccessRecord[];
  /** How many loads of a register a recording has. One record has several, if no pause came between. */
  const loadsOf = (recording: string) =>
    accesses(recording).reduce((sum, { name, times }) => sum + (name === 'read64' ? times : 0), 0);
  /** Loads a register so often, with a pause before one of the loads. */
  const poll = (count: number, pauseAt?: number) => async (system: Cxl) => {
    const context = await system.open('/dev/cxl/afu0.0s');
    await context.attach({ wed: 0n });
    const registers = context.mapProblemState({ endian: 'big' });
    for (let n = 0; n < count; n += 1) {
      // Longer than accesses stay in memory: those after it have a record of their own.
      if (n === pauseAt) await new Promise((resolve) => setTimeout(resolve, 30));
      registers.read64(0x08);
    }
    registers.write64(0x18, 1n << 63n);
    await context.close();
  };

  it('collapse: ten loads of a register are as good as three', async () => {
    const system = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
    const recording = await record('poll', poll(10), system);
    expect(loadsOf(recording)).toBe(10);
    for (const count of [1, 3, 10, 50]) {
      const replayed = replayCxl(recording);
      await poll(count)(replayed);
      replayed.assertFinished();
    }
    // None at all is something else.
    expect((await departure(recording, poll(0))).expected).toContain('read64');
  });

  it('collapse: also where a pause of the program made two records of them', async () => {
    const system = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
    const recording = await record('pause', poll(10, 3), system);
    expect(loadsOf(recording)).toBe(10);
    expect(accesses(recording).length).toBeGreaterThan(2);
    for (const count of [1, 3, 10, 50]) {
      const replayed = replayCxl(recording);
      await poll(count)(replayed);
      replayed.assertFinished();
    }
  });

  it('collapse: a poll that waits for another value ends with the second load', async () => {
    let left = 5;
    const count = () => {
      left -= 1;
      return BigInt(left > 0 ? 0 : 7);
    };
    const system = createMockCxl({
      cards: [{ afus: [{ model: composeAfu({ name: 'counter' }, answers(0x40, count)) }] }],
    });
    const loads = async (on: Cxl) => {
      const context = await on.open('/dev/cxl/afu0.0s');
      await context.attach({ wed: 0n });
      const registers = context.mapProblemState({ endian: 'big' });
      let made = 1;
      while (registers.read64(0x40) === 0n) made += 1;
      await context.close();
      return made;
    };
    const recording = await record('until', loads, system);
    expect(await loads(replayCxl(recording))).toBe(2);
    expect(await loads(replayCxl(recording, { polls: 'each' }))).toBe(5);
  });
});

describe('contexts', () => {
  /** Two contexts; `order` says whose step is next. */
  const both = (order: readonly number[]) => async (system: Cxl) => {
    const queues = [system.allocate(4096), system.allocate(8192)];
    const contexts = [await system.open('/dev/cxl/afu0.0s'), await system.open('/dev/cxl/afu1.0s')];
    for (const [n, context] of contexts.entries()) {
      await context.attach({ wed: queues[n]!.address, holds: [queues[n]!] });
    }
    const areas = contexts.map((context) => context.mapProblemState({ endian: 'big' }));
    const steps = [0, 0];
    for (const n of order) {
      queues[n]!.store64(512 + steps[n]!++ * 8, 0n);
      areas[n]!.read64(0x08);
    }
    for (const context of contexts) await context.close();
  };
  const system = () =>
    createMockCxl({
      cards: [{ afus: [{ model: memcpyAfu() }] }, { afus: [{ model: memcpyAfu() }] }],
    });

  it('are free of each other, each is strict in itself', async () => {
    const recording = await record('both', both([0, 1, 0, 1]), system());
    for (const order of [
      [0, 0, 1, 1],
      [1, 1, 0, 0],
      [1, 0, 0, 1],
    ]) {
      const replayed = replayCxl(recording);
      await both(order)(replayed);
      replayed.assertFinished();
    }
    const found = await departure(recording, both([0, 0, 0, 1]));
    expect(found.actual).toContain('store64 {offset: 0x210');
  });
});

describe('other drivers', () => {
  it('flash: blocks that were written are read again', async () => {
    const program = async (system: Cxl) => {
      const lun = await openLun('/dev/sg1', { system });
      await lun.enableSuperpipe();
      const context = await lun.attach({ queueDepth: 8 });
      try {
        const device = (await context.openVirtual({ blocks: 64 })).blockDevice();
        const records = Array.from({ length: 20 }, (_, n) => Buffer.alloc(4096, n));
        await Promise.all(records.map((block, n) => device.write(n, block)));
        const back = await Promise.all(records.map((_, n) => device.read(n, 1)));
        return records.map((block, n) => block.equals(back[n]!));
      } finally {
        await context.close();
        await lun.close();
      }
    };
    const recording = await record('flash', program, createMockCxl({ cards: [], flash: [{}] }));
    const replayed = replayCxl(recording);
    expect(await program(replayed)).toEqual(new Array(20).fill(true));
    replayed.assertFinished();
  });

  it('mailboxes: exchanges are answered as they were', async () => {
    const recorded = recordCxl(createMockCxl(), { file: file('doe') });
    const program = async (doe: ReturnType<typeof recorded.recordDoe>) => {
      const found = await doe.mailboxes('0000:0d:00.0');
      const protocols = await found[0]!.discover();
      const answer = await found[0]!.exchange({ vendorId: 0x1e98, type: 2 }, Buffer.alloc(4), {
        force: true,
      });
      return { protocols, answer: Buffer.from(answer).toString('hex') };
    };
    const { Doe } = await import('node-cxl/doe');
    const told = await program(recorded.recordDoe(new Doe(mockDoeFromConfig().bus)));
    recorded.stop();
    expect(await program(replayCxl(file('doe')).doe)).toEqual(told);
    expect(told.answer.length).toBeGreaterThan(32);
  });
});

describe('a recording that cannot be replayed', () => {
  it('of a machine of the other byte order is refused in one line', async () => {
    const bytes = readFileSync(await record('endian', (system) => copyText(system)));
    const at = bytes.indexOf('little');
    bytes.write('medium', at);
    expect(() => replayCxl(bytes)).toThrow(
      /^this cannot be replayed: it is of a medium-endian machine, and this one is not/,
    );
  });

  it('of a big-endian machine is refused too, and its events are read', () => {
    const bytes = Buffer.from('00010010000000000000000200000000', 'hex');
    const big = writeRecording(
      file('big'),
      [{ type: 'events', time: 1, object: 1, bytes, errno: 0 }],
      { endian: 'big' },
    );
    const little = { type: 'end', time: 2, reason: 'stopped' } as const;
    const other = writeRecording(file('little'), [little], { endian: 'little' });
    const refused = HOST_IS_LITTLE_ENDIAN ? big : other;
    expect(() => replayCxl(refused)).toThrow(
      /^.* cannot be replayed: it is of a (big|little)-endian machine, and this one is not: replay it on such a one$/,
    );
    expect([...readRecording(big)]).toMatchObject([
      { type: 'events', bytes: new Uint8Array(bytes) },
    ]);
  });

  it('that was cut says where, when the program comes there', async () => {
    const recorded = recordCxl(createMockCxl(), { file: file('cut'), snapshot: false });
    await copyText(recorded);
    // As it is while the program runs: blocks that are not compressed.
    const bytes = readFileSync(file('cut'));
    recorded.stop();
    const system = replayCxl(bytes.subarray(0, bytes.length * 0.7));
    await expect(copyText(system)).rejects.toMatchObject({ code: 'ERR_CXL_REPLAY_DIVERGED' });
    expect(system.departure?.message).toMatch(/expected: no more calls/);
  });

  it('of a card of another kind departs where the program sees that', async () => {
    const system = createMockCxl({
      cards: [{ afus: [{ model: memcpyAfu() }], caiaVersion: '2.0' }],
    });
    const recording = await record(
      'caia',
      async (on) => {
        await (await on.afus())[0]!.mode();
        // The snapshot of the attributes is read meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 300));
      },
      system,
    );
    const found = await departure(recording, (on) => copyText(on));
    expect(found.message).toMatch(/expected: .*\n {2}came: {5}allocate/);
    expect(found.message).toMatch(
      /\n {2}card: {5}.*card0\/caia_version 2\.0, .*card0\/psl_revision 1/,
    );
    expect(found.card).toContain('card0/caia_version 2.0');
  });

  it('of another card than the attributes say is refused in one line', async () => {
    const recording = await record('attributes', (system) => copyText(system));
    const replay = (attributes: Record<string, string>) => () =>
      replayCxl(recording, { attributes });
    expect(replay({ 'card0/psl_revision': '1', 'afu0.0/api_version': '3' })).not.toThrow();
    const refused = (attributes: Record<string, string>, reason: string) =>
      expect(replay(attributes)).toThrow(
        expect.objectContaining({
          code: 'ERR_CXL_BAD_RECORDING',
          path: recording,
          message: `${recording} cannot be replayed: it is of another card: ${reason}`,
        }),
      );
    refused({ 'card0/psl_revision': '2' }, 'card0/psl_revision is "1", and must be "2"');
    refused({ 'card7/base_image': 'x' }, 'card7/base_image is not in it, and must be "x"');
    expect(replay({ 'card0/psl_revision': 1 as never })).toThrow(/ERR_INVALID_ARG_TYPE|a string/);
    expect(replay(null as never)).toThrow(/an object/);
  });
});
