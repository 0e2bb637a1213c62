import { checkInteger } from '../shared/checks';
import { type Endian, resolveEndian } from '../shared/endian';
import { valueError } from '../shared/errors';
import type { QueueOptions } from './command';

export interface AttachOptions {
  /** What commands may do. Default `read-write`. */
  access?: 'read' | 'write' | 'read-write';
  /** AFU interrupts, 0 to 4, at least the AFU's irqs_min. Default 4; the block device uses two. */
  interrupts?: number;
  /** Byte order of commands and rings. Default `host`. */
  endian?: Endian;
  /** Commands in flight at most, 1 to 4096; the AFU's cmd_room bounds it too. Default 128. */
  queueDepth?: number;
  /**
   * Bytes of each command's bounce buffer, through which data in JavaScript's own buffers goes
   * (a multiple of 4096, up to 16 MiB). Larger transfers become several commands.
   * Default 65536.
   */
  bounceBytes?: number;
  /**
   * `interrupt` reads the context's events while commands are in flight, so that nobody else
   * can; where somebody does, completions are found at every watchInterval. An AFU driver's
   * events stay pending for whoever reads next. `poll` looks at the response ring on every turn
   * of the event loop, and leaves the events alone: lower latency, a busy processor. Default
   * `interrupt`.
   */
  completion?: 'interrupt' | 'poll';
  /** How often a command that may be retried is issued again, 0 to 1000. Default 5. */
  retries?: number;
  /**
   * Commands that an adapter reset took: `retry` issues them again once the context is
   * recovered, `fail` rejects them with ECANCELED. Reads and writes can be repeated without
   * harm unless something else wrote the same blocks meanwhile. Default `retry`.
   */
  onReset?: 'retry' | 'fail';
  /** Milliseconds between looks at the adapter while commands are in flight, 1 to 60000. Default 250. */
  watchInterval?: number;
  /** Seconds the AFU gives a command (IOARCB timeout), 1 to 65535. Default 30. */
  commandTimeout?: number;
}

/** Largest bounce buffer, in bytes: what a command can move. */
const mostTransfer = 16777216;
/** Whole blocks of every LUN there is. */
const bounceUnit = 4096;

/** @internal ATTACH's flags: O_RDONLY, O_WRONLY, O_RDWR. */
export const accessFlags = { read: 0n, write: 1n, 'read-write': 2n } as const;

/** @internal The options with their defaults, checked before the driver is asked. */
export function checkAttachOptions(options: AttachOptions) {
  const access = options.access ?? 'read-write';
  if (!(access in accessFlags)) {
    throw valueError('options.access', "'read', 'write' or 'read-write'", access);
  }
  const interrupts = checkInteger('options.interrupts', options.interrupts ?? 4, 0, 4);
  const queue = checkQueueOptions(options);
  if (queue.completion === 'interrupt' && interrupts < 2) {
    throw valueError('options.interrupts', "at least 2, or completion 'poll'", interrupts);
  }
  return { access, interrupts, queue };
}

function checkQueueOptions(options: AttachOptions): Omit<QueueOptions, 'squeue'> {
  const { completion = 'interrupt', onReset = 'retry' } = options;
  if (completion !== 'interrupt' && completion !== 'poll') {
    throw valueError('options.completion', "'interrupt' or 'poll'", completion);
  }
  if (onReset !== 'retry' && onReset !== 'fail') {
    throw valueError('options.onReset', "'retry' or 'fail'", onReset);
  }
  const bounceBytes = checkInteger(
    'options.bounceBytes',
    options.bounceBytes ?? 65536,
    bounceUnit,
    mostTransfer,
  );
  if (bounceBytes % bounceUnit !== 0) {
    throw valueError('options.bounceBytes', `a multiple of ${bounceUnit}`, bounceBytes);
  }
  const number = (name: keyof AttachOptions, standard: number, min: number, max: number) =>
    checkInteger(`options.${name}`, options[name] ?? standard, min, max);
  return {
    endian: resolveEndian('options.endian', options.endian ?? 'host'),
    depth: number('queueDepth', 128, 1, 4096),
    bounceBytes,
    completion,
    onReset,
    retries: number('retries', 5, 0, 1000),
    watchInterval: number('watchInterval', 250, 1, 60000),
    commandTimeout: number('commandTimeout', 30, 1, 65535),
  };
}
