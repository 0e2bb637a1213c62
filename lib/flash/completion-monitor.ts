/**
 * Notices completions while a queue has commands in flight: by the context's interrupts or by
 * polling. A timer checks the adapter as well, because neither of them reports a lost interrupt,
 * an adapter in error, or a command that the AFU does not complete.
 */
import type { CxlEvent } from '../events/events';
import { ALL_ONES_64 } from '../shared/all-ones';
import { type CxlError, systemError } from '../shared/errors';
import type { QueueOptions, QueueOwner } from './command';
import { INTERRUPT_STATUS, REGISTERS, RESPONSE_INTERRUPT, SYNC_ERROR_INTERRUPT } from './sislite';
import type { QueueStatistics } from './statistics';

/** What the monitor does with its queue. */
export interface MonitoredQueue {
  readonly statistics: QueueStatistics;
  /** Paused, lost or ended: neither registers nor memory may be accessed. */
  readonly stopped: boolean;
  /** Settles the commands that have completed. */
  collect(): void;
  /** Has the context recovered when a command hangs. */
  checkHung(): void;
  /** Issues waiting commands; starts the monitor while there are commands, else stops it. */
  proceed(): void;
  /** The AFU could not translate an address of a command's data. */
  dataFault(address: bigint): void;
  /** The context does not answer: recovers it. */
  recover(error: unknown): void;
  /** Fails all commands, now and later. */
  end(error: CxlError): void;
}

type MonitorOptions = Pick<QueueOptions, 'completion' | 'watchInterval' | 'responseTimeout'>;

/** Milliseconds between subscriptions that fail: the first pause, and the longest. */
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 100;

export class CompletionMonitor {
  readonly #owner: QueueOwner;
  readonly #options: MonitorOptions;
  readonly #queue: MonitoredQueue;
  /** Ends the subscription to the context's events. */
  #unsubscribe: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollScheduled = false;
  /** How many subscriptions have failed one after the other. */
  #failures = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(owner: QueueOwner, options: MonitorOptions, queue: MonitoredQueue) {
    this.#owner = owner;
    this.#options = options;
    this.#queue = queue;
  }

  /** Whether it reads the context's events. */
  get readsEvents(): boolean {
    return this.#unsubscribe !== undefined;
  }

  /** Does nothing while it is running. */
  start(): void {
    if (this.#options.completion === 'poll') {
      if (!this.#pollScheduled) {
        this.#pollScheduled = true;
        setImmediate(this.#poll);
      }
    } else if (this.#unsubscribe === undefined && this.#pause === undefined) {
      this.#subscribe();
    }
    const { watchInterval, responseTimeout } = this.#options;
    this.#timer ??= setInterval(
      () => this.#guarded(() => this.#checkAdapter()),
      Math.min(watchInterval, responseTimeout),
    );
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    clearTimeout(this.#pause);
    this.#pause = undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  readonly #poll = (): void => {
    this.#pollScheduled = false;
    this.#guarded(this.#collect);
  };

  readonly #collect = (): void => {
    this.#queue.collect();
    this.#queue.proceed();
  };

  /** What fails here failed by the adapter. */
  #guarded(check: () => void): void {
    if (this.#queue.stopped) return;
    try {
      check();
    } catch (error) {
      this.#queue.recover(error);
    }
  }

  #subscribe(): void {
    try {
      this.#unsubscribe = this.#owner.context.subscribeToHardwareEvents({
        events: (events) => {
          this.#failures = 0;
          this.#guarded(() => {
            for (const event of events) this.#take(event);
            this.#collect();
          });
        },
        failed: (error) => this.#subscriptionFailed(error),
      });
    } catch {
      // The program itself reads the events, so that only the timer finds completions; or the
      // context is closed.
    }
  }

  #take(event: CxlEvent): void {
    const { statistics } = this.#queue;
    if (event.type === 'data-storage') {
      this.#queue.dataFault(event.address);
    } else if (event.type === 'afu-error') {
      statistics.afuErrorEvents += 1;
      this.#checkAdapter();
    } else if (event.type === 'afu-interrupt') {
      if (event.irq === RESPONSE_INTERRUPT) statistics.interrupts += 1;
      else if (event.irq === SYNC_ERROR_INTERRUPT) this.#checkSyncError();
      else statistics.unexpectedInterrupts += 1;
    }
  }

  /**
   * The subscription is repeated after a pause, and completions are collected then: it may fail for
   * want of descriptors or memory, which nothing here can change.
   */
  #subscriptionFailed(error: unknown): void {
    this.#unsubscribe = undefined;
    this.#queue.statistics.waitFailures += 1;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE);
    this.#failures += 1;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#guarded(this.#collect);
    }, pause);
    // The context was detached, as by a reset of the adapter.
    if ((error as CxlError).code === 'EIO') this.#queue.recover(error);
  }

  /** Finds completions whose interrupt was lost, and what no interrupt reports. */
  #checkAdapter(): void {
    if (this.#owner.page.read64(REGISTERS.endianControl) === ALL_ONES_64) {
      throw systemError('EIO', 'mmio');
    }
    this.#checkSyncError();
    this.#collect();
    this.#queue.checkHung();
  }

  /** The AFU could not access a structure in memory. It does not say which command's. */
  #checkSyncError(): void {
    const status = this.#owner.page.read64(REGISTERS.interruptStatus);
    if (status === ALL_ONES_64) throw systemError('EIO', 'mmio');
    const names = Object.entries(INTERRUPT_STATUS).filter(([, bit]) => (status & bit) !== 0n);
    if (names.length === 0) return;
    this.#owner.page.write64(REGISTERS.interruptClear, status);
    this.#queue.collect();
    const hint = `AFU error: ${names.map(([name]) => name).join(', ')}`;
    this.#queue.end(systemError('EREMOTEIO', 'sislite', this.#owner.context.path, hint));
  }
}
