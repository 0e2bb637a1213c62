/**
 * /dev/cxl/cardN of a PowerVM guest: an adapter image is handed to the hypervisor in chunks,
 * first all of it to download, then all of it again to validate. The model of flash.c.
 */
import { errnos } from '../../shared/errno';
import type { Adapter } from './adapter';

const bufferSize = 4096;
const maxEntries = 256;
const imageHeaderSize = 128;

export class CardImage {
  readonly adapter: Adapter;
  readonly #onClosed: (replaced: boolean) => void;
  /** Bytes handed over in the operation that is under way. */
  #received = 0;
  #operation: 'download' | 'validate' | undefined;
  #downloaded: Uint8Array[] = [];
  #chunks: Uint8Array[] = [];
  #replaced = false;

  constructor(adapter: Adapter, onClosed: (replaced: boolean) => void) {
    this.adapter = adapter;
    this.#onClosed = onClosed;
  }

  /** 1: more is wanted, 0: complete, or -errno; then the adapter has been reset. */
  transfer(
    operation: 'download' | 'validate',
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
  ): number {
    const chunk = data.length + (needHeader ? imageHeaderSize : 0);
    if (Math.ceil(chunk / bufferSize) > maxEntries) return this.#fail(-errnos.EINVAL);
    if (this.#operation !== operation) {
      this.#operation = operation;
      this.#received = 0;
      this.#chunks = [];
    }
    this.#received += data.length;
    this.#chunks.push(data.slice());
    if (this.#received < imageLength) return 1;
    if (this.#received > imageLength) return this.#fail(-errnos.EINVAL);
    return operation === 'download' ? this.#complete() : this.#validate();
  }

  #complete(): number {
    this.#downloaded = this.#chunks;
    this.#operation = undefined;
    return 0;
  }

  /** The hypervisor compares; then the AFUs are removed until the file is closed. */
  #validate(): number {
    const [downloaded, again] = [this.#downloaded, this.#chunks].map((chunks) =>
      Buffer.concat(chunks),
    ) as [Buffer, Buffer];
    if (!downloaded.equals(again)) return this.#fail(-errnos.EINVAL);
    this.#operation = undefined;
    this.#replaced = true;
    this.adapter.removeAfus();
    return 0;
  }

  #fail(errno: number): number {
    this.#operation = undefined;
    this.#reset();
    return errno;
  }

  /** Whoever closes it, for whatever reason it was opened, resets the adapter. */
  close(): void {
    if (!this.#replaced) this.#reset();
    this.#onClosed(this.#replaced);
  }

  /** The hypervisor resets the adapter under its contexts: they find it in error. */
  #reset(): void {
    if (this.adapter.bound && this.adapter.linkOk) {
      this.adapter.enterErrorState(this.adapter.setup.resetTime);
    }
  }
}
