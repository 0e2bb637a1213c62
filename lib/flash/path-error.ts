import { CxlError } from '../shared/errors';
import type { CommandError } from './command-status';
import { AFU_CODES, FC_CODES } from './sislite';

/** Codes of errors that concern the path and not the blocks: another path may not have them. */
const AFU_PATH_CODES: readonly number[] = [
  AFU_CODES.noChannels,
  AFU_CODES.capability,
  AFU_CODES.noHostTranslation,
];

/** Not of the path: a transfer of another length than the command said. */
const FC_DATA_CODES: readonly number[] = [FC_CODES.residual, FC_CODES.residualMismatch];

/** Errors of the call, which another path would answer as well. */
const CALL_ERRORS: readonly string[] = ['ECANCELED', 'EOPNOTSUPP', 'EACCES', 'EFAULT', 'EINVAL'];

/**
 * Whether a transfer failed because of its path: the context is lost, the adapter is gone, or no
 * port of it reaches the LUN. The queue has repeated what may pass.
 */
export function isPathError(error: unknown): boolean {
  if (!(error instanceof CxlError)) return false;
  const { status } = error as Partial<CommandError>;
  if (status === undefined) {
    // The time limit of the call is 'transfer'.
    return !CALL_ERRORS.includes(error.code) && error.syscall !== 'transfer';
  }
  if (status.afuCode !== 0) return AFU_PATH_CODES.includes(status.afuCode);
  return status.fcCode !== 0 && !FC_DATA_CODES.includes(status.fcCode);
}

/** Whether a transfer was ended, or refused, because its context was closed. */
export function isClosedContext(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'ECANCELED' || code === 'ERR_INVALID_STATE';
}
