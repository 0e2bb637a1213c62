/** What a block device and a context's queue share: commands, options, statistics. */
import type { Context } from '../device/context';
import type { ProblemState } from '../device/problem-state';
import type { RingOptions } from './ring';

export interface QueueOptions extends RingOptions {
  /** How completions are noticed. */
  readonly completion: 'interrupt' | 'poll';
  /** How many times a command may be issued again. */
  readonly retries: number;
  /** Whether commands that a reset ended are issued again after the recovery. */
  readonly onReset: 'retry' | 'fail';
  /** Milliseconds between checks of the adapter while commands are in flight. */
  readonly watchInterval: number;
  /** Milliseconds after which the AFU ends a command. */
  readonly commandTimeout: number;
}

/** What CommandQueue.submit() takes. */
export interface Command {
  /** What errors say of it: its name and the LUN's path. */
  readonly name: string;
  readonly path: string;
  readonly handle: number;
  /** Bytes 0 and 1 of the CDB. */
  readonly operation: number;
  readonly modifier: number;
  readonly lba: bigint;
  readonly blocks: number;
  readonly hostWrite: boolean;
  readonly dataLength: number;
  /** Undefined: the data goes through the slot's bounce buffer. */
  readonly dataAddress: bigint | undefined;
  /** Copied to the bounce buffer before a write, or from it after a read. */
  readonly data: Uint8Array | undefined;
}

/** Counts since the context was attached. */
export interface QueueStatistics {
  /** Commands issued, including retries. */
  issued: number;
  /** Commands that succeeded, without aborted ones. */
  completed: number;
  /** Commands that failed after all retries. */
  failed: number;
  /** Times a command was issued again because of its status. */
  retried: number;
  /** Commands issued again because a reset ended them. */
  reissued: number;
  /** Resets of the adapter after which the context was recovered. */
  resets: number;
  /** Response interrupts received. */
  interrupts: number;
  /** Times the AFU had no room for a command. */
  roomExhausted: number;
  /** Highest number of commands in flight. */
  maxInFlight: number;
}

/** What the queue needs of its context. The getters change at a recovery. */
export interface QueueOwner {
  readonly page: ProblemState;
  readonly context: Context;
  /** Low 32 bits of the context's id. */
  readonly contextNumber: number;
  /** FlashContext.recover(): calls the queue's pause() first and resume() afterwards. */
  recover(): Promise<unknown>;
}
