/**
 * An open /dev/cxl/cardN of a PowerVM guest: a program gives the hypervisor an adapter image in
 * chunks, first all of it to download, then all of it again to validate. The model of
 * drivers/misc/cxl/flash.c.
 */
import { ERRNOS } from '../../shared/errno';
import type { CxlAdapter } from './adapter';

const BUFFER_SIZE = 4096;
const MAX_BUFFERS = 256;
const IMAGE_HEADER_SIZE = 128;

export class CardImage {
  readonly adapter: CxlAdapter;
  readonly #onClosed: (replaced: boolean) => void;
  readonly #up: () => void;
  /** Bytes received in the operation under way. */
  #received = 0;
  #operation: 'download' | 'validate' | undefined;
  #downloaded: Uint8Array[] = [];
  #chunks: Uint8Array[] = [];
  #replaced = false;

  /** `up` releases the semaphore of the open file (Kernel.imageSemaphore). */
  constructor(adapter: CxlAdapter, up: () => void, onClosed: (replaced: boolean) => void) {
    this.adapter = adapter;
    this.#up = up;
    this.#onClosed = onClosed;
  }

  /** 1: not complete; 0: complete; -errno: failed, and the adapter was reset. */
  transfer(
    operation: 'download' | 'validate',
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
  ): number {
    const chunk = data.length + (needHeader ? IMAGE_HEADER_SIZE : 0);
    if (Math.ceil(chunk / BUFFER_SIZE) > MAX_BUFFERS) return this.#fail(-ERRNOS.EINVAL);
    if (this.#operation !== operation) {
      this.#operation = operation;
      this.#received = 0;
      this.#chunks = [];
    }
    this.#received += data.length;
    this.#chunks.push(data.slice());
    if (this.#received < imageLength) return 1;
    if (this.#received > imageLength) return this.#fail(-ERRNOS.EINVAL);
    return operation === 'download' ? this.#complete() : this.#validate();
  }

  #complete(): number {
    this.#downloaded = this.#chunks;
    this.#operation = undefined;
    return 0;
  }

  /** The hypervisor compares the two; then the AFUs are removed until the file is closed. */
  #validate(): number {
    const [downloaded, again] = [this.#downloaded, this.#chunks].map((chunks) =>
      Buffer.concat(chunks),
    ) as [Buffer, Buffer];
    if (!downloaded.equals(again)) return this.#fail(-ERRNOS.EINVAL);
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

  /** The close resets the adapter, unless its image was replaced. */
  close(): void {
    this.#up();
    if (!this.#replaced) this.#reset();
    this.#onClosed(this.#replaced);
  }

  /** The hypervisor resets the adapter. For its contexts that is an error of the link. */
  #reset(): void {
    if (this.adapter.bound && this.adapter.linkOk) {
      this.adapter.enterErrorState(this.adapter.setup.resetTime);
    }
  }
}
