/** When a call of a block device settles, and what a deadline or an abort of several calls ends. */
import { getEventListeners } from 'node:events';
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../lib/flash/command';
import { Limit, Transfer } from '../../../lib/flash/transfer';
import { systemError } from '../../../lib/shared/errors';
import { VirtualTime } from './virtual-time';

/** What became of a transfer, in order. */
function followed(commands: number): { transfer: Transfer; told: unknown[] } {
  const told: unknown[] = [];
  const transfer = new Transfer('read', (succeeded) => told.push(succeeded));
  for (let index = 0; index < commands; index += 1) transfer.add({ index } as never as Command);
  transfer.promise.then(
    (value) => told.push(['resolved', value]),
    (error) => told.push(['rejected', error]),
  );
  return { transfer, told };
}

/** A queue that has all commands in flight: a canceled one reports at once. */
class Canceler {
  readonly canceled: [command: Command, error: unknown][] = [];
  readonly #owner: (command: Command) => Transfer;

  constructor(...transfers: readonly Transfer[]) {
    this.#owner = (command) => transfers.find(({ commands }) => commands.includes(command))!;
  }

  cancel(command: Command, error: unknown): void {
    this.canceled.push([command, error]);
    this.#owner(command).settled(error);
  }
}

describe('a transfer', () => {
  it('settles when the last of its commands has, with the first error', async () => {
    const success = followed(2);
    success.transfer.settled(undefined);
    await loopTurn();
    expect(success.told).toEqual([]);
    success.transfer.settled(undefined);
    await loopTurn();
    expect(success.told).toEqual([true, ['resolved', undefined]]);

    const errors = [systemError('EIO', 'read'), systemError('EBUSY', 'read')];
    const failed = followed(3);
    for (const error of [errors[0], undefined]) failed.transfer.settled(error);
    await loopTurn();
    expect(failed.told).toEqual([]);
    failed.transfer.settled(errors[1]);
    expect(failed.told).toEqual([false]);
    await loopTurn();
    expect(failed.told).toEqual([false, ['rejected', errors[0]]]);
  });

  it('cancels all of its commands, unless it has settled', async () => {
    const { transfer, told } = followed(2);
    const canceler = new Canceler(transfer);
    transfer.cancel(canceler, 'first');
    await loopTurn();
    expect(canceler.canceled).toEqual(transfer.commands.map((command) => [command, 'first']));
    expect(told).toEqual([false, ['rejected', 'first']]);
    transfer.cancel(canceler, 'second');
    expect(canceler.canceled).toHaveLength(2);

    const failed = followed(2);
    failed.transfer.settled('before');
    const other = { cancel: () => failed.transfer.settled('after') };
    failed.transfer.cancel({ cancel: () => undefined }, 'canceled');
    failed.transfer.cancel(other, 'canceled');
    await loopTurn();
    expect(failed.told).toEqual([false, ['rejected', 'before']]);
  });

  it('that is canceled while its commands report nothing has that error', async () => {
    const { transfer, told } = followed(1);
    transfer.cancel({ cancel: () => undefined }, 'canceled');
    transfer.settled('its own');
    await loopTurn();
    expect(told).toEqual([false, ['rejected', 'canceled']]);
  });
});

describe('a limit of several transfers', () => {
  async function limited(
    timeout: number | undefined,
    use: (
      time: VirtualTime,
      calls: ReturnType<typeof followed>[],
      controller: AbortController,
    ) => Promise<void>,
  ): Promise<void> {
    const time = new VirtualTime();
    await time.during(async () => {
      const calls = [followed(1), followed(2)];
      const transfers = calls.map(({ transfer }) => transfer);
      const controller = new AbortController();
      const { signal } = controller;
      const limit = new Limit(new Canceler(...transfers), transfers, signal, timeout, '/dev/sg1');
      for (const transfer of transfers) transfer.limit = limit;
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      await use(time, calls, controller);
      expect(time.timers, 'a timer is left').toBe(0);
      expect(getEventListeners(signal, 'abort'), 'a listener is left').toHaveLength(0);
    });
  }

  it('ends with the last of them', async () => {
    await limited(50, async (time, [first, second], { signal }) => {
      first?.transfer.settled(undefined);
      second?.transfer.settled(undefined);
      expect([time.timers, getEventListeners(signal, 'abort').length]).toEqual([1, 1]);
      second?.transfer.settled(undefined);
    });
  });

  it('ends those that have not settled by its deadline', async () => {
    await limited(50, async (time, [first, second]) => {
      first?.transfer.settled(undefined);
      time.pass(49);
      expect(second?.told).toEqual([]);
      time.pass(1);
      await loopTurn();
      const error = { code: 'ETIMEDOUT', syscall: 'transfer', path: '/dev/sg1' };
      expect(first?.told).toEqual([true, ['resolved', undefined]]);
      expect(second?.told).toMatchObject([false, ['rejected', error]]);
    });
  });

  it('ends those that have not settled by an abort', async () => {
    await limited(undefined, async (time, [first, second], controller) => {
      expect(time.timers).toBe(0);
      first?.transfer.settled(undefined);
      controller.abort('enough');
      await loopTurn();
      const error = { code: 'ABORT_ERR', cause: 'enough' };
      expect(first?.told).toEqual([true, ['resolved', undefined]]);
      expect(second?.told).toMatchObject([false, ['rejected', error]]);
    });
  });

  it('needs no signal', async () => {
    const { transfer } = followed(1);
    transfer.limit = new Limit(new Canceler(transfer), [transfer], undefined, undefined, '');
    transfer.settled(undefined);
    await transfer.promise;
  });
});
