/**
 * Notices completions while a queue has commands in flight: by the context's interrupts or by
 * polling. A timer checks the adapter as well, because neither of them reports a lost interrupt
 * or an adapter in error.
 */
import { ALL_ONES_64 } from '../shared/all-ones';
import { CxlError, systemError } from '../shared/errors';
import type { QueueOptions, QueueOwner } from './command';
import { interruptStatus, REGISTERS, SYNC_ERROR_INTERRUPT } from './sislite';

/** What the monitor does with its queue. */
export interface MonitoredQueue {
  /** Whether any command is unsettled. */
  readonly busy: boolean;
  /** Paused or ended: neither registers nor memory may be accessed. */
  readonly stopped: boolean;
  /** Counts an interrupt. */
  countInterrupt(): void;
  /** Settles the commands that have completed. */
  collect(): void;
  /** Issues waiting commands, and stops the monitor when none is left. */
  proceed(): void;
  /** The context does not answer: recovers it. */
  recover(error: unknown): void;
  /** Fails all commands, now and later. */
  end(error: CxlError): void;
}

type MonitorOptions = Pick<QueueOptions, 'completion' | 'watchInterval'>;

export class CompletionMonitor {
  readonly #owner: QueueOwner;
  readonly #options: MonitorOptions;
  readonly #queue: MonitoredQueue;
  #interruptWait: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollScheduled = false;

  constructor(owner: QueueOwner, options: MonitorOptions, queue: MonitoredQueue) {
    this.#owner = owner;
    this.#options = options;
    this.#queue = queue;
  }

  /** Does nothing while it is running. */
  start(): void {
    if (this.#options.completion === 'poll') {
      if (!this.#pollScheduled) {
        this.#pollScheduled = true;
        setImmediate(() => this.#poll());
      }
    } else if (this.#interruptWait === undefined) {
      this.#interruptWait = new AbortController();
      void this.#waitForInterrupts(this.#interruptWait);
    }
    this.#timer ??= setInterval(() => this.#checkAdapter(), this.#options.watchInterval);
  }

  stop(): void {
    this.#interruptWait?.abort();
    this.#interruptWait = undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #poll(): void {
    this.#pollScheduled = false;
    if (this.#queue.stopped) return;
    this.#queue.collect();
    this.#queue.proceed();
    if (this.#queue.busy) this.start();
  }

  async #waitForInterrupts(wait: AbortController): Promise<void> {
    const { context } = this.#owner;
    try {
      while (!wait.signal.aborted) {
        const event = await context.waitForHardwareEvent({ signal: wait.signal });
        this.#queue.countInterrupt();
        this.#queue.collect();
        if (event.type === 'afu-interrupt' && event.irq === SYNC_ERROR_INTERRUPT) this.#syncError();
        this.#queue.proceed();
      }
    } catch (error) {
      // When the program itself reads the events, only the timer finds completions.
      if (wait.signal.aborted || !(error instanceof CxlError)) return;
      if (this.#interruptWait === wait) this.#interruptWait = undefined;
      this.#queue.recover(error);
    }
  }

  /** Finds completions whose interrupt was lost, and an adapter in error. */
  #checkAdapter(): void {
    if (this.#queue.stopped) return;
    try {
      if (this.#owner.page.read64(REGISTERS.ENDIAN_CONTROL) === ALL_ONES_64) {
        throw systemError('EIO', 'mmio');
      }
      this.#queue.collect();
      this.#queue.proceed();
    } catch (error) {
      this.#queue.recover(error);
    }
  }

  /** The AFU could not access a structure in memory. It does not say which command's. */
  #syncError(): void {
    const status = this.#owner.page.read64(REGISTERS.INTERRUPT_STATUS);
    if (status === ALL_ONES_64 || status === 0n) return;
    this.#owner.page.write64(REGISTERS.interruptClear, status);
    const names = Object.entries(interruptStatus).filter(([, bit]) => (status & bit) !== 0n);
    const hint = `AFU error: ${names.map(([name]) => name).join(', ')}`;
    this.#queue.end(systemError('EREMOTEIO', 'sislite', this.#owner.context.path, hint));
  }
}
