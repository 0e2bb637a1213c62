/** How a flash context is recovered after a reset of the adapter. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ContextScript, failure, ID, NEW_ID, RESET, recovering, settledIn } from './context-script';
import { VirtualTime } from './virtual-time';

const [LUN, OTHER] = ['/dev/sg1', '/dev/sg2'] as const;
const contextId = ID;
const RECOVER = [LUN, 'RECOVER_AFU', { contextId }];
const NOT_RESET = { reset: false, id: ID, previousId: ID, retries: 0 };

afterEach(() => vi.restoreAllMocks());

describe('recover()', () => {
  it('leaves a context as it is whose adapter was not reset', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const { context: plain, registers } = context;
    expect(await context.recover()).toEqual(NOT_RESET);
    expect([script.taken(), context.context, context.registers]).toEqual([
      [RECOVER],
      plain,
      registers,
    ]);
  });

  it('replaces the id, the descriptor and the registers, and closes the old ones', async () => {
    for (const closeError of [undefined, failure('EIO')]) {
      const script = new ContextScript();
      const { context } = await script.attach();
      script.answer = recovering(() => RESET);
      script.closeError = closeError;
      const recovery = { reset: true, id: NEW_ID, previousId: ID, retries: 0 };
      expect(await context.recover()).toEqual(recovery);
      expect(script.taken()).toEqual([RECOVER, 'close 7']);
      expect([context.id, context.context, context.registers]).toMatchObject([
        ...[NEW_ID, { fd: 8 }, { fd: 8 }],
      ]);
    }
  });

  it('counts how often it was repeated after EAGAIN', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const time = new VirtualTime();
    await time.during(async () => {
      for (const [answer, reset] of [
        [RESET, true],
        [{ returnFlags: 0n }, false],
      ] as const) {
        script.answer = recovering(() => (script.calls.length < 4 ? failure('EAGAIN') : answer));
        const recovery = settledIn(time, context.recover(), 1000);
        expect(await recovery).toMatchObject({ reset, retries: 3 });
        script.taken();
      }
    });
  });

  it('is one for calls that come together', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const [first, second] = [context.recover(), context.recover()];
    expect(second).toBe(first);
    await first;
    expect(script.taken()).toHaveLength(1);
    await context.recover();
    expect(script.taken()).toHaveLength(1);
  });

  it('goes on where it failed, with the descriptor that it has', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    script.answer = recovering(() => RESET);
    script.adoptError = failure('ENOMEM');
    await expect(context.recover()).rejects.toBe(script.adoptError);
    expect([context.id, context.context]).toMatchObject([NEW_ID, { fd: 7 }]);
    await expect(context.recover()).rejects.toBe(script.adoptError);
    // A later reset makes the descriptor of the one before useless.
    expect(script.taken()).toEqual([
      ...[RECOVER, [LUN, 'RECOVER_AFU', { contextId: NEW_ID }], 'closeDescriptor 8'],
    ]);
    script.adoptError = undefined;
    script.answer = () => undefined;
    const recovery = { reset: true, id: NEW_ID, previousId: NEW_ID, retries: 0 };
    expect(await context.recover()).toEqual(recovery);
    expect(script.taken()).toEqual([[LUN, 'RECOVER_AFU', { contextId: NEW_ID }], 'close 7']);
    expect(context.context).toMatchObject({ fd: 8 });
    expect(await context.recover()).toMatchObject({ reset: false });
    expect(script.taken()).toHaveLength(1);
  });

  it('asks the driver by a LUN that is open, or opens one for that', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    luns[0]!.closed = true;
    await context.recover();
    expect(script.taken()).toEqual([[OTHER, 'RECOVER_AFU', { contextId }]]);
    for (const lun of luns) lun.closed = true;
    for (const closeError of [undefined, failure('EIO')]) {
      luns[0]!.closeError = closeError;
      await context.recover();
      expect(script.ioctls()).toEqual([`${LUN} again RECOVER_AFU`]);
    }
    const gone = failure('ENODEV');
    script.answer = () => gone;
    await expect(context.recover()).rejects.toBe(gone);
    const again = `${LUN} again`;
    expect(script.taken()).toEqual([[again, 'RECOVER_AFU', { contextId }], `close ${again}`]);
  });
});

describe('the queue of a context that is recovered', () => {
  it('is told before and after', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    script.observeQueue(context);
    script.answer = recovering(() => RESET);
    await context.recover();
    const before = ['queue.pause', 'queue.resetContext'];
    expect(script.taken()).toEqual([
      ...[...before, RECOVER, 'close 7', ['queue.resume', true], 'queue.proceed'],
    ]);
    script.answer = () => undefined;
    await context.recover();
    expect(script.taken().slice(3)).toEqual([['queue.resume', false], 'queue.proceed']);
  });

  it('ends what hangs by a reset of the context, where that helps', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    script.observeQueue(context, true);
    expect(await context.recover()).toEqual(NOT_RESET);
    expect(script.taken()).toEqual([
      ...['queue.pause', 'queue.resetContext', ['queue.resume', false], 'queue.proceed'],
    ]);
  });

  it('is told when that failed', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    script.observeQueue(context);
    const gone = failure('ENODEV');
    script.answer = recovering(() => gone);
    await expect(context.recover()).rejects.toBe(gone);
    expect(script.taken().slice(-2)).toEqual([['queue.recoveryFailed', gone], 'queue.proceed']);
    // The next one begins anew.
    script.answer = () => undefined;
    expect(await context.recover()).toEqual(NOT_RESET);
  });

  it('issues its commands by the new registers, with the number of the context', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const device = (await context.openDirect()).blockDevice();
    const issued = vi.spyOn(context.queue.ring, 'issue');
    const held = vi.spyOn(context.queue.ring, 'holdBy');
    const write = async () => {
      const written = device.write(0, new Uint8Array(4096));
      script.afu.complete(0);
      script.afu.interrupt();
      await written;
    };
    await write();
    script.answer = recovering(() => RESET);
    await context.recover();
    await write();
    expect(issued.mock.calls.map(([page, , number]) => [page, number])).toMatchObject([
      [{ fd: 7 }, 0x8000_0007],
      [{ fd: 8 }, 0x8000_0009],
    ]);
    expect(held.mock.calls).toEqual([[context.context]]);
    // It has the context recovered by itself.
    script.taken();
    script.answer = () => undefined;
    script.afu.fault = 'lost';
    const written = device.write(0, new Uint8Array(4096));
    while (script.afu.held.length === 0) await loopTurn();
    script.afu.complete(0);
    script.afu.interrupt();
    await written;
    expect(context.statistics).toMatchObject({ completed: 3, failed: 0 });
    await context.close();
  });
});
