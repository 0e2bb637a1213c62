/** How LUNs are detached from a flash context, and how all of it is closed. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ContextScript, failure, ID, NEW_ID, RESET, recovering, settledIn } from './context-script';
import { VirtualTime } from './virtual-time';

const coded = (code: string) => expect.objectContaining({ code });
const [LUN, OTHER, THIRD] = ['/dev/sg1', '/dev/sg2', '/dev/sg3'] as const;
const contextId = ID;

afterEach(() => vi.restoreAllMocks());

describe('detach()', () => {
  it('of one LUN of several frees its resources, after their commands', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    const [first, second] = luns;
    const kept = await context.openVirtual({ lun: first! });
    const virtual = await context.openVirtual({ lun: second!, blocks: 1 });
    const direct = await context.openDirect(second);
    for (const resource of context.resources) script.observeScrub(resource);
    let proceed = () => {};
    const retire = vi.spyOn(context, 'retire').mockImplementation(
      () =>
        new Promise((resolve) => {
          proceed = resolve;
        }),
    );
    script.taken();
    const detached = context.detach(second!);
    for (const resource of [virtual, direct]) {
      expect(() => resource.assertOpen()).toThrow(coded('ERR_INVALID_STATE'));
      expect(resource.released).toBe(false);
    }
    kept.assertOpen();
    await loopTurn();
    expect(script.taken()).toEqual([]);
    const [matches, error] = retire.mock.calls[0]!;
    expect([virtual, direct, kept].map((resource) => matches({ resource } as never))).toEqual([
      ...[true, true, false],
    ]);
    expect(error).toMatchObject({ code: 'ECANCELED', path: OTHER });
    expect(error.message).toContain('its LUN was detached');
    proceed();
    await detached;
    expect(script.taken()).toEqual([
      ['scrub', 2, 0n, 65536n, false],
      ['scrub', 3, 0n, 1000n, false],
      [OTHER, 'RELEASE', { contextId, rsrcHandle: 2n }],
      [OTHER, 'DETACH', { contextId }],
    ]);
    expect([context.luns, context.resources]).toEqual([[first, luns[2]], [kept]]);
    expect([virtual.released, context.closed]).toEqual([true, false]);
    await expect(context.detach(second!)).rejects.toEqual(coded('ERR_INVALID_STATE'));
  });

  it('frees what is opened on the LUN meanwhile', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    let opened = context.openDirect(luns[0]);
    script.answer = (_, name) => {
      if (name === 'DETACH') opened = context.openDirect(luns[1]);
      return name === 'DETACH' ? opened.then(() => undefined) : undefined;
    };
    const kept = await opened;
    await context.detach(luns[1]!);
    expect([(await opened).released, context.resources]).toEqual([true, [kept]]);
  });

  it('that fails leaves all of it as it was', async () => {
    for (const step of ['retire', 'scrub', 'DETACH']) {
      const script = new ContextScript();
      const { luns, context } = await script.attachThree();
      const resource = await context.openDirect(luns[1]);
      const error = failure('EIO');
      if (step === 'retire') vi.spyOn(context, 'retire').mockRejectedValueOnce(error);
      if (step === 'scrub') script.observeScrub(resource, error);
      script.answer = (_, name) => (name === step ? error : undefined);
      await expect(context.detach(luns[1]!)).rejects.toBe(error);
      resource.assertOpen();
      expect([context.luns.length, context.resources]).toEqual([3, [resource]]);
    }
  });

  it('leaves the LUN to a close() that has begun, and ends as that does', async () => {
    for (const [step, ended] of [
      ['retire', false],
      ['retire', true],
      ['scrub', false],
    ] as const) {
      const script = new ContextScript();
      const { luns, context } = await script.attachThree();
      const resource = await context.openVirtual({ lun: luns[1]! });
      const error = failure('EIO');
      script.answer = (path, name) => (path === OTHER && name === 'DETACH' ? error : undefined);
      const close = async () => {
        const closed = context.close().catch(() => undefined);
        if (ended) await closed;
        if (step === 'scrub') throw failure('ECANCELED');
      };
      if (step === 'retire') vi.spyOn(context, 'retire').mockImplementationOnce(close);
      else vi.spyOn(resource, 'scrubFrom').mockImplementationOnce(close);
      script.taken();
      await expect(context.detach(luns[1]!)).rejects.toBe(error);
      const calls = script.ioctls().filter((call) => call.startsWith(OTHER));
      // The driver may have given the id to another context since.
      expect(calls).toEqual([`${OTHER} RELEASE`, `${OTHER} DETACH`]);
    }
  });

  it('does not repeat the DETACH that a close() has made', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    const last = '/dev/sg4';
    await context.join(script.lun(last));
    script.taken();
    let answer: (value: unknown) => void = () => {};
    script.answer = (path) =>
      path === THIRD
        ? new Promise((resolve) => {
            answer = resolve;
          })
        : undefined;
    vi.spyOn(context, 'retire').mockImplementationOnce(async () => {
      void context.close();
      await loopTurn();
    });
    const detached = context.detach(luns[1]!);
    await loopTurn();
    await loopTurn();
    answer({});
    await detached;
    expect(script.ioctls()).toEqual([LUN, OTHER, THIRD, last].map((path) => `${path} DETACH`));
  });

  it('is one DETACH for calls that come together, and a close() meanwhile', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    const answers: ((value: unknown) => void)[] = [];
    script.answer = (_, name) =>
      name === 'DETACH' ? new Promise((resolve) => answers.push(resolve)) : undefined;
    const detach = () => context.detach(luns[1]!).catch((error) => error);
    const detached = [detach(), detach()];
    await loopTurn();
    const error = failure('EIO');
    answers.shift()?.(error);
    expect(await Promise.all(detached)).toEqual([error, error]);
    expect([script.ioctls(), context.luns]).toEqual([[`${OTHER} DETACH`], luns]);
    // It can be repeated.
    const ends = [detach(), detach()];
    await loopTurn();
    ends.push(context.close());
    script.answer = () => undefined;
    await loopTurn();
    answers.shift()?.({});
    expect(await Promise.all(ends)).toEqual([undefined, undefined, undefined]);
    expect(script.ioctls()).toEqual([OTHER, LUN, THIRD].map((path) => `${path} DETACH`));
  });

  it('of the last LUN closes the context', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach();
    const retire = vi.spyOn(context, 'retire');
    await context.detach(lun);
    expect([context.closed, script.taken()]).toEqual([
      true,
      [[LUN, 'DETACH', { contextId }], 'unmap 7', 'close 7'],
    ]);
    // That waits for no command: close() ends them.
    expect(retire).not.toHaveBeenCalled();
  });

  it('of all LUNs, at once or one while another is detached, closes the context', async () => {
    for (const apart of [false, true]) {
      const script = new ContextScript();
      const { luns, context } = await script.attachThree();
      let answer: (value: unknown) => void = () => {};
      script.answer = (path, name) =>
        path === LUN && name === 'DETACH'
          ? new Promise((resolve) => {
              answer = resolve;
            })
          : undefined;
      const ends: Promise<void>[] = [];
      for (const lun of luns) {
        ends.push(context.detach(lun));
        if (apart) await loopTurn();
      }
      await loopTurn();
      answer({});
      await Promise.all(ends);
      expect([context.closed, context.luns]).toEqual([true, []]);
      const calls = script.taken();
      expect(calls.slice(-2)).toEqual(['unmap 7', 'close 7']);
      expect(calls.slice(0, -2)).toEqual(
        [LUN, OTHER, THIRD].map((path) => [path, 'DETACH', { contextId }]),
      );
    }
  });
});

describe('close()', () => {
  it('ends the commands, then frees all that there is, once', async () => {
    const script = new ContextScript();
    const { luns, context } = await script.attachThree();
    await context.openVirtual({ lun: luns[0]! });
    await context.openDirect(luns[1]);
    const last = await context.openVirtual({ lun: luns[1]! });
    script.observeQueue(context);
    luns[2]!.closed = true;
    const closing = context.close();
    expect(context.close()).toBe(closing);
    expect(context[Symbol.asyncDispose]()).toBe(closing);
    await closing;
    expect(script.taken()).toEqual([
      'queue.close',
      [LUN, 'RELEASE', { contextId, rsrcHandle: 1n }],
      [LUN, 'DETACH', { contextId }],
      [OTHER, 'RELEASE', { contextId, rsrcHandle: 3n }],
      [OTHER, 'DETACH', { contextId }],
      ...['unmap 7', 'close 7', 'queue.free'],
    ]);
    expect([context.luns, context.resources, last.released]).toEqual([[], [], true]);
  });

  it('goes on when a LUN cannot be detached, whose error it fails with', async () => {
    for (const code of ['EIO', 'ENODEV'] as const) {
      const script = new ContextScript();
      const { context } = await script.attachThree();
      const errors = new Map([LUN, OTHER].map((path) => [path as string, failure(code)]));
      script.answer = (path) => errors.get(path);
      const closed = await context.close().catch((error) => error);
      // Where the adapter is gone, so is the context.
      expect(closed).toBe(code === 'EIO' ? errors.get(LUN) : undefined);
      expect(script.taken()).toEqual([
        ...[LUN, OTHER, THIRD].map((path) => [path, 'DETACH', { contextId }]),
        ...['unmap 7', 'close 7'],
      ]);
    }
    const script = new ContextScript();
    const { context } = await script.attach();
    const notOfTheDriver = Object.assign(new Error('no such adapter'), { code: 'ENODEV' });
    script.answer = () => notOfTheDriver;
    await expect(context.close()).rejects.toBe(notOfTheDriver);
  });

  it('fails when the descriptor cannot be closed, and has freed the rest', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    await context.openDirect();
    script.observeQueue(context);
    script.closeError = failure('EIO');
    await expect(context.close()).rejects.toBe(script.closeError);
    expect(script.taken().at(-1)).toBe('queue.free');
    expect([context.luns, context.resources]).toEqual([[], []]);
  });

  it('waits for a recovery, and closes what that has left', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    let answer: (value: unknown) => void = () => {};
    const recovered = new Promise((resolve) => {
      answer = resolve;
    });
    script.answer = recovering(() => recovered);
    script.adoptError = failure('ENOMEM');
    const recovery = context.recover().catch((error) => error);
    const closing = context.close();
    await loopTurn();
    expect(script.ioctls()).toEqual([`${LUN} RECOVER_AFU`]);
    answer(RESET);
    expect(await recovery).toBe(script.adoptError);
    await closing;
    expect(script.taken()).toEqual([
      [LUN, 'DETACH', { contextId: NEW_ID }],
      ...['unmap 7', 'closeDescriptor 8', 'close 7'],
    ]);
  });

  it('overwrites what is to be, and no more, before the commands end', async () => {
    for (const errors of [[], [failure('EIO'), failure('ENOMEM')]]) {
      const script = new ContextScript();
      const { context } = await script.attach();
      const plain = await context.openVirtual({ blocks: 1 });
      const scrubbed = [
        await context.openVirtual({ blocks: 1, scrub: true }),
        await context.openVirtual({ scrub: true }),
      ];
      for (const [index, resource] of scrubbed.entries()) {
        script.observeScrub(resource, errors[index]);
      }
      script.observeScrub(plain);
      const { queue } = context;
      const retire = vi.spyOn(queue, 'retire');
      script.observeQueue(context);
      const detachError = failure('EINVAL');
      script.answer = (_, name) =>
        name === 'DETACH' && errors.length > 0 ? detachError : undefined;
      const closing = context.close();
      if (errors.length > 0) await expect(closing).rejects.toBe(errors[0]);
      else await closing;
      const calls = script.taken();
      expect(calls.slice(0, 3)).toEqual([
        ['scrub', 2, 0n, 65536n, true],
        ['scrub', 3, 0n, 0n, true],
        'queue.close',
      ]);
      const [matches, error] = retire.mock.calls[0]!;
      const matching = [plain, ...scrubbed].map((resource) => matches({ resource } as never));
      expect([retire.mock.calls.length, matching]).toEqual([2, [false, true, false]]);
      expect(error).toMatchObject({ code: 'ECANCELED' });
      expect(error.message).toContain('the context was closed');
    }
  });

  it('makes a queue to overwrite by, and none otherwise', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    await context.openVirtual({ blocks: 1 });
    const resource = await context.openVirtual({ blocks: 1, scrub: true });
    const refused = vi.spyOn(resource, 'refuseCommands');
    const scrubFrom = vi.spyOn(resource, 'scrubFrom').mockResolvedValue();
    const { queue } = context;
    await context.close();
    expect(refused.mock.calls).toEqual([[true]]);
    expect(scrubFrom.mock.calls).toEqual([[0n, 65536n, queue]]);
    const other = new ContextScript();
    const { context: unused } = await other.attach();
    other.observeScrub(await unused.openVirtual({ scrub: true }));
    other.taken();
    await unused.close();
    expect(other.taken().slice(0, 2)).toEqual(['allocate', ['scrub', 1, 0n, 0n, true]]);
    const third = new ContextScript();
    const { context: without } = await third.attach();
    await without.openVirtual();
    await without.close();
    expect(third.taken()).not.toContain('allocate');
  });

  it('waits 10 s for an AFU that is slow to free a virtual LUN', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    await context.openVirtual();
    const time = new VirtualTime();
    await time.during(async () => {
      script.answer = (_, name) => (name === 'RELEASE' ? failure('EAGAIN') : undefined);
      await settledIn(time, context.close(), 20_000);
      expect([time.now >= 10_000, time.now < 10_300]).toEqual([true, true]);
    });
    expect(script.taken().slice(-3)).toEqual([
      ...[[LUN, 'DETACH', { contextId }], 'unmap 7', 'close 7'],
    ]);
  });
});
