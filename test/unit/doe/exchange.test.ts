import { type ExchangeOptions, MAX_PAYLOAD_BYTES } from 'node-cxl/doe';
import { createMockDoe, type MockFaults, type MockMailbox, type MockProtocol } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const echoProtocol = { vendorId: 0x1234, type: 7 };
const echo: MockProtocol = { ...echoProtocol, answer: (request) => Buffer.from(request) };
const CONTROL = 0x08;
const abortWrite = { kind: 'write', register: CONTROL, value: 1 };

async function setUp(faults: MockFaults = {}) {
  const doe = createMockDoe({
    functions: [{ address: '0000:01:00.0', mailboxes: [{ protocols: [echo], faults }] }],
  });
  const [mailbox] = await doe.mailboxes('0000:01:00.0');
  const device = doe.function('0000:01:00.0').mailboxes[0] as MockMailbox;
  device.log.length = 0;
  const payload = Buffer.from('0011223344556677', 'hex');
  return {
    doe,
    mailbox: mailbox!,
    device,
    payload,
    exchange: (options: ExchangeOptions = {}) => mailbox!.exchange(echoProtocol, payload, options),
    aborts: () =>
      device.log
        .filter(({ kind, register }) => kind === 'write' && register === CONTROL)
        .filter(({ value }) => value === 1).length,
  };
}

/** After a failure the mailbox is idle and takes the next exchange. */
async function expectUsable({ device, exchange, payload }: Awaited<ReturnType<typeof setUp>>) {
  expect(device.idle).toBe(true);
  device.faults = {};
  expect(await exchange()).toEqual(payload);
}

describe('an exchange', () => {
  it('sends the object and returns the payload of the answer', async () => {
    const { mailbox, device, payload, exchange, aborts } = await setUp();
    expect(mailbox.phase).toBe('idle');
    expect(await exchange()).toEqual(payload);
    expect(device.requests[0]!.toString('hex')).toBe(`3412070004000000${payload.toString('hex')}`);
    expect(aborts()).toBe(0);
    expect(mailbox.phase).toBe('idle');
  });

  it('sends and receives an object without payload', async () => {
    const { mailbox, device } = await setUp();
    expect((await mailbox.exchange(echoProtocol)).length).toBe(0);
    // Two dwords each way, with the usual reads of the status: the last dword is the header's.
    expect(device.log.length).toBe(5 + 2 + 2 * 2);
  });

  it('makes 7 accesses, one for each dword sent and two for each received', async () => {
    const { device, exchange, payload } = await setUp();
    await exchange();
    const dwords = 2 + payload.length / 4;
    // status, go, status ready, status before the last advance, status at the end
    expect(device.log.length).toBe(5 + dwords + 2 * dwords);
    const reads = device.log.filter(({ kind }) => kind === 'read').length;
    expect(reads).toBe(4 + dwords);
  });

  it('leaves a log of the model that does not grow without bound', async () => {
    const { device, exchange } = await setUp();
    for (let count = 0; count < 1100; count++) await exchange();
    const each = device.accesses;
    expect(each).toBeGreaterThan(18_000);
    expect(device.log.length).toBe(10_000);
    expect(device.requests.length).toBe(1000);
    // The newest ones.
    expect(device.log.at(-1)).toMatchObject({ kind: 'read', register: 0x0c });
  });

  it('copies the payload at the call', async () => {
    const { mailbox } = await setUp();
    const payload = Buffer.from([1, 2, 3, 4]);
    const answer = mailbox.exchange(echoProtocol, payload);
    payload.fill(0xff);
    expect(await answer).toEqual(Buffer.from([1, 2, 3, 4]));
  });

  it('transfers the longest object, whose length is written as 0', async () => {
    const { mailbox, device } = await setUp();
    expect(MAX_PAYLOAD_BYTES).toBe(2 ** 20 - 8);
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES, 0x5a);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const answer = await mailbox.exchange(echoProtocol, payload);
    clearInterval(timer);
    expect(answer.equals(payload)).toBe(true);
    expect(device.requests[0]!.readUInt32LE(4)).toBe(0);
    // The event loop runs during these half a million accesses.
    expect(turns).toBeGreaterThan(2);
  });

  it('waits for a slow answer', async () => {
    const { device, exchange, payload, aborts } = await setUp({ delay: 40 });
    expect(await exchange()).toEqual(payload);
    expect(aborts()).toBe(0);
    const polls = device.log.filter((a) => a.kind === 'read' && a.register === 0x0c).length;
    expect(polls).toBeGreaterThan(4);
    expect(polls).toBeLessThan(40);
  });
});

describe('arguments are refused before the device is touched', () => {
  it('a payload of an incomplete dword, too long, or not bytes', async () => {
    const { mailbox, device } = await setUp();
    const refusal = { code: 'ERR_OUT_OF_RANGE' };
    await expect(mailbox.exchange(echoProtocol, Buffer.alloc(5))).rejects.toMatchObject(refusal);
    const tooLong = Buffer.alloc(MAX_PAYLOAD_BYTES + 4);
    await expect(mailbox.exchange(echoProtocol, tooLong)).rejects.toMatchObject(refusal);
    await expect(mailbox.exchange(echoProtocol, 'abcd' as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    expect(device.log).toEqual([]);
  });

  it('an invalid protocol, timeout, limit or signal', async () => {
    const { mailbox, exchange, device } = await setUp();
    const refusal = { code: 'ERR_OUT_OF_RANGE' };
    for (const protocol of [
      { vendorId: 0x10000, type: 0 },
      { vendorId: 1, type: 256 },
      { vendorId: -1, type: 0 },
    ]) {
      await expect(mailbox.exchange(protocol)).rejects.toMatchObject(refusal);
    }
    for (const none of [undefined, null, 7]) {
      await expect(mailbox.exchange(none as never)).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_TYPE',
      });
    }
    await expect(exchange({ timeout: 0 })).rejects.toMatchObject(refusal);
    await expect(exchange({ maxLength: -4 })).rejects.toMatchObject(refusal);
    await expect(exchange({ signal: {} as never })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    expect(device.log).toEqual([]);
  });
});

describe('before sending', () => {
  it('refuses a busy mailbox without aborting it', async () => {
    const world = await setUp({ busy: true });
    await expect(world.exchange()).rejects.toMatchObject({ code: 'EBUSY', syscall: 'doe(send)' });
    expect(world.device.log.map(({ kind }) => kind)).toEqual(['read']);
    world.device.faults = {};
    await expectUsable(world);
  });

  it('refuses a busy mailbox that has an error', async () => {
    const world = await setUp({ busy: true });
    world.device.leaveBehind('error');
    await expect(world.exchange()).rejects.toMatchObject({ code: 'EBUSY' });
    expect(world.aborts()).toBe(0);
  });

  it('clears an error that an earlier user left', async () => {
    const world = await setUp();
    world.device.leaveBehind('error');
    expect(await world.exchange()).toEqual(world.payload);
    expect(world.aborts()).toBe(1);
  });

  it('clears an answer that an earlier user did not read', async () => {
    const world = await setUp();
    world.device.leaveBehind('ready');
    expect(await world.exchange()).toEqual(world.payload);
    expect(world.aborts()).toBe(1);
  });
});

describe('a failed exchange is aborted and leaves the mailbox idle', () => {
  const rows: { name: string; faults: MockFaults; failure: object; options?: ExchangeOptions }[] = [
    { name: 'an error while sending', faults: { errorAt: 'send' }, failure: { code: 'EIO' } },
    { name: 'an error at go', faults: { errorAt: 'go' }, failure: { code: 'EIO' } },
    {
      name: 'an error in the middle of the answer',
      faults: { errorAt: 'receive' },
      failure: { code: 'EIO', syscall: 'doe(receive)' },
    },
    {
      name: 'an error at the end of the answer',
      faults: { errorAt: 'end' },
      failure: { code: 'EIO', syscall: 'doe(receive)' },
    },
    {
      name: 'no answer in time',
      faults: { silent: true },
      failure: { code: 'ETIMEDOUT', syscall: 'doe(wait)' },
      options: { timeout: 30 },
    },
    {
      name: 'an answer that is late',
      faults: { delay: 60_000 },
      failure: { code: 'ETIMEDOUT' },
      options: { timeout: 30 },
    },
    {
      name: 'an answer of another protocol',
      faults: { answerAs: { vendorId: 0x1e98, type: 2 } },
      failure: { code: 'EPROTO', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer of another type of the same vendor',
      faults: { answerAs: { vendorId: 0x1234, type: 8 } },
      failure: { code: 'EPROTO', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer of the same type of another vendor',
      faults: { answerAs: { vendorId: 0x4321, type: 7 } },
      failure: { code: 'EPROTO', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer shorter than its own header',
      faults: { announce: 1 },
      failure: { code: 'EBADMSG', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer shorter than it says',
      faults: { announce: 9 },
      failure: { code: 'EBADMSG', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer longer than it says',
      faults: { announce: 3 },
      failure: { code: 'EBADMSG', syscall: 'doe(receive)' },
    },
    {
      name: 'an answer that ends at its header and says otherwise',
      faults: { mangle: () => Buffer.alloc(0), announce: 4 },
      failure: { code: 'EBADMSG', syscall: 'doe(receive)' },
    },
  ];
  for (const { name, faults, failure, options } of rows) {
    it(name, async () => {
      const world = await setUp(faults);
      await expect(world.exchange(options)).rejects.toMatchObject(failure);
      expect(world.aborts()).toBe(1);
      expect(world.device.log).toContainEqual(abortWrite);
      expect(world.mailbox.phase).toBe('idle');
      await expectUsable(world);
    });
  }

  it('a wrong length of 0 ends at the next check, not after 2^18 dwords', async () => {
    const world = await setUp({ announce: 0 });
    await expect(world.exchange()).rejects.toMatchObject({ code: 'EBADMSG' });
    expect(world.device.log.length).toBeLessThan(2500);
    await expectUsable(world);
  });
});

describe('an answer longer than the caller allows', () => {
  it('is read to its end and refused, without an abort', async () => {
    const world = await setUp();
    await expect(world.exchange({ maxLength: 4 })).rejects.toMatchObject({
      code: 'EOVERFLOW',
      syscall: 'doe(receive)',
    });
    expect(world.aborts()).toBe(0);
    await expectUsable(world);
  });

  it('is refused also by a limit within a dword', async () => {
    const world = await setUp();
    await expect(world.exchange({ maxLength: 6 })).rejects.toMatchObject({ code: 'EOVERFLOW' });
    expect(world.aborts()).toBe(0);
    await expectUsable(world);
  });

  it('is returned when it has exactly the allowed length', async () => {
    const { exchange, payload } = await setUp();
    expect(await exchange({ maxLength: 8 })).toEqual(payload);
  });
});

describe('reset()', () => {
  it('refuses a mailbox that another process is using', async () => {
    const { mailbox, aborts } = await setUp({ busy: true });
    await expect(mailbox.reset()).rejects.toMatchObject({ code: 'EBUSY', syscall: 'doe(reset)' });
    expect(aborts()).toBe(0);
    expect(mailbox.phase).toBe('idle');
  });

  it('clears an error and an unread answer', async () => {
    const { mailbox, device } = await setUp();
    device.leaveBehind('ready');
    await mailbox.reset();
    expect(device.idle).toBe(true);
  });
});

describe('the device is removed during an exchange', () => {
  for (const how of ['unplugged', 'link down'] as const) {
    it(`at any access (${how})`, async () => {
      const whole = await setUp();
      await whole.exchange();
      for (let accesses = 0; accesses < whole.device.log.length; accesses += 1) {
        const world = await setUp();
        // Finding it was one access of its registers.
        world.device.faults = { goneAfter: { accesses: accesses + 1, how } };
        await expect(world.exchange()).rejects.toMatchObject({ code: 'ENODEV' });
        expect(world.mailbox.phase).toBe('dead');
        await expect(world.exchange()).rejects.toMatchObject({ code: 'ENODEV' });
      }
    });
  }

  it('and is usable when it is found again', async () => {
    const world = await setUp();
    world.device.faults = { goneAfter: { accesses: 6, how: 'link down' } };
    await expect(world.exchange()).rejects.toMatchObject({ code: 'ENODEV' });
    const fn = world.doe.function('0000:01:00.0');
    await expect(world.doe.mailboxes(fn.address)).rejects.toMatchObject({ code: 'ENODEV' });
    world.device.faults = {};
    fn.restore();
    const [again] = await world.doe.mailboxes(fn.address);
    expect(again!.phase).toBe('idle');
    expect(await again!.exchange(echoProtocol, world.payload)).toEqual(world.payload);
  });
});

describe('an AbortSignal', () => {
  it('already aborted: nothing is sent', async () => {
    const { exchange, device } = await setUp();
    const reason = new Error('changed my mind');
    const failure = await exchange({ signal: AbortSignal.abort(reason) }).catch((error) => error);
    expect(failure).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    expect(device.log).toEqual([]);
  });

  it('while waiting: the exchange is aborted, the mailbox idle', async () => {
    const world = await setUp({ silent: true });
    const controller = new AbortController();
    const call = world.exchange({ signal: controller.signal, timeout: 60_000 });
    setTimeout(() => controller.abort(), 20);
    await expect(call).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    expect(world.aborts()).toBe(1);
    await expectUsable(world);
  });

  it('in the middle of a long request: the request never has its end', async () => {
    const world = await setUp();
    const controller = new AbortController();
    const call = world.mailbox.exchange(echoProtocol, Buffer.alloc(MAX_PAYLOAD_BYTES), {
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 1);
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    const controls = world.device.log.filter(({ register }) => register === CONTROL);
    expect(controls).toEqual([abortWrite]);
    await expectUsable(world);
  });

  it('in the middle of a long answer: the exchange is aborted, the mailbox idle', async () => {
    const world = await setUp();
    const controller = new AbortController();
    const call = world.mailbox.exchange(echoProtocol, Buffer.alloc(MAX_PAYLOAD_BYTES), {
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 10);
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    expect(world.aborts()).toBe(1);
    await expectUsable(world);
  });
});
