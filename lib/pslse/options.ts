/** The options of createPslseCxl(). */
import { checkInteger, checkOptions, checkString, type OptionNames } from '../shared/checks';
import { valueError } from '../shared/errors';
import { MAX_TIMER } from './answer';

/** Options of createPslseCxl(). */
export interface PslseOptions {
  /** Where the daemon runs: an IPv4 address, or a name of one. Default '127.0.0.1'. */
  readonly host?: string | undefined;
  /** The port that the daemon says it listens on. Default 16384. */
  readonly port?: number | undefined;
  /**
   * How long a connection may take, in milliseconds, until the daemon has told of its AFUs or opened a
   * context. Default 15000: a daemon that waits for another client serves nobody for 10 seconds.
   */
  readonly connectTimeout?: number | undefined;
  /**
   * How long a register access may take, in milliseconds; after that the link is down. Default 60000.
   * It blocks the thread so long at most: choose what the simulation needs.
   */
  readonly mmioTimeout?: number | undefined;
  /** How long the daemon may take to answer an attach, in milliseconds. Default 60000. */
  readonly attachTimeout?: number | undefined;
  /**
   * How long the AFU may take to detach, in milliseconds; after that the connection is closed. Default
   * 10000. At the exit of the process it is 2000 at most.
   */
  readonly detachTimeout?: number | undefined;
}

const PSLSE_OPTIONS: OptionNames<PslseOptions> = {
  host: true,
  port: true,
  connectTimeout: true,
  mmioTimeout: true,
  attachTimeout: true,
  detachTimeout: true,
};

const DEFAULTS = {
  host: '127.0.0.1',
  port: 16384,
  connectTimeout: 15_000,
  mmioTimeout: 60_000,
  attachTimeout: 60_000,
  detachTimeout: 10_000,
} as const;

/** All of them. */
export type PslseSetup = {
  readonly [Name in keyof PslseOptions]-?: NonNullable<PslseOptions[Name]>;
};

export function checkPslseOptions(options: PslseOptions): PslseSetup {
  checkOptions(options, PSLSE_OPTIONS);
  const host = checkString('options.host', options.host ?? DEFAULTS.host);
  if (host === '') throw valueError('options.host', 'an address or a name', host);
  const duration = (name: 'connectTimeout' | 'mmioTimeout' | 'attachTimeout' | 'detachTimeout') =>
    checkInteger(`options.${name}`, options[name] ?? DEFAULTS[name], 1, MAX_TIMER);
  return {
    host,
    port: checkInteger('options.port', options.port ?? DEFAULTS.port, 1, 0xffff),
    connectTimeout: duration('connectTimeout'),
    mmioTimeout: duration('mmioTimeout'),
    attachTimeout: duration('attachTimeout'),
    detachTimeout: duration('detachTimeout'),
  };
}
