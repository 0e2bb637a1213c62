/** What is made of the descriptor that ATTACH and RECOVER_AFU answer, and what is undone when that fails. */
import { describe, expect, it } from 'vitest';
import { flashFlags } from '../../../lib/binding/flash';
import { Adoption, adoptAttached } from '../../../lib/flash/adoption';
import { systemError } from '../../../lib/shared/errors';

const NO_DESCRIPTOR = 0xffff_ffff_ffff_ffffn;

/** A LUN whose driver does what a test says, and the calls in their order. */
function script() {
  const calls: unknown[] = [];
  const steps = {
    adopt: (): unknown => context,
    map: (): unknown => 'page',
    detach: async () => undefined as unknown,
  };
  const context = {
    mapProblemState: (options: object) => {
      calls.push(['map', options]);
      return steps.map();
    },
    close: async () => void calls.push('close'),
  };
  const flash = {
    closeDescriptor: async (fd: number) => void calls.push(['closeDescriptor', fd]),
  };
  const lun = {
    path: '/dev/sg1',
    system: {
      binding: { flash },
      adopt: (fd: number, options: object) => {
        calls.push(['adopt', fd, options]);
        return steps.adopt();
      },
    },
    call: async (name: string, input: object) => {
      calls.push([name, input]);
      return steps.detach();
    },
  };
  const answer = {
    ...{ adapFd: 7n, mmioSize: 65536n, returnFlags: flashFlags.appCloseAdapFd, contextId: 5n },
    ...{ blockSize: 4096n, lastLba: 99n, maxXfer: 64n },
  };
  return { calls, steps, context, lun: lun as never, answer };
}

const fail = (error: unknown) => () => {
  throw error;
};

describe('a descriptor of the driver', () => {
  it('becomes a context with its registers, once', () => {
    for (const [returnFlags, owned] of [
      [flashFlags.appCloseAdapFd, true],
      [0n, false],
    ] as const) {
      const { calls, context, lun, answer } = script();
      const adoption = new Adoption(lun, { ...answer, returnFlags });
      expect(adoption.take()).toEqual({ context, page: 'page' });
      adoption.take();
      const map = ['map', { endian: 'big', length: 65536 }];
      expect(calls).toEqual([['adopt', 7, { owned, mmioSize: 65536 }], map, map]);
    }
  });

  it('is EBADF where there is none', () => {
    const { calls, lun, answer } = script();
    const adoption = new Adoption(lun, { ...answer, adapFd: NO_DESCRIPTOR });
    const take = () => adoption.take();
    expect(take).toThrow(
      expect.objectContaining({ code: 'EBADF', syscall: 'ioctl', path: '/dev/sg1' }),
    );
    expect(take).toThrow('no descriptor was returned');
    expect(calls).toEqual([]);
    // 0 is one.
    new Adoption(lun, { ...answer, adapFd: 0n }).take();
    expect(calls[0]).toEqual(['adopt', 0, expect.anything()]);
  });

  it('of an adapter that was reset meanwhile is EIO, as ENODEV says that it is gone', () => {
    const { steps, lun, answer } = script();
    steps.adopt = fail(systemError('ENODEV', 'adopt'));
    const take = () => new Adoption(lun, answer).take();
    expect(take).toThrow(expect.objectContaining({ code: 'EIO', syscall: 'adopt', path: 'fd 7' }));
    expect(take).toThrow('try again');
    const other = Object.assign(new Error('no such adapter'), { code: 'ENODEV' });
    for (const error of [systemError('EMFILE', 'adopt'), other]) {
      steps.adopt = fail(error);
      expect(take).toThrow(error);
    }
  });

  it('is closed when it is not used, and the context with it', async () => {
    const { calls, context, lun, answer } = script();
    const adoption = new Adoption(lun, answer);
    await adoption.discard();
    expect(calls.splice(0)).toEqual([['closeDescriptor', 7]]);
    adoption.take();
    calls.splice(0);
    await adoption.discard();
    expect(calls).toEqual(['close']);
    context.close = () => Promise.reject(systemError('EIO', 'close'));
    await adoption.discard();
  });
});

describe('an ATTACH', () => {
  it('gives the context and the geometry of the LUN', async () => {
    const { context, lun, answer } = script();
    expect(await adoptAttached(lun, answer as never)).toEqual({
      ...{ context, page: 'page' },
      geometry: { blockSize: 4096, blocks: 100n, maxTransfer: 64 },
    });
  });

  it('is detached before its descriptor is closed, when that fails', async () => {
    for (const detach of [async () => undefined, fail(systemError('EINVAL', 'ioctl(DETACH)'))]) {
      const { calls, steps, lun, answer } = script();
      const error = systemError('ENOMEM', 'mmap');
      steps.map = fail(error);
      steps.detach = detach;
      await expect(adoptAttached(lun, answer as never)).rejects.toBe(error);
      expect(calls.slice(2)).toEqual([['DETACH', { contextId: 5n }], 'close']);
    }
    const { calls, lun, answer } = script();
    await expect(adoptAttached(lun, { ...answer, blockSize: 0n } as never)).rejects.toThrow(
      expect.objectContaining({ code: 'EBADMSG' }),
    );
    expect(calls).toEqual([
      ['DETACH', { contextId: 5n }],
      ['closeDescriptor', 7],
    ]);
  });
});
