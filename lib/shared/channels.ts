/**
 * The diagnostics channels of the library: tracing channels, as of diagnostics_channel's
 * tracingChannel(), for what takes time. Each has the channels `tracing:NAME:start`, `:end`,
 * `:asyncStart`, `:asyncEnd` and `:error`, with one message object for an operation, in which
 * `duration`, `result` and `error` appear at its end. A store bound to the start channel
 * (bindStore(), as tracing libraries do) is current during the operation.
 *
 * | name | operation | fields |
 * | --- | --- | --- |
 * | `node-cxl:open` | open() | path |
 * | `node-cxl:attach` | attach(), attachSync() | path, interrupts |
 * | `node-cxl:close` | close() of a context | path |
 * | `node-cxl:wait` | waitForEvent(), waitForInterrupt(), both with Sync, events(), waitForWakeup() | path, call, irq |
 * | `node-cxl:flash.command` | a command of the AFU | path, command, lba, blocks |
 * | `node-cxl:flash.ioctl` | an ioctl of cxlflash | path, ioctl |
 * | `node-cxl:doe.exchange` | exchange() of a mailbox | path, vendorId, type, length |
 *
 * While nobody listens an operation costs five reads of a property. The tracingChannel() of Node is
 * not used: it came with 18.19 and 19.9, and its channels are these by their names.
 */
import { type Channel, channel } from 'node:diagnostics_channel';

/** What appears in the message of an operation at its end. */
export interface TraceOutcome {
  /** Milliseconds from the start, also of one that failed. */
  duration?: number;
  /** What the operation returned, or its promise resolved with. */
  result?: unknown;
  /** What it threw, or its promise rejected with. */
  error?: unknown;
}

type StoringChannel = Channel & {
  /** Since Node 18.19. */
  runStores?<T>(message: object, call: () => T): T;
};

/** An operation that has begun. */
export interface Trace {
  readonly message: TraceOutcome;
  readonly start: number;
}

class Operation<Fields extends object> {
  readonly #start: StoringChannel;
  readonly #end: Channel;
  readonly #asyncStart: Channel;
  readonly #asyncEnd: Channel;
  readonly #error: Channel;

  constructor(name: string) {
    this.#start = channel(`tracing:${name}:start`);
    this.#end = channel(`tracing:${name}:end`);
    this.#asyncStart = channel(`tracing:${name}:asyncStart`);
    this.#asyncEnd = channel(`tracing:${name}:asyncEnd`);
    this.#error = channel(`tracing:${name}:error`);
  }

  /** Whether anybody listens: to be asked before the fields are put together. */
  get active(): boolean {
    return (
      this.#start.hasSubscribers ||
      this.#end.hasSubscribers ||
      this.#asyncStart.hasSubscribers ||
      this.#asyncEnd.hasSubscribers ||
      this.#error.hasSubscribers
    );
  }

  /** Makes the call, and tells of it until its promise has settled. */
  promise<T>(fields: Fields, call: () => Promise<T>): Promise<T> {
    const message: Fields & TraceOutcome = { ...fields };
    const start = performance.now();
    return this.#run(message, () => {
      const settled = this.#settled(message, start, call());
      this.#end.publish(message);
      return settled;
    });
  }

  /** A function that awaits, so that the stack of an error still has the callers. */
  async #settled<T>(message: TraceOutcome, start: number, running: Promise<T>): Promise<T> {
    const trace = { message, start };
    try {
      const result = await running;
      message.result = result;
      this.finish(trace, undefined);
      return result;
    } catch (error) {
      this.finish(trace, error);
      throw error;
    }
  }

  /** Makes the call, and tells of it. */
  sync<T>(fields: Fields, call: () => T): T {
    const message: Fields & TraceOutcome = { ...fields };
    const start = performance.now();
    return this.#run(message, () => {
      try {
        const result = call();
        Object.assign(message, { result, duration: performance.now() - start });
        return result;
      } catch (error) {
        Object.assign(message, { error, duration: performance.now() - start });
        this.#error.publish(message);
        throw error;
      } finally {
        this.#end.publish(message);
      }
    });
  }

  /** Tells of the start of an operation that has no promise of its own: for finish(). */
  begin(fields: Fields): Trace {
    const message = { ...fields };
    this.#run(message, () => this.#end.publish(message));
    return { message, start: performance.now() };
  }

  /** An `error` of undefined: it succeeded. */
  finish({ message, start }: Trace, error: unknown): void {
    message.duration = performance.now() - start;
    if (error !== undefined) {
      message.error = error;
      this.#error.publish(message);
    }
    this.#asyncStart.publish(message);
    this.#asyncEnd.publish(message);
  }

  #run<T>(message: object, call: () => T): T {
    if (this.#start.runStores !== undefined) return this.#start.runStores(message, call);
    this.#start.publish(message);
    return call();
  }
}

export const OPEN = new Operation<{ path: string }>('node-cxl:open');
export const ATTACH = new Operation<{ path: string; interrupts: number | undefined }>(
  'node-cxl:attach',
);
export const CLOSE = new Operation<{ path: string }>('node-cxl:close');
export const WAIT = new Operation<{ path: string; call: string; irq?: number }>('node-cxl:wait');
export const FLASH_COMMAND = new Operation<{
  path: string;
  command: string;
  lba: bigint;
  blocks: number;
}>('node-cxl:flash.command');
export const FLASH_IOCTL = new Operation<{ path: string; ioctl: string }>('node-cxl:flash.ioctl');
export const DOE_EXCHANGE = new Operation<{
  path: string;
  vendorId: number;
  type: number;
  length: number;
}>('node-cxl:doe.exchange');
