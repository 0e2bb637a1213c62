/** How the command-line program ends: its exit codes, and one line on stderr a script can use. */
import { CxlError } from '../index';

export const exitCodes = {
  ok: 0,
  /** Anything not below: an I/O error, a detached context, a copy that differs. */
  failure: 1,
  /** Unknown commands and options, arguments that mean nothing. */
  usage: 2,
  /** No such card or AFU, or no driver. */
  noDevice: 3,
  permission: 4,
  /** All process elements or interrupts taken, or the card in use. */
  busy: 5,
  /** Ended by Ctrl-C, as a shell has it. */
  interrupted: 130,
} as const;

/** A mistake in how the program was called. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';
}

/** Which exit code a failure has. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  const { code, name } = (error ?? {}) as { code?: string; name?: string };
  if (name === 'AbortError') return exitCodes.interrupted;
  if (code === 'EACCES' || code === 'EPERM') return exitCodes.permission;
  if (code === 'ERR_CXL_NO_NATIVE') return exitCodes.noDevice;
  if (error instanceof CxlError) {
    // A file of the user's that is absent is no device that is absent: those are not CxlErrors.
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') return exitCodes.noDevice;
    if (code === 'EBUSY' || code === 'ENOSPC') return exitCodes.busy;
  }
  if (code?.startsWith('ERR_INVALID_ARG') || code === 'ERR_OUT_OF_RANGE') return exitCodes.usage;
  return exitCodes.failure;
}

/** One line, whatever the message. */
export function failureLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `node-cxl: ${message.trim().replaceAll(/\s*\n\s*/g, '; ')}`;
}
