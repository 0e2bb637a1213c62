/** Waits for the AFU to wake the calling thread. */
import type { AfuFile } from '../binding';
import { checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { ERRNOS } from '../shared/errno';
import { rangeError, systemError, typeError } from '../shared/errors';
import { Memory } from './memory';

/** Options of Context.waitForWakeup(). */
export interface WakeupOptions {
  /** Memory with the word that the AFU stores. Default: none. */
  memory?: Memory | undefined;
  /** Bytes to that word, a multiple of 8. Default 0. */
  offset?: number | undefined;
  /** Milliseconds, 0 to 2^31 - 1, after which the wait throws ETIMEDOUT. Default: no limit. */
  timeout?: number | undefined;
}

const WAKEUP_OPTIONS: OptionNames<WakeupOptions> = { memory: true, offset: true, timeout: true };
/** Milliseconds that one call of the backend waits. */
const WAKEUP_PIECE = 20;

/** @internal The options, and the word that `memory` and `offset` mean. */
export function checkWakeupOptions(options: WakeupOptions) {
  const { memory, offset = 0, timeout } = checkOptions(options, WAKEUP_OPTIONS);
  if (timeout !== undefined) checkInteger('options.timeout', timeout, 0, 2 ** 31 - 1);
  return { word: memory === undefined ? undefined : wordOf(memory, offset), timeout };
}

/**
 * @internal Blocks until the thread with the id `tid` is woken; an id of 0 cannot be. Throws
 * ETIMEDOUT, EOPNOTSUPP.
 */
export function waitForWakeup(
  file: AfuFile,
  path: string,
  tid: number,
  word: BigUint64Array | undefined,
  timeout = Number.POSITIVE_INFINITY,
): void {
  const end = performance.now() + timeout;
  for (let left = timeout; ; left = Math.max(0, end - performance.now())) {
    // In pieces: between them worker.terminate() can end the thread.
    const piece = Math.min(left, WAKEUP_PIECE);
    const answer = tid === 0 ? -ERRNOS.EOPNOTSUPP : file.waitForWakeup(word, piece);
    if (answer === 0) return;
    if (answer !== -ERRNOS.EAGAIN) {
      const hint = 'only POWER9 outside guests wakes threads: use waitForInterrupt()';
      throw systemError(answer, 'waitForWakeup', path, hint);
    }
    if (left === 0) {
      throw systemError('ETIMEDOUT', 'waitForWakeup', path, `nothing within ${timeout} ms`);
    }
  }
}

function wordOf(memory: Memory, offset: number): BigUint64Array {
  if (!(memory instanceof Memory)) throw typeError('options.memory', 'a Memory', memory);
  checkInteger('options.offset', offset, 0, memory.size - BigUint64Array.BYTES_PER_ELEMENT);
  if (offset % BigUint64Array.BYTES_PER_ELEMENT !== 0) {
    throw rangeError('options.offset', 'a multiple of 8', offset);
  }
  const { buffer, byteOffset } = memory.bytes;
  return new BigUint64Array(buffer, byteOffset + offset, 1);
}
