/** A flash context and its driver: what is attached to it, opened on it, and cloned. */
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { flashFlags } from '../../../lib/binding/flash';
import { FlashContext } from '../../../lib/flash/flash-context';
import { CHUNK_BLOCKS, REGISTERS } from '../../../lib/flash/sislite';
import {
  ATTACHED,
  ContextScript,
  failure,
  ID,
  NEW_ID,
  PARENT,
  PROCESS,
  RESET,
  settledIn,
} from './context-script';
import { VirtualTime } from './virtual-time';

const coded = (code: string) => expect.objectContaining({ code });
const [LUN, OTHER, THIRD] = ['/dev/sg1', '/dev/sg2', '/dev/sg3'] as const;
const contextId = ID;

afterEach(() => vi.restoreAllMocks());

/** What a context's call ends with, within a second, when its first tries fail with EAGAIN. */
async function despiteEagain(call: (context: FlashContext) => Promise<unknown>): Promise<unknown> {
  const script = new ContextScript();
  const { context } = await script.attach();
  const time = new VirtualTime();
  return time.during(() => {
    script.answer = () => (script.calls.length < 3 ? failure('EAGAIN') : undefined);
    return settledIn(time, call(context), 1000);
  });
}

describe('attach()', () => {
  it('asks for the access and the interrupts of the options', async () => {
    const script = new ContextScript();
    for (const [access, flags] of [
      ['read', 0n],
      ['write', 1n],
      ['read-write', 2n],
    ] as const) {
      const options = { access, interrupts: 3 };
      const context = await FlashContext.attach(script.lun(LUN), options);
      expect(script.taken()).toEqual([[LUN, 'ATTACH', { flags, numInterrupts: 3n }]]);
      expect([context.access, context.id, context.closed]).toEqual([access, ID, false]);
    }
  });

  it('is repeated after EAGAIN until its signal aborts', async () => {
    const script = new ContextScript();
    const time = new VirtualTime();
    await time.during(async () => {
      let tries = 0;
      script.answer = () => {
        tries += 1;
        return tries <= 3 ? failure('EAGAIN') : undefined;
      };
      const attached = FlashContext.attach(script.lun(LUN), {});
      expect(await settledIn(time, attached, 1000)).toBeInstanceOf(FlashContext);
      expect(tries).toBe(4);
    });
    script.taken();
    const aborted = FlashContext.attach(script.lun(LUN), { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toEqual(coded('ABORT_ERR'));
    expect(script.taken()).toEqual([]);
  });

  it('makes a queue as the AFU and the options say, when it is first asked for', async () => {
    for (const squeue of [false, true]) {
      const script = new ContextScript();
      const flag = squeue ? flashFlags.contextSqCmdMode : flashFlags.appCloseAdapFd;
      script.answer = () => ({ ...ATTACHED, returnFlags: flag });
      const { context } = await script.attach({ bounceBytes: 8192, queueDepth: 5 });
      expect([context.statistics, script.taken()]).toEqual([undefined, []]);
      const stores = vi.spyOn(script.afu.page, 'write64');
      const { queue } = context;
      expect([queue.ring.bounceBytes, queue.ring.depth]).toEqual([8192, 5]);
      expect(stores.mock.calls.some(([offset]) => offset === REGISTERS.sqStart)).toBe(squeue);
    }
    const { context } = await new ContextScript().attach();
    expect(context.queue).toBe(context.queue);
    expect(context.statistics).toBe(context.queue.statistics);
  });

  it('gives a context with the LUN, which is shown', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach({ access: 'read' });
    expect([context.luns, context.resources]).toEqual([[lun], []]);
    expect([context.context, context.registers]).toMatchObject([{ fd: 7 }, { fd: 7 }]);
    expect(context.geometry()).toEqual({ blockSize: 4096, blocks: 1000n, maxTransfer: 64 });
    expect(context.geometry(lun)).toBe(context.geometry());
    await context.openDirect();
    expect(inspect(context, { breakLength: 200 })).toBe(
      "FlashContext { id: 0x580000007, access: 'read', luns: 1, resources: 1, closed: false }",
    );
    await context.close();
    expect(inspect(context)).toContain('closed: true');
  });
});

describe('a LUN that is not of the context', () => {
  it('is refused before any ioctl', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const other = script.lun(OTHER);
    for (const [code, lun] of [
      ['ERR_INVALID_STATE', other],
      ['ERR_INVALID_ARG_TYPE', null],
      ['ERR_INVALID_ARG_TYPE', { path: LUN }],
      ['ERR_INVALID_ARG_TYPE', 'lun'],
    ] as const) {
      expect(() => context.geometry(lun as never)).toThrow(coded(code));
      await expect(context.openDirect(lun as never)).rejects.toEqual(coded(code));
      await expect(context.detach(lun as never)).rejects.toEqual(coded(code));
      if (lun !== null) {
        await expect(context.openVirtual({ lun } as never)).rejects.toEqual(coded(code));
      }
      if (lun !== other) await expect(context.join(lun as never)).rejects.toEqual(coded(code));
    }
    expect(() => context.geometry(other)).toThrow(OTHER);
    expect(() => context.geometry('x' as never)).toThrow(/^lun must be a Lun;/);
    const wrong = context.openVirtual({ blocks: -1 });
    await expect(wrong).rejects.toEqual(coded('ERR_OUT_OF_RANGE'));
    await expect(wrong).rejects.toThrow(/^options\.blocks must/);
    await expect(context.openVirtual({ scrub: 1 } as never)).rejects.toEqual(
      coded('ERR_INVALID_ARG_TYPE'),
    );
    expect(script.taken()).toEqual([]);
  });

  it('has to be named when there are several', async () => {
    const script = new ContextScript();
    const { context, luns } = await script.attachThree();
    expect(() => context.geometry()).toThrow(coded('ERR_INVALID_ARG_TYPE'));
    expect(() => context.geometry()).toThrow(/^lun must be given: the context has several/);
    for (const call of [
      context.openDirect(),
      context.openVirtual(),
      context.cloneFrom({ contextId: '1', processId: PARENT, resources: [] }),
    ]) {
      await expect(call).rejects.toEqual(coded('ERR_INVALID_ARG_TYPE'));
    }
    expect(script.taken()).toEqual([]);
    expect((await context.openVirtual({ lun: luns[1] })).lun).toBe(luns[1]);
    expect((await context.openDirect(luns[2])).lun).toBe(luns[2]);
    expect(script.ioctls()).toEqual([`${OTHER} USER_VIRTUAL`, `${THIRD} USER_DIRECT`]);
  });
});

describe('join()', () => {
  it('attaches the LUN to the context', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach({ access: 'write' });
    const other = script.lun(OTHER);
    script.answer = () => ({ blockSize: 512n, lastLba: 9n, maxXfer: 8n });
    await context.join(other);
    const flags = flashFlags.reuseContext | 1n;
    const input = { flags, numInterrupts: 0n, contextId };
    expect(script.taken()).toEqual([[OTHER, 'ATTACH', input]]);
    expect(context.luns).toEqual([lun, other]);
    expect(context.geometry(other)).toEqual({ blockSize: 512, blocks: 10n, maxTransfer: 8 });
    expect(context.geometry(lun).blocks).toBe(1000n);
  });

  it('detaches one whose blocks cannot be used', async () => {
    for (const detached of [undefined, failure('EIO')]) {
      const script = new ContextScript();
      const { lun, context } = await script.attach();
      script.answer = (_, name) =>
        name === 'ATTACH' ? { blockSize: 0n, lastLba: 9n, maxXfer: 8n } : detached;
      await expect(context.join(script.lun(OTHER))).rejects.toMatchObject({
        ...{ code: 'EBADMSG', path: OTHER },
      });
      expect(script.taken()).toEqual([
        [OTHER, 'ATTACH', expect.anything()],
        [OTHER, 'DETACH', { contextId }],
      ]);
      expect(context.luns).toEqual([lun]);
    }
  });
});

describe('openDirect()', () => {
  it('opens all of the LUN, and is repeated after EAGAIN', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach();
    const resource = await context.openDirect();
    expect(script.taken()).toEqual([[LUN, 'USER_DIRECT', { contextId }]]);
    expect(resource).toMatchObject({ handle: 1, mode: 'direct', blocks: 1000n, scrub: false });
    expect([resource.lun, resource.context]).toEqual([lun, context]);
    expect([resource.allPortsActive, resource.released]).toEqual([false, false]);
    expect(context.resources).toEqual([resource]);
    const time = new VirtualTime();
    await time.during(async () => {
      script.answer = () => (script.calls.length < 3 ? failure('EAGAIN') : undefined);
      const opened = settledIn(time, context.openDirect(), 1000);
      expect(await opened).toMatchObject({ handle: 2 });
    });
  });
});

describe('openVirtual()', () => {
  it('opens an empty one, then makes it as large as asked for', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const empty = await context.openVirtual();
    const open = (flags: bigint) => [LUN, 'USER_VIRTUAL', { flags, contextId, lunSize: 0n }];
    expect(script.taken()).toEqual([open(0n)]);
    expect(empty).toMatchObject({ handle: 1, mode: 'virtual', blocks: 0n, scrub: false });
    expect(empty.allPortsActive).toBe(false);
    for (const blocks of [1000, 1000n]) {
      const resource = await context.openVirtual({ blocks, scrub: true });
      const resize = { contextId, rsrcHandle: script.handles, reqSize: 1000n };
      expect(script.taken()).toEqual([open(0n), [LUN, 'VLUN_RESIZE', resize]]);
      expect(resource).toMatchObject({ blocks: CHUNK_BLOCKS, scrub: true });
    }
    await context.openVirtual({ blocks: 0 });
    await context.openVirtual({ writeSame: false });
    await context.openVirtual({ writeSame: true, acceptWriteSameDefect: true });
    expect(script.taken()).toEqual([open(0n), open(0n), open(flashFlags.needWriteSame)]);
    script.answer = () => ({
      ...{ rsrcHandle: 9n, lastLba: 99n, returnFlags: flashFlags.allPortsActive },
    });
    expect((await context.openVirtual()).allPortsActive).toBe(true);
    expect(context.resources).toHaveLength(7);
  });

  it('is repeated after EAGAIN', async () => {
    expect(await despiteEagain((context) => context.openVirtual())).toMatchObject({ handle: 1 });
  });

  it('that gets no blocks releases its handle, or leaves that to close()', async () => {
    for (const released of [undefined, failure('EIO')]) {
      const script = new ContextScript();
      const { context } = await script.attach();
      const full = failure('ENOSPC');
      script.answer = (_, name) =>
        name === 'VLUN_RESIZE' ? full : name === 'RELEASE' ? released : undefined;
      const opened = context.openVirtual({ blocks: 1, scrub: true });
      await expect(opened).rejects.toBe(full);
      expect(script.taken().at(-1)).toEqual([LUN, 'RELEASE', { contextId, rsrcHandle: 1n }]);
      expect(context.resources).toHaveLength(released === undefined ? 0 : 1);
    }
  });
});

describe('the resources of a context', () => {
  it('are its own until they are removed or it is closed', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const [first, second] = [await context.openDirect(), await context.openDirect()];
    const foreign = await (await new ContextScript().attach()).context.openDirect();
    expect([first, foreign].map((resource) => context.has(resource))).toEqual([true, false]);
    context.removeResource(first);
    expect([context.has(first), context.resources]).toEqual([false, [second]]);
    context.assertUsable();
    const closing = context.close();
    expect([context.has(second), context.closed]).toEqual([false, true]);
    await closing;
    expect(() => context.assertUsable()).toThrow(coded('ERR_INVALID_STATE'));
  });

  it('have their commands retired by the queue, when there is one', async () => {
    const { context } = await new ContextScript().attach();
    const [matches, error] = [() => true, failure('EIO')] as const;
    await context.retire(matches, error);
    const retire = vi.spyOn(context.queue, 'retire');
    await context.retire(matches, error);
    expect(retire.mock.calls).toEqual([[matches, error]]);
    retire.mockRejectedValueOnce(error);
    await expect(context.retire(matches, error)).rejects.toBe(error);
  });
});

describe('a closed context', () => {
  it('refuses every call', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach();
    await context.close();
    script.taken();
    const refused = coded('ERR_INVALID_STATE');
    const token = { contextId: '1', processId: PARENT, resources: [] };
    for (const call of [
      () => context.geometry(lun),
      () => context.isHealthy(),
      () => context.recover(),
      () => context.cloneToken(),
      () => context.queue,
    ]) {
      expect(call).toThrow(refused);
      expect(call).toThrow('detached');
    }
    for (const call of [
      context.join(script.lun(OTHER)),
      context.detach(lun),
      context.openDirect(lun),
      context.openVirtual({ lun }),
      context.cloneFrom(token, lun),
    ]) {
      await expect(call).rejects.toEqual(refused);
      await expect(call).rejects.toThrow('detached');
    }
    expect(script.taken()).toEqual([]);
  });
});

describe('cloneToken()', () => {
  it('has what a child needs, unless blocks would be overwritten', async () => {
    const { context } = await new ContextScript().attach();
    await context.openVirtual();
    await context.openDirect();
    expect(context.cloneToken()).toEqual({
      contextId: '580000007',
      processId: PROCESS,
      resources: [
        { handle: 1, mode: 'virtual' },
        { handle: 2, mode: 'direct' },
      ],
    });
    await context.openVirtual({ scrub: true });
    expect(() => context.cloneToken()).toThrow(coded('ERR_INVALID_STATE'));
    expect(() => context.cloneToken()).toThrow('would be zeroed');
  });
});

describe('cloneFrom()', () => {
  const resources = [1, 2].map((handle) => ({ handle, mode: 'virtual' as const }));
  const token = { contextId: 'ab', processId: PARENT, resources };
  const clone = [LUN, 'VLUN_CLONE', { contextIdSrc: 0xabn, contextIdDst: ID }];
  const handles = (name: string) =>
    [1n, 2n].map((rsrcHandle) => [LUN, name, { contextId, rsrcHandle }]);

  it('opens the handles of the parent, with their sizes', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach();
    const lastLba = ({ rsrcHandle }: Record<string, unknown>) =>
      (rsrcHandle as bigint) * CHUNK_BLOCKS - 1n;
    script.answer = (_, name, input) =>
      name === 'VERIFY' ? { lastLba: lastLba(input) } : undefined;
    const clones = await context.cloneFrom(token);
    expect(script.taken()).toEqual([clone, ...handles('VERIFY')]);
    expect(clones).toMatchObject(
      [1, 2].map((handle) => ({
        ...{ handle, mode: 'virtual', blocks: BigInt(handle) * CHUNK_BLOCKS, scrub: false },
        ...{ allPortsActive: false, lun: { path: lun.path }, released: false },
      })),
    );
    expect(context.resources).toEqual(clones);
  });

  it('is refused where the context has resources, or the token is not of the parent', async () => {
    const script = new ContextScript();
    const { lun, context } = await script.attach();
    for (const wrong of [
      context.cloneFrom({ ...token, processId: PROCESS }),
      context.cloneFrom(token, script.lun(OTHER)),
    ]) {
      await expect(wrong).rejects.toEqual(coded('ERR_INVALID_STATE'));
    }
    await expect(context.cloneFrom(7 as never)).rejects.toEqual(coded('ERR_INVALID_ARG_TYPE'));
    await context.openDirect();
    script.taken();
    await expect(context.cloneFrom(token, lun)).rejects.toEqual(coded('ERR_INVALID_STATE'));
    await expect(context.cloneFrom(token, lun)).rejects.toThrow('without resources');
    expect(script.taken()).toEqual([]);
  });

  it('is repeated after EAGAIN', async () => {
    expect(await despiteEagain((context) => context.cloneFrom(token))).toHaveLength(2);
  });

  it('releases all handles when the size of one is not known, for as long as any call', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const error = failure('EIO');
    const time = new VirtualTime();
    await time.during(async () => {
      let released = 0;
      script.answer = (_, name, { rsrcHandle }) => {
        if (name === 'RELEASE') {
          released += 1;
          return rsrcHandle === 1n ? failure('EAGAIN') : undefined;
        }
        return name === 'VERIFY' && rsrcHandle === 2n ? error : undefined;
      };
      expect(await settledIn(time, context.cloneFrom(token), 5000)).toBe(error);
      expect([released, time.now < 2000]).toEqual([22, true]);
    });
    const calls = script.taken();
    expect(calls.slice(0, 4)).toEqual([clone, ...handles('VERIFY'), handles('RELEASE')[0]]);
    expect(calls.at(-1)).toEqual(handles('RELEASE')[1]);
    expect(context.resources).toEqual([]);
  });
});

describe('isHealthy()', () => {
  it('says whether the registers are there', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const read = vi.spyOn(script.afu.page, 'read64');
    expect(context.isHealthy()).toBe(true);
    expect(read.mock.calls).toEqual([[REGISTERS.endianControl]]);
    script.afu.inError = true;
    expect(context.isHealthy()).toBe(false);
    script.readError = failure('EIO');
    expect(context.isHealthy()).toBe(false);
    const notOfTheDriver = Object.assign(new Error('no such page'), { code: 'EIO' });
    for (const error of [failure('EINVAL'), notOfTheDriver]) {
      script.readError = error;
      expect(() => context.isHealthy()).toThrow(error);
    }
  });
});

describe('a call of a context that the driver does not know', () => {
  const calls = {
    'join()': (context: FlashContext, script: ContextScript) => context.join(script.lun(OTHER)),
    'openDirect()': (context: FlashContext) => context.openDirect(),
    'openVirtual()': (context: FlashContext) => context.openVirtual(),
  };
  for (const [name, call] of Object.entries(calls)) {
    it(`is made again once it is recovered: ${name}`, async () => {
      const script = new ContextScript();
      const { context } = await script.attach();
      script.answer = (_, ioctl, input) => {
        if (ioctl === 'RECOVER_AFU') return RESET;
        return input['contextId'] === ID ? failure('EINVAL') : undefined;
      };
      await call(context, script);
      const names = script.taken().map((one) => (Array.isArray(one) ? one.slice(1) : one));
      const [first, recovery, closed, second] = names as [unknown[], unknown, unknown, unknown[]];
      expect(recovery).toEqual(['RECOVER_AFU', { contextId }]);
      expect(closed).toBe('close 7');
      expect(second).toEqual([first[0], { ...(first[1] as object), contextId: NEW_ID }]);
      expect(names).toHaveLength(4);
    });
  }

  it('fails with its error when that is not why', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const refused = failure('EINVAL');
    script.answer = (_, name) => (name === 'USER_DIRECT' ? refused : undefined);
    await expect(context.openDirect()).rejects.toBe(refused);
    expect(script.ioctls()).toEqual([`${LUN} USER_DIRECT`, `${LUN} RECOVER_AFU`]);
    const notOfTheDriver = Object.assign(new Error('no such context'), { code: 'EINVAL' });
    for (const error of [failure('EIO'), notOfTheDriver]) {
      script.answer = () => error;
      await expect(context.openDirect()).rejects.toBe(error);
      expect(script.ioctls()).toEqual([`${LUN} USER_DIRECT`]);
    }
    script.answer = (_, name) => (name === 'USER_DIRECT' ? refused : failure('ENODEV'));
    await expect(context.openDirect()).rejects.toEqual(coded('ENODEV'));
  });

  it('is only made again when it was recovered meanwhile', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    script.answer = async (_, name, input) => {
      if (name === 'RECOVER_AFU') return RESET;
      if (input['contextId'] !== ID) return undefined;
      await context.recover();
      return failure('EINVAL');
    };
    await context.openDirect();
    expect(script.ioctls()).toEqual(
      ['USER_DIRECT', 'RECOVER_AFU', 'USER_DIRECT'].map((name) => `${LUN} ${name}`),
    );
  });

  it('is not made again when the context was closed meanwhile', async () => {
    const script = new ContextScript();
    const { context } = await script.attach();
    const refused = failure('EINVAL');
    script.answer = (_, name) => {
      if (name !== 'USER_DIRECT') return undefined;
      void context.close();
      return refused;
    };
    await expect(context.openDirect()).rejects.toBe(refused);
    await context.close();
    expect(script.ioctls()).toEqual([`${LUN} USER_DIRECT`, `${LUN} DETACH`]);
  });
});
