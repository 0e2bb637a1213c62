/** A command as a caller hands it to a context's queue, and what a queue is made with. */
import type { Context } from '../device/context';
import type { ProblemState } from '../device/problem-state';
import type { RingOptions } from './ring';

export interface QueueOptions extends RingOptions {
  /** How completions are noticed. */
  readonly completion: 'interrupt' | 'poll';
  /** Issues after the first, per command. */
  readonly retries: number;
  /** Whether commands that a reset took are issued again after recovery. */
  readonly onReset: 'retry' | 'fail';
  /** Milliseconds between looks at the adapter's health while commands are in flight. */
  readonly watchInterval: number;
  /** Seconds the AFU gives a command. */
  readonly commandTimeout: number;
}

/** What a caller hands in. `dataAddress` undefined: through the slot's bounce buffer. */
export interface Command {
  readonly name: string;
  readonly path: string;
  readonly handle: number;
  readonly operation: number;
  readonly modifier: number;
  readonly lba: bigint;
  readonly blocks: number;
  readonly hostWrite: boolean;
  readonly dataLength: number;
  readonly dataAddress: bigint | undefined;
  /** Bounced: copied in before, or out after. */
  readonly data: Uint8Array | undefined;
}

/** Counts since the context was attached. */
export interface QueueStatistics {
  /** Commands issued, each retry counted. */
  issued: number;
  /** Commands that succeeded, whose promises were still waited for. */
  completed: number;
  /** Commands that failed for good. */
  failed: number;
  /** Times a command was issued again because of its status. */
  retried: number;
  /** Issued again because a reset took them. */
  reissued: number;
  /** Resets of the adapter that were recovered from. */
  resets: number;
  /** Response interrupts received. */
  interrupts: number;
  /** Times the AFU had no room for a command. */
  roomExhausted: number;
  /** Most commands that the AFU had at once. */
  mostInFlight: number;
}

/** What the queue asks of its context. */
export interface QueueOwner {
  readonly page: ProblemState;
  readonly context: Context;
  /** Low half of the cookie. */
  readonly contextNumber: number;
  /** The whole recovery dance; calls the queue's pause() and resume(). */
  recover(): Promise<unknown>;
}
