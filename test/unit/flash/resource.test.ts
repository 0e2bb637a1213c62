/** A resource handle between its context, its LUN and the driver: sizes, and when it may be used. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Command } from '../../../lib/flash/command';
import { checkOpenVirtual, Resource } from '../../../lib/flash/resource';
import { CHUNK_BLOCKS } from '../../../lib/flash/sislite';
import { type CxlError, stateError, systemError } from '../../../lib/shared/errors';
import { VirtualTime } from './virtual-time';

const HANDLE = 3n;
const ID = 0x1_0000_0007n;

const coded = (code: string) => expect.objectContaining({ code });
const eagain = () => systemError('EAGAIN', 'ioctl(VLUN_RESIZE)');

/** Its driver answers what a test says; its context has no commands. */
class Script {
  /** The calls of the driver and of the context, in order. */
  calls: unknown[] = [];
  /** The answer of an ioctl, or what it fails with. */
  answer: (name: string, input: Record<string, unknown>) => unknown = () => ({});
  /** What retire() waits for. */
  retiring: Promise<void> = Promise.resolve();
  matches: ((command: Command) => boolean) | undefined;
  refusal: CxlError | undefined;
  readonly context = {
    id: ID,
    closed: false,
    has: () => !this.context.closed,
    assertUsable: () => {
      if (this.context.closed) throw stateError('the context is closed');
    },
    retire: (matches: (command: Command) => boolean, refusal: CxlError) => {
      this.calls.push('retire');
      this.matches = matches;
      this.refusal = refusal;
      return this.retiring;
    },
    removeResource: () => void this.calls.push('remove'),
    queue: {
      unmapSupported: false,
      ring: { bounceBytes: 64 * 4096 },
      submit: (commands: readonly Command[]) => {
        const blocks = commands.reduce((sum, one) => sum + one.blocks, 0);
        this.calls.push(['zeros', commands[0]?.lba, blocks]);
        for (const command of commands) command.owner.settled(undefined);
      },
    },
  };
  readonly lun = {
    path: '/dev/sg1',
    call: async (name: string, input: Record<string, unknown>) => {
      this.calls.push([name, input]);
      const answer = await this.answer(name, input);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };

  open(mode: 'direct' | 'virtual', lastLba: bigint, scrub = false, blockSize = 4096): Resource {
    const geometry = { blockSize, blocks: 4n * CHUNK_BLOCKS, maxTransfer: 64 };
    const { context, lun } = this;
    return new Resource(
      context as never,
      lun as never,
      geometry,
      mode,
      HANDLE,
      lastLba,
      true,
      scrub,
    );
  }

  taken(): unknown[] {
    return this.calls.splice(0);
  }
}

const ids = { contextId: ID, rsrcHandle: HANDLE };

describe('a resource', () => {
  it('has the size that the driver says: in blocks, or in units of 4 KiB', () => {
    const script = new Script();
    expect(script.open('direct', 99n, false, 512).blocks).toBe(100n);
    expect(script.open('virtual', CHUNK_BLOCKS - 1n).blocks).toBe(CHUNK_BLOCKS);
    expect(script.open('virtual', 99n, false, 512).blocks).toBe(800n);
    // The driver's last LBA of an empty one.
    expect(script.open('virtual', 2n ** 64n - 1n).blocks).toBe(0n);
    expect(script.open('virtual', -1n).blocks).toBe(0n);
  });

  it('is shown, described and held by what it is', () => {
    const resource = new Script().open('virtual', 99n, true);
    expect(resource).toMatchObject({
      mode: 'virtual',
      handle: 3,
      blockSize: 4096,
      maxTransfer: 64,
      allPortsActive: true,
      scrub: true,
      released: false,
      memoryHolder: { path: '/dev/sg1', reason: 'a transfer in flight (resource handle 3)' },
    });
    expect(resource.describe()).toEqual({ handle: 3, mode: 'virtual' });
    const shown = inspect(resource);
    for (const part of [
      "'/dev/sg1'",
      "'virtual'",
      'handle: 3',
      '100n',
      '4096',
      'released: false',
    ]) {
      expect(shown).toContain(part);
    }
  });

  it('has options of booleans, of which writeSame has to be insisted on', () => {
    for (const options of [
      {},
      { scrub: true, blocks: 5 },
      { writeSame: false },
      { writeSame: true, acceptWriteSameDefect: true },
    ]) {
      expect(checkOpenVirtual(options)).toBe(options);
    }
    for (const name of ['scrub', 'writeSame', 'acceptWriteSameDefect']) {
      expect(() => checkOpenVirtual({ [name]: 1 })).toThrow(coded('ERR_INVALID_ARG_TYPE'));
    }
    for (const options of [{}, { acceptWriteSameDefect: false }]) {
      const refused = coded('ERR_INVALID_ARG_VALUE');
      expect(() => checkOpenVirtual({ writeSame: true, ...options })).toThrow(refused);
    }
    expect(() => checkOpenVirtual({ srcub: true } as never)).toThrow(
      coded('ERR_INVALID_ARG_VALUE'),
    );
  });
});

describe('resize()', () => {
  it('grows at once, and says whether it got less', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n, true);
    script.answer = () => ({ lastLba: 2n * CHUNK_BLOCKS - 1n });
    const blocks = 2n * CHUNK_BLOCKS;
    expect(await resource.resize(blocks)).toEqual({ blocks, truncated: false, retries: 0 });
    expect(resource.blocks).toBe(blocks);
    const reqSize = 2n * CHUNK_BLOCKS;
    expect(script.taken()).toEqual([['VLUN_RESIZE', { ...ids, reqSize }]]);
    expect(await resource.resize(blocks + 1n)).toEqual({ blocks, truncated: true, retries: 0 });
    // The same size frees nothing.
    script.taken();
    await resource.resize(blocks);
    expect(script.taken()).toHaveLength(1);
  });

  it('shrinks after the commands of the blocks that are freed, and overwrites those', async () => {
    for (const scrub of [false, true]) {
      const script = new Script();
      const resource = script.open('virtual', 2n * CHUNK_BLOCKS - 1n, scrub);
      let retired = () => {};
      script.retiring = new Promise((resolve) => {
        retired = resolve;
      });
      script.answer = (name) => ({ lastLba: (name === 'VERIFY' ? 2n : 1n) * CHUNK_BLOCKS - 1n });
      const resized = resource.resize(5);
      await loopTurn();
      // No command reaches them any more.
      expect([resource.blocks, script.taken()]).toEqual([CHUNK_BLOCKS, ['retire']]);
      expect(script.refusal).toMatchObject({ code: 'ECANCELED' });
      const reached = (lba: bigint, blocks: number, of = resource) =>
        script.matches?.(new Command({} as never, of, 'read', 'low', lba, blocks, {} as never));
      expect([reached(CHUNK_BLOCKS - 2n, 2), reached(CHUNK_BLOCKS - 2n, 3)]).toEqual([false, true]);
      expect([reached(CHUNK_BLOCKS, 1), reached(CHUNK_BLOCKS + 9n, 1)]).toEqual([true, true]);
      expect(reached(CHUNK_BLOCKS, 1, script.open('virtual', 99n))).toBe(false);
      // What the driver says meanwhile is of another time.
      expect([await resource.verify(), resource.blocks]).toEqual([false, CHUNK_BLOCKS]);
      retired();
      expect(await resized).toEqual({ blocks: CHUNK_BLOCKS, truncated: false, retries: 0 });
      const names = script.taken().map((call) => (call as unknown[])[0]);
      const zeros = Number(CHUNK_BLOCKS) / 64 / 64;
      expect(names).toEqual([
        'VERIFY',
        ...new Array(scrub ? zeros : 0).fill('zeros'),
        'VLUN_RESIZE',
      ]);
    }
  });

  it('keeps its size when the commands do not end, and can be repeated', async () => {
    const script = new Script();
    const resource = script.open('virtual', 2n * CHUNK_BLOCKS - 1n);
    const failure = systemError('EIO', 'sislite');
    script.retiring = Promise.reject(failure);
    await expect(resource.resize(0)).rejects.toBe(failure);
    expect([resource.blocks, script.taken()]).toEqual([2n * CHUNK_BLOCKS, ['retire']]);
    script.retiring = Promise.resolve();
    script.answer = () => ({ lastLba: 2n ** 64n - 1n });
    expect(await resource.resize(0)).toEqual({ blocks: 0n, truncated: false, retries: 0 });
  });

  it('runs after the one before, with the size that it left', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n);
    script.answer = (_, { reqSize }) => loopTurn({ lastLba: (reqSize as bigint) - 1n });
    const sizes = [3n, 1n, 2n].map((chunks) => resource.resize(chunks * CHUNK_BLOCKS));
    expect(await Promise.all(sizes)).toMatchObject(
      [3n, 1n, 2n].map((chunks) => ({ blocks: chunks * CHUNK_BLOCKS })),
    );
    const calls = script.taken().map((call) => (call === 'retire' ? call : 'resize'));
    expect(calls).toEqual(['resize', 'retire', 'resize', 'resize']);
  });

  it('takes the size from the driver after EAGAIN, or the smaller one', async () => {
    const time = new VirtualTime();
    await time.during(async () => {
      const script = new Script();
      let resource = script.open('virtual', 2n * CHUNK_BLOCKS - 1n);
      const settled = async (promise: Promise<unknown>) => {
        const end = promise.catch((error) => error.code);
        for (let turn = 0; turn < 40; turn += 1) {
          await loopTurn();
          time.pass(100);
        }
        return end;
      };
      script.answer = (name) => (name === 'VERIFY' ? { lastLba: CHUNK_BLOCKS - 1n } : eagain());
      expect(await settled(resource.resize(4n * CHUNK_BLOCKS))).toBe('EAGAIN');
      expect([resource.blocks, script.taken().at(-1)]).toEqual([CHUNK_BLOCKS, ['VERIFY', ids]]);
      let calls = 0;
      script.answer = () => {
        calls += 1;
        return calls <= 2 ? eagain() : { lastLba: 4n * CHUNK_BLOCKS - 1n };
      };
      expect(await settled(resource.resize(4n * CHUNK_BLOCKS))).toMatchObject({ retries: 2 });
      // No call answers.
      script.answer = eagain;
      for (const [requested, left] of [
        [4n, 4n],
        [3n, 3n],
        [5n, 3n],
      ] as const) {
        expect(await settled(resource.resize(requested * CHUNK_BLOCKS))).toBe('EAGAIN');
        expect(resource.blocks).toBe(left * CHUNK_BLOCKS);
      }
      // A direct LUN has no other size.
      resource = script.open('direct', 99n);
      script.taken();
      script.answer = () => systemError('EINVAL', 'ioctl(VLUN_RESIZE)');
      await expect(resource.resize(0)).rejects.toThrow(coded('EINVAL'));
      expect([resource.blocks, script.taken()]).toEqual([
        100n,
        [['VLUN_RESIZE', { ...ids, reqSize: 0n }]],
      ]);
    });
  });

  it('refuses what is no size, and a resource that is gone', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n);
    await expect(resource.resize(-1)).rejects.toThrow(coded('ERR_OUT_OF_RANGE'));
    await resource.release();
    script.taken();
    await expect(resource.resize(1)).rejects.toThrow(coded('ERR_INVALID_STATE'));
    expect(script.taken()).toEqual([]);
  });
});

describe('verify()', () => {
  it('passes the sense data on, and takes the size', async () => {
    const script = new Script();
    const resource = script.open('direct', 99n);
    script.answer = () => ({ lastLba: 99n });
    expect(await resource.verify()).toBe(false);
    script.answer = () => ({ lastLba: 199n });
    const bytes = Uint8Array.from({ length: 20 }, (_, index) => index + 1);
    expect([await resource.verify(bytes), resource.blocks]).toEqual([true, 200n]);
    expect(await resource.verify({ bytes: bytes.subarray(0, 3) } as never)).toBe(false);
    const senseData = new Uint8Array(18);
    const inputs = script.taken().map((call) => (call as [string, object])[1]);
    expect(inputs).toEqual([
      { ...ids, hint: 0n, senseData },
      { ...ids, hint: 1n << 63n, senseData: bytes.subarray(0, 18) },
      {
        ...ids,
        hint: 1n << 63n,
        senseData: Uint8Array.from({ ...[1, 2, 3], length: 18 }, (v) => v ?? 0),
      },
    ]);
  });

  it('leaves the size to a resize() that has run meanwhile', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n);
    let answer: (value: unknown) => void = () => {};
    script.answer = (name) =>
      name === 'VERIFY'
        ? new Promise((resolve) => {
            answer = resolve;
          })
        : { lastLba: 2n * CHUNK_BLOCKS - 1n };
    const verified = resource.verify();
    await resource.resize(2n * CHUNK_BLOCKS);
    answer({ lastLba: CHUNK_BLOCKS - 1n });
    expect([await verified, resource.blocks]).toEqual([false, 2n * CHUNK_BLOCKS]);
    // And when a resize() has failed, it counts again.
    script.answer = () => systemError('ENOSPC', 'ioctl(VLUN_RESIZE)');
    await expect(resource.resize(9n * CHUNK_BLOCKS)).rejects.toThrow(coded('ENOSPC'));
    script.answer = () => ({ lastLba: 3n * CHUNK_BLOCKS - 1n });
    expect([await resource.verify(), resource.blocks]).toEqual([true, 3n * CHUNK_BLOCKS]);
  });

  it('is one call for the unit attentions that come together', async () => {
    const script = new Script();
    const resource = script.open('direct', 99n);
    script.answer = () => ({ lastLba: 199n });
    const sense = { bytes: Uint8Array.of(0x70, 0, 6) } as never;
    const verified = [sense, sense].map((one) => resource.verifyUnitAttention(one));
    expect(await Promise.all(verified)).toEqual([true, true]);
    expect(script.taken()).toHaveLength(1);
    expect(await resource.verifyUnitAttention(undefined)).toBe(false);
    expect(script.taken()).toHaveLength(1);
  });
});

describe('release()', () => {
  it('waits for commands and changes of the size, then frees what it has overwritten', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n, true);
    let answer: (value: unknown) => void = () => {};
    script.answer = (name) =>
      name === 'VLUN_RESIZE'
        ? new Promise((resolve) => {
            answer = resolve;
          })
        : {};
    const resized = resource.resize(CHUNK_BLOCKS);
    await loopTurn();
    const released = resource.release();
    expect(resource.release()).toBe(released);
    expect(() => resource.assertOpen()).toThrow(coded('ERR_INVALID_STATE'));
    expect(() => resource.blockDevice()).toThrow(coded('ERR_INVALID_STATE'));
    await loopTurn();
    expect([resource.released, script.taken().length]).toEqual([false, 1]);
    answer({ lastLba: 4095n });
    expect(await resized).toMatchObject({ blocks: 4096n, truncated: true });
    await released;
    expect(script.refusal).toMatchObject({ code: 'ECANCELED' });
    expect(script.matches?.({ resource } as never)).toBe(true);
    expect(script.matches?.({ resource: script.open('direct', 1n) } as never)).toBe(false);
    const calls = script.taken();
    expect(calls[0]).toBe('retire');
    expect(calls[1]).toEqual(['zeros', 0n, 64 * 64]);
    expect(calls.slice(-2)).toEqual([['RELEASE', ids], 'remove']);
    expect(resource.released).toBe(true);
    await resource.release();
    await resource[Symbol.asyncDispose]();
    resource.refuseCommands(false);
    expect([script.taken(), resource.released]).toEqual([[], true]);
    expect(() => resource.assertOpen()).toThrow(coded('ERR_INVALID_STATE'));
  });

  it('that fails leaves a resource that can be used, and released again', async () => {
    const script = new Script();
    const resource = script.open('direct', 99n);
    script.answer = () => systemError('EIO', 'ioctl(RELEASE)');
    await expect(resource.release()).rejects.toThrow(coded('EIO'));
    resource.assertOpen();
    expect(script.taken()).toEqual(['retire', ['RELEASE', ids]]);
    script.answer = () => ({});
    await resource[Symbol.asyncDispose]();
    expect(resource.released).toBe(true);
  });

  it('leaves to close() what the context releases by itself', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n, true);
    script.retiring = loopTurn().then(() => {
      script.context.closed = true;
    });
    await resource.release();
    expect([script.taken(), resource.released]).toEqual([['retire', 'remove'], true]);
    const other = new Script();
    const failing = other.open('direct', 99n);
    other.answer = () => {
      other.context.closed = true;
      return systemError('EIO', 'ioctl(RELEASE)');
    };
    await failing.release();
    expect(failing.released).toBe(true);
    const gone = new Script().open('direct', 99n);
    (gone.context as unknown as { closed: boolean }).closed = true;
    expect(gone.released).toBe(true);
    expect(() => gone.assertOpen()).toThrow(coded('ERR_INVALID_STATE'));
  });

  it('of one that was never used overwrites nothing', async () => {
    const script = new Script();
    const resource = script.open('virtual', CHUNK_BLOCKS - 1n, true);
    const released = resource.releaseUnused();
    expect(() => resource.assertOpen()).toThrow(coded('ERR_INVALID_STATE'));
    await released;
    expect([script.taken(), resource.released]).toEqual([[['RELEASE', ids], 'remove'], true]);
  });
});
