/** The program's side of the worker: starts and ends it, and waits for it, blocked or not. */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { debug } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import type { Answer, Call } from './answer';
import type { FromWorker, Plan, ToWorker, WorkerData } from './worker-messages';

/** What a connection does with what the worker tells of it. */
export type Receiver = (message: FromWorker) => void;

interface Running {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly counter: Int32Array;
  readonly ended: Promise<void>;
  /** The count up to which messages have been taken. */
  seen: number;
}

/** What a thread waits on for a time when there is no worker. */
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

/**
 * A worker exists while a connection does. It keeps the process alive only while a call waits, by the
 * timer of the call.
 */
export class Pump {
  readonly #address: WorkerData['address'];
  readonly #connectTimeout: number;
  readonly #receivers = new Map<number, Receiver>();
  #running: Running | undefined;
  #nextId = 1;

  constructor(address: WorkerData['address'], connectTimeout: number) {
    this.#address = address;
    this.#connectTimeout = connectTimeout;
  }

  /** Begins a connection. Its number. */
  open(plan: Plan, receiver: Receiver): number {
    const id = this.#nextId++;
    this.#running ??= this.#start();
    this.#receivers.set(id, receiver);
    this.#tell({ type: 'open', id, plan });
    return id;
  }

  send(id: number, bytes: Uint8Array): void {
    this.#tell({ type: 'send', id, bytes });
  }

  /** Ends a connection. Resolves once nothing of it is left; with the last one, the worker ends. */
  async end(id: number): Promise<void> {
    if (!this.#receivers.delete(id)) return;
    this.#tell({ type: 'end', id });
    if (this.#receivers.size > 0) return;
    const running = this.#running!;
    this.#running = undefined;
    running.port.postMessage({ type: 'stop' } satisfies ToWorker);
    running.worker.ref();
    await running.ended;
  }

  #tell(message: ToWorker): void {
    this.#running?.port.postMessage(message);
  }

  #start(): Running {
    const signal = new SharedArrayBuffer(4);
    const { port1, port2 } = new MessageChannel();
    const data: WorkerData = {
      port: port2,
      signal,
      address: this.#address,
      connectTimeout: this.#connectTimeout,
    };
    const worker = new Worker(require.resolve('./worker'), {
      name: 'node-cxl pslse',
      workerData: data,
      transferList: [port2],
      execArgv: [],
      env: {},
    });
    const ended = new Promise<void>((resolve) => {
      worker.once('exit', () => {
        resolve();
        port1.close();
        if (this.#running === running) this.#lost();
      });
    });
    worker.on('error', (error) => debug('pslse: the worker failed: %o', error));
    const running = { worker, port: port1, counter: new Int32Array(signal), ended, seen: 0 };
    port1.on('message', (message: FromWorker) => this.#dispatch(message));
    // A listener refers to the port again.
    port1.unref();
    worker.unref();
    return running;
  }

  /** The worker ended by itself: as if every connection had. */
  #lost(): void {
    this.#running = undefined;
    for (const [id, receiver] of [...this.#receivers]) {
      this.#receivers.delete(id);
      receiver({ type: 'failed', id, errno: -ERRNOS.EIO });
    }
  }

  #dispatch(message: FromWorker): void {
    this.#receivers.get(message.id)?.(message);
  }

  /** Takes what has come, without waiting. As cheap as a load where nothing has. */
  poll(): void {
    const running = this.#running;
    if (running === undefined) return;
    const count = Atomics.load(running.counter, 0);
    if (count === running.seen) return;
    running.seen = count;
    for (;;) {
      const received = receiveMessageOnPort(running.port) as { message: FromWorker } | undefined;
      if (received === undefined) return;
      this.#dispatch(received.message);
    }
  }

  /** Makes a call, blocking the thread. Memory is served meanwhile, of all connections. */
  callSync<R>(call: Call<R>): R {
    for (;;) {
      const step = call.next();
      if (step.done) return step.value;
      this.#block(step.value);
    }
  }

  #block(answer: Answer<unknown>): void {
    if (
      !this.blockUntil(
        () => answer.settled,
        () => answer.left,
      )
    )
      answer.expire();
  }

  /** Blocks the thread until `over` returns true; false once no milliseconds are left. */
  blockUntil(over: () => boolean, left: () => number): boolean {
    for (;;) {
      const counter = this.#running?.counter ?? NEVER_NOTIFIED;
      const before = Atomics.load(counter, 0);
      this.poll();
      if (over()) return true;
      const milliseconds = left();
      if (milliseconds <= 0) return false;
      Atomics.wait(counter, 0, before, milliseconds);
    }
  }
}
