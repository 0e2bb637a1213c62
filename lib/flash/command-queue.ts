/**
 * The commands of one context, from submit() to the settled promise: slots, the AFU's room for
 * commands, completions, retries, and resets of the adapter.
 *
 * Commands have no order. A program that needs one submits the second command when the first has
 * settled; retries and recoveries can swap any two that are in flight together.
 */

import type { Cxl } from '../device/cxl';
import { AbortError, onAbort } from '../shared/abort';
import { ALL_ONES_64 } from '../shared/all-ones';
import { ERRNOS } from '../shared/errno';
import { CxlError, systemError } from '../shared/errors';
import type { Command, QueueOptions, QueueOwner, QueueStatistics } from './command';
import { commandError, outcomeOf } from './command-status';
import { CompletionMonitor, type MonitoredQueue } from './completion-monitor';
import { Ring, type SlotCommand } from './ring';
import { REGISTERS } from './sislite';

/** A submitted command. */
interface Pending {
  readonly command: Command;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  attempts: number;
  /** The caller aborted. The AFU still uses the buffer until the command completes. */
  aborted: boolean;
  unlisten: (() => void) | undefined;
}

/** Longest pause before a retry, in milliseconds. */
const MAX_RETRY_DELAY = 64;

/** The queue of one context. It uses the AFU only through its Ring and the host-transport page. */
export class CommandQueue implements MonitoredQueue {
  readonly statistics: QueueStatistics = {
    issued: 0,
    completed: 0,
    failed: 0,
    retried: 0,
    reissued: 0,
    resets: 0,
    interrupts: 0,
    roomExhausted: 0,
    maxInFlight: 0,
  };
  readonly ring: Ring;
  unmapSupported: boolean;
  readonly #owner: QueueOwner;
  readonly #options: QueueOptions;
  readonly #monitor: CompletionMonitor;
  /** The command in flight in each slot. */
  readonly #slots: (Pending | undefined)[];
  readonly #freeSlots: number[] = [];
  #waiting: Pending[] = [];
  /** Commands that wait for their retry. */
  readonly #delayed = new Map<Pending, NodeJS.Timeout>();
  #inFlight = 0;
  /** How many commands the AFU takes before cmd_room must be read again. */
  #room = 0;
  #paused = false;
  /** What every later command fails with. */
  #ended: CxlError | undefined;
  #recovering = false;
  readonly #drainWaiters: (() => void)[] = [];

  constructor(system: Cxl, owner: QueueOwner, options: QueueOptions) {
    this.#owner = owner;
    this.#options = options;
    this.ring = new Ring(system, options);
    this.#monitor = new CompletionMonitor(owner, options, this);
    this.#slots = new Array(options.depth).fill(undefined);
    for (let slot = options.depth - 1; slot >= 0; slot -= 1) this.#freeSlots.push(slot);
    this.unmapSupported = this.ring.program(owner.page);
  }

  /** Resolves when the command has succeeded. @throws CommandError, ECANCELED, AbortError */
  submit(command: Command, signal?: AbortSignal): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(new AbortError(signal));
    return new Promise<void>((resolve, reject) => {
      const pending: Pending = {
        command,
        resolve,
        reject,
        attempts: 0,
        aborted: false,
        unlisten: undefined,
      };
      if (signal !== undefined) this.#listen(pending, signal);
      this.#waiting.push(pending);
      this.#issueWaiting();
    });
  }

  /** Resolves once all commands, also aborted ones, have left the AFU. */
  async drained(): Promise<void> {
    if (this.busy) await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Paused or ended. */
  get stopped(): boolean {
    return this.#paused || this.#ended !== undefined;
  }

  /** Whether any command is unsettled, or aborted but still in flight. */
  get busy(): boolean {
    return this.#inFlight > 0 || this.#waiting.length > 0 || this.#delayed.size > 0;
  }

  #listen(pending: Pending, signal: AbortSignal): void {
    pending.unlisten = onAbort(signal, () => {
      pending.aborted = true;
      pending.reject(new AbortError(signal));
      // A command that was not issued is dropped.
      this.#waiting = this.#waiting.filter((one) => one !== pending);
      const timer = this.#delayed.get(pending);
      if (timer !== undefined) clearTimeout(timer);
      this.#delayed.delete(pending);
      this.#checkIdle();
    });
  }

  #issueWaiting(): void {
    if (this.stopped) return;
    try {
      let count = 0;
      while (count < this.#waiting.length && this.#freeSlots.length > 0 && this.#hasRoom()) {
        this.#issue(this.#waiting[count] as Pending);
        count += 1;
      }
      if (count > 0) this.#waiting.splice(0, count);
    } catch (error) {
      this.recover(error);
      return;
    }
    if (this.#inFlight > 0 || this.#waiting.length > 0) this.#monitor.start();
  }

  /** Reads the AFU's room for commands only when the last value has been used up. */
  #hasRoom(): boolean {
    if (this.#room > 0) return true;
    const room = this.#owner.page.read64(REGISTERS.commandRoom);
    if (room === ALL_ONES_64) throw systemError('EIO', 'mmio');
    this.#room = Number(room);
    if (this.#room === 0) this.statistics.roomExhausted += 1;
    return this.#room > 0;
  }

  #issue(pending: Pending): void {
    const slot = this.#freeSlots.pop() as number;
    const { command } = pending;
    const address = command.dataAddress ?? this.ring.bounceAddress(slot);
    if (command.data !== undefined && command.hostWrite) {
      this.ring.bounce(slot, command.data.length).set(command.data);
    }
    pending.attempts += 1;
    this.#slots[slot] = pending;
    this.#inFlight += 1;
    this.#room -= 1;
    this.statistics.issued += 1;
    if (this.#inFlight > this.statistics.maxInFlight) this.statistics.maxInFlight = this.#inFlight;
    this.ring.issue(this.#owner.page, slot, this.#slotCommand(command, address));
  }

  #slotCommand(command: Command, dataAddress: bigint): SlotCommand {
    return {
      contextId: this.#owner.contextNumber,
      handle: command.handle,
      operation: command.operation,
      modifier: command.modifier,
      lba: command.lba,
      blocks: command.blocks,
      dataAddress,
      dataLength: command.dataLength,
      hostWrite: command.hostWrite,
      timeout: this.#options.commandTimeout,
    };
  }

  collect(): void {
    for (let slot = this.ring.response(); slot >= 0; slot = this.ring.response()) {
      const pending = this.#slots[slot];
      if (pending !== undefined) this.#complete(slot, pending);
    }
  }

  #complete(slot: number, pending: Pending): void {
    const status = this.ring.status(slot);
    const outcome = outcomeOf(status);
    const { command } = pending;
    if (outcome === 'done' && command.data !== undefined && !command.hostWrite) {
      if (!pending.aborted) command.data.set(this.ring.bounce(slot, command.data.length));
    }
    this.#release(slot);
    if (pending.aborted) return;
    if (outcome === 'retry' && pending.attempts <= this.#options.retries) {
      this.statistics.retried += 1;
      this.#delay(pending);
      return;
    }
    pending.unlisten?.();
    if (outcome === 'done') {
      this.statistics.completed += 1;
      pending.resolve();
    } else {
      this.statistics.failed += 1;
      pending.reject(commandError(status, pending.attempts, command.name, command.path));
    }
  }

  #release(slot: number): void {
    this.#slots[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#inFlight -= 1;
  }

  /** Issues the command again later: after 1 ms, then twice as long each time. */
  #delay(pending: Pending): void {
    const timer = setTimeout(
      () => {
        this.#delayed.delete(pending);
        this.#waiting.push(pending);
        this.#issueWaiting();
      },
      Math.min(2 ** (pending.attempts - 1), MAX_RETRY_DELAY),
    );
    this.#delayed.set(pending, timer);
  }

  #checkIdle(): void {
    if (this.busy) return;
    this.#monitor.stop();
    for (const resolve of this.#drainWaiters.splice(0)) resolve();
  }

  countInterrupt(): void {
    this.statistics.interrupts += 1;
  }

  proceed(): void {
    this.#issueWaiting();
    this.#checkIdle();
  }

  /** The context does not answer: recovers it, or ends the queue when that fails. */
  recover(error: unknown): void {
    if (this.#recovering || this.#ended !== undefined) return;
    this.#recovering = true;
    this.#owner.recover().then(
      () => {
        this.#recovering = false;
        // resume() has run: waiting commands can be issued.
        this.#issueWaiting();
      },
      (reason) => {
        this.#recovering = false;
        this.end(reason instanceof CxlError ? reason : (error as CxlError));
      },
    );
  }

  /** Called before a recovery: no command is issued until resume(). */
  pause(): void {
    this.#paused = true;
    this.#monitor.stop();
  }

  /**
   * Called after a recovery. Commands whose completion was in memory before the reset settle
   * accordingly; the others are issued again or fail with ECANCELED, as `onReset` says.
   */
  resume(reset: boolean): void {
    if (reset) {
      this.statistics.resets += 1;
      this.collect();
      const taken = this.#takeInFlight();
      this.#room = 0;
      this.unmapSupported = this.ring.program(this.#owner.page);
      if (this.#options.onReset === 'retry') {
        this.statistics.reissued += taken.length;
        this.#waiting.unshift(...taken);
      } else {
        this.#rejectAll(taken, canceled('the adapter was reset; the command may not have run'));
      }
    }
    this.#paused = false;
    this.proceed();
  }

  #takeInFlight(): Pending[] {
    const taken: Pending[] = [];
    for (const [slot, pending] of this.#slots.entries()) {
      if (pending === undefined) continue;
      this.#release(slot);
      if (!pending.aborted) taken.push(pending);
    }
    return taken;
  }

  #rejectAll(pendings: Iterable<Pending>, error: CxlError): void {
    for (const pending of pendings) {
      pending.unlisten?.();
      if (pending.aborted) continue;
      this.statistics.failed += 1;
      pending.reject(error);
    }
  }

  /** Fails all unsettled commands, and every later one, with `error`. */
  end(error: CxlError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#monitor.stop();
    const left = [...this.#takeInFlight(), ...this.#waiting.splice(0), ...this.#delayed.keys()];
    for (const timer of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#rejectAll(left, error);
    for (const resolve of this.#drainWaiters.splice(0)) resolve();
  }

  /**
   * Ends the commands by a context reset, so that the AFU uses no buffer any more. Completed ones
   * settle accordingly; the others fail with ECANCELED.
   */
  close(): void {
    if (this.#ended === undefined && this.#inFlight > 0) {
      try {
        this.collect();
        if (this.#inFlight > 0) this.ring.reset(this.#owner.page);
        this.collect();
      } catch {
        // The adapter is in error or gone: its AFU accesses no memory.
      }
    }
    this.end(canceled('the context was closed'));
  }

  free(): void {
    this.ring.free();
  }
}

function canceled(hint: string): CxlError {
  return systemError(ERRNOS.ECANCELED, 'sislite', undefined, hint);
}
