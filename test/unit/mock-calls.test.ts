import { AssertionError } from 'node:assert';
import { openLun } from 'node-cxl/flash';
import { type CallLogOptions, createMockCxl, echoAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const ECHO = 0x00;
const COUNT = 0x08;
const ADDRESS = 0x10;

function echoSystem(calls?: CallLogOptions) {
  return createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }], ...(calls && { calls }) });
}

/** Stores a value, reads it back, and has the AFU write it to memory. */
async function echoOnce(system: ReturnType<typeof echoSystem>, value: bigint) {
  const context = await system.open('afu0.0s');
  const memory = system.allocate(4096);
  await context.attach({ wed: 0n, holds: [memory] });
  const area = context.mapProblemState();
  area.write64(ECHO, value);
  const back = area.read64(ECHO);
  area.write64(ADDRESS, memory.address);
  await context.waitForInterrupt(1);
  const written = memory.load64(0, { endian: 'big' });
  await context.close();
  memory.free();
  return { back, written, address: memory.address };
}

function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('system.calls', () => {
  it('has every call of a program in order, with what went in and came out', async () => {
    const system = echoSystem({ detail: 'accesses' });
    const { address } = await echoOnce(system, 7n);
    const path = '/dev/cxl/afu0.0s';
    system.calls.assertCalls(
      [
        { name: 'open', path, answer: { fd: (fd: number) => fd > 2 } },
        { name: 'allocate', input: { size: 4096 }, answer: { address } },
        { name: 'ioctl(START_WORK)', path, input: { workElementDescriptor: 0n }, error: null },
        { name: 'mmap', path, input: { offset: 0, length: 0x10000, endian: 'big' } },
        { name: 'write64', path, input: { offset: ECHO, value: 7n } },
        { name: 'read64', path, input: { offset: ECHO }, answer: 7n },
        { name: 'write64', path, input: { offset: ADDRESS, value: address } },
        {
          name: 'read',
          path,
          answer: [{ type: 'afu-interrupt', processElement: 0, flags: 0, irq: 1 }],
        },
        { name: 'load64', input: { address, offset: 0 }, answer: 7n },
        { name: 'munmap', path },
        { name: 'close', path },
        { name: 'free', input: { address } },
      ],
      { among: { name: /^(?!sysfs)/ } },
    );
    const calls = [...system.calls];
    expect(calls.map(({ number }) => number)).toEqual(calls.map((_, index) => index));
    for (const { time, duration } of calls) {
      expect(time).toBeGreaterThan(0);
      expect(duration).toBeGreaterThanOrEqual(0);
    }
  });

  it('has blocks of registers, reads of sysfs, and ioctls of flash', async () => {
    const system = createMockCxl({
      cards: [{ afus: [{ model: echoAfu() }] }],
      flash: [{}],
      calls: { detail: 'accesses' },
    });
    await using context = await system.open('afu0.0s');
    await context.attach({ wed: 5n });
    const area = context.mapProblemState();
    area.readBlock(ECHO, new BigUint64Array(2));
    area.writeBlock(ECHO, new Uint32Array([1, 2]));
    system.calls.assertCalled({ name: 'readBlock', input: { width: 64 }, answer: [5n, 0n] }, 1);
    system.calls.assertCalled({ name: 'writeBlock', input: { width: 32, values: [1, 2] } }, 1);
    system.calls.assertCalled({ name: 'sysfs.read', path: /\/mmio_size$/, answer: '65536\n' });
    await using lun = await openLun('/dev/sg1', { system });
    await lun.enableSuperpipe();
    system.calls.assertCalled({ name: 'ioctl(MANAGE_LUN)', path: '/dev/sg1', error: null }, 1);
  });

  it('has the errno of a call that failed, and SIGBUS of an access that faulted', async () => {
    const system = echoSystem({ detail: 'accesses' });
    system.inject({ name: 'start-work', errno: 'EBUSY' });
    await using context = await system.open('afu0.0s');
    await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'EBUSY' });
    await context.attach({ wed: 0n });
    const area = context.mapProblemState();
    system.inject({ name: 'mmio' });
    expect(() => area.read32(COUNT)).toThrow(/EIO/);
    await expect(system.open('/dev/cxl/afu9.0s')).rejects.toMatchObject({ code: 'ENOENT' });
    system.calls.assertCalled({ name: 'ioctl(START_WORK)', error: 'EBUSY' }, 1);
    system.calls.assertCalled({ name: 'ioctl(START_WORK)', error: null }, 1);
    system.calls.assertCalled({ name: 'read32', input: { offset: COUNT }, error: 'SIGBUS' }, 1);
    system.calls.assertCalled({
      name: 'sysfs.realpath',
      path: '/dev/cxl/afu9.0s',
      error: 'ENOENT',
    });
  });

  it('tells the contexts of one AFU apart', async () => {
    const system = echoSystem({ detail: 'accesses' });
    const contexts = await Promise.all([system.open('afu0.0s'), system.open('afu0.0s')]);
    for (const [index, context] of contexts.entries()) {
      await context.attach({ wed: 0n });
      context.mapProblemState().write64(ECHO, BigInt(index));
    }
    const second = contexts[1]!;
    const writes = system.calls.filter({ fd: second.fd, name: 'write64' });
    expect(writes.map(({ input }) => input['value'])).toEqual([1n]);
    for (const context of contexts) await context.close();
  });

  it('has no accesses unless they are asked for, and nothing with detail none', async () => {
    const system = echoSystem();
    expect(system.calls.detail).toBe('calls');
    await echoOnce(system, 1n);
    expect(system.calls.filter({ name: /64$/ })).toEqual([]);
    expect(system.calls.length).toBeGreaterThan(5);
    system.calls.detail = 'none';
    system.calls.clear();
    await echoOnce(system, 1n);
    expect(system.calls.length).toBe(0);
  });

  it('shows what differs from what was expected', async () => {
    const system = echoSystem({ detail: 'accesses' });
    await echoOnce(system, 7n);
    const registers = { name: /^(read|write)64$/ };
    const message = messageOf(() =>
      system.calls.assertCalls(
        [
          { name: 'write64', input: { offset: ECHO, value: 7n } },
          { name: 'read64', input: { offset: COUNT } },
          { name: 'write64', input: { offset: ADDRESS } },
          { name: 'read64', input: { offset: ECHO } },
        ],
        { among: registers },
      ),
    );
    const [first] = system.calls.filter(registers);
    const node = `/dev/cxl/afu0.0s(${first!.fd})`;
    const { address } = system.calls.filter({ name: 'free' })[0]!.input as { address: bigint };
    expect(message.split('\n')).toEqual([
      'the calls differ from what was expected (- expected, + made):',
      `  ${node} write64 {offset: 0x0, value: 0x7n}`,
      '- read64 {offset: 0x8}',
      `+ ${node} read64 {offset: 0x0} = 0x7n`,
      '    input.offset: expected 0x8, got 0x0',
      `  ${node} write64 {offset: 0x10, value: 0x${address.toString(16)}n}`,
      '- read64 {offset: 0x0}',
    ]);
  });

  it('shows the call nearest to one that was not made', async () => {
    const system = echoSystem({ detail: 'accesses' });
    await echoOnce(system, 7n);
    const message = messageOf(() =>
      system.calls.assertCalled({ name: 'write64', input: { offset: ECHO, value: 8n } }),
    );
    expect(message).toMatch(/^expected at least once: write64 \{offset: 0x0, value: 0x8n\}\n/);
    expect(message).toMatch(/nearest: .* write64 \{offset: 0x0, value: 0x7n\}\n/);
    expect(message).toMatch(/input\.value: expected 0x8n, got 0x7n$/);
    expect(messageOf(() => system.calls.assertCalled({ name: 'munmap' }, 0))).toMatch(
      /^expected never: munmap\nit was made 1 times\n {2}\/dev\/cxl\/afu0\.0s/,
    );
    expect(messageOf(() => echoSystem().calls.assertCalled({ name: 'open' }))).toMatch(
      /there are no calls in the log/,
    );
  });

  it('keeps the newest calls, and refuses to judge a log without the oldest', async () => {
    const system = echoSystem({ detail: 'accesses', limit: 10 });
    await echoOnce(system, 7n);
    expect(system.calls.length).toBeLessThanOrEqual(10);
    expect(system.calls.dropped).toBeGreaterThan(0);
    expect([...system.calls].at(-1)).toMatchObject({ name: 'free' });
    expect(messageOf(() => system.calls.assertCalled({ name: 'open' }, 0))).toMatch(/were dropped/);
    system.calls.clear();
    system.calls.assertCalled({ name: 'open' }, 0);
  });

  it('can be printed', async () => {
    const system = echoSystem();
    await echoOnce(system, 7n);
    expect(String(system.calls)).toMatch(
      /^sysfs\.realpath|\/dev\/cxl\/afu0\.0s\(\d+\) ioctl\(START_WORK\) \{flags: 0x0n, workElementDescriptor: 0x0n\} = \{tid: 0\}$/m,
    );
  });

  it('refuses options that there are not', () => {
    for (const calls of [{ detail: 'all' }, { limit: 0 }, { limits: 1 }, null]) {
      expect(() => createMockCxl({ calls: calls as CallLogOptions })).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^ERR_/) }),
      );
    }
    expect(() => {
      echoSystem().calls.detail = 'more' as 'none';
    }).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
  });
});
