/**
 * The connection of an attached context: requests to the daemon, one at a time, and what the daemon
 * asks and tells meanwhile. Its rules keep the daemon alive; README.md lists them.
 */
import type { AddressSpace } from '../emulation/address-space';
import { debug } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { Answer, awaited, type Call, callAsync } from './answer';
import { operate, reachOf } from './atomics';
import type { PslseSetup } from './options';
import { type DaemonMessage, decode, encode, type Psl } from './protocol';
import type { Pump } from './pump';
import type { FromWorker, Plan } from './worker-messages';

/** How long an access may take that was under way when the AFU failed, in milliseconds. */
const AFTER_AFU_ERROR = 500;

/** What a connection tells its context. */
export interface ConnectionEvents {
  interrupt(irq: number): void;
  fault(address: bigint, access: 'load' | 'store'): void;
  afuError(error: bigint): void;
  /** The daemon is gone, or does not answer, or what it sends makes no sense. */
  lost(): void;
}

/** What is open, or -errno. */
export type Opened = { readonly psl: Psl; readonly context: number } | number;

interface Request {
  readonly bytes: Uint8Array;
  /** Bytes that follow the code of its acknowledgement. */
  readonly ackLength: number;
  readonly answer: Answer<Uint8Array | undefined>;
}

export class Connection {
  readonly #pump: Pump;
  readonly #id: number;
  readonly #letter: string;
  readonly #setup: PslseSetup;
  readonly #memory: AddressSpace;
  readonly #events: ConnectionEvents;
  #opened: Answer<Opened>;
  /** Of ATTACH: 0, or -errno. */
  readonly #attached: Answer<number>;
  readonly #detached: Answer<void>;
  #state: 'opening' | 'attaching' | 'attached' | 'detaching' | 'ended' = 'opening';
  #psl: Psl = 8;
  #current: Request | undefined;
  readonly #queue: Request[] = [];
  #bytes: Uint8Array = new Uint8Array(0);
  #afuFailed = false;
  /** Resolves once nothing is left of it. */
  readonly ended: Promise<void>;
  #resolveEnded: ((ending: Promise<void>) => void) | undefined;

  constructor(
    pump: Pump,
    plan: Extract<Plan, { type: 'attach' }>,
    setup: PslseSetup,
    memory: AddressSpace,
    events: ConnectionEvents,
  ) {
    this.#pump = pump;
    this.#letter = plan.letter;
    this.#setup = setup;
    this.#memory = memory;
    this.#events = events;
    // The worker tells when its time is over, of two attempts: one for each version.
    this.#opened = new Answer<Opened>(2 * setup.connectTimeout + 1000, () => -ERRNOS.ETIMEDOUT);
    // Its time begins once it is sent.
    this.#attached = new Answer(Number.POSITIVE_INFINITY, () => -ERRNOS.ETIMEDOUT);
    this.#detached = new Answer<void>(Number.POSITIVE_INFINITY, () => undefined);
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#id = pump.open(plan, (message) => this.#receive(message));
  }

  /** Opens and attaches: the daemon's number of the context, or -errno. */
  *attach(hasArea: boolean): Call<Opened> {
    const opened = yield* awaited(this.#opened);
    if (typeof opened === 'number') {
      // Nothing is left to do, unless the daemon is late.
      void callAsync(this.detach());
      return opened;
    }
    const attached = yield* awaited(this.#attached);
    if (this.#state === 'ended') return -ERRNOS.EIO;
    if (attached < 0) {
      yield* this.detach();
      return attached;
    }
    // An access could come before the start of the context; not after the answer to this. Whether the
    // daemon accepts the flags does not matter. It would not survive the request without an area.
    if (hasArea) yield* this.#request(encode.map(), 0, this.#setup.attachTimeout);
    return this.#state === 'attached' ? opened : -ERRNOS.EIO;
  }

  /**
   * A register access, or a read of the error buffer: what follows the acknowledgement. Undefined: it
   * faulted.
   */
  *access(bytes: Uint8Array, ackLength: number): Call<Uint8Array | undefined> {
    // The daemon would not answer, or the AFU would end.
    if (this.#state !== 'attached' || this.#afuFailed) return undefined;
    return yield* this.#request(bytes, ackLength, this.#setup.mmioTimeout);
  }

  *#request(bytes: Uint8Array, ackLength: number, timeout: number): Call<Uint8Array | undefined> {
    const answer = new Answer<Uint8Array | undefined>(timeout, () => {
      // A second access would not be answered either.
      if (!this.#afuFailed) this.#lose('no answer to an access');
      return undefined;
    });
    this.#queue.push({ bytes, ackLength, answer });
    this.#next();
    return yield* awaited(answer);
  }

  /** Sends the next request, of which the daemon takes one at a time. */
  #next(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#queue.shift();
    if (this.#current !== undefined) this.#pump.send(this.#id, this.#current.bytes);
  }

  /**
   * Detaches and ends the connection; memory is served until then. With `timeout` at the exit of the
   * process.
   */
  *detach(timeout = this.#setup.detachTimeout): Call<void> {
    if (this.#state === 'opening') {
      this.#opened.shorten(timeout);
      yield* awaited(this.#opened);
    }
    // What was asked before is answered first.
    while (this.#current !== undefined && this.#state !== 'ended') {
      this.#current.answer.shorten(timeout);
      yield* awaited(this.#current.answer);
    }
    // A daemon that finds a client gone before it has read ATTACH attaches nobody any more.
    if (this.#state === 'attaching') {
      this.#attached.shorten(timeout);
      yield* awaited(this.#attached);
    }
    if (this.#state === 'attached' || this.#state === 'attaching') {
      const refused = this.#state === 'attaching';
      this.#state = 'detaching';
      // A dedicated AFU that failed, or that was not started, would not answer. Its close is enough.
      if (this.#letter === 'd' && (this.#afuFailed || refused)) this.#detached.settle();
      else this.#pump.send(this.#id, encode.detach());
    }
    // Also when another call sent it.
    if (this.#state === 'detaching') {
      this.#detached.shorten(timeout);
      yield* awaited(this.#detached);
    }
    this.#end();
  }

  #end(): void {
    this.#state = 'ended';
    this.#resolveEnded?.(this.#pump.end(this.#id));
    this.#opened.settle(-ERRNOS.EIO);
    this.#attached.settle(-ERRNOS.EIO);
    this.#detached.settle();
    const requests = [this.#current, ...this.#queue.splice(0)];
    this.#current = undefined;
    for (const request of requests) request?.answer.settle(undefined);
  }

  #lose(why: string): void {
    if (this.#state === 'ended') return;
    debug('pslse: connection lost: %s', why);
    this.#end();
    this.#events.lost();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'opened':
        this.#psl = message.psl;
        this.#state = 'attaching';
        this.#attached.shorten(this.#setup.attachTimeout);
        this.#opened.settle(message);
        break;
      case 'late':
        this.#opened.settle(-ERRNOS.ETIMEDOUT);
        this.#opened = new Answer<Opened>(Number.POSITIVE_INFINITY, () => -ERRNOS.ETIMEDOUT);
        break;
      case 'failed':
        this.#opened.settle(message.errno);
        this.#lose('failed');
        break;
      case 'closed':
        this.#lose('closed by the daemon');
        break;
      case 'data':
        this.#take(message.bytes);
        break;
    }
  }

  #take(bytes: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#state !== 'ended') {
      const decoded = decode(this.#bytes, this.#current?.ackLength ?? 0, this.#psl);
      if (decoded === undefined) return;
      if (decoded === 'garbage') {
        this.#lose(`0x${this.#bytes[0]!.toString(16)} is no message`);
        return;
      }
      this.#bytes = this.#bytes.subarray(decoded.length);
      this.#handle(decoded.message);
    }
  }

  #handle(message: DaemonMessage): void {
    switch (message.type) {
      case 'attached':
        if (this.#state !== 'attaching') this.#lose('attached twice');
        else {
          this.#state = 'attached';
          this.#attached.settle(0);
        }
        break;
      case 'detached':
        if (this.#state === 'attaching') this.#attached.settle(-ERRNOS.EBUSY);
        else if (this.#state === 'detaching') this.#detached.settle();
        else this.#lose('detached by the daemon');
        break;
      case 'ack':
        this.#answered(message.data);
        break;
      case 'failed':
        this.#answered(undefined);
        break;
      case 'interrupt':
        this.#events.interrupt(message.irq);
        break;
      case 'afu-error':
        // It can come twice.
        if (this.#afuFailed) break;
        this.#afuFailed = true;
        this.#current?.answer.shorten(AFTER_AFU_ERROR);
        this.#events.afuError(message.error);
        break;
      default:
        this.#pump.send(this.#id, this.#serve(message));
    }
  }

  #answered(data: Uint8Array | undefined): void {
    const request = this.#current;
    if (request === undefined) {
      this.#lose('an answer to nothing');
      return;
    }
    this.#current = undefined;
    request.answer.settle(data);
    this.#next();
  }

  /** Carries out an access to memory: the answer. Pages count, as on the card, not the ends of buffers. */
  #serve(message: Extract<DaemonMessage, { readonly address: bigint }>): Uint8Array {
    const store = message.type === 'write' || message.type === 'atomic';
    const answer = this.#reach(message);
    if (answer !== undefined) return answer;
    this.#events.fault(message.address, store ? 'store' : 'load');
    return encode.failure();
  }

  #reach(message: Extract<DaemonMessage, { readonly address: bigint }>): Uint8Array | undefined {
    const { address } = message;
    switch (message.type) {
      case 'touch':
        return this.#memory.translatePages(address, 1) && encode.success();
      case 'read': {
        const bytes = this.#memory.translatePages(address, message.size);
        if (bytes === undefined) return undefined;
        const data = new Uint8Array(message.size);
        data.set(bytes);
        return encode.success(data);
      }
      case 'write': {
        const bytes = this.#memory.translatePages(address, message.data.length);
        bytes?.set(message.data.subarray(0, bytes.length));
        return bytes && encode.success();
      }
      case 'atomic': {
        const { before, length } = reachOf(message);
        const bytes = this.#memory.translatePages(address - BigInt(before), length);
        const data = bytes?.length === length ? operate(bytes, message) : undefined;
        return data && encode.success(data);
      }
    }
  }
}
