/** Options of the calls that exchange data objects: their names and their checks. */
import { checkSignal } from '../shared/abort';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { typeError } from '../shared/errors';
import { MAX_PAYLOAD_BYTES, RESPONSE_TIMEOUT } from './exchange';

/** Options of an exchange, and of what consists of exchanges. */
export interface ExchangeOptions {
  /** Aborts the exchange: the call rejects with an AbortError and the mailbox is left idle. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds the device may take to answer, 1 to 2^31 - 1. Default 1000 (PCIe 6.0 §6.30.2). */
  readonly timeout?: number | undefined;
  /** Use the mailbox although a driver may be using the same protocol. Default false. */
  readonly force?: boolean | undefined;
  /**
   * Longest payload of an answer in bytes, 0 to 2^20 - 8; a longer one is refused (EOVERFLOW).
   * Default: all that a data object can have.
   */
  readonly maxLength?: number | undefined;
}
/** @internal */
export const EXCHANGE_OPTIONS: OptionNames<ExchangeOptions> = {
  signal: true,
  timeout: true,
  force: true,
  maxLength: true,
};

/** Options of DoeMailbox.reset(). */
export type ResetMailboxOptions = Pick<ExchangeOptions, 'signal' | 'force'>;
/** @internal */
export const RESET_OPTIONS: OptionNames<ResetMailboxOptions> = { signal: true, force: true };

/** Options of the calls that only look for functions and mailboxes. */
export interface ScanOptions {
  /** Ends the scan before the next function: the call rejects with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}
const SCAN_OPTIONS: OptionNames<ScanOptions> = { signal: true };

/** @internal The signal of a scan. */
export function checkScan(options: ScanOptions): AbortSignal | undefined {
  return checkSignal(checkOptions(options, SCAN_OPTIONS).signal);
}

/** @internal The options of an exchange with their defaults. */
export function checkExchange(options: ExchangeOptions) {
  const { signal, timeout, force, maxLength } = checkOptions(options, EXCHANGE_OPTIONS);
  return {
    signal: checkSignal(signal),
    force: checkBoolean('options.force', force ?? false),
    timeout: checkInteger('options.timeout', timeout ?? RESPONSE_TIMEOUT, 1, 2 ** 31 - 1),
    maxLength: checkInteger(
      'options.maxLength',
      maxLength ?? MAX_PAYLOAD_BYTES,
      0,
      MAX_PAYLOAD_BYTES,
    ),
  };
}

/** @internal A DoeMailbox, or an object that exchanges data objects as one does. */
export function checkMailbox<T extends { exchange: unknown }>(mailbox: T): T {
  if (typeof (mailbox as T | null | undefined)?.exchange !== 'function') {
    throw typeError('mailbox', 'a DoeMailbox', mailbox);
  }
  return mailbox;
}
