/** Which path of a LUN transfers go over, and what becomes of those that a path leaves. */
import { describe, expect, it } from 'vitest';
import { systemError } from '../../../lib/shared/errors';
import { begunOn, coded, gone, open, type Path, SIZE, turns } from './multipath-script';

const refused = (message: string) =>
  expect.objectContaining({ code: 'ERR_INVALID_STATE', message });
const closed = refused('this block device is closed');

describe('a device over one path', () => {
  it('is what its active path is', async () => {
    const { device, paths, read } = open([false, true]);
    const [, active] = paths as [Path, Path];
    expect(device.path).toEqual({
      ...{ node: '/dev/sg1', address: '0:1:0:0', host: 1, port: 11 },
      ...{ state: 'active', error: undefined, transfers: 0 },
    });
    expect(device.paths.map(({ state }) => state)).toEqual(['failed', 'active']);
    expect([device.blocks, device.blockSize, device.resource]).toEqual([
      101n,
      SIZE,
      active.resource,
    ]);
    expect([device.unmapSupported, device.queueStatistics]).toEqual([true, { issued: 7 }]);
    const done = read(3, { priority: 'high' });
    const [begun] = begunOn(active);
    expect(begun).toMatchObject({
      request: { operation: 'read', lba: 3 },
      options: { priority: 'high' },
    });
    expect(device.statistics.activeReads).toBe(1);
    begun?.settle();
    await done;
    expect([device.path.transfers, device.closed]).toEqual([1, false]);
    expect(device.statistics).toEqual({
      ...{ reads: 1, writes: 0, unmaps: 0, bytesRead: 2 * SIZE, bytesWritten: 0 },
      ...{ blocksRead: 2, blocksWritten: 0, activeReads: 0, activeWrites: 0, activeUnmaps: 0 },
      ...{ maxActiveReads: 1, maxActiveWrites: 0, maxActiveUnmaps: 0, errors: 0 },
      ...{ pathChanges: 0, pathsExhausted: 0, failedOver: 0 },
    });
  });

  it('passes all transfers of a call on in one', async () => {
    const { device, paths } = open([true]);
    const unmaps = [1, 2].map((lba) => ({ operation: 'unmap', lba, count: 3n }) as const);
    const outcomes = Promise.allSettled(device.submit(unmaps));
    const [first, second] = begunOn(paths[0]);
    expect([first?.request, second?.request]).toEqual(unmaps);
    second?.settle();
    first?.settle(systemError('EACCES', 'unmap'));
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'EACCES' } },
      { status: 'fulfilled' },
    ]);
    expect(device.statistics).toMatchObject({ unmaps: 1, errors: 1, activeUnmaps: 0 });
    expect(() => device.submit([{ operation: 'erase' } as never])).toThrow(
      coded('ERR_INVALID_ARG_VALUE'),
    );
    expect(() => device.submit([], { timeOut: 1 } as never)).toThrow(
      coded('ERR_INVALID_ARG_VALUE'),
    );
  });
});

describe('a path that fails', () => {
  it('is closed before transfers are begun again over the next one', async () => {
    const { device, paths, log, changes, read } = open([true, true]);
    const [first, second] = paths as [Path, Path];
    let fenced = () => {};
    first.fencing = () =>
      new Promise((resolve) => {
        fenced = resolve;
      });
    const done = [read(0), read(2)];
    const [one, other] = begunOn(first);
    const error = gone();
    one?.settle(error);
    await turns();
    expect(log).toEqual(['fence 0']);
    // What comes meanwhile waits; the close ends the other one.
    done.push(read(4));
    other?.settle(systemError('ECANCELED', 'sislite'));
    await turns();
    expect(begunOn(second)).toEqual([]);
    expect([device.blocks, device.unmapSupported, device.queueStatistics]).toEqual([
      100n,
      false,
      undefined,
    ]);
    expect(() => device.resource).toThrow(refused('no path to the LUN is attached'));
    fenced();
    await turns();
    expect(log).toEqual(['fence 0', 'fenced 0']);
    const again = begunOn(second);
    expect(again.map(({ request }) => request.lba).sort()).toEqual([0, 2, 4]);
    for (const { settle } of again) settle();
    await Promise.all(done);
    expect(device.path).toMatchObject({ host: 1, state: 'active', transfers: 3 });
    expect(device.paths[0]).toMatchObject({ state: 'failed', error, transfers: 0 });
    expect(device.blocks).toBe(101n);
    expect(device.statistics).toMatchObject({
      ...{ pathChanges: 1, failedOver: 2, pathsExhausted: 0, reads: 3, errors: 0 },
    });
    expect(changes).toEqual([
      {
        from: expect.objectContaining({ host: 0, state: 'failed', error }),
        to: expect.objectContaining({ host: 1, state: 'active', error: undefined }),
      },
    ]);
  });

  it('is followed by the attached ones after it, then the others, then itself', async () => {
    const { device, paths, log, read, changes } = open([true, true, false, true, false]);
    for (const path of paths) path.attaching = () => Promise.reject(gone());
    const order: number[] = [];
    let done = read();
    for (const host of [0, 1, 3]) {
      order.push(device.path.host);
      begunOn(paths[host])[0]?.settle(gone());
      await turns();
    }
    expect(order).toEqual([0, 1, 3]);
    // After 3, none is attached: 4 is the next.
    expect(log.filter((step) => step.startsWith('attach'))).toEqual(
      [4, 0, 1, 2, 3].map((host) => `attach ${host}`),
    );
    await expect(done).rejects.toThrow(coded('ENODEV'));
    expect(device.statistics).toMatchObject({ pathsExhausted: 1, pathChanges: 2, errors: 1 });
    // The next transfer has them attached again.
    const reason = systemError('EIO', 'attach');
    const [, , third, , last] = paths as [Path, Path, Path, Path, Path];
    last.attaching = () => Promise.reject(reason);
    third.attaching = async () => undefined;
    log.splice(0);
    done = read();
    await turns();
    expect(log.filter((step) => step.startsWith('attach'))).toEqual(
      [4, 0, 1, 2].map((host) => `attach ${host}`),
    );
    expect(last.error).toBe(reason);
    begunOn(third)[0]?.settle();
    await done;
    expect(changes.at(-1)).toMatchObject({ from: { host: 3 }, to: { host: 2, state: 'active' } });
  });

  it('can serve again itself', async () => {
    const { device, paths, log, read, changes } = open([true]);
    const done = read();
    begunOn(paths[0])[0]?.settle(gone());
    await turns();
    expect(log).toEqual(['fence 0', 'fenced 0', 'attach 0']);
    begunOn(paths[0])[0]?.settle();
    await done;
    expect(device.path).toMatchObject({ state: 'active', error: undefined });
    expect(changes).toMatchObject([
      { from: { state: 'failed', error: { code: 'ENODEV' } }, to: { state: 'active' } },
    ]);
  });

  it('is left also when its context cannot be closed, and nobody is to be told', async () => {
    const { paths, read } = open([true, true], { onPathChange: undefined });
    const [first, second] = paths as [Path, Path];
    first.fencing = () => Promise.reject(systemError('EIO', 'close'));
    const done = read();
    begunOn(first)[0]?.settle(gone());
    await turns();
    begunOn(second)[0]?.settle();
    await done;
  });

  it('fails a transfer that it has failed as often as there are rounds', async () => {
    const { device, paths, read } = open([true, true]);
    const done = read();
    let begun = 0;
    for (;;) {
      const active = paths[device.path.host];
      const [transfer] = begunOn(active);
      if (transfer === undefined) break;
      begun += 1;
      transfer.settle(gone());
      await turns();
    }
    await expect(done).rejects.toThrow(coded('ENODEV'));
    // Twice for each path, after the first time.
    expect([begun, device.statistics.failedOver]).toEqual([5, 4]);
  });

  it('fails its transfers where they are not to be repeated, and is left all the same', async () => {
    const { device, paths, read } = open([true, true], { repeat: false });
    const error = gone();
    const done = read();
    begunOn(paths[0])[0]?.settle(error);
    await expect(done).rejects.toBe(error);
    await turns();
    expect(device.path.host).toBe(1);
    expect(device.statistics).toMatchObject({ pathChanges: 1, failedOver: 0, errors: 1 });
  });

  it('is not left where no other has the same blocks, nor for an error of the transfer', async () => {
    const only = open([true, true], { failover: false });
    const done = only.read();
    begunOn(only.paths[0])[0]?.settle(gone());
    await expect(done).rejects.toThrow(coded('ENODEV'));
    const { paths, read, log } = open([true, true]);
    for (const code of ['ECANCELED', 'EACCES'] as const) {
      const failed = read();
      begunOn(paths[0])[0]?.settle(systemError(code, 'read'));
      await expect(failed).rejects.toThrow(coded(code));
    }
    await turns();
    expect([only.log, log]).toEqual([[], []]);
  });

  it('is not left again by a transfer that was begun before it was attached again', async () => {
    const { paths, read, log } = open([true]);
    const done = [read(0), read(2)];
    const [one, late] = begunOn(paths[0]);
    one?.settle(gone());
    await turns();
    late?.settle(gone());
    await turns();
    expect(log).toEqual(['fence 0', 'fenced 0', 'attach 0']);
    for (const { settle } of begunOn(paths[0])) settle();
    await Promise.all(done);
  });
});

describe('drained()', () => {
  it('waits for the active path, when there is one', async () => {
    const { device, paths } = open([true, true]);
    const [first, second] = paths as [Path, Path];
    await device.drained();
    expect([first.device?.drains, second.device?.drains]).toEqual([1, 0]);
    const lost = open([true]);
    const [path] = lost.paths as [Path];
    path.attaching = () => Promise.reject(gone());
    const done = lost.read();
    begunOn(path)[0]?.settle(gone());
    await expect(done).rejects.toThrow(coded('ENODEV'));
    await lost.device.drained();
  });
});

describe('reinstate()', () => {
  it('attaches the paths that failed, as far as it can', async () => {
    const { device, paths, log } = open([false, true, false, true]);
    const [first, , third] = paths as [Path, Path, Path];
    const reason = systemError('EIO', 'attach');
    third.attaching = () => Promise.reject(reason);
    expect(await device.reinstate()).toBe(3);
    expect(log).toEqual(['attach 0', 'attach 2']);
    expect([first.state, third.state, third.error]).toEqual(['ready', 'failed', reason]);
    expect(device.path.host).toBe(1);
  });

  it('has an active path that was lost serve again', async () => {
    const { device, paths, read, log } = open([true]);
    const [path] = paths as [Path];
    path.attaching = () => Promise.reject(systemError('EIO', 'attach'));
    const done = read();
    begunOn(path)[0]?.settle(gone());
    // It waits for the change of paths under way.
    expect(await device.reinstate()).toBe(0);
    await expect(done).rejects.toThrow(coded('EIO'));
    path.attaching = async () => undefined;
    log.splice(0);
    expect(await device.reinstate()).toBe(1);
    expect(log).toEqual(['fence 0', 'fenced 0', 'attach 0']);
    expect(device.path.state).toBe('active');
  });
});

describe('close()', () => {
  it('undoes what opened the device, once, after a change of paths', async () => {
    const { device, paths, read, undone } = open([true]);
    let attached = () => {};
    paths[0]!.attaching = () =>
      new Promise((resolve) => {
        attached = resolve;
      });
    const done = read();
    begunOn(paths[0])[0]?.settle(gone());
    await turns();
    const waiting = read(2);
    const drained = device.drained();
    const closing = device.close();
    expect([device.close(), device[Symbol.asyncDispose]()]).toEqual([closing, closing]);
    expect(device.closed).toBe(true);
    await turns();
    expect(undone()).toBe(0);
    attached();
    await closing;
    await drained;
    expect([undone(), paths[0]?.device?.drains]).toEqual([1, 1]);
    // Those that wait for a path have none.
    await expect(done).rejects.toThrow(closed);
    await expect(waiting).rejects.toThrow(closed);
    expect(begunOn(paths[0])).toEqual([]);
    expect(() => device.submit([])).toThrow(closed);
    await expect(device.reinstate()).rejects.toThrow(closed);
  });

  it('keeps a path that fails meanwhile from being changed', async () => {
    const { device, paths, read, log } = open([true, true]);
    const done = read();
    const [begun] = begunOn(paths[0]);
    const closing = device.close();
    const error = gone();
    begun?.settle(error);
    await expect(done).rejects.toBe(error);
    await closing;
    expect(log).toEqual([]);
  });

  it('ends a change of paths before its next attempt', async () => {
    const { device, paths, read, log } = open([true, false, false]);
    let failed = () => {};
    paths[1]!.attaching = () =>
      new Promise((_, reject) => {
        failed = () => reject(systemError('EIO', 'attach'));
      });
    const done = read();
    begunOn(paths[0])[0]?.settle(gone());
    await turns();
    const closing = device.close();
    failed();
    await expect(done).rejects.toThrow(closed);
    await closing;
    expect(log).toEqual(['fence 0', 'fenced 0', 'attach 1']);
  });
});
