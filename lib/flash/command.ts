/** One SISLite command, and what the queue needs of the objects around it. */
import type { Context } from '../device/context';
import type { Memory } from '../device/memory';
import type { ProblemState } from '../device/problem-state';
import type { Trace } from '../shared/channels';
import type { Resource } from './resource';
import type { RingOptions } from './ring';
import { OPCODES, WRITE_SAME_UNMAP } from './sislite';

/** What a command, or a transfer, does. */
export type Operation = 'read' | 'write' | 'unmap';

/** Which waiting commands are issued first. */
export type Priority = 'high' | 'normal' | 'low';

/**
 * Who owns a command: the waiting list, a slot (the AFU), or the delayed ones, which wait for a
 * retry. `none`: whoever moves it, or nobody once it has settled. Only CommandTable writes it.
 */
export type Place = 'none' | 'waiting' | 'in-flight' | 'delayed';

/** What a command reports to: the call that it is a part of. */
export interface CommandOwner {
  /** Called once, with an error when the command failed. */
  settled(error: unknown): void;
}

/** Where the data of a command is: in bytes that are copied, or in memory that the AFU uses. */
export interface CommandData {
  /** Copied to the bounce buffer before a write, or from it after a read. */
  readonly bytes: Uint8Array | undefined;
  /** The memory that the AFU accesses itself. */
  readonly memory: Memory | undefined;
  /** Effective address in `memory`; 0 when the data goes through the bounce buffer. */
  readonly address: bigint;
  readonly length: number;
}

const OPERATION_CODES = {
  read: OPCODES.read16,
  write: OPCODES.write16,
  unmap: OPCODES.writeSame16,
} as const;

export class Command {
  readonly owner: CommandOwner;
  readonly resource: Resource;
  readonly name: Operation;
  readonly priority: Priority;
  readonly lba: bigint;
  readonly blocks: number;
  readonly data: CommandData;

  place: Place = 'none';
  /** Its promise has settled. The AFU may still use its data: see `place`. */
  settled = false;
  /** How many times it was issued. */
  attempts = 0;
  /** While in flight: its slot, and when it was issued (performance.now()). */
  slot = -1;
  issuedAt = 0;
  /** The AFU did not complete it within the response timeout. */
  hung = false;
  /** While somebody listens to FLASH_COMMAND. */
  trace: Trace | undefined;
  /** While delayed: the timer that ends the delay. */
  timer: NodeJS.Timeout | undefined;
  /** Neighbors in the waiting list. */
  next: Command | undefined;
  previous: Command | undefined;

  constructor(
    owner: CommandOwner,
    resource: Resource,
    name: Operation,
    priority: Priority,
    lba: bigint,
    blocks: number,
    data: CommandData,
  ) {
    this.owner = owner;
    this.resource = resource;
    this.name = name;
    this.priority = priority;
    this.lba = lba;
    this.blocks = blocks;
    this.data = data;
  }

  /** Bytes 0 and 1 of the CDB. */
  get operation(): number {
    return OPERATION_CODES[this.name];
  }
  get modifier(): number {
    return this.name === 'unmap' ? WRITE_SAME_UNMAP : 0;
  }

  get hostWrite(): boolean {
    return this.name !== 'read';
  }

  /**
   * The AFU is about to use the data: its Memory cannot be freed until letGo().
   *
   * @throws ERR_INVALID_STATE its Memory has been freed
   */
  hold(): void {
    this.data.memory?.hold(this.resource.memoryHolder);
  }

  /** The AFU does not use the data any more. */
  letGo(): void {
    this.data.memory?.release(this.resource.memoryHolder);
  }

  /** Whether it accesses a block of the resource from `lba` on. */
  reaches(resource: Resource, lba: bigint): boolean {
    return this.resource === resource && this.lba + BigInt(this.blocks) > lba;
  }
}

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
  /** Milliseconds after which a command that the AFU has not ended counts as hung. */
  readonly responseTimeout: number;
}

/** What the queue needs of its context. The getters change at a recovery. */
export interface QueueOwner {
  readonly page: ProblemState;
  readonly context: Context;
  /** Low 32 bits of the context's id. */
  readonly contextNumber: number;
  /** FlashContext.recover(): calls the queue's pause(), and then resume() or recoveryFailed(). */
  recover(): Promise<unknown>;
}
