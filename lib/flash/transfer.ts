/** One call of a block device: its commands, and the promise that settles when all of them have. */
import { AbortError, onAbort } from '../shared/abort';
import { systemError } from '../shared/errors';
import type { Command, CommandOwner, Operation } from './command';

/** What ends commands early: the queue. */
export interface Canceler {
  /** Settles the command with `error`. The AFU may still have it: see CommandQueue.cancel(). */
  cancel(command: Command, error: unknown): void;
}

/**
 * Settles once: when the last command has, with the error of the first that failed; or before
 * that, by cancel(). Afterwards no command of it is waiting, and those in flight change no buffer
 * that is copied.
 */
export class Transfer implements CommandOwner {
  readonly name: Operation;
  readonly promise: Promise<void>;
  readonly commands: Command[] = [];
  /** Is told when this has settled. */
  limit: Limit | undefined;
  readonly #onSettled: (succeeded: boolean) => void;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;
  #outstanding = 0;
  #failed = false;
  #error: unknown;
  #settled = false;

  /** `onSettled` is called once, before the promise settles. */
  constructor(name: Operation, onSettled: (succeeded: boolean) => void) {
    this.name = name;
    this.#onSettled = onSettled;
    this.promise = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  add(command: Command): void {
    this.commands.push(command);
    this.#outstanding += 1;
  }

  /** One of the commands has settled. */
  settled(error: unknown): void {
    if (error !== undefined && !this.#failed) {
      this.#failed = true;
      this.#error = error;
    }
    this.#outstanding -= 1;
    if (this.#outstanding === 0) this.#settle();
  }

  cancel(canceler: Canceler, error: unknown): void {
    if (this.#settled) return;
    if (!this.#failed) {
      this.#failed = true;
      this.#error = error;
    }
    for (const command of this.commands) canceler.cancel(command, error);
  }

  #settle(): void {
    this.#settled = true;
    this.#onSettled(!this.#failed);
    this.limit?.settled(this);
    if (this.#failed) this.#reject(this.#error);
    else this.#resolve();
  }
}

/** Ends calls that were made together: one deadline and one abort signal for all of them. */
export class Limit {
  readonly #transfers: Set<Transfer>;
  #timer: NodeJS.Timeout | undefined;
  #removeListener: (() => void) | undefined;

  constructor(
    canceler: Canceler,
    transfers: readonly Transfer[],
    signal: AbortSignal | undefined,
    timeout: number | undefined,
    path: string,
  ) {
    this.#transfers = new Set(transfers);
    const cancelAll = (error: () => unknown) => {
      for (const transfer of this.#transfers) transfer.cancel(canceler, error());
    };
    if (signal !== undefined) {
      this.#removeListener = onAbort(signal, () => cancelAll(() => new AbortError(signal)));
    }
    if (timeout !== undefined) {
      const hint = `not complete within ${timeout} ms; the AFU may still carry it out`;
      this.#timer = setTimeout(
        () => cancelAll(() => systemError('ETIMEDOUT', 'transfer', path, hint)),
        timeout,
      );
    }
  }

  /** To be called when a transfer has settled. */
  settled(transfer: Transfer): void {
    this.#transfers.delete(transfer);
    if (this.#transfers.size > 0) return;
    clearTimeout(this.#timer);
    this.#removeListener?.();
  }
}
