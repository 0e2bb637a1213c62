/** The status of a command: read from its IOASA, judged by the table, reported as an error. */
import { type CxlError, systemError } from '../shared/errors';
import type { Command } from './command';
import { decodeSense, type Sense } from './sense';
import { type CommandStatus, IOASA, SENSE_BYTES, STATUS_FLAGS } from './sislite';
import { applies, STATUS_TABLE, type StatusRule } from './status-table';

/** Why a command failed: what the AFU, the target or the link reported. */
export interface CommandFailure {
  /** The status as the AFU wrote it to the command's IOASA. */
  readonly status: CommandStatus;
  /** Undefined when the target sent no sense data. */
  readonly sense: Sense | undefined;
  /** How many times the command was issued. */
  readonly attempts: number;
  /**
   * The effective address that the AFU could not access, of a data storage event; undefined when
   * there was none, as always with completion 'poll', which reads no events.
   */
  readonly address: bigint | undefined;
}

/**
 * The error of a command that failed: `code` is the errno that fits its status, `status` the
 * status.
 */
export type CommandError = CxlError & CommandFailure;

/** What a status means: the rule that decides, and the sense data, where the target sent some. */
export interface Verdict {
  readonly rule: StatusRule;
  readonly sense: Sense | undefined;
}

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

/** The rule of STATUS_TABLE that decides about a status; undefined when it reports no error. */
export function judge(status: CommandStatus): Verdict | undefined {
  const hasSense = (status.flags & STATUS_FLAGS.senseValid) !== 0 && status.scsiCode !== 0;
  const sense = hasSense ? decodeSense(status.sense) : undefined;
  const rule = STATUS_TABLE.find((one) => applies(one, status, sense));
  return rule && { rule, sense };
}

/** The error that a failed command rejects with. */
export function commandError(
  { rule, sense }: Verdict,
  status: CommandStatus,
  command: Command,
  address: bigint | undefined,
): CommandError {
  const { attempts, name, resource } = command;
  const where = address === undefined ? '' : ` at 0x${address.toString(16)}`;
  const times = attempts === 1 ? '' : `, after ${attempts} attempts`;
  const hint = `${rule.hint ?? describe(status, sense)}${where}${times}`;
  const error = systemError(rule.errno, name, resource.lun.path, hint);
  return Object.assign(error, { status, sense, attempts, address });
}

/** What commands fail with that are given up: the AFU may have carried them out, or not. */
export function canceled(hint: string, path?: string): CxlError {
  return systemError('ECANCELED', 'sislite', path, hint);
}

function describe(status: CommandStatus, sense: Sense | undefined): string {
  if (status.afuCode !== 0) return `AFU code 0x${hex(status.afuCode)}`;
  if (sense !== undefined) {
    const meaning = sense.meaning === undefined ? '' : `, ${sense.meaning}`;
    return `${sense.key} ${hex(sense.code)}/${hex(sense.qualifier)}${meaning}`;
  }
  if (status.scsiCode !== 0) return `SCSI status 0x${hex(status.scsiCode)}`;
  return `link code 0x${hex(status.fcCode)}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
