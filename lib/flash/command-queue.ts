/**
 * The commands of one context, from submit() until they settle: the AFU's room for commands,
 * completions, retries, resets. Where each command is, CommandTable says.
 *
 * Commands have no order. A program that needs one submits the second command when the first has
 * settled; retries and recoveries can swap any two that are in flight together.
 */
import type { Cxl } from '../device/cxl';
import { ALL_ONES_64 } from '../shared/all-ones';
import { FLASH_COMMAND } from '../shared/channels';
import { CxlError, systemError } from '../shared/errors';
import type { Command, QueueOptions, QueueOwner } from './command';
import { canceled, commandError, judge, type Verdict } from './command-status';
import { CommandTable } from './command-table';
import { CompletionMonitor, type MonitoredQueue } from './completion-monitor';
import { DataFaults } from './data-faults';
import { DrainWaits } from './drain-waits';
import { RecoveryAttempts } from './recovery-attempts';
import { NO_RESPONSE, Ring } from './ring';
import { type CommandStatus, REGISTERS } from './sislite';
import { countStatus, newStatistics, type QueueStatistics } from './statistics';

/**
 * `running`: commands are issued. `paused`: a recovery is under way. `lost`: the last recovery
 * failed; the next one is tried after a delay, or when a command is submitted. `ended`: for good.
 */
type State = 'running' | 'paused' | 'lost' | 'ended';

/** Milliseconds: the first delay and the longest, which doubling reaches. */
const DELAYS = { again: [1, 64], later: [20, 5000] } as const;
/** Milliseconds that a failed command waits for the event with the address that it failed at. */
const EVENT_DELAY = 20;
/** How many commands share a doorbell at most, so that the AFU has work while others are made. */
const MAX_UNANNOUNCED = 16;
const RESET_FAILED =
  'the context cannot be reset, and its AFU may still access memory: close the context';

// A program's tests may replace that of `process` by one that they run themselves.
const { nextTick } = process;

/** The queue of one context. It uses the AFU only through its Ring and the host-transport page. */
export class CommandQueue implements MonitoredQueue {
  readonly statistics: QueueStatistics = newStatistics();
  readonly ring: Ring;
  readonly #owner: QueueOwner;
  readonly #options: QueueOptions;
  readonly #monitor: CompletionMonitor;
  readonly #table: CommandTable;
  readonly #drains: DrainWaits;
  readonly #faults = new DataFaults();
  readonly #recoveries: RecoveryAttempts;
  #state: State = 'running';
  /** Whether the AFU has been told where the rings are, since the last reset. */
  #programmed = false;
  #unmapSupported: boolean | undefined;
  /** How many commands the AFU takes before cmd_room must be read again. */
  #room = 0;
  /** The AFU may or may not have a command: only a reset of the context makes sure. */
  #doubtful = false;
  /** #announceNow() is called at the end of this turn of the event loop. */
  #announcing = false;
  /** Why the last recovery was needed, or failed. */
  #loss: unknown;
  /** What every later command fails with. */
  #end: CxlError | undefined;

  constructor(system: Cxl, owner: QueueOwner, options: QueueOptions) {
    this.#owner = owner;
    this.#options = options;
    this.#table = new CommandTable(options.depth);
    this.#drains = new DrainWaits(this.#table);
    this.ring = new Ring(system, options);
    this.#monitor = new CompletionMonitor(owner, options, this);
    this.#recoveries = new RecoveryAttempts(() => owner.recover());
    try {
      this.#program();
    } catch {
      // The adapter is in error. The first command notices that, and has the context recovered.
    }
  }

  /** Whether the AFU can unmap; undefined while it does not answer. */
  get unmapSupported(): boolean | undefined {
    return this.#unmapSupported;
  }

  /** Neither registers nor memory may be accessed. */
  get stopped(): boolean {
    return this.#state !== 'running';
  }

  /** Whether any command is unsettled, or aborted but still in flight. */
  get busy(): boolean {
    return !this.#table.empty;
  }

  /** Takes new commands. Each reports to its owner when it has settled. */
  submit(commands: readonly Command[]): void {
    for (const command of commands) {
      if (FLASH_COMMAND.active) command.trace = FLASH_COMMAND.begin(tracedFields(command));
      if (this.#end === undefined) this.#table.wait(command);
      else this.#settle(command, this.#end);
    }
    this.#recoverIfLost();
    this.#issueWaiting();
  }

  /**
   * Settles a command with `error`. One that is in flight stays in its slot until the AFU has
   * completed it; its outcome is then dropped.
   */
  cancel(command: Command, error: unknown): void {
    if (command.settled) return;
    if (command.place !== 'in-flight') this.#table.take(command);
    this.#settle(command, error);
    this.#checkIdle();
  }

  /**
   * Resolves once all commands, also aborted ones, have left the AFU, or the queue has ended.
   *
   * @throws what the recoveries failed with
   */
  async drained(): Promise<void> {
    this.#recoverIfLost();
    if (this.#end === undefined) await this.#drains.wait(() => true);
  }

  /**
   * Cancels the commands that `matches` selects. Those that the AFU does not have are settled with
   * `error`, also when they would be issued again. Resolves once the others have left the AFU.
   *
   * @throws what the recoveries failed with
   */
  async retire(matches: (command: Command) => boolean, error: CxlError): Promise<void> {
    for (const command of this.#table.commandsNotIssued()) {
      if (matches(command)) this.cancel(command, error);
    }
    this.#recoverIfLost();
    if (this.#end === undefined) await this.#drains.wait(matches, error);
  }

  /** After recoveries that failed, nothing else starts the next one. */
  #recoverIfLost(): void {
    if (this.#state === 'lost' && this.busy) this.recover(this.#loss);
  }

  #issueWaiting(): void {
    if (this.#state !== 'running') return;
    try {
      while (this.#table.waiting > 0 && this.#hasSlot() && this.#hasRoom()) {
        const command = this.#table.issue();
        if (this.#prepare(command)) this.#passToAfu(command);
      }
    } catch (error) {
      this.recover(error);
    }
    this.#announceLater();
    this.#count();
    if (this.#state === 'running' && !this.#table.empty) this.#monitor.start();
  }

  #hasSlot(): boolean {
    if (this.#table.hasFreeSlot) return true;
    this.statistics.slotsExhausted += 1;
    return false;
  }

  /** Reads the AFU's room for commands only when the last value has been used up. */
  #hasRoom(): boolean {
    if (!this.#programmed) this.#program();
    if (this.#room > 0) return true;
    // The AFU does not count what it has not been told of.
    this.#announce();
    const room = this.#owner.page.read64(REGISTERS.commandRoom);
    if (room === ALL_ONES_64) throw systemError('EIO', 'mmio');
    this.#room = Number(room);
    if (this.#room === 0) this.statistics.roomExhausted += 1;
    return this.#room > 0;
  }

  #program(): void {
    // As long as the context is open, its AFU may write to the rings.
    this.ring.holdBy(this.#owner.context);
    // What the AFU can do does not change; just after a reset the bit may not be set again yet.
    const canUnmap = this.ring.program(this.#owner.page);
    this.#unmapSupported = canUnmap || this.#unmapSupported === true;
    this.#room = 0;
    this.#programmed = true;
  }

  /** Makes the data ready for the AFU. When that is impossible, the command is settled. */
  #prepare(command: Command): boolean {
    try {
      command.hold();
      if (command.hostWrite) this.ring.copyIn(command);
      return true;
    } catch (error) {
      this.#leave(command);
      this.#settle(command, error);
      return false;
    }
  }

  #passToAfu(command: Command): void {
    command.attempts += 1;
    command.issuedAt = performance.now();
    this.#room -= 1;
    this.statistics.issued += 1;
    if (this.#table.inFlight > this.statistics.maxInFlight) {
      this.statistics.maxInFlight = this.#table.inFlight;
    }
    // Until the store has succeeded, nobody knows whether the AFU has the command.
    const doubtful = this.#doubtful;
    this.#doubtful = true;
    const { page, contextNumber } = this.#owner;
    this.ring.issue(page, command, contextNumber, this.#options.commandTimeout);
    this.#doubtful = doubtful;
    if (this.ring.unannounced === MAX_UNANNOUNCED) this.#announce();
  }

  /** Commands of one turn of the event loop share a doorbell, rung when its promises have run. */
  #announceLater(): void {
    if (this.#announcing || this.ring.unannounced === 0) return;
    this.#announcing = true;
    nextTick(this.#announceNow);
  }

  readonly #announceNow = (): void => {
    this.#announcing = false;
    if (this.#state !== 'running') return;
    try {
      this.#announce();
    } catch (error) {
      this.recover(error);
    }
  };

  /** Before a recovery: then the AFU has each command in flight, or the queue is in doubt. */
  #announceLast(): void {
    try {
      this.#announce();
    } catch {
      // The recovery begins with a reset, as the queue is in doubt now.
    }
  }

  /** Rings the doorbell for the commands that have been put into the submission ring. */
  #announce(): void {
    if (this.ring.unannounced === 0) return;
    const doubtful = this.#doubtful;
    this.#doubtful = true;
    this.ring.announce(this.#owner.page);
    this.#doubtful = doubtful;
  }

  collect(): void {
    for (let slot = this.ring.response(); slot !== NO_RESPONSE; slot = this.ring.response()) {
      const command = this.#table.at(slot);
      if (command === undefined) this.statistics.unexpectedResponses += 1;
      else this.#complete(command);
    }
    this.#count();
  }

  #complete(command: Command): void {
    const status = this.ring.status(command.slot);
    if (status !== undefined) countStatus(this.statistics, status);
    const verdict = status && judge(status);
    let failure: unknown;
    if (verdict === undefined && command.name === 'read' && !command.settled) {
      try {
        this.ring.copyOut(command);
      } catch (error) {
        failure = error;
      }
    }
    this.#leave(command);
    this.#recoveries.startOver();
    if (command.settled) return;
    if (status === undefined || verdict === undefined) this.#settle(command, failure);
    else this.#attemptFailed(command, status, verdict);
  }

  /** The AFU does not use the command's slot and data any more. */
  #leave(command: Command): void {
    this.#table.take(command);
    command.letGo();
  }

  /** To be called when a command has no place, or is in flight but given up. */
  #settle(command: Command, error: unknown): void {
    command.settled = true;
    this.#faults.stop(command);
    if (error === undefined) this.statistics.completed += 1;
    else this.statistics.failed += 1;
    if (command.trace !== undefined) FLASH_COMMAND.finish(command.trace, error);
    command.owner.settled(error);
  }

  /** What becomes of a command whose status reports an error. It has no place. */
  #attemptFailed(command: Command, status: CommandStatus, verdict: Verdict): void {
    const { action, errno } = verdict.rule;
    if (errno === 'ETIMEDOUT') this.statistics.timeouts += 1;
    if (action !== 'fail' && this.#mayRetry(command)) {
      if (action === 'verify') this.#verify(command, status, verdict);
      else this.#delay(command, action);
      return;
    }
    if (errno === 'ETIMEDOUT') this.statistics.timeoutFailures += 1;
    const address = this.#faults.take(command);
    if (errno === 'EFAULT' && address === undefined && this.#monitor.readsEvents) {
      this.#awaitFault(command, status, verdict);
    } else {
      this.#settle(command, commandError(verdict, status, command, address));
    }
  }

  #mayRetry(command: Command): boolean {
    return command.attempts <= this.#options.retries;
  }

  /** Issues a command that has no place again after a delay, which doubles with each attempt. */
  #delay(command: Command, kind: 'again' | 'later'): void {
    const [first, longest] = DELAYS[kind];
    const delay = Math.min(first * 2 ** (command.attempts - 1), longest);
    this.statistics.retried += 1;
    this.statistics.retryDelay += delay;
    this.#table.delay(
      command,
      setTimeout(() => this.#wake(command), delay),
    );
  }

  /** Ends a delay. */
  #wake(command: Command): void {
    if (command.place !== 'delayed') return;
    this.#table.take(command);
    this.#again(command);
    this.#issueWaiting();
    this.#checkIdle();
  }

  /** To be called with a command that has no place: it waits, unless its resource is released. */
  #again(command: Command, first = false): void {
    const refusal = this.#drains.refusal(command);
    if (refusal !== undefined) this.#settle(command, refusal);
    else if (first) this.#table.waitFirst(command);
    else this.#table.wait(command);
  }

  /** Tells the driver of a unit attention, then issues the command again. */
  #verify(command: Command, status: CommandStatus, verdict: Verdict): void {
    this.statistics.retried += 1;
    this.statistics.verifies += 1;
    this.#table.delay(command, undefined);
    command.resource.verifyUnitAttention(verdict.sense).then(
      () => this.#wake(command),
      (cause) => {
        const error = commandError(verdict, status, command, undefined);
        this.cancel(command, Object.assign(error, { cause }));
      },
    );
  }

  /** The event with the address comes after the completion, or not at all. */
  #awaitFault(command: Command, status: CommandStatus, verdict: Verdict): void {
    const fail = (address: bigint | undefined) =>
      this.cancel(command, commandError(verdict, status, command, address));
    this.#table.delay(
      command,
      setTimeout(() => fail(undefined), EVENT_DELAY),
    );
    this.#faults.wait(command, fail);
  }

  #count(): void {
    this.statistics.inFlight = this.#table.inFlight;
    this.statistics.waiting = this.#table.waiting + this.#table.delayed;
  }

  #checkIdle(): void {
    this.#count();
    if (this.#table.empty) this.#monitor.stop();
    this.#drains.check();
  }

  proceed(): void {
    this.#issueWaiting();
    this.#checkIdle();
  }

  /** A data storage event, which the AFU's access to a command's data caused. */
  dataFault(address: bigint): void {
    this.statistics.dataStorageEvents += 1;
    this.#faults.report(address);
  }

  /** Finds commands that the AFU has not completed within the response timeout. */
  checkHung(): void {
    const limit = performance.now() - this.#options.responseTimeout;
    let found = false;
    for (const command of this.#table.commandsInFlight()) {
      if (command.hung || command.issuedAt > limit) continue;
      command.hung = true;
      found = true;
      this.statistics.timeouts += 1;
    }
    if (!found) return;
    this.#doubtful = true;
    this.recover(systemError('ETIMEDOUT', 'sislite', undefined, 'the AFU completes no commands'));
  }

  /**
   * The context does not answer: has it recovered, at once or, when that has not helped, after a
   * delay. When it has not helped several times, the commands fail with `error`.
   */
  recover(error: unknown): void {
    const underWay = this.#state === 'paused' || this.#recoveries.scheduled;
    if (underWay || this.#end !== undefined) return;
    this.#announceLast();
    this.#loss = error;
    if (this.#recoveries.exhausted) {
      this.#giveUp(error);
    } else if (!this.#recoveries.begin(this.#state === 'running')) {
      this.#state = 'lost';
      this.#monitor.stop();
    }
  }

  /** Settles all commands. Those in flight keep their slots until a recovery succeeds. */
  #giveUp(error: unknown): void {
    this.#recoveries.startOver();
    this.#state = 'lost';
    this.#monitor.stop();
    this.#settleAll(error);
    this.#drains.end(error as CxlError);
  }

  #settleAll(error: unknown): void {
    for (const command of this.#table.commandsNotIssued()) {
      this.#table.take(command);
      this.#settle(command, error);
    }
    for (const command of this.#table.commandsInFlight()) {
      if (!command.settled) this.#settle(command, error);
    }
    this.#count();
  }

  /** Called before a recovery: no command is issued until it has succeeded. */
  pause(): void {
    if (this.#end !== undefined) return;
    this.#announceLast();
    this.#state = 'paused';
    this.#recoveries.cancel();
    this.#monitor.stop();
  }

  /**
   * Ends the commands in flight by a reset of the context, if any of them is in doubt or hung.
   * Returns whether that succeeded.
   */
  async resetContext(): Promise<boolean> {
    if (!this.#doubtful) return false;
    try {
      if (await this.ring.reset(this.#owner.page)) {
        this.statistics.contextResets += 1;
        this.#afterReset();
        return true;
      }
    } catch {
      // The adapter is in error.
    }
    this.statistics.contextResetFailures += 1;
    return false;
  }

  /**
   * Called when the context answers. Commands whose completion was in memory before a reset settle
   * accordingly; the others are issued again or fail with ECANCELED, as `onReset` says. To be
   * followed by proceed(), when another recovery can begin.
   *
   * @param reset whether the adapter was reset, which ended the commands in flight
   * @throws EIO it does not answer after all; ETIMEDOUT it has commands that do not end
   */
  async resume(reset: boolean): Promise<void> {
    if (this.#end !== undefined) return;
    if (reset) {
      this.statistics.resets += 1;
      this.#programmed = false;
      this.#afterReset();
    } else if (this.#doubtful && !(await this.resetContext())) {
      throw systemError('ETIMEDOUT', 'sislite', this.#owner.context.path, RESET_FAILED);
    }
    if (!this.#programmed) this.#program();
    if (reset) this.#recoveries.startOver();
    this.#state = 'running';
  }

  /** The AFU has no command any more. */
  #afterReset(): void {
    this.collect();
    this.#room = 0;
    this.#doubtful = false;
    // The newest first, as each is put before those that wait.
    const taken = this.#table.commandsInFlight().sort((a, b) => b.issuedAt - a.issuedAt);
    for (const command of taken) {
      this.#leave(command);
      if (!command.settled) this.#wasReset(command);
    }
    this.#checkIdle();
  }

  /** What becomes of a command that a reset ended. It has no place. */
  #wasReset(command: Command): void {
    const { hung } = command;
    command.hung = false;
    if (this.#options.onReset === 'retry' && (!hung || this.#mayRetry(command))) {
      if (hung) this.statistics.retried += 1;
      else this.statistics.reissued += 1;
      this.#again(command, true);
    } else if (hung) {
      this.statistics.timeoutFailures += 1;
      this.#settle(command, hungError(command, this.#options.responseTimeout));
    } else {
      this.#settle(command, canceled('the adapter was reset; the command may not have run'));
    }
  }

  /** Called when a recovery failed: the next one is tried later. */
  recoveryFailed(error: unknown): void {
    if (this.#end !== undefined) return;
    this.statistics.recoveryFailures += 1;
    this.#state = 'lost';
    if (error instanceof CxlError && error.code === 'ENODEV') this.end(error);
    else if (this.busy) this.recover(error);
    else this.#loss = error;
  }

  /** Fails all unsettled commands, and every later one, with `error`. */
  end(error: CxlError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#state = 'ended';
    this.#recoveries.cancel();
    this.#monitor.stop();
    this.#settleAll(error);
    this.#drains.end();
  }

  /**
   * Ends the commands by a context reset, so that the AFU uses no buffer any more. Completed ones
   * settle accordingly; the others fail with ECANCELED.
   */
  async close(): Promise<void> {
    this.pause();
    try {
      this.collect();
      if (this.#table.inFlight > 0) await this.ring.reset(this.#owner.page);
      this.collect();
    } catch {
      // The adapter is in error or gone: its AFU accesses no memory.
    }
    this.end(canceled('the context was closed'));
  }

  /** To be called when the context is closed: no AFU uses the memory. */
  free(): void {
    for (const command of this.#table.commandsInFlight()) this.#leave(command);
    this.ring.free();
  }
}

function hungError({ name, resource, attempts }: Command, timeout: number): CxlError {
  const times = attempts === 1 ? 'one attempt' : `${attempts} attempts`;
  const hint = `the AFU did not complete it within ${timeout} ms, in ${times}; the context was reset`;
  return systemError('ETIMEDOUT', name, resource.lun.path, hint);
}

function tracedFields({ resource, name, lba, blocks }: Command) {
  return { path: resource.lun.path, command: name, lba, blocks };
}
