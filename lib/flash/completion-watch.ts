/**
 * How a queue notices completions while it has commands under way: by the context's interrupts
 * or by polling, and besides by a look every so often, for what neither tells.
 */
import { CxlError, systemError } from '../shared/errors';
import type { QueueOptions, QueueOwner } from './command';
import { interruptStatus, registers, syncErrorInterrupt } from './sislite';

/** What is done about it. */
export interface WatchedQueue {
  /** Whether there is anything to wait for. */
  readonly busy: boolean;
  /** Paused or ended: nothing is to be touched. */
  readonly still: boolean;
  interrupted(): void;
  /** Takes what has completed. */
  collect(): void;
  /** Issues what may go, and stops the watch where nothing is left. */
  proceed(): void;
  /** The context does not answer. */
  lost(error: unknown): void;
  /** No command can be told of any more. */
  end(error: CxlError): void;
}

const allOnes = (1n << 64n) - 1n;

export class CompletionWatch {
  private readonly owner: QueueOwner;
  private readonly options: Pick<QueueOptions, 'completion' | 'watchInterval'>;
  private readonly queue: WatchedQueue;
  private listening: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  private polling = false;

  constructor(
    owner: QueueOwner,
    options: Pick<QueueOptions, 'completion' | 'watchInterval'>,
    queue: WatchedQueue,
  ) {
    this.owner = owner;
    this.options = options;
    this.queue = queue;
  }

  /** Does nothing when it is running. */
  start(): void {
    if (this.options.completion === 'poll') {
      if (!this.polling) {
        this.polling = true;
        setImmediate(() => this.poll());
      }
    } else if (this.listening === undefined) {
      this.listening = new AbortController();
      void this.hear(this.listening);
    }
    this.timer ??= setInterval(() => this.look(), this.options.watchInterval);
  }

  stop(): void {
    this.listening?.abort();
    this.listening = undefined;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private poll(): void {
    this.polling = false;
    if (this.queue.still) return;
    this.queue.collect();
    this.queue.proceed();
    if (this.queue.busy) this.start();
  }

  private async hear(listening: AbortController): Promise<void> {
    const { context } = this.owner;
    try {
      while (!listening.signal.aborted) {
        const event = await context.waitForHardwareEvent({ signal: listening.signal });
        this.queue.interrupted();
        this.queue.collect();
        if (event.type === 'afu-interrupt' && event.irq === syncErrorInterrupt) this.syncError();
        this.queue.proceed();
      }
    } catch (error) {
      // Somebody else reads the events: the timer finds the completions, if more slowly.
      if (listening.signal.aborted || !(error instanceof CxlError)) return;
      if (this.listening === listening) this.listening = undefined;
      this.queue.lost(error);
    }
  }

  /** A completion whose interrupt was lost, an adapter in error. */
  private look(): void {
    if (this.queue.still) return;
    try {
      if (this.owner.page.read64(registers.endianControl) === allOnes) {
        throw systemError('EIO', 'mmio');
      }
      this.queue.collect();
      this.queue.proceed();
    } catch (error) {
      this.queue.lost(error);
    }
  }

  /** The AFU could not reach a structure of ours: no command will tell which. */
  private syncError(): void {
    const status = this.owner.page.read64(registers.interruptStatus);
    if (status === allOnes || status === 0n) return;
    this.owner.page.write64(registers.interruptClear, status);
    const names = Object.entries(interruptStatus).filter(([, bit]) => (status & bit) !== 0n);
    const what = names.map(([name]) => name).join(', ');
    const hint = `AFU error: ${what}`;
    this.queue.end(systemError('EREMOTEIO', 'sislite', this.owner.context.path, hint));
  }
}
