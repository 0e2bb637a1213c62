import { checkInteger, checkOneOf, checkOptions, type OptionNames } from '../shared/checks';
import { type Endian, resolveEndian } from '../shared/endian';
import { valueError } from '../shared/errors';
import type { QueueOptions } from './command';

/** Options of Lun.attach(): of a context, and of the queue of its commands. */
export interface AttachOptions {
  /** Which commands the context may issue. Default `read-write`. */
  access?: 'read' | 'write' | 'read-write' | undefined;
  /**
   * AFU interrupts, 0 to 4, at least the AFU's irqs_min. Default 4. Block devices use two of them
   * unless `completion` is `poll`.
   */
  interrupts?: number | undefined;
  /** Byte order of commands and rings. Default `host`. */
  endian?: Endian | undefined;
  /** Most commands in flight, 1 to 4096; the AFU's cmd_room limits them too. Default 128. */
  queueDepth?: number | undefined;
  /**
   * Bytes of each command's bounce buffer, to and from which data in ordinary JavaScript buffers is
   * copied: a multiple of 4096, up to 16 MiB. A larger transfer becomes several commands.
   * Default 65536.
   */
  bounceBytes?: number | undefined;
  /**
   * How completions are noticed. `interrupt` reads the context's events while commands are in
   * flight; the program should not read them at the same time (completions are then noticed only
   * every `watchInterval`). Events of an AFU driver stay pending for the program. `poll` checks the
   * response ring on every turn of the event loop and reads no events: lower latency, but a busy
   * processor. Default `interrupt`.
   */
  completion?: 'interrupt' | 'poll' | undefined;
  /** How many times a command that failed temporarily is issued again, 0 to 1000. Default 5. */
  retries?: number | undefined;
  /**
   * What happens to commands that a reset of the adapter ended: `retry` issues them again once the
   * context is recovered, `fail` rejects them with ECANCELED. Repeating a write is safe unless
   * another writer wrote the same blocks in between. Default `retry`.
   */
  onReset?: 'retry' | 'fail' | undefined;
  /** Milliseconds between checks of the adapter while commands are in flight, 1 to 60000. Default 250. */
  watchInterval?: number | undefined;
  /**
   * Milliseconds after which the AFU ends a command (timeout of the IOARCB), 1 to 65535000. Rounded
   * up to whole seconds, the unit of the hardware's field. Default 30000.
   */
  commandTimeout?: number | undefined;
  /**
   * Milliseconds after which a command that the AFU has not ended counts as hung, 1 to 2^31 - 1:
   * the context is reset then, and if that does not help, recovered. The command is issued again,
   * as `retries` and `onReset` allow, or fails with ETIMEDOUT. Default: commandTimeout + 5000.
   */
  responseTimeout?: number | undefined;
  /**
   * An abort rejects with an AbortError at once, and ends the retries. A context that is being made
   * at that time is closed.
   */
  signal?: AbortSignal | undefined;
}

/** Largest bounce buffer in bytes: the most that one command can transfer. */
const MAX_BOUNCE_BYTES = 16777216;
/** Bytes: a multiple of every block size. */
const BOUNCE_UNIT = 4096;
/** Milliseconds by which the AFU's own limit comes first. */
const RESPONSE_MARGIN = 5000;
/** Milliseconds: 16 bits of seconds. */
const MAX_COMMAND_TIMEOUT = 65_535_000;

/** @internal */
export const ATTACH_OPTIONS: OptionNames<AttachOptions> = {
  access: true,
  interrupts: true,
  endian: true,
  queueDepth: true,
  bounceBytes: true,
  completion: true,
  retries: true,
  onReset: true,
  watchInterval: true,
  commandTimeout: true,
  responseTimeout: true,
  signal: true,
};

/** @internal ATTACH's flags: O_RDONLY, O_WRONLY, O_RDWR. */
export const ACCESS_FLAGS = { read: 0n, write: 1n, 'read-write': 2n } as const;

/** @internal The options with their defaults, checked before any ioctl. */
export function checkAttachOptions(options: AttachOptions) {
  checkOptions(options, ATTACH_OPTIONS);
  const access = options.access ?? 'read-write';
  checkOneOf('options.access', access, ['read', 'write', 'read-write']);
  const interrupts = checkInteger('options.interrupts', options.interrupts ?? 4, 0, 4);
  const queue = checkQueueOptions(options);
  if (queue.completion === 'interrupt' && interrupts < 2) {
    throw valueError('options.interrupts', "at least 2, or completion 'poll'", interrupts);
  }
  return { access, interrupts, queue };
}

function checkQueueOptions(options: AttachOptions): Omit<QueueOptions, 'squeue'> {
  const { completion = 'interrupt', onReset = 'retry' } = options;
  checkOneOf('options.completion', completion, ['interrupt', 'poll']);
  checkOneOf('options.onReset', onReset, ['retry', 'fail']);
  const bounceBytes = checkInteger(
    'options.bounceBytes',
    options.bounceBytes ?? 65536,
    BOUNCE_UNIT,
    MAX_BOUNCE_BYTES,
  );
  if (bounceBytes % BOUNCE_UNIT !== 0) {
    throw valueError('options.bounceBytes', `a multiple of ${BOUNCE_UNIT}`, bounceBytes);
  }
  const number = (name: keyof AttachOptions, standard: number, min: number, max: number) =>
    checkInteger(`options.${name}`, options[name] ?? standard, min, max);
  const commandTimeout = number('commandTimeout', 30_000, 1, MAX_COMMAND_TIMEOUT);
  return {
    endian: resolveEndian('options.endian', options.endian ?? 'host'),
    depth: number('queueDepth', 128, 1, 4096),
    bounceBytes,
    completion,
    onReset,
    retries: number('retries', 5, 0, 1000),
    watchInterval: number('watchInterval', 250, 1, 60000),
    commandTimeout,
    responseTimeout: number('responseTimeout', commandTimeout + RESPONSE_MARGIN, 1, 2 ** 31 - 1),
  };
}
