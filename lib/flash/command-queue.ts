/**
 * Commands of one context, from submit to settled promise: room, slots, completion, retries,
 * and what happens to them when the adapter is reset.
 *
 * There is no order between commands in flight; one that must follow another is issued when
 * that one has settled. Retries, and a recovery, can swap any two.
 */

import type { Cxl } from '../device/cxl';
import { AbortError, onAbort } from '../shared/abort';
import { errnos } from '../shared/errno';
import { CxlError, systemError } from '../shared/errors';
import type { Command, QueueOptions, QueueOwner, QueueStatistics } from './command';
import { commandError, judge } from './command-status';
import { CompletionWatch, type WatchedQueue } from './completion-watch';
import { Ring, type SlotCommand } from './ring';
import { registers } from './sislite';

interface Pending {
  readonly command: Command;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  attempts: number;
  /** The caller has gone; the buffer is the AFU's until the command completes. */
  abandoned: boolean;
  unlisten: (() => void) | undefined;
}

const allOnes = (1n << 64n) - 1n;
const longestDelay = 64;

export class CommandQueue implements WatchedQueue {
  readonly statistics: QueueStatistics = {
    issued: 0,
    completed: 0,
    failed: 0,
    retried: 0,
    reissued: 0,
    resets: 0,
    interrupts: 0,
    roomExhausted: 0,
    mostInFlight: 0,
  };
  readonly ring: Ring;
  unmapSupported: boolean;
  private readonly owner: QueueOwner;
  private readonly options: QueueOptions;
  private readonly watch: CompletionWatch;
  private readonly flying: (Pending | undefined)[];
  private readonly freeSlots: number[] = [];
  private waiting: Pending[] = [];
  private readonly delayed = new Map<Pending, NodeJS.Timeout>();
  private inFlight = 0;
  private room = 0;
  private paused = false;
  private ended: CxlError | undefined;
  private recovering = false;
  private readonly idle: (() => void)[] = [];

  constructor(system: Cxl, owner: QueueOwner, options: QueueOptions) {
    this.owner = owner;
    this.options = options;
    this.ring = new Ring(system, options);
    this.watch = new CompletionWatch(owner, options, this);
    this.flying = new Array(options.depth).fill(undefined);
    for (let slot = options.depth - 1; slot >= 0; slot -= 1) this.freeSlots.push(slot);
    this.unmapSupported = this.ring.program(owner.page);
  }

  get depth(): number {
    return this.inFlight;
  }

  submit(command: Command, signal?: AbortSignal): Promise<void> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    if (signal?.aborted) return Promise.reject(new AbortError(signal));
    return new Promise<void>((resolve, reject) => {
      const pending: Pending = {
        command,
        resolve,
        reject,
        attempts: 0,
        abandoned: false,
        unlisten: undefined,
      };
      if (signal !== undefined) this.listen(pending, signal);
      this.waiting.push(pending);
      this.pump();
    });
  }

  /** Resolves once nothing submitted before is unsettled or in the AFU's hands. */
  async drained(): Promise<void> {
    if (this.busy) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  get still(): boolean {
    return this.paused || this.ended !== undefined;
  }

  get busy(): boolean {
    return this.inFlight > 0 || this.waiting.length > 0 || this.delayed.size > 0;
  }

  private listen(pending: Pending, signal: AbortSignal): void {
    pending.unlisten = onAbort(signal, () => {
      pending.abandoned = true;
      pending.reject(new AbortError(signal));
      // One that was not issued is simply gone.
      this.waiting = this.waiting.filter((one) => one !== pending);
      const timer = this.delayed.get(pending);
      if (timer !== undefined) clearTimeout(timer);
      this.delayed.delete(pending);
      this.settled();
    });
  }

  private pump(): void {
    if (this.still) return;
    try {
      let taken = 0;
      while (taken < this.waiting.length && this.freeSlots.length > 0 && this.hasRoom()) {
        this.issue(this.waiting[taken] as Pending);
        taken += 1;
      }
      if (taken > 0) this.waiting.splice(0, taken);
    } catch (error) {
      this.lost(error);
      return;
    }
    if (this.inFlight > 0 || this.waiting.length > 0) this.watch.start();
  }

  /** Room is asked for only when what was granted is used up. */
  private hasRoom(): boolean {
    if (this.room > 0) return true;
    const room = this.owner.page.read64(registers.commandRoom);
    if (room === allOnes) throw systemError('EIO', 'mmio');
    this.room = Number(room);
    if (this.room === 0) this.statistics.roomExhausted += 1;
    return this.room > 0;
  }

  private issue(pending: Pending): void {
    const slot = this.freeSlots.pop() as number;
    const { command } = pending;
    const address = command.dataAddress ?? this.ring.bounceAddress(slot);
    if (command.data !== undefined && command.hostWrite) {
      this.ring.bounce(slot, command.data.length).set(command.data);
    }
    pending.attempts += 1;
    this.flying[slot] = pending;
    this.inFlight += 1;
    this.room -= 1;
    this.statistics.issued += 1;
    if (this.inFlight > this.statistics.mostInFlight) this.statistics.mostInFlight = this.inFlight;
    this.ring.issue(this.owner.page, slot, this.slotCommand(command, address));
  }

  private slotCommand(command: Command, dataAddress: bigint): SlotCommand {
    return {
      contextId: this.owner.contextNumber,
      handle: command.handle,
      operation: command.operation,
      modifier: command.modifier,
      lba: command.lba,
      blocks: command.blocks,
      dataAddress,
      dataLength: command.dataLength,
      hostWrite: command.hostWrite,
      timeout: this.options.commandTimeout,
    };
  }

  collect(): void {
    for (let slot = this.ring.response(); slot >= 0; slot = this.ring.response()) {
      const pending = this.flying[slot];
      if (pending !== undefined) this.complete(slot, pending);
    }
  }

  private complete(slot: number, pending: Pending): void {
    const status = this.ring.status(slot);
    const verdict = judge(status);
    const { command } = pending;
    if (verdict === 'done' && command.data !== undefined && !command.hostWrite) {
      if (!pending.abandoned) command.data.set(this.ring.bounce(slot, command.data.length));
    }
    this.release(slot);
    if (pending.abandoned) return;
    if (verdict === 'retry' && pending.attempts <= this.options.retries) {
      this.statistics.retried += 1;
      this.delay(pending);
      return;
    }
    pending.unlisten?.();
    if (verdict === 'done') {
      this.statistics.completed += 1;
      pending.resolve();
    } else {
      this.statistics.failed += 1;
      pending.reject(commandError(status, pending.attempts, command.name, command.path));
    }
  }

  private release(slot: number): void {
    this.flying[slot] = undefined;
    this.freeSlots.push(slot);
    this.inFlight -= 1;
  }

  /** A busy target or port is given time, twice as long each time. */
  private delay(pending: Pending): void {
    const timer = setTimeout(
      () => {
        this.delayed.delete(pending);
        this.waiting.push(pending);
        this.pump();
      },
      Math.min(2 ** (pending.attempts - 1), longestDelay),
    );
    this.delayed.set(pending, timer);
  }

  private settled(): void {
    if (this.busy) return;
    this.watch.stop();
    for (const resolve of this.idle.splice(0)) resolve();
  }

  interrupted(): void {
    this.statistics.interrupts += 1;
  }

  proceed(): void {
    this.pump();
    this.settled();
  }

  /** The context does not answer: recover it, and see to the commands. */
  lost(error: unknown): void {
    if (this.recovering || this.ended !== undefined) return;
    this.recovering = true;
    this.owner.recover().then(
      () => {
        this.recovering = false;
        // Nothing was wrong by then, or the pause is over: whatever waits may go.
        this.pump();
      },
      (reason) => {
        this.recovering = false;
        this.end(reason instanceof CxlError ? reason : (error as CxlError));
      },
    );
  }

  /** Before a recovery: nothing is issued until resume(). */
  pause(): void {
    this.paused = true;
    this.watch.stop();
  }

  /**
   * After a recovery. What completed before the reset has been written to memory and counts;
   * what the reset took is issued again, or fails with ECANCELED.
   */
  resume(reset: boolean): void {
    if (reset) {
      this.statistics.resets += 1;
      this.collect();
      const taken = this.takeFlying();
      this.room = 0;
      this.unmapSupported = this.ring.program(this.owner.page);
      if (this.options.onReset === 'retry') {
        this.statistics.reissued += taken.length;
        this.waiting.unshift(...taken);
      } else {
        this.rejectAll(taken, cancelled('the adapter was reset; the command may not have run'));
      }
    }
    this.paused = false;
    this.proceed();
  }

  private takeFlying(): Pending[] {
    const taken: Pending[] = [];
    for (const [slot, pending] of this.flying.entries()) {
      if (pending === undefined) continue;
      this.release(slot);
      if (!pending.abandoned) taken.push(pending);
    }
    return taken;
  }

  private rejectAll(pendings: Iterable<Pending>, error: CxlError): void {
    for (const pending of pendings) {
      pending.unlisten?.();
      if (pending.abandoned) continue;
      this.statistics.failed += 1;
      pending.reject(error);
    }
  }

  /** No command is taken any more; all unsettled ones fail with `error`. */
  end(error: CxlError): void {
    if (this.ended !== undefined) return;
    this.ended = error;
    this.watch.stop();
    const left = [...this.takeFlying(), ...this.waiting.splice(0), ...this.delayed.keys()];
    for (const timer of this.delayed.values()) clearTimeout(timer);
    this.delayed.clear();
    this.rejectAll(left, error);
    for (const resolve of this.idle.splice(0)) resolve();
  }

  /**
   * Takes the commands back by a context reset, so that their buffers are free again. What
   * had completed settles so; the rest fails with ECANCELED.
   */
  close(): void {
    if (this.ended === undefined && this.inFlight > 0) {
      try {
        this.collect();
        if (this.inFlight > 0) this.ring.reset(this.owner.page);
        this.collect();
      } catch {
        // The adapter is gone, and its AFU with it.
      }
    }
    this.end(cancelled('the context was closed'));
  }

  free(): void {
    this.ring.free();
  }
}

function cancelled(hint: string): CxlError {
  return systemError(errnos.ECANCELED, 'sislite', undefined, hint);
}
