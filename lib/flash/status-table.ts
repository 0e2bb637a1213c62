/**
 * What each status of a command means: whether it is issued again, and the error that it fails with
 * otherwise. Sources: sislite.h of the cxlflash driver, process_cmd_err() in its main.c, and what
 * IBM's block library for these adapters does (capiflash: cblk_process_sisl_cmd_err and
 * cblk_process_sense_data).
 */
import type { ErrnoName } from '../shared/errno';
import type { Sense, SenseKey } from './sense';
import {
  AFU_CODES,
  type CommandStatus,
  DMA_EXTRA,
  FC_CODES,
  SCSI_CODES,
  STATUS_FLAGS,
} from './sislite';

/**
 * - `again`: the command is issued again after a short delay.
 * - `later`: the same after a longer one, for what takes some time to pass.
 * - `verify`: VERIFY tells the driver of the change first; then as `again`.
 * - `fail`: it would fail again.
 */
export type StatusAction = 'again' | 'later' | 'verify' | 'fail';

/** A rule applies when the status has all the codes that it names. */
export interface StatusRule {
  readonly afu?: number;
  readonly scsi?: number;
  readonly fc?: number;
  /** Of sense data. */
  readonly key?: SenseKey;
  readonly code?: number;
  readonly qualifier?: number;
  /** Any of these bits is set. */
  readonly flags?: number;
  readonly when?: (status: CommandStatus, sense: Sense | undefined) => boolean;
  readonly action: StatusAction;
  readonly errno: ErrnoName;
  /** For the error's message. Where there is none, the codes are shown. */
  readonly hint?: string;
}

const HANDLE_INVALID = 'the resource handle is not open in this context';
const NOT_OPEN = 'the resource is not open, or its context was attached without this permission';
const NOT_PERMITTED = 'the context was attached without this permission';
const CONTEXT_GONE = 'the context has been detached, or the AFU was reset';
const NO_DATA_ACCESS = 'the AFU could not access the data buffer';

const pageIn = ({ afuExtra }: CommandStatus) => afuExtra === DMA_EXTRA.pageIn;
/** Bits 3:2 are the ports that are up, bits 1:0 those that the command may use. */
const aPortIsUp = ({ afuExtra }: CommandStatus) => ((afuExtra >> 2) & afuExtra & 3) !== 0;
const anyAfuCode = ({ afuCode }: CommandStatus) => afuCode !== 0;
const withoutSense = (_: CommandStatus, sense: Sense | undefined) => sense === undefined;
const otherScsiCode = ({ scsiCode }: CommandStatus, sense: Sense | undefined) =>
  scsiCode !== 0 && sense === undefined;
/** A recovered error and no sense mean success, if no other part of the status reports an error. */
const reportsError = (_: CommandStatus, sense: Sense | undefined) =>
  sense !== undefined && sense.key !== 'no-sense' && sense.key !== 'recovered-error';
const anyLinkCode = ({ fcCode }: CommandStatus) => fcCode !== 0;

/** The first rule that applies decides. A status to which none applies reports success. */
export const STATUS_TABLE: readonly StatusRule[] = [
  // The AFU did not carry the command out.
  { afu: AFU_CODES.handleInvalid, action: 'fail', errno: 'EINVAL', hint: HANDLE_INVALID },
  { afu: AFU_CODES.handleUnaligned, action: 'fail', errno: 'EIO' },
  { afu: AFU_CODES.handleOutOfBounds, action: 'fail', errno: 'EINVAL', hint: HANDLE_INVALID },
  { afu: AFU_CODES.handleDma, when: pageIn, action: 'again', errno: 'EIO' },
  { afu: AFU_CODES.handleDma, action: 'fail', errno: 'EIO' },
  { afu: AFU_CODES.handlePermission, action: 'fail', errno: 'EACCES', hint: NOT_OPEN },
  { afu: AFU_CODES.chunkUnaligned, action: 'fail', errno: 'EIO' },
  {
    afu: AFU_CODES.chunkOutOfBounds,
    action: 'fail',
    errno: 'EINVAL',
    hint: 'the virtual LUN has no such block: was it made smaller?',
  },
  { afu: AFU_CODES.chunkDma, when: pageIn, action: 'again', errno: 'EIO' },
  { afu: AFU_CODES.chunkDma, action: 'fail', errno: 'EIO' },
  { afu: AFU_CODES.chunkPermission, action: 'fail', errno: 'EACCES', hint: NOT_PERMITTED },
  // The last two are also seen while the adapter is being reset, which a retry outlives.
  { afu: AFU_CODES.noHostTranslation, action: 'later', errno: 'EPERM', hint: CONTEXT_GONE },
  { afu: AFU_CODES.capability, action: 'later', errno: 'EPERM', hint: CONTEXT_GONE },
  { afu: AFU_CODES.noChannels, when: aPortIsUp, action: 'later', errno: 'ENETDOWN' },
  {
    afu: AFU_CODES.noChannels,
    action: 'fail',
    errno: 'ENETDOWN',
    hint: 'no port to the LUN has a link',
  },
  { afu: AFU_CODES.outOfDataBuffers, action: 'again', errno: 'EIO' },
  { afu: AFU_CODES.dataDma, when: pageIn, action: 'again', errno: 'EFAULT', hint: NO_DATA_ACCESS },
  { afu: AFU_CODES.dataDma, action: 'fail', errno: 'EFAULT', hint: NO_DATA_ACCESS },
  { afu: AFU_CODES.timedOutBeforeLink, action: 'again', errno: 'ETIMEDOUT' },
  { afu: AFU_CODES.timedOut, action: 'again', errno: 'ETIMEDOUT' },
  { when: anyAfuCode, action: 'again', errno: 'EIO' },

  // The target sent sense data. Power on or reset; parameters or capacity changed; LUNs changed.
  { key: 'not-ready', action: 'later', errno: 'EIO' },
  { key: 'unit-attention', code: 0x29, action: 'verify', errno: 'EIO' },
  { key: 'unit-attention', code: 0x2a, action: 'verify', errno: 'EIO' },
  { key: 'unit-attention', code: 0x3f, qualifier: 0x0e, action: 'verify', errno: 'EIO' },
  { when: reportsError, action: 'fail', errno: 'EIO' },

  // The target's status alone.
  { scsi: SCSI_CODES.check, when: withoutSense, action: 'again', errno: 'EIO' },
  { scsi: SCSI_CODES.busy, action: 'later', errno: 'EBUSY', hint: 'the LUN stayed busy' },
  { scsi: SCSI_CODES.taskSetFull, action: 'later', errno: 'EBUSY', hint: 'the LUN stayed busy' },
  {
    scsi: SCSI_CODES.reservationConflict,
    action: 'fail',
    errno: 'EBUSY',
    hint: 'another host has reserved the LUN',
  },
  { when: otherScsiCode, action: 'fail', errno: 'EIO' },

  // The link.
  { fc: FC_CODES.abortPending, action: 'again', errno: 'ETIMEDOUT' },
  { fc: FC_CODES.writeAbortPending, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.noLogin, action: 'again', errno: 'ENETDOWN' },
  { fc: FC_CODES.protocol, action: 'fail', errno: 'EIO' },
  { fc: FC_CODES.tagInUse, action: 'fail', errno: 'EIO' },
  { fc: FC_CODES.linkDown, action: 'again', errno: 'ENETDOWN' },
  { fc: FC_CODES.abortOk, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.abortFailed, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.residual, flags: STATUS_FLAGS.overrun, action: 'fail', errno: 'EIO' },
  { fc: FC_CODES.residual, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.residualMismatch, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.targetAbort, action: 'again', errno: 'EIO' },
  { fc: FC_CODES.shutdown, action: 'again', errno: 'EIO' },
  { when: anyLinkCode, action: 'fail', errno: 'EIO' },

  // Nothing but a length that is not the one that was asked for.
  {
    flags: STATUS_FLAGS.overrun | STATUS_FLAGS.underrun,
    action: 'fail',
    errno: 'EIO',
    hint: 'the LUN transferred another number of bytes',
  },
];

/** Whether the rule applies to a status with this sense data. */
export function applies(
  rule: StatusRule,
  status: CommandStatus,
  sense: Sense | undefined,
): boolean {
  return (
    (rule.afu === undefined || rule.afu === status.afuCode) &&
    (rule.scsi === undefined || rule.scsi === status.scsiCode) &&
    (rule.fc === undefined || rule.fc === status.fcCode) &&
    (rule.key === undefined || rule.key === sense?.key) &&
    (rule.code === undefined || rule.code === sense?.code) &&
    (rule.qualifier === undefined || rule.qualifier === sense?.qualifier) &&
    (rule.flags === undefined || (rule.flags & status.flags) !== 0) &&
    (rule.when === undefined || rule.when(status, sense))
  );
}
