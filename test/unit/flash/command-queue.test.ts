/** The flash queue alone, with an AFU that does what a test says, while time passes when told. */
import { channel } from 'node:diagnostics_channel';
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { systemError } from '../../../lib/shared/errors';
import type { AfuScript } from './afu-script';
import { QueueScript, type ScriptOptions } from './queue-script';
import { VirtualTime } from './virtual-time';

const BUSY = { scsi: 0x08 };
const LINK_DOWN = { fc: 0x57 };
const TIMED_OUT = { afu: 0x51 };
const NO_ACCESS = { afu: 0x31 };
const MEDIUM_ERROR = { flags: 0x80, scsi: 0x02, sense: Uint8Array.of(0x70, 0, 3) };
/** Parameters or capacity changed. */
const UNIT_ATTENTION = {
  flags: 0x80,
  scsi: 0x02,
  sense: Uint8Array.of(0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9),
};

const failure = (code: 'EIO' | 'ENODEV' | 'ECANCELED' | 'EREMOTEIO') => systemError(code, 'test');

/** A queue, its clock, and what was left in the AFU. */
async function withQueue(
  options: ScriptOptions,
  use: (script: QueueScript, time: VirtualTime) => Promise<void>,
  prepare?: (afu: AfuScript) => void,
): Promise<void> {
  const time = new VirtualTime();
  await time.during(async () => {
    const script = new QueueScript(options, prepare);
    await use(script, time);
    script.queue.end(failure('ECANCELED'));
    script.queue.free();
    expect(time.timers, 'a timer is left').toBe(0);
  });
}

describe('the queue', () => {
  it('programs the rings with the first command, when that has failed before, and resets nothing', async () => {
    await withQueue(
      {},
      async ({ afu, queue }) => {
        expect(queue.unmapSupported).toBe(undefined);
        expect(await queue.resetContext()).toBe(false);
        expect([afu.looks, queue.statistics.contextResetFailures]).toEqual([0, 0]);
      },
      (afu) => {
        afu.fault = 'lost';
      },
    );
    await withQueue(
      {},
      async (script) => {
        const { outcome } = script.submit();
        script.afu.complete(0);
        script.afu.interrupt();
        expect([outcome.codes, script.recoveries]).toEqual([['done'], 0]);
        expect(script.queue.unmapSupported).toBe(false);
      },
      (afu) => {
        afu.fault = 'lost';
      },
    );
  });

  it('knows whether the AFU can unmap, also while a reset clears the bit', async () => {
    await withQueue(
      {},
      async (script) => {
        expect(script.queue.unmapSupported).toBe(true);
        script.afu.canUnmap = false;
        await script.recover(true);
        expect(script.queue.unmapSupported).toBe(true);
      },
      (afu) => {
        afu.canUnmap = true;
      },
    );
    await withQueue({}, async (script) => {
      expect(script.queue.unmapSupported).toBe(false);
      await script.recover(true);
      expect(script.queue.unmapSupported).toBe(false);
      script.afu.canUnmap = true;
      await script.recover(true);
      expect(script.queue.unmapSupported).toBe(true);
    });
  });

  it('checks the adapter only while it has commands and runs', async () => {
    await withQueue({}, async (script, time) => {
      script.queue.submit([]);
      expect(time.timers).toBe(0);
      const { outcome } = script.submit();
      expect(time.timers).toBe(1);
      script.afu.complete(0);
      script.afu.interrupt();
      expect([outcome.codes, time.timers]).toEqual([['done'], 0]);
      // The store to the doorbell faults: a recovery begins.
      script.afu.fault = 'lost';
      script.submit();
      expect([script.recoveries, script.queue.stopped, time.timers]).toEqual([1, true, 0]);
      const { command } = script.submit();
      expect([time.timers, command.place, script.afu.held.length]).toEqual([0, 'waiting', 0]);
    });
  });

  it('has the context recovered when the AFU does not say how many commands it takes', async () => {
    await withQueue({}, async (script) => {
      script.afu.inError = true;
      const { command } = script.submit();
      expect([script.recoveries, command.place]).toEqual([1, 'waiting']);
    });
  });

  it('is in doubt after a store to the AFU that faulted: the context is reset', async () => {
    for (const fault of ['lost', 'done'] as const) {
      await withQueue({}, async (script) => {
        script.submit();
        script.afu.fault = fault;
        const { command } = script.submit();
        expect([script.recoveries, command.place]).toEqual([1, 'in-flight']);
        expect(await script.queue.resetContext()).toBe(true);
        expect([command.place, script.afu.held.length]).toEqual(['waiting', 0]);
      });
    }
  });

  it('reads the room of the AFU when what it read has been used up', async () => {
    await withQueue({ depth: 4 }, async (script) => {
      for (let i = 0; i < 4; i += 1) script.submit();
      expect(script.afu.roomReads).toBe(1);
      expect(script.queue.statistics).toMatchObject({ issued: 4, maxInFlight: 4, inFlight: 4 });
      script.submit();
      expect(script.queue.statistics).toMatchObject({ waiting: 1, slotsExhausted: 1 });
      expect(script.afu.roomReads).toBe(1);
      for (let command = 0; command < 5; command += 1) {
        script.afu.complete(0);
        script.afu.interrupt();
      }
      expect(script.afu.roomReads).toBe(2);
      expect(script.queue.statistics).toMatchObject({
        issued: 5,
        completed: 5,
        failed: 0,
        waiting: 0,
        inFlight: 0,
        maxInFlight: 4,
        roomExhausted: 0,
      });
    });
  });

  it('has commands wait for which the AFU has no room', async () => {
    await withQueue({ depth: 4, room: 2 }, async (script) => {
      for (let i = 0; i < 3; i += 1) script.submit();
      expect(script.queue.statistics).toMatchObject({ roomExhausted: 1, waiting: 1, inFlight: 2 });
      for (let i = 0; i < 3; i += 1) {
        script.afu.complete(0);
        script.afu.interrupt();
      }
      script.submit();
      // The most at one time, not the latest.
      expect(script.queue.statistics).toMatchObject({
        completed: 3,
        maxInFlight: 2,
        slotsExhausted: 0,
        roomExhausted: 1,
      });
    });
  });

  it('tells the listeners of its channel of each command', async () => {
    const messages: object[] = [];
    const listen = (message: unknown) => messages.push(message as object);
    await withQueue({}, async (script) => {
      const silent = script.submit();
      expect(silent.command.trace).toBe(undefined);
      const end = channel('tracing:node-cxl:flash.command:asyncEnd');
      end.subscribe(listen);
      script.submit({ name: 'read' });
      const failed = script.submit();
      for (const codes of [{}, {}, { fc: 0x55 }]) {
        script.afu.complete(0, codes);
        script.afu.interrupt();
      }
      end.unsubscribe(listen);
      expect(messages).toMatchObject([
        { path: '/dev/sg1', command: 'read', lba: 1n, blocks: 1 },
        { path: '/dev/sg1', command: 'write', lba: 2n, blocks: 1, error: failed.outcome.errors[0] },
      ]);
    });
  });
});

describe('data that is copied', () => {
  it('is written to a buffer by a read that succeeded, and by nothing else', async () => {
    await withQueue({}, async (script) => {
      const bytes = new Uint8Array(4096).fill(7);
      const complete = (codes = {}) => {
        script.afu.complete(0, codes);
        script.afu.interrupt();
      };
      const write = script.submit({ bytes });
      bytes.fill(8);
      complete();
      expect([write.outcome.codes, bytes[0]]).toEqual([['done'], 8]);
      const failed = script.submit({ name: 'read', bytes });
      complete({ fc: 0x55 });
      expect([failed.outcome.codes, bytes[0]]).toEqual([['EIO'], 8]);
      const aborted = script.submit({ name: 'read', bytes });
      script.queue.cancel(aborted.command, failure('ECANCELED'));
      complete();
      expect([aborted.outcome.codes, bytes[0]]).toEqual([['ECANCELED'], 8]);
      // The AFU writes nothing here: what comes is what the write left in the bounce buffer.
      const read = script.submit({ name: 'read', bytes });
      complete();
      expect([read.outcome.codes, bytes[0], bytes[4095]]).toEqual([['done'], 7, 7]);
      expect(script.queue.statistics).toMatchObject({ completed: 2, failed: 2 });
      const detached = script.submit({ name: 'read', bytes });
      structuredClone(bytes, { transfer: [bytes.buffer] });
      complete();
      expect([detached.outcome.codes, detached.command.place]).toEqual([
        ['ERR_INVALID_STATE'],
        'none',
      ]);
    });
  });

  it('of a write that is detached settles the command alone: the AFU never has it', async () => {
    await withQueue({ depth: 1 }, async (script) => {
      const before = script.submit();
      const bytes = new Uint8Array(4096);
      const detached = script.submit({ bytes });
      const after = script.submit();
      structuredClone(bytes, { transfer: [bytes.buffer] });
      script.afu.complete(0);
      script.afu.interrupt();
      expect(before.outcome.codes).toEqual(['done']);
      expect(detached.outcome.codes).toEqual(['ERR_INVALID_STATE']);
      expect([detached.command.attempts, detached.command.place]).toEqual([0, 'none']);
      expect([after.command.place, script.recoveries]).toEqual(['in-flight', 0]);
      expect(script.queue.statistics.issued).toBe(2);
    });
  });
});

describe('a status that reports an error', () => {
  /** Milliseconds that the command was delayed, by attempt. */
  async function delays(codes: object, retries: number): Promise<number[]> {
    const found: number[] = [];
    await withQueue({ retries }, async (script, time) => {
      const { outcome } = script.submit();
      for (;;) {
        script.afu.complete(0, codes);
        script.afu.interrupt();
        if (outcome.errors.length > 0) break;
        expect(found.length).toBeLessThan(retries);
        expect(script.queue.statistics).toMatchObject({ waiting: 1, inFlight: 0 });
        const before = time.now;
        for (let turn = 0; turn < 6000 && script.afu.held.length === 0; turn += 1) time.pass(1);
        found.push(time.now - before);
      }
      const total = found.reduce((sum, delay) => sum + delay, 0);
      expect(script.queue.statistics).toMatchObject({ retried: retries, retryDelay: total });
    });
    return found;
  }

  it('delays the retries by times that double up to a limit', async () => {
    expect(await delays(LINK_DOWN, 9)).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64]);
    expect(await delays(BUSY, 9)).toEqual([20, 40, 80, 160, 320, 640, 1280, 2560, 5000]);
    expect(await delays(MEDIUM_ERROR, 0)).toEqual([]);
  });

  it('counts what timed out, and what failed because of that', async () => {
    await withQueue({ retries: 1 }, async (script, time) => {
      const { outcome } = script.submit();
      script.afu.complete(0, TIMED_OUT);
      script.afu.interrupt();
      expect(script.queue.statistics).toMatchObject({ timeouts: 1, timeoutFailures: 0 });
      time.pass(1);
      script.afu.complete(0, TIMED_OUT);
      script.afu.interrupt();
      expect(outcome.errors).toMatchObject([{ code: 'ETIMEDOUT', attempts: 2 }]);
      expect(script.queue.statistics.timeoutFailures).toBe(1);
      const other = script.submit();
      script.afu.complete(0, MEDIUM_ERROR);
      script.afu.interrupt();
      expect(other.outcome.errors).toMatchObject([{ code: 'EIO', attempts: 1 }]);
      expect(script.queue.statistics).toMatchObject({
        ...{ timeouts: 2, timeoutFailures: 1, failed: 2 },
        ...{ errors: 3, afuErrors: 2, checkConditions: 1 },
      });
      // No sense: the command has succeeded.
      const success = script.submit();
      script.afu.complete(0, { flags: 0x80, scsi: 0x02, sense: Uint8Array.of(0x70) });
      script.afu.interrupt();
      expect(success.outcome.codes).toEqual(['done']);
    });
  });

  it('of a unit attention has the driver verify the resource before the retry', async () => {
    await withQueue({ retries: 1 }, async (script) => {
      const { command, outcome } = script.submit();
      script.afu.complete(0, UNIT_ATTENTION);
      script.afu.interrupt();
      expect(script.verified).toMatchObject([{ key: 'unit-attention', code: 0x2a, qualifier: 9 }]);
      expect([command.place, script.queue.statistics.waiting]).toEqual(['delayed', 1]);
      await loopTurn();
      expect(command.place).toBe('in-flight');
      script.afu.complete(0);
      script.afu.interrupt();
      expect(outcome.codes).toEqual(['done']);
      const cause = failure('ENODEV');
      script.verifies = Promise.reject(cause);
      const failed = script.submit();
      script.afu.complete(0, UNIT_ATTENTION);
      script.afu.interrupt();
      await loopTurn();
      expect(failed.outcome.errors).toMatchObject([{ code: 'EIO', attempts: 1, cause }]);
      expect(script.queue.statistics).toMatchObject({ retried: 2, verifies: 2, retryDelay: 0 });
      // Meanwhile the command can be given up.
      script.verifies = Promise.resolve(true);
      const aborted = script.submit();
      script.afu.complete(0, UNIT_ATTENTION);
      script.afu.interrupt();
      script.queue.cancel(aborted.command, failure('ECANCELED'));
      await loopTurn();
      expect([aborted.outcome.codes, aborted.command.place]).toEqual([['ECANCELED'], 'none']);
    });
  });

  it('has the command wait again behind those that wait', async () => {
    await withQueue({ retries: 1, depth: 1 }, async (script, time) => {
      for (let i = 0; i < 3; i += 1) script.submit();
      script.afu.complete(0, LINK_DOWN);
      script.afu.interrupt();
      time.pass(1);
      const order: number[] = [];
      for (let i = 0; i < 3; i += 1) {
        order.push(...script.afu.held.map(({ lba }) => lba));
        script.afu.complete(0);
        script.afu.interrupt();
      }
      expect(order).toEqual([1, 2, 0]);
    });
  });

  it('does not issue a command again whose resource is being released', async () => {
    await withQueue({ retries: 1, depth: 1 }, async (script, time) => {
      const delayed = script.submit();
      script.afu.complete(0, LINK_DOWN);
      script.afu.interrupt();
      const inFlight = script.submit();
      const waiting = script.submit();
      const other = script.submit();
      const retired = script.queue.retire(
        (command) => command !== other.command,
        failure('ECANCELED'),
      );
      expect([delayed.outcome.codes, waiting.outcome.codes]).toEqual([
        ['ECANCELED'],
        ['ECANCELED'],
      ]);
      script.afu.complete(0, LINK_DOWN);
      script.afu.interrupt();
      time.pass(1);
      await retired;
      expect(inFlight.outcome.codes).toEqual(['ECANCELED']);
      expect([other.command.place, script.queue.statistics.retried]).toEqual(['in-flight', 2]);
    });
  });

  it('of data that the AFU could not access has the address of the event', async () => {
    await withQueue({}, async (script, time) => {
      const addresses = () =>
        outcomes.map(({ errors }) => errors.map((e) => (e as never)['address']));
      // The event comes before the completion, after it, and not at all.
      const outcomes = [0, 1, 2].map(
        (i) => script.submit({ address: 0x10_0000n * BigInt(i + 1) }).outcome,
      );
      script.afu.emit({ type: 'data-storage', address: 0x10_0010n });
      expect(addresses()).toEqual([[], [], []]);
      for (let i = 0; i < 3; i += 1) script.afu.complete(0, NO_ACCESS);
      script.afu.interrupt();
      expect(addresses()).toEqual([[0x10_0010n], [], []]);
      expect(script.queue.statistics).toMatchObject({ waiting: 2, inFlight: 0 });
      time.pass(19);
      script.afu.emit({ type: 'data-storage', address: 0x20_0000n });
      expect(addresses()).toEqual([[0x10_0010n], [0x20_0000n], []]);
      expect(time.timers).toBeGreaterThan(0);
      time.pass(1);
      expect(addresses()).toEqual([[0x10_0010n], [0x20_0000n], [undefined]]);
      expect(outcomes.flatMap(({ codes }) => codes)).toEqual(['EFAULT', 'EFAULT', 'EFAULT']);
      expect(script.queue.statistics).toMatchObject({
        dataStorageEvents: 2,
        failed: 3,
        waiting: 0,
      });
      // Other errors do not wait for an event.
      const other = script.submit();
      script.afu.complete(0, MEDIUM_ERROR);
      script.afu.interrupt();
      expect(other.outcome.codes).toEqual(['EIO']);
    });
    await withQueue({ completion: 'poll' }, async (script, time) => {
      const { outcome } = script.submit();
      script.afu.complete(0, NO_ACCESS);
      time.pass(0);
      expect(outcome.errors).toMatchObject([{ code: 'EFAULT', address: undefined }]);
    });
  });
});

describe('a response', () => {
  it('of a slot without a command is counted', async () => {
    await withQueue({}, async (script) => {
      script.submit();
      script.afu.respond(2);
      script.afu.respond(100);
      script.afu.interrupt();
      expect(script.queue.statistics).toMatchObject({ unexpectedResponses: 2, inFlight: 1 });
      script.afu.complete(0);
      script.afu.interrupt();
      expect(script.queue.statistics).toMatchObject({ unexpectedResponses: 2, completed: 1 });
    });
  });
});

describe('a command that hangs', () => {
  for (const [onReset, retries] of [
    ['retry', 1],
    ['fail', 1],
    ['retry', 0],
  ] as const) {
    it(`has the context reset, and is ${onReset === 'retry' && retries > 0 ? 'issued again' : 'given up'} (onReset: ${onReset}, ${retries} retries)`, async () => {
      await withQueue({ onReset, retries, responseTimeout: 100 }, async (script, time) => {
        const hung = script.submit();
        time.pass(60);
        const late = script.submit();
        script.queue.checkHung();
        expect([script.recoveries, hung.command.hung]).toEqual([0, false]);
        time.pass(40);
        expect([script.recoveries, hung.command.hung, late.command.hung]).toEqual([1, true, false]);
        expect(script.queue.statistics).toMatchObject({ timeouts: 1 });
        script.queue.checkHung();
        expect(script.queue.statistics.timeouts).toBe(1);
        expect(await script.queue.resetContext()).toBe(true);
        expect(script.queue.statistics).toMatchObject({
          contextResets: 1,
          contextResetFailures: 0,
        });
        expect(script.afu.held).toHaveLength(0);
        await script.queue.resume(false);
        script.queue.proceed();
        const again = onReset === 'retry' && retries > 0;
        expect(hung.outcome.codes).toEqual(again ? [] : ['ETIMEDOUT']);
        expect(late.outcome.codes).toEqual(onReset === 'retry' ? [] : ['ECANCELED']);
        const held = script.afu.held.map(({ lba }) => lba);
        expect(held).toEqual(onReset === 'fail' ? [] : again ? [0, 1] : [1]);
        expect([hung.command.hung, late.command.attempts]).toEqual([
          false,
          onReset === 'fail' ? 1 : 2,
        ]);
        expect(script.queue.statistics).toMatchObject({
          retried: again ? 1 : 0,
          reissued: onReset === 'retry' ? 1 : 0,
          timeoutFailures: again ? 0 : 1,
          resets: 0,
        });
        // The reset has made sure: none is needed any more.
        expect(await script.queue.resetContext()).toBe(false);
        expect(script.queue.statistics.contextResets).toBe(1);
      });
    });
  }

  it('fails when resets of the context do not help', async () => {
    await withQueue({ retries: 9, responseTimeout: 100 }, async (script, time) => {
      let reset: Promise<void> | undefined;
      script.onRecovery = async () => {
        script.queue.pause();
        reset = script.queue.resetContext().then(() => script.queue.resume(false));
        await reset;
        script.queue.proceed();
      };
      const { command, outcome } = script.submit();
      for (let turn = 0; turn < 100 && outcome.errors.length === 0; turn += 1) {
        time.pass(50);
        await loopTurn();
        await reset;
      }
      expect(outcome.errors).toMatchObject([{ code: 'ETIMEDOUT', syscall: 'sislite' }]);
      expect([script.recoveries, command.attempts]).toEqual([5, 6]);
    });
  });

  it('ends by the reset of an adapter whose context cannot be reset', async () => {
    await withQueue({ retries: 1, responseTimeout: 100 }, async (script, time) => {
      const { command } = script.submit();
      time.pass(100);
      script.afu.inError = true;
      expect(await script.queue.resetContext()).toBe(false);
      expect(script.queue.statistics).toMatchObject({ contextResets: 0, contextResetFailures: 1 });
      await expect(script.queue.resume(false)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      expect([script.queue.stopped, command.place]).toEqual([true, 'in-flight']);
      await script.recover(true);
      expect(script.queue.statistics).toMatchObject({ resets: 1, retried: 1, reissued: 0 });
      expect([command.place, command.attempts]).toEqual(['in-flight', 2]);
    });
  });
});

describe('a reset of the adapter', () => {
  it('settles what had completed, and issues the others again in their order', async () => {
    await withQueue({ onReset: 'retry' }, async (script, time) => {
      const all = [0, 1, 2, 3].map(() => {
        time.pass(1);
        return script.submit();
      });
      const waiting = script.submit();
      script.queue.cancel(all[2]!.command, failure('ECANCELED'));
      script.afu.complete(0);
      await script.recover(true);
      expect(all.map(({ outcome }) => outcome.codes)).toEqual([['done'], [], ['ECANCELED'], []]);
      expect(script.afu.held.map(({ lba }) => lba)).toEqual([1, 3, 4]);
      expect(waiting.outcome.codes).toEqual([]);
      expect(script.queue.statistics).toMatchObject({
        resets: 1,
        reissued: 2,
        retried: 0,
        inFlight: 3,
      });
    });
  });

  it('puts what was in flight before what waits, and that before what comes later', async () => {
    await withQueue({ depth: 2 }, async (script, time) => {
      for (let i = 0; i < 4; i += 1) {
        time.pass(1);
        script.submit();
      }
      script.queue.pause();
      script.afu.lose();
      script.afu.recover();
      await script.queue.resume(true);
      const order: number[] = [];
      script.afu.onCommand = ({ lba }) => order.push(lba);
      script.submit();
      for (let i = 0; i < 5; i += 1) {
        script.afu.complete(0);
        script.afu.interrupt();
      }
      expect(order).toEqual([0, 1, 2, 3, 4]);
      expect(script.queue.statistics.completed).toBe(5);
    });
  });

  it('rejects what was in flight (onReset: fail), and issues what waited', async () => {
    await withQueue({ onReset: 'fail', depth: 1 }, async (script) => {
      const inFlight = script.submit();
      const waiting = script.submit();
      await script.recover(true);
      expect(inFlight.outcome.codes).toEqual(['ECANCELED']);
      expect([waiting.outcome.codes, waiting.command.place]).toEqual([[], 'in-flight']);
      expect(script.queue.statistics).toMatchObject({ resets: 1, reissued: 0, failed: 1 });
    });
  });

  it('ends the wait for a release: the command is not issued again', async () => {
    await withQueue({ depth: 1 }, async (script) => {
      const { outcome } = script.submit();
      const retired = script.queue.retire(() => true, failure('ECANCELED'));
      await script.recover(true);
      await retired;
      expect([outcome.codes, script.afu.held.length, script.queue.busy]).toEqual([
        ['ECANCELED'],
        0,
        false,
      ]);
    });
  });
});

describe('recoveries that do not help', () => {
  it('begin at once, then after delays that double, and at last reject the commands', async () => {
    await withQueue({}, async (script, time) => {
      const begun: number[] = [];
      script.onRecovery = async () => {
        begun.push(time.now);
        script.queue.pause();
        script.queue.recoveryFailed(failure('EIO'));
      };
      const { command, outcome } = script.submit();
      const drained = script.queue.drained();
      script.queue.recover(failure('EREMOTEIO'));
      expect([begun, script.queue.stopped]).toEqual([[0], true]);
      time.pass(1000);
      expect(begun).toEqual([0, 20, 60, 140, 300]);
      await expect(drained).rejects.toMatchObject({ code: 'EIO' });
      // The AFU may still have it.
      expect([outcome.codes, command.place]).toEqual([['EIO'], 'in-flight']);
      expect(script.queue.statistics).toMatchObject({ recoveryFailures: 5, failed: 1 });
      time.pass(10_000);
      expect(begun).toHaveLength(5);
      // The next command begins anew, by a recovery after the first delay.
      script.submit();
      time.pass(9);
      expect(begun).toHaveLength(5);
      time.pass(1);
      expect(begun).toHaveLength(6);
      script.onRecovery = () => script.recover(true);
      time.pass(1000);
      await loopTurn();
      expect(script.afu.held.map(({ lba }) => lba)).toEqual([1]);
      expect(script.queue.stopped).toBe(false);
    });
  });

  it('begin one at a time, and at once again after a reset of the adapter', async () => {
    await withQueue({}, async (script, time) => {
      const { command } = script.submit();
      script.queue.recover(failure('EIO'));
      script.queue.recover(failure('EIO'));
      expect([script.recoveries, time.timers]).toEqual([1, 0]);
      await script.queue.resume(false);
      // It has not helped: the next one waits, and the commands with it.
      script.queue.recover(failure('EIO'));
      expect([script.recoveries, script.queue.stopped, time.timers]).toEqual([1, true, 1]);
      const later = script.submit();
      script.queue.recover(failure('EIO'));
      expect([later.command.place, time.timers]).toEqual(['waiting', 1]);
      time.pass(20);
      expect(script.recoveries).toBe(2);
      await script.recover(true);
      expect(command.place).toBe('in-flight');
      script.queue.recover(failure('EIO'));
      expect(script.recoveries).toBe(3);
    });
  });

  it('are begun by what needs the AFU, when no command waited', async () => {
    for (const need of ['submit', 'drained', 'retire'] as const) {
      await withQueue({}, async (script, time) => {
        const inFlight = script.submit();
        script.queue.cancel(inFlight.command, failure('ECANCELED'));
        script.queue.pause();
        script.afu.lose();
        for (let i = 0; i < 5; i += 1) {
          script.queue.recoveryFailed(failure('EIO'));
          script.queue.pause();
        }
        script.queue.recoveryFailed(failure('EIO'));
        expect(script.queue.busy).toBe(true);
        time.pass(5000);
        const { recoveries } = script;
        script.onRecovery = () => script.recover(true);
        let wait: Promise<void> | undefined;
        if (need === 'submit') script.submit();
        else if (need === 'drained') wait = script.queue.drained();
        else wait = script.queue.retire(() => true, failure('ECANCELED'));
        time.pass(5000);
        await wait;
        await loopTurn();
        expect(script.recoveries).toBeGreaterThan(recoveries);
        expect(script.queue.stopped).toBe(false);
      });
    }
  });

  it('fail with what the next one would begin with, when nothing is busy', async () => {
    await withQueue({}, async (script, time) => {
      script.queue.pause();
      script.queue.recoveryFailed(failure('EREMOTEIO'));
      expect([script.queue.stopped, time.timers, script.recoveries]).toEqual([true, 0, 0]);
      const { outcome } = script.submit();
      expect([time.timers, script.recoveries]).toEqual([1, 0]);
      time.pass(10);
      expect([outcome.codes, script.recoveries]).toEqual([[], 1]);
    });
  });

  it('end the queue when the adapter is gone', async () => {
    await withQueue({}, async (script, time) => {
      const { outcome } = script.submit();
      const drained = script.queue.drained();
      script.queue.pause();
      script.queue.recoveryFailed(failure('ENODEV'));
      expect(outcome.codes).toEqual(['ENODEV']);
      await drained;
      expect(script.submit().outcome.codes).toEqual(['ENODEV']);
      script.queue.recover(failure('EIO'));
      script.queue.recoveryFailed(failure('EIO'));
      await script.queue.resume(true);
      expect(script.queue.statistics).toMatchObject({ recoveryFailures: 1, resets: 0 });
      expect([script.recoveries, time.timers, script.queue.stopped]).toEqual([0, 0, true]);
    });
  });

  it('fails with the registers’ error when the adapter answers nothing but ones', async () => {
    await withQueue({}, async (script, time) => {
      script.onRecovery = async () => {
        script.queue.pause();
        await script.queue.resume(false);
        script.queue.proceed();
      };
      const { outcome } = script.submit();
      script.afu.complete(0);
      script.afu.interrupt();
      expect(outcome.codes).toEqual(['done']);
      script.afu.inError = true;
      for (let i = 0; i < 4; i += 1) script.submit();
      const last = script.submit();
      for (let i = 0; i < 20; i += 1) {
        time.pass(1000);
        await loopTurn();
      }
      expect(last.outcome.errors).toMatchObject([{ code: 'EIO', syscall: 'mmio' }]);
    });
  });
});

describe('a queue that has ended', () => {
  it('waits for nothing, settles nothing twice, and refuses later commands', async () => {
    await withQueue({}, async (script) => {
      const inFlight = script.submit();
      const aborted = script.submit();
      script.queue.cancel(aborted.command, failure('ECANCELED'));
      const end = failure('EREMOTEIO');
      script.queue.end(end);
      script.queue.end(failure('EIO'));
      expect(inFlight.outcome.errors).toEqual([end]);
      // Its slot belongs to the AFU until the context is closed.
      expect([inFlight.command.place, script.queue.busy]).toEqual(['in-flight', true]);
      await script.queue.drained();
      await script.queue.retire(() => true, failure('ECANCELED'));
      script.queue.cancel(inFlight.command, failure('ECANCELED'));
      expect(inFlight.outcome.errors).toEqual([end]);
      expect(script.submit().outcome.errors).toEqual([end]);
      expect(aborted.outcome.codes).toEqual(['ECANCELED']);
      expect(script.queue.statistics).toMatchObject({ failed: 3, issued: 2 });
    });
    // Commands that the AFU was not told of.
    await withQueue({ squeue: true }, async (script) => {
      const { outcome } = script.submit();
      script.queue.end(failure('EREMOTEIO'));
      await script.queue.close();
      await loopTurn();
      expect([outcome.codes, script.afu.doorbells]).toEqual([['EREMOTEIO'], 0]);
    });
  });

  it('by close() has settled what was complete, and has reset the context for the others', async () => {
    await withQueue({}, async (script) => {
      const [complete, other, waiting] = [0, 1, 2, 3, 4].map(() => script.submit());
      script.afu.complete(0);
      await script.queue.close();
      expect(complete?.outcome.codes).toEqual(['done']);
      expect(other?.outcome.codes).toEqual(['ECANCELED']);
      expect(waiting?.outcome.codes).toEqual(['ECANCELED']);
      expect(script.afu.held).toHaveLength(0);
      script.queue.free();
      expect([other?.command.place, script.queue.busy, script.afu.freed]).toEqual([
        'none',
        false,
        1,
      ]);
    });
    await withQueue({}, async (script) => {
      await script.queue.close();
      expect(script.afu.looks).toBe(0);
      const late = script.submit();
      expect(late.outcome.codes).toEqual(['ECANCELED']);
    });
  });
});
