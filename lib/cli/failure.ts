/** How the program reports a failure: its exit code, and one line on stderr. */
import { CommanderError } from 'commander';
import { CxlError } from '../index';
import type { Data } from './output';

export const EXIT_CODES = {
  ok: 0,
  /** Every other failure: an I/O error, a detached context, a copy that differs. */
  failure: 1,
  /** Unknown commands and options, invalid arguments. */
  usage: 2,
  /** No such card, AFU, LUN or mailbox, or no driver. */
  noDevice: 3,
  permission: 4,
  /** All process elements or interrupts taken, or the card in use. */
  busy: 5,
} as const;

/** A mistake in how the program was called. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';
}

/** The exit code for an error that is not an abort. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof CommanderError) return EXIT_CODES.usage;
  const { code, exitCode } = (error ?? {}) as { code?: string; exitCode?: number };
  if (exitCode !== undefined) return exitCode;
  if (code === 'EACCES' || code === 'EPERM') return EXIT_CODES.permission;
  if (code === 'ERR_CXL_NO_NATIVE') return EXIT_CODES.noDevice;
  if (error instanceof CxlError) {
    // Errors of node:fs, such as a missing input file, are not CxlErrors and not about a device.
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') return EXIT_CODES.noDevice;
    if (code === 'EBUSY' || code === 'ENOSPC') return EXIT_CODES.busy;
  }
  if (code?.startsWith('ERR_INVALID_ARG') || code === 'ERR_OUT_OF_RANGE') return EXIT_CODES.usage;
  return EXIT_CODES.failure;
}

/** The error's message on one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, '; ');
}

/** An error as JSON; null for what it does not have. */
export function errorData(error: unknown): Data {
  const { code, errno, syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  return {
    code: error instanceof CommanderError ? 'ERR_USAGE' : (code ?? null),
    message: messageOf(error),
    errno: errno ?? null,
    syscall: syscall ?? null,
    path: path ?? null,
    exitCode: exitCodeOf(error),
  };
}
