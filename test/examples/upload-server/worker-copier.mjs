// @ts-check
// A copier in a worker thread: as Copier, but the bytes are moved to and from its memory elsewhere
// than on the thread that serves HTTP.
import { Worker } from 'node:worker_threads';

/** @typedef {{ id: number, copy?: Uint8Array, error?: { code: string, message: string } }} Answer */

export class WorkerCopier {
  #worker;
  #exited;
  #id = 0;
  /** Why there will be no more answers. @type {Error | undefined} */
  #ended;
  /** @type {Map<number, { resolve: (copy: Uint8Array) => void, reject: (error: unknown) => void }>} */
  #calls = new Map();

  /** @private Use WorkerCopier.open(). */
  constructor(/** @type {Worker} */ worker) {
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('message', (/** @type {Answer} */ { id, copy, error }) => {
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (copy !== undefined) call?.resolve(copy);
      // A clone of an error has no code.
      else call?.reject(Object.assign(new Error(error?.message), { code: error?.code }));
    });
    worker.on('error', (error) => this.#end(error));
    worker.on('exit', () => this.#end(new Error('the worker has ended')));
  }

  /**
   * @param {{ afu?: string, bytes?: number, timeout?: number }} [options] as of Copier.open()
   * @returns {Promise<WorkerCopier>}
   */
  static async open(options = {}) {
    const file = new URL('copy-worker.mjs', import.meta.url);
    const copier = new WorkerCopier(new Worker(file, { workerData: options }));
    try {
      await copier.#call({});
      return copier;
    } catch (error) {
      await copier.close();
      throw error;
    }
  }

  /** @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
  copy(bytes) {
    // Cloned, not transferred: the pool needs them again if the job fails.
    return this.#call({ bytes });
  }

  async close() {
    this.#worker.postMessage({ close: true });
    await this.#exited;
  }

  /** @param {{ bytes?: Uint8Array }} message @returns {Promise<Uint8Array>} */
  #call(message) {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended;
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ ...message, id });
    });
  }

  #end(/** @type {Error} */ error) {
    this.#ended ??= error;
    for (const { reject } of this.#calls.values()) reject(this.#ended);
    this.#calls.clear();
  }
}
