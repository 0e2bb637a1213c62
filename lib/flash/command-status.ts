/** The status of a command: decoded from its IOASA, checked against the retry rules, reported. */

import type { ErrnoName } from '../shared/errno';
import { type CxlError, systemError } from '../shared/errors';
import { decodeSense, type Sense } from './sense';
import {
  AFU_CODES,
  type CommandStatus,
  DMA_EXTRA,
  FC_CODES,
  IOASA,
  SCSI_CODES,
  SENSE_BYTES,
  STATUS_FLAGS,
} from './sislite';

/** Why a command failed: what the AFU, the target or the link reported. */
export interface CommandFailure {
  readonly status: CommandStatus;
  /** Undefined when the target sent no sense data. */
  readonly sense: Sense | undefined;
  /** How many times the command was issued. */
  readonly attempts: number;
}

export type CommandError = CxlError & CommandFailure;

const TASK_SET_FULL = 0x28;

const RETRIED_LINK_CODES: readonly number[] = [
  FC_CODES.abortPending,
  FC_CODES.writeAbortPending,
  FC_CODES.noLogin,
  FC_CODES.linkDown,
  FC_CODES.abortOk,
  FC_CODES.abortFailed,
  FC_CODES.residualMismatch,
  FC_CODES.targetAbort,
];

/** The IOASA at `offset`, in the byte order of the context. */
export function readStatus(view: DataView, offset: number, little: boolean): CommandStatus {
  const sense = new Uint8Array(view.buffer, view.byteOffset + offset + IOASA.sense, SENSE_BYTES);
  return {
    flags: view.getUint8(offset + IOASA.flags),
    afuCode: view.getUint8(offset + IOASA.afuCode),
    scsiCode: view.getUint8(offset + IOASA.scsiCode),
    fcCode: view.getUint8(offset + IOASA.fcCode),
    residual: view.getUint32(offset + IOASA.residual, little),
    port: view.getUint8(offset + IOASA.port),
    afuExtra: view.getUint8(offset + IOASA.afuExtra),
    scsiExtra: view.getUint8(offset + IOASA.scsiExtra),
    fcExtra: view.getUint8(offset + IOASA.fcExtra),
    sense: sense.slice(),
  };
}

/**
 * What a status means. Retried are: out of data buffers, no channel although a port to the LUN is
 * up, a page-in, a busy target, and link codes that do not mean a defect. Invalid commands and sense
 * data are failures; a recovered error is a success.
 */
export function outcomeOf(status: CommandStatus): 'done' | 'retry' | 'failed' {
  const { afuCode, scsiCode, fcCode, flags } = status;
  if (afuCode !== 0) return isTemporary(status) ? 'retry' : 'failed';
  if (scsiCode === SCSI_CODES.busy || scsiCode === TASK_SET_FULL) return 'retry';
  if (scsiCode === SCSI_CODES.check && (flags & STATUS_FLAGS.senseValid) !== 0) {
    const key = decodeSense(status.sense)?.key;
    return key === 'no-sense' || key === 'recovered-error' ? 'done' : 'failed';
  }
  if (fcCode !== 0) return RETRIED_LINK_CODES.includes(fcCode) ? 'retry' : 'failed';
  if (scsiCode !== 0) return 'failed';
  return (flags & (STATUS_FLAGS.overrun | STATUS_FLAGS.underrun)) !== 0 ? 'failed' : 'done';
}

function isTemporary({ afuCode, afuExtra }: CommandStatus): boolean {
  switch (afuCode) {
    case AFU_CODES.outOfDataBuffers:
      return true;
    case AFU_CODES.noChannels:
      // Bits 3:2 are the ports that are up, bits 1:0 those that the command may use.
      return ((afuExtra >> 2) & afuExtra & 3) !== 0;
    case AFU_CODES.dataDma:
    case AFU_CODES.handleDma:
    case AFU_CODES.chunkDma:
      return afuExtra === DMA_EXTRA.pageIn;
    default:
      return false;
  }
}

interface Explanation {
  readonly errno: ErrnoName;
  readonly hint: string;
}

function explain(status: CommandStatus, sense: Sense | undefined): Explanation {
  switch (status.afuCode) {
    case 0:
      break;
    case AFU_CODES.handleInvalid:
    case AFU_CODES.handleOutOfBounds:
      return { errno: 'EINVAL', hint: 'the resource handle is not open in this context' };
    case AFU_CODES.chunkOutOfBounds:
      return { errno: 'EINVAL', hint: 'the virtual LUN has no such block: was it made smaller?' };
    case AFU_CODES.handlePermission:
      return {
        errno: 'EACCES',
        hint: 'the resource is not open, or its context was attached without this permission',
      };
    case AFU_CODES.chunkPermission:
      return { errno: 'EACCES', hint: 'the context was attached without this permission' };
    case AFU_CODES.capability:
    case AFU_CODES.noHostTranslation:
      return { errno: 'EPERM', hint: 'the context has been detached, or the AFU was reset' };
    case AFU_CODES.noChannels:
      return { errno: 'EIO', hint: 'no port to the LUN has a link' };
    case AFU_CODES.dataDma:
      return { errno: 'EFAULT', hint: 'the AFU could not access the data buffer' };
    default:
      return { errno: 'EIO', hint: `AFU code 0x${hex(status.afuCode)}` };
  }
  if (sense !== undefined) {
    const code = `${hex(sense.code)}/${hex(sense.qualifier)}`;
    const meaning = sense.meaning === undefined ? '' : `, ${sense.meaning}`;
    const advice = sense.key === 'unit-attention' ? ': verify() the resource with this sense' : '';
    return { errno: 'EIO', hint: `${sense.key} ${code}${meaning}${advice}` };
  }
  if (status.fcCode !== 0) return { errno: 'EIO', hint: `link code 0x${hex(status.fcCode)}` };
  if (status.scsiCode === SCSI_CODES.busy) return { errno: 'EBUSY', hint: 'the LUN stayed busy' };
  return { errno: 'EIO', hint: `SCSI status 0x${hex(status.scsiCode)}` };
}

/** The error that a failed command rejects with. */
export function commandError(
  status: CommandStatus,
  attempts: number,
  operation: string,
  path: string,
): CommandError {
  const sense =
    (status.flags & STATUS_FLAGS.senseValid) !== 0 ? decodeSense(status.sense) : undefined;
  const { errno, hint } = explain(status, sense);
  const times = attempts === 1 ? '' : `, after ${attempts} attempts`;
  const error = systemError(errno, operation, path, hint + times);
  return Object.assign(error, { status, sense, attempts });
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
