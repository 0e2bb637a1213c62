import type { CxlError } from '../shared/errors';
import { Uncloneable } from '../shared/uncloneable';
import type { EventQueue } from './queue';

/**
 * What Context.events() returns. It is the context's reader from the first next() until the
 * iteration ends. Ending it (`break`, return(), closing the context) also ends a next() that is
 * waiting.
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * system.card(0).afu(0).raiseInterrupt(0, 1, 3);
 * for await (const event of context.events()) {
 *   if (event.type !== 'afu-interrupt') continue;
 *   console.log('interrupt', event.irq); // interrupt 1
 *   if (event.irq === 3) break; // another reader can start
 * }
 * await context.close();
 */
export class EventIterator<Event> extends Uncloneable implements AsyncIterableIterator<Event> {
  readonly #queue: EventQueue;
  readonly #claim: () => symbol;
  readonly #take: () => Promise<Event>;
  #reader: symbol | undefined;
  #done = false;

  /** @internal Use Context.events(). */
  constructor(queue: EventQueue, claim: () => symbol, take: () => Promise<Event>) {
    super();
    this.#queue = queue;
    this.#claim = claim;
    this.#take = take;
  }

  /**
   * The next event; `done` once the context is closed or return() was called.
   *
   * @throws AbortError; EIO detached; ERR_INVALID_STATE before attach, once closed, or while
   *   another call waits for events. Every error but ERR_INVALID_STATE ends the iteration.
   */
  async next(): Promise<IteratorResult<Event, undefined>> {
    if (this.#done) return { done: true, value: undefined };
    this.#reader ??= this.#claim();
    try {
      return { done: false, value: await this.#take() };
    } catch (error) {
      const ended = this.#done || (error as CxlError).code === 'ECANCELED';
      // Thrown to a second next() while the first still waits: the first goes on.
      if ((error as { code?: string }).code !== 'ERR_INVALID_STATE') this.#end();
      if (ended) return { done: true, value: undefined };
      throw error;
    }
  }

  /** Ends the iteration and a next() that is waiting; another reader can then start. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    if (!this.#done) {
      this.#end();
      if (this.#reader !== undefined) this.#queue.cancel();
    }
    return { done: true, value: undefined };
  }

  /** The iterator itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As return(): for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #end(): void {
    this.#done = true;
    if (this.#reader !== undefined) this.#queue.release(this.#reader);
  }
}
