/** How completions are noticed, and an adapter that has failed: by events, by polling, by a timer. */
import { describe, expect, it } from 'vitest';
import { CompletionMonitor, type MonitoredQueue } from '../../../lib/flash/completion-monitor';
import { REGISTERS } from '../../../lib/flash/sislite';
import { newStatistics } from '../../../lib/flash/statistics';
import { systemError } from '../../../lib/shared/errors';
import { VirtualTime } from './virtual-time';

const ALL_ONES = 2n ** 64n - 1n;
const RESPONSE = { type: 'afu-interrupt', irq: 2 };

/** A queue that has commands, and what its monitor did to it. */
class Queue implements MonitoredQueue {
  readonly statistics = newStatistics();
  busy = true;
  stopped = false;
  monitor!: CompletionMonitor;
  /** Of calls since they were last looked at. */
  calls: unknown[] = [];
  /** What collect() fails with. */
  failure: Error | undefined;

  collect(): void {
    this.calls.push('collect');
    if (this.failure !== undefined) throw this.failure;
  }
  checkHung(): void {
    this.calls.push('checkHung');
  }
  /** As the queue: it starts the monitor while it has commands. */
  proceed(): void {
    this.calls.push('proceed');
    if (this.busy) this.monitor.start();
    else this.monitor.stop();
  }
  dataFault(address: bigint): void {
    this.calls.push(address);
  }
  recover(error: unknown): void {
    this.calls.push(['recover', (error as { code: string }).code]);
  }
  end(error: Error): void {
    this.calls.push(['end', error]);
  }

  taken(): unknown[] {
    return this.calls.splice(0);
  }
}

interface Subscriber {
  events(events: readonly object[]): void;
  failed(error: unknown): void;
}

class Owner {
  subscribers: Subscriber[] = [];
  subscriptions = 0;
  /** What a subscription fails with. */
  refusal: Error | undefined;
  readonly registers = new Map<number, bigint>();
  readonly stores: [number, bigint][] = [];
  readonly page = {
    read64: (offset: number) => this.registers.get(offset) ?? 0n,
    write64: (offset: number, value: bigint) => void this.stores.push([offset, value]),
  };
  readonly context = {
    path: '/dev/cxl/afu0.0s',
    subscribeToHardwareEvents: (subscriber: Subscriber) => {
      if (this.refusal !== undefined) throw this.refusal;
      this.subscriptions += 1;
      this.subscribers.push(subscriber);
      return () => {
        this.subscribers = this.subscribers.filter((one) => one !== subscriber);
      };
    },
  };

  emit(...events: object[]): void {
    for (const subscriber of this.subscribers) subscriber.events(events);
  }

  /** Ends the subscription, as a wait for events that fails. */
  fail(code: 'EMFILE' | 'EIO'): void {
    const [subscriber] = this.subscribers.splice(0);
    subscriber?.failed(systemError(code, 'wait'));
  }
}

async function monitored(
  options: { completion?: 'poll'; watchInterval?: number; responseTimeout?: number },
  use: (monitor: CompletionMonitor, queue: Queue, owner: Owner, time: VirtualTime) => void,
): Promise<void> {
  const time = new VirtualTime();
  await time.during(async () => {
    const queue = new Queue();
    const owner = new Owner();
    const all = { completion: 'interrupt', watchInterval: 50, responseTimeout: 200, ...options };
    const monitor = new CompletionMonitor(owner as never, all as never, queue);
    queue.monitor = monitor;
    use(monitor, queue, owner, time);
    monitor.stop();
    expect([time.timers, owner.subscribers.length]).toEqual([0, 0]);
  });
}

const CHECKED = ['collect', 'proceed', 'checkHung'];

describe('the completion monitor', () => {
  it('reads events and checks the adapter from start() to stop()', async () => {
    await monitored({}, (monitor, queue, owner, time) => {
      expect(monitor.readsEvents).toBe(false);
      monitor.start();
      monitor.start();
      expect([owner.subscriptions, time.timers, monitor.readsEvents]).toEqual([1, 1, true]);
      owner.emit(RESPONSE);
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      time.pass(49);
      expect(queue.taken()).toEqual([]);
      time.pass(1);
      expect(queue.taken()).toEqual(CHECKED);
      monitor.stop();
      expect([owner.subscribers.length, time.timers, monitor.readsEvents]).toEqual([0, 0, false]);
      time.pass(100);
      expect(queue.taken()).toEqual([]);
      monitor.start();
      expect([owner.subscriptions, time.timers]).toEqual([2, 1]);
    });
    await monitored({ watchInterval: 500, responseTimeout: 20 }, (monitor, queue, _, time) => {
      monitor.start();
      time.pass(20);
      expect(queue.taken()).toEqual(CHECKED);
    });
  });

  it('looks once in each turn of the event loop (completion: poll)', async () => {
    await monitored({ completion: 'poll' }, (monitor, queue, owner, time) => {
      monitor.start();
      monitor.start();
      expect([owner.subscriptions, monitor.readsEvents]).toEqual([0, false]);
      for (let turn = 0; turn < 3; turn += 1) {
        expect(queue.taken()).toEqual([]);
        time.pass(0);
        expect(queue.taken()).toEqual(['collect', 'proceed']);
      }
      queue.busy = false;
      time.pass(0);
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      time.pass(0);
      expect(queue.taken()).toEqual([]);
      queue.busy = true;
      monitor.start();
      queue.stopped = true;
      monitor.stop();
      time.pass(0);
      time.pass(0);
      expect([queue.taken(), time.timers]).toEqual([[], 0]);
    });
  });

  it('counts interrupts, and tells the queue of addresses', async () => {
    await monitored({}, (monitor, queue, owner) => {
      monitor.start();
      owner.emit(RESPONSE, { type: 'data-storage', address: 0x1234n }, RESPONSE);
      expect(queue.taken()).toEqual([0x1234n, 'collect', 'proceed']);
      owner.emit({ type: 'afu-interrupt', irq: 3 }, { type: 'afu-interrupt', irq: 1 });
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      owner.emit({ type: 'dropped', count: 2 });
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      owner.emit({ type: 'afu-error', error: 1n });
      expect(queue.taken()).toEqual([...CHECKED, 'collect', 'proceed']);
      expect(queue.statistics).toMatchObject({
        interrupts: 2,
        unexpectedInterrupts: 1,
        afuErrorEvents: 1,
      });
    });
  });

  it('has the context recovered when the adapter does not answer', async () => {
    await monitored({}, (monitor, queue, owner, time) => {
      monitor.start();
      for (const register of [REGISTERS.endianControl, REGISTERS.interruptStatus]) {
        owner.registers.set(register, ALL_ONES);
        time.pass(50);
        expect(queue.taken()).toEqual([['recover', 'EIO']]);
        owner.emit({ type: 'afu-error', error: 1n });
        expect(queue.taken()).toEqual([['recover', 'EIO']]);
        owner.registers.delete(register);
      }
      expect(owner.stores).toEqual([]);
      queue.failure = systemError('EREMOTEIO', 'mmio');
      owner.emit(RESPONSE);
      expect(queue.taken()).toEqual(['collect', ['recover', 'EREMOTEIO']]);
    });
  });

  it('ends the queue when the AFU could not access its memory, with what is complete', async () => {
    for (const [status, names] of [
      [0x10n, 'commandRoom'],
      [0x0cn, 'commandRead, statusWrite'],
      [0x03n, 'responseWrite, pageIn'],
    ] as const) {
      await monitored({}, (monitor, queue, owner) => {
        monitor.start();
        owner.registers.set(REGISTERS.interruptStatus, status);
        owner.emit({ type: 'afu-interrupt', irq: 1 });
        const [collect, [end, error]] = queue.taken() as [string, [string, Error]];
        expect([collect, end]).toEqual(['collect', 'end']);
        expect(error).toMatchObject({ code: 'EREMOTEIO', path: '/dev/cxl/afu0.0s' });
        expect(error.message).toContain(names);
        expect(owner.stores).toEqual([[REGISTERS.interruptClear, status]]);
        // Bits that mean nothing.
        owner.registers.set(REGISTERS.interruptStatus, 0x7e0n);
        owner.emit({ type: 'afu-interrupt', irq: 1 });
        expect([queue.taken(), owner.stores.length]).toEqual([['collect', 'proceed'], 1]);
      });
    }
  });

  it('touches nothing of a queue that has stopped', async () => {
    await monitored({}, (monitor, queue, owner, time) => {
      monitor.start();
      queue.stopped = true;
      owner.emit(RESPONSE, { type: 'data-storage', address: 1n });
      time.pass(50);
      expect(queue.taken()).toEqual([]);
      expect(queue.statistics.interrupts).toBe(0);
    });
  });

  it('checks the adapter also when the program reads the events itself', async () => {
    await monitored({}, (monitor, queue, owner, time) => {
      owner.refusal = new Error('in use');
      monitor.start();
      expect([monitor.readsEvents, time.timers]).toEqual([false, 1]);
      time.pass(50);
      expect(queue.taken()).toEqual(CHECKED);
      // It has ended.
      owner.refusal = undefined;
      time.pass(50);
      expect(monitor.readsEvents).toBe(true);
    });
  });

  it('subscribes again after pauses that double up to 100 ms', async () => {
    await monitored({ watchInterval: 60_000, responseTimeout: 60_000 }, (...all) => {
      const [monitor, queue, owner, time] = all;
      monitor.start();
      for (const pause of [1, 2, 4, 8, 16, 32, 64, 100, 100]) {
        owner.fail('EMFILE');
        const { subscriptions } = owner;
        expect([monitor.readsEvents, queue.taken()]).toEqual([false, []]);
        // Not before its time, whoever starts it.
        time.pass(pause - 1);
        monitor.start();
        expect([owner.subscriptions - subscriptions, queue.taken()]).toEqual([0, []]);
        time.pass(1);
        expect([owner.subscriptions - subscriptions, queue.taken()]).toEqual([
          1,
          ['collect', 'proceed'],
        ]);
      }
      expect(queue.statistics.waitFailures).toBe(9);
      owner.emit(RESPONSE);
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      // They have worked again: the next pause is the first.
      owner.fail('EMFILE');
      time.pass(1);
      expect(queue.taken()).toEqual(['collect', 'proceed']);
      owner.fail('EMFILE');
      monitor.stop();
      expect(time.timers).toBe(0);
      monitor.start();
      expect(monitor.readsEvents).toBe(true);
      // The context was detached.
      owner.fail('EIO');
      expect(queue.taken()).toEqual([['recover', 'EIO']]);
    });
  });
});
