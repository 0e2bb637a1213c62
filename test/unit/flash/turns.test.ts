/** The flash queue and the turns of the event loop: doorbells at their end, polling once in each. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { CommandOwner } from '../../../lib/flash/command';
import { systemError } from '../../../lib/shared/errors';
import { QueueScript } from './queue-script';

const DEPTH = 128;

/** A queue with a submission ring, which polls. */
class Script extends QueueScript {
  constructor() {
    super({ completion: 'poll', depth: DEPTH, squeue: true, onReset: 'fail' });
  }

  submitEach(count: number, settled: CommandOwner['settled']): void {
    for (let number = 0; number < count; number += 1) {
      this.queue.submit([this.command({ settled }, { name: 'read' })]);
    }
  }
}

describe('a doorbell', () => {
  it('is rung once for the commands of a turn, at its end, and for 16 at the latest', async () => {
    const script = new Script();
    script.submitEach(15, () => undefined);
    expect([script.afu.doorbells, script.afu.held.length]).toEqual([0, 0]);
    await loopTurn();
    expect([script.afu.doorbells, script.afu.held.length]).toEqual([1, 15]);
    script.submitEach(17, () => undefined);
    expect([script.afu.doorbells, script.afu.held.length]).toEqual([2, 31]);
    await loopTurn();
    expect([script.afu.doorbells, script.afu.held.length]).toEqual([3, 32]);
    await script.close();
  });

  it('is rung before a recovery, which finds each command in flight in the AFU', async () => {
    const script = new Script();
    script.submitEach(3, () => undefined);
    expect(script.afu.held).toHaveLength(0);
    script.queue.recover(systemError('EIO', 'mmio'));
    expect(script.afu.held).toHaveLength(3);
    await loopTurn();
    expect([script.afu.doorbells, script.recoveries]).toEqual([1, 1]);
    await script.queue.resume(false);
    script.submitEach(2, () => undefined);
    // The second one in succession begins after a delay.
    script.queue.recover(systemError('EIO', 'mmio'));
    expect(script.afu.held).toHaveLength(5);
    await script.close();
  });

  it('is not rung for commands that were rejected before it', async () => {
    const script = new Script();
    const errors: unknown[] = [];
    script.submitEach(3, (error) => errors.push(error));
    const ended = systemError('EREMOTEIO', 'sislite');
    script.queue.end(ended);
    await loopTurn();
    expect(errors).toEqual([ended, ended, ended]);
    expect(script.afu.doorbells).toBe(0);
    script.queue.free();
  });

  it('that faults leaves the queue in doubt: the context is reset', async () => {
    for (const fault of ['lost', 'done'] as const) {
      const script = new Script();
      script.submitEach(3, () => undefined);
      script.afu.fault = fault;
      await loopTurn();
      expect(script.recoveries).toBe(1);
      expect(await script.queue.resetContext()).toBe(true);
      expect([script.afu.held.length, script.queue.busy]).toEqual([0, false]);
      await script.close();
    }
  });

  it('that faults before a recovery leaves the queue in doubt too', async () => {
    const script = new Script();
    script.submitEach(3, () => undefined);
    script.afu.fault = 'lost';
    script.queue.pause();
    expect(await script.queue.resetContext()).toBe(true);
    expect(script.queue.busy).toBe(false);
    await script.close();
  });
});

describe('polling', () => {
  it('settles no more commands in a turn of the event loop than are in flight', async () => {
    const commands = 20 * DEPTH;
    const script = new Script();
    const { afu } = script;
    // At once: whoever polls until nothing has completed never ends.
    afu.onCommand = () => queueMicrotask(() => afu.complete(0));
    let [begun, settled, settledThisTurn, most, turns] = [0, 0, 0, 0, 0];
    const turn = () => {
      most = Math.max(most, settledThisTurn);
      settledThisTurn = 0;
      turns += 1;
      if (settled < commands) setImmediate(turn);
    };
    turn();
    await new Promise<void>((resolve) => {
      const submit = () => {
        begun += 1;
        script.submitEach(1, () => {
          settled += 1;
          settledThisTurn += 1;
          // As a program that awaits each command and starts the next.
          if (begun < commands) Promise.resolve().then(submit);
          if (settled === commands) resolve();
        });
      };
      for (let lane = 0; lane < DEPTH; lane += 1) submit();
    });
    expect(most).toBe(DEPTH);
    expect(turns).toBeGreaterThanOrEqual(commands / DEPTH);
    await script.close();
  });
});
