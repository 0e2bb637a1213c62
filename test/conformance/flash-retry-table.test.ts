import type { BlockDevice, CommandError, FlashAttachOptions, FlashContext } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { inject, statusWord, testTarget } from './flash-target';
import { CHECK, type Codes, FAILED, RETRIED, sense } from './support/flash-statuses';

/** Milliseconds that two retries wait; with VERIFY they wait for the driver alone. */
const DELAYS = { again: 1 + 2, later: 20 + 40, verify: 0 } as const;

describe('the table of statuses', () => {
  const target = testTarget();
  let context: FlashContext;

  async function open(options: FlashAttachOptions = {}): Promise<BlockDevice> {
    context = await target.attach(await target.lun(), { retries: 2, ...options });
    return (await context.openDirect()).blockDevice();
  }

  function failure(promise: Promise<unknown>): Promise<CommandError> {
    return promise.then(
      () => Promise.reject(new Error('it succeeded')),
      (error) => error as CommandError,
    );
  }

  for (const [name, codes, argument, errno, action] of RETRIED) {
    it(`issues again: ${name}`, async () => {
      const device = await open();
      inject(context, 'status', argument, statusWord(codes), 2);
      await device.read(0, 1);
      const { statistics } = context;
      expect(statistics).toMatchObject({
        issued: 3,
        retried: 2,
        retryDelay: DELAYS[action],
        verifies: action === 'verify' ? 2 : 0,
        completed: 1,
        errors: 2,
      });
      inject(context, 'status', argument, statusWord(codes), 3);
      const error = await failure(device.read(0, 1));
      expect([error.code, error.attempts]).toEqual([errno, 3]);
      expect(error.message).toContain('after 3 attempts');
      expect(context.statistics).toMatchObject({ issued: 6, retried: 4, failed: 1 });
    });
  }

  for (const [name, codes, argument, errno] of FAILED) {
    it(`reports at once: ${name}`, async () => {
      const device = await open();
      inject(context, 'status', argument, statusWord(codes));
      const error = await failure(device.read(0, 1));
      expect([error.code, error.attempts]).toEqual([errno, 1]);
      expect(context.statistics).toMatchObject({ issued: 1, retried: 0, failed: 1, errors: 1 });
      await device.read(0, 1);
    });
  }

  for (const key of [0, 1]) {
    it(`takes sense key ${key} for success`, async () => {
      const device = await open();
      inject(context, 'status', sense(key, 0), statusWord(CHECK));
      await device.read(0, 1);
      expect(context.statistics).toMatchObject({ issued: 1, completed: 1, checkConditions: 1 });
    });
  }

  it('a unit attention verifies the LUN, so that a new size is known', async () => {
    context = await target.attach(await target.lun(2));
    const device = (await context.openDirect()).blockDevice();
    try {
      inject(context, 'capacity', 2, 900n);
      inject(context, 'status', sense(6, 0x2a, 9), statusWord(CHECK), 3);
      await Promise.all([device.read(0, 1), device.read(1, 1), device.read(2, 1)]);
      expect(device.blocks).toBe(900n);
      expect(context.statistics?.verifies).toBe(3);
    } finally {
      inject(context, 'capacity', 2, 1000n);
    }
  });

  it('a unit attention fails the command when the LUN cannot be verified', async () => {
    const device = await open();
    try {
      inject(context, 'unreadable', 0, 1n);
      inject(context, 'status', sense(6, 0x29), statusWord(CHECK));
      const error = await failure(device.read(0, 1));
      expect(error).toMatchObject({ code: 'EIO', cause: { code: 'ENODEV' } });
    } finally {
      inject(context, 'unreadable', 0, 0n);
    }
    await device.read(0, 1);
  });

  it('decodes sense data into the error', async () => {
    const device = await open();
    inject(context, 'status', sense(3, 0x11), statusWord(CHECK));
    const error = await failure(device.read(0, 1));
    expect(error.sense).toMatchObject({ key: 'medium-error', code: 0x11, qualifier: 0 });
    expect(error.message).toContain('unrecovered read error');
  });

  it('counts errors by kind', async () => {
    const device = await open({ retries: 0 });
    const statuses: [Codes, number][] = [
      [{ afu: 0x30 }, 0],
      [{ afu: 0x50 }, 0],
      [{ fc: 0x57 }, 0],
      [{ fc: 0x54 }, 0],
      [{ fc: 0x52 }, 0],
      [CHECK, sense(3, 0x11)],
    ];
    for (const [codes, argument] of statuses) {
      inject(context, 'status', argument, statusWord(codes));
      await failure(device.read(0, 1));
    }
    expect(context.statistics).toMatchObject({
      errors: 6,
      failed: 6,
      afuErrors: 2,
      linkErrors: 3,
      checkConditions: 1,
      timeouts: 2,
      timeoutFailures: 2,
    });
    expect(context.statistics?.ports[0]).toEqual({ linkDowns: 1, noLogins: 1, errors: 1 });
    expect(device.statistics.errors).toBe(6);
  });
});
