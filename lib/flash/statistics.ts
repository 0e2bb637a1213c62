/** What the queue of a context counts: a plain object, which can be read at any time. */
import { type CommandStatus, FC_CODES, SCSI_CODES } from './sislite';

/** Errors of the link that commands of one port reported. */
export interface PortStatistics {
  /** Link code 0x57. */
  linkDowns: number;
  /** Link code 0x54: the port is not logged in. */
  noLogins: number;
  /** Other link codes. */
  errors: number;
}

/** Counts since the context was attached. All block devices of a context share them. */
export interface QueueStatistics {
  /** Commands issued, including retries. */
  issued: number;
  /** Commands that succeeded, without aborted ones. */
  completed: number;
  /** Commands that failed after all retries, or were canceled. */
  failed: number;
  /** Times a command was issued again because of its status, or because it had hung. */
  retried: number;
  /** Milliseconds that commands were delayed before those retries. */
  retryDelay: number;
  /** Commands issued again because a reset ended them. */
  reissued: number;
  /** Of the retries: those after VERIFY, because of a unit attention. */
  verifies: number;

  /** Commands that wait for a slot, for room in the AFU, or for a retry. */
  waiting: number;
  /** Commands in flight now, and the highest number of them. */
  inFlight: number;
  /** The most commands that were in flight at one time. */
  maxInFlight: number;
  /** Times a command had to wait because all slots were taken. */
  slotsExhausted: number;
  /** Times the AFU had no room for a command. */
  roomExhausted: number;

  /** Statuses that reported an error, including those that were retried. */
  errors: number;
  /** Of these: with a code of the AFU, of the link, and with a SCSI check condition. */
  afuErrors: number;
  /** Of `errors`: those with a code of the link. */
  linkErrors: number;
  /** Of `errors`: those with a SCSI check condition. */
  checkConditions: number;
  /** Link errors by the port that the command used. */
  ports: PortStatistics[];
  /** Commands that the AFU ended because of their time limit, or that hung. */
  timeouts: number;
  /** Of these: commands that failed because of it. */
  timeoutFailures: number;

  /** Resets of the adapter after which the context was recovered. */
  resets: number;
  /** Resets of the context because a command hung, and those that did not succeed. */
  contextResets: number;
  /** Of `contextResets`: those that did not succeed. */
  contextResetFailures: number;
  /** Recoveries that failed. */
  recoveryFailures: number;

  /** Response interrupts received. */
  interrupts: number;
  /** Other events: data storage faults, AFU errors, other interrupts. */
  dataStorageEvents: number;
  /** AFU errors. */
  afuErrorEvents: number;
  /** Interrupts that are not for responses. */
  unexpectedInterrupts: number;
  /** Waits for events that failed. Completions are found by polling then. */
  waitFailures: number;
  /** Entries of the response ring that belong to no command in flight. */
  unexpectedResponses: number;
}

/** Ports of an adapter. */
const PORTS = 4;

export function newStatistics(): QueueStatistics {
  return {
    issued: 0,
    completed: 0,
    failed: 0,
    retried: 0,
    retryDelay: 0,
    reissued: 0,
    verifies: 0,
    waiting: 0,
    inFlight: 0,
    maxInFlight: 0,
    slotsExhausted: 0,
    roomExhausted: 0,
    errors: 0,
    afuErrors: 0,
    linkErrors: 0,
    checkConditions: 0,
    ports: Array.from({ length: PORTS }, () => ({ linkDowns: 0, noLogins: 0, errors: 0 })),
    timeouts: 0,
    timeoutFailures: 0,
    resets: 0,
    contextResets: 0,
    contextResetFailures: 0,
    recoveryFailures: 0,
    interrupts: 0,
    dataStorageEvents: 0,
    afuErrorEvents: 0,
    unexpectedInterrupts: 0,
    waitFailures: 0,
    unexpectedResponses: 0,
  };
}

/** Counts a status that reports something. */
export function countStatus(statistics: QueueStatistics, status: CommandStatus): void {
  const { afuCode, scsiCode, fcCode, flags, port } = status;
  if (afuCode === 0 && scsiCode === 0 && fcCode === 0 && flags === 0) return;
  statistics.errors += 1;
  if (afuCode !== 0) statistics.afuErrors += 1;
  if (scsiCode === SCSI_CODES.check) statistics.checkConditions += 1;
  if (fcCode === 0) return;
  statistics.linkErrors += 1;
  const counts = statistics.ports[port];
  if (counts === undefined) return;
  if (fcCode === FC_CODES.linkDown) counts.linkDowns += 1;
  else if (fcCode === FC_CODES.noLogin) counts.noLogins += 1;
  else counts.errors += 1;
}
