/** How the program reports a failure: its exit code, and one line on stderr. */
import { CxlError } from '../index';

export const EXIT_CODES = {
  ok: 0,
  /** Every other failure: an I/O error, a detached context, a copy that differs. */
  failure: 1,
  /** Unknown commands and options, invalid arguments. */
  usage: 2,
  /** No such card or AFU, or no driver. */
  noDevice: 3,
  permission: 4,
  /** All process elements or interrupts taken, or the card in use. */
  busy: 5,
  /** By Ctrl-C: 128 + SIGINT, as in a shell. */
  interrupted: 130,
} as const;

/** A mistake in how the program was called. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_CODES.usage;
  const { code, name } = (error ?? {}) as { code?: string; name?: string };
  if (name === 'AbortError') return EXIT_CODES.interrupted;
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
export function failureLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `node-cxl: ${message.trim().replaceAll(/\s*\n\s*/g, '; ')}`;
}
