/** Waits until commands have left the AFU, of which several can run at the same time. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../lib/flash/command';
import { CommandTable } from '../../../lib/flash/command-table';
import { DrainWaits } from '../../../lib/flash/drain-waits';
import { systemError } from '../../../lib/shared/errors';

const command = () => ({ place: 'none', priority: 'normal' }) as unknown as Command;

describe('a wait for commands', () => {
  it('ends when the last of those that match has left, wherever it was', async () => {
    const table = new CommandTable(2);
    const waits = new DrainWaits(table);
    const [inFlight, other, waiting, delayed] = [command(), command(), command(), command()];
    for (const one of [inFlight, other, waiting]) table.wait(one);
    table.issue();
    table.issue();
    table.delay(delayed, undefined);
    const over: string[] = [];
    const wait = (name: string, ...matching: Command[]) =>
      waits.wait((one) => matching.includes(one)).then(() => over.push(name));
    wait('none');
    wait('in flight', inFlight);
    wait('waiting', waiting);
    wait('delayed', delayed);
    wait('all', inFlight, other, waiting, delayed);
    const check = async () => {
      waits.check();
      await loopTurn();
      return over.splice(0);
    };
    expect(await check()).toEqual(['none']);
    table.take(inFlight);
    expect(await check()).toEqual(['in flight']);
    table.take(waiting);
    expect(await check()).toEqual(['waiting']);
    table.take(delayed);
    expect(await check()).toEqual(['delayed']);
    table.take(other);
    expect(await check()).toEqual(['all']);
    wait('idle', other);
    await loopTurn();
    expect(over).toEqual(['idle']);
  });

  it('refuses its own commands, while it lasts', async () => {
    const table = new CommandTable(4);
    const waits = new DrainWaits(table);
    const [one, other] = [command(), command()];
    for (const each of [one, other]) {
      table.wait(each);
      table.issue();
    }
    const refusal = systemError('ECANCELED', 'sislite');
    waits.wait(() => true);
    expect(waits.refusal(one)).toBe(undefined);
    const wait = waits.wait((each) => each === one, refusal);
    expect([waits.refusal(one), waits.refusal(other)]).toEqual([refusal, undefined]);
    table.take(one);
    waits.check();
    await wait;
    expect(waits.refusal(one)).toBe(undefined);
  });

  it('is ended, with or without an error', async () => {
    const table = new CommandTable(1);
    const waits = new DrainWaits(table);
    table.wait(command());
    const ended = waits.wait(() => true);
    waits.end();
    await ended;
    const error = systemError('EIO', 'sislite');
    const failed = waits.wait(() => true, error);
    waits.end(error);
    await expect(failed).rejects.toBe(error);
    expect(waits.refusal(command())).toBe(undefined);
  });
});
