/** What the streams over a block device have in common: options, and their transfers in flight. */
import { AbortError, checkSignal, onAbort } from '../shared/abort';
import { checkInteger } from '../shared/checks';
import { rangeError } from '../shared/errors';
import type { BlockAccess } from './block-access';
import { checkBlockNumber } from './block-number';

/** Options of both streams of a block device. */
export interface BlockStreamOptions {
  /** First block. Default 0. */
  start?: number | bigint | undefined;
  /** Bytes of each transfer, rounded up to whole blocks; 1 to 2^30. Default 262144. */
  transferBytes?: number | undefined;
  /** Most transfers in flight, 1 to 1024. Default 4. */
  depth?: number | undefined;
  /** Aborting destroys the stream with an AbortError. */
  signal?: AbortSignal | undefined;
}

const DEFAULT_TRANSFER_BYTES = 262144;
const DEFAULT_DEPTH = 4;
const MAX_TRANSFER_BYTES = 2 ** 30;
const MAX_DEPTH = 1024;

/** The transfers of one stream. */
export class StreamTransfers {
  readonly device: BlockAccess;
  /** First block of the stream. */
  readonly start: bigint;
  /** Bytes of each transfer: whole blocks. */
  readonly bytes: number;
  readonly depth: number;
  readonly #signal: AbortSignal | undefined;
  #removeListener: (() => void) | undefined;
  readonly #abort = new AbortController();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(device: BlockAccess, options: BlockStreamOptions) {
    const { blockSize } = device;
    this.device = device;
    this.start = checkBlockNumber('options.start', options.start ?? 0);
    if (this.start > device.blocks) {
      throw rangeError('options.start', `at most ${device.blocks}, the end`, this.start);
    }
    const { transferBytes = DEFAULT_TRANSFER_BYTES, depth = DEFAULT_DEPTH, signal } = options;
    const bytes = checkInteger('options.transferBytes', transferBytes, 1, MAX_TRANSFER_BYTES);
    this.bytes = Math.ceil(bytes / blockSize) * blockSize;
    this.depth = checkInteger('options.depth', depth, 1, MAX_DEPTH);
    this.#signal = checkSignal(signal);
  }

  /** Calls `destroy` when the signal of the options aborts, until end(). */
  onAbort(destroy: (error: AbortError) => void): void {
    const signal = this.#signal;
    if (signal === undefined) return;
    if (signal.aborted) destroy(new AbortError(signal));
    else this.#removeListener = onAbort(signal, () => destroy(new AbortError(signal)));
  }

  /** Whether as many transfers are in flight as there may be. */
  get full(): boolean {
    return this.#pending.size >= this.depth;
  }

  /** Begins a transfer, which end() aborts. */
  begin<T>(transfer: (options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
    const pending = transfer({ signal: this.#abort.signal });
    this.#pending.add(pending);
    const remove = () => this.#pending.delete(pending);
    pending.then(remove, remove);
    return pending;
  }

  /** Resolves when one of the transfers in flight has settled. */
  async oneSettled(): Promise<void> {
    await Promise.race(this.#pending).catch(() => undefined);
  }

  /** Resolves when all transfers have succeeded; rejects as the first that fails. */
  async allSucceeded(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** Aborts what is in flight; resolves when all of it has settled. */
  async end(): Promise<void> {
    this.#removeListener?.();
    this.#abort.abort();
    await Promise.allSettled(this.#pending);
  }
}
