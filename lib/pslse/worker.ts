/**
 * The worker of a backend: owns the sockets, and moves bytes between them and the thread of the
 * program. Only the exchange that opens a connection is made here, because until it is complete the
 * daemon serves nobody: the program's thread may be busy.
 */
import net from 'node:net';
import { workerData } from 'node:worker_threads';
import { ERRNOS, type ErrnoName } from '../shared/errno';
import {
  type AfuDescription,
  ANSWER_LENGTHS,
  CODES,
  decodeMap,
  decodeQuery,
  encode,
  type Psl,
} from './protocol';
import type { FromWorker, Plan, ToWorker, WorkerData } from './worker-messages';

const { port, signal, address, connectTimeout } = workerData as WorkerData;
const counter = new Int32Array(signal);
const sockets = new Map<number, net.Socket>();

/** To the program's thread, which may be blocked in Atomics.wait(). */
function tell(message: FromWorker): void {
  port.postMessage(message);
  Atomics.add(counter, 0, 1);
  Atomics.notify(counter, 0);
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'open':
      void open(message.id, message.plan);
      break;
    case 'send':
      // One write: the socket's own buffer is empty, since the daemon has at most two messages unread.
      sockets.get(message.id)?.write(message.bytes);
      break;
    case 'end':
      close(message.id);
      break;
    case 'stop':
      for (const id of sockets.keys()) close(id);
      port.close();
      break;
  }
});

function close(id: number): void {
  const socket = sockets.get(id);
  sockets.delete(id);
  if (socket === undefined) return;
  // What was written is still sent, but not to a host that has not answered yet.
  if (socket.connecting) socket.destroy();
  else socket.end().destroySoon();
}

/** A refusal of the daemon, or the failure of the connection: an errno. */
class Refusal extends Error {
  readonly errno: number;
  constructor(name: ErrnoName) {
    super(name);
    this.errno = -ERRNOS[name];
  }
}

async function open(id: number, plan: Plan): Promise<void> {
  // The last version that was right comes first.
  const order: Psl[] = plan.psl === 9 ? [9, 8] : [8, 9];
  for (const [index, psl] of order.entries()) {
    // The daemon listens on IPv4 only.
    const exchange = new Exchange(net.connect({ ...address, family: 4, noDelay: true }));
    sockets.set(id, exchange.socket);
    try {
      const map = await greet(exchange, psl);
      if (map === undefined) {
        close(id);
        if (index === 0) continue;
        throw new Refusal('EPROTONOSUPPORT');
      }
      await carryOut(id, plan, exchange, psl, map);
    } catch (error) {
      close(id);
      const errno = error instanceof Refusal ? error.errno : -ERRNOS.EIO;
      tell({ id, type: 'failed', errno });
    }
    return;
  }
}

/** Once the greeting has been answered. */
async function carryOut(
  id: number,
  plan: Plan,
  exchange: Exchange,
  psl: Psl,
  map: readonly number[],
): Promise<void> {
  if (plan.type === 'query') {
    const afus: AfuDescription[] = [];
    for (const afu of map) {
      const answer = await exchange.ask(encode.query(afu), ANSWER_LENGTHS.query);
      if (answer[0] !== CODES.QUERY) throw new Refusal('EPROTONOSUPPORT');
      afus.push(decodeQuery(afu, answer));
    }
    close(id);
    tell({ id, type: 'described', psl, afus });
    return;
  }
  // The daemon crashes at the id of an AFU that it does not have.
  if (!map.includes(plan.afu)) throw new Refusal('ENODEV');
  exchange.send(encode.open(plan.afu, plan.letter));
  const [code] = await exchange.take(1).catch((error: Refusal) => {
    if (error.errno !== -ERRNOS.ETIMEDOUT) throw error;
    // It may open it yet. The program does not wait, but closes only then.
    tell({ id, type: 'late' });
    return exchange.takeLate(1);
  });
  // All contexts are taken, or the AFU has no such mode.
  if (code === CODES.DETACH) throw new Refusal('ENOSPC');
  if (code !== CODES.OPEN) throw new Refusal('EPROTONOSUPPORT');
  const [context] = await exchange.take(1);
  // At once: a context that is opened and not attached cannot be closed without harm.
  exchange.send(encode.attach(plan.wed));
  tell({ id, type: 'opened', psl, context: context! });
  exchange.handOver(
    (bytes) => tell({ id, type: 'data', bytes }),
    () => {
      sockets.delete(id);
      tell({ id, type: 'closed' });
    },
  );
}

/** The AFUs of the daemon, or undefined when it does not speak this version. */
async function greet(exchange: Exchange, psl: Psl): Promise<number[] | undefined> {
  exchange.send(encode.greeting(psl));
  const [code] = await exchange.take(1);
  if (code === CODES.DETACH) return undefined;
  if (code !== CODES.CONNECT) throw new Refusal('EPROTONOSUPPORT');
  const map = await exchange.take(ANSWER_LENGTHS.connect - 1);
  return decodeMap(Uint8Array.of(code, ...map));
}

/** Takes the bytes of a socket by counts, until they are handed over. */
class Exchange {
  readonly socket: net.Socket;
  #bytes: Uint8Array = new Uint8Array(0);
  #failure: Refusal | undefined;
  #wake: (() => void) | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(socket: net.Socket) {
    this.socket = socket;
    this.#timer = setTimeout(() => this.#fail(new Refusal('ETIMEDOUT')), connectTimeout);
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      this.#wake?.();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(refusalOf(error)));
    socket.on('close', () => this.#fail(new Refusal('ECONNRESET')));
  }

  #fail(refusal: Refusal): void {
    this.#failure ??= refusal;
    clearTimeout(this.#timer);
    this.#wake?.();
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  async take(count: number): Promise<Uint8Array> {
    while (this.#bytes.length < count) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#bytes.slice(0, count);
    this.#bytes = this.#bytes.slice(count);
    return taken;
  }

  /** As take(), after the time is over. The end of the connection ends the wait. */
  takeLate(count: number): Promise<Uint8Array> {
    this.#failure = undefined;
    return this.take(count);
  }

  ask(bytes: Uint8Array, count: number): Promise<Uint8Array> {
    this.send(bytes);
    return this.take(count);
  }

  /** From now on bytes go to `onData`; the end of the connection is told once. */
  handOver(onData: (bytes: Uint8Array) => void, onClosed: () => void): void {
    clearTimeout(this.#timer);
    this.socket.removeAllListeners('data');
    this.socket.removeAllListeners('close');
    // An Uint8Array of its own: a Buffer may be a part of a larger pool.
    if (this.#bytes.length > 0) onData(Uint8Array.from(this.#bytes));
    this.socket.on('data', (bytes: Buffer) => onData(Uint8Array.from(bytes)));
    if (this.#failure === undefined) this.socket.on('close', onClosed);
    else onClosed();
  }
}

/** The errno of a failed connect(), whose number depends on the platform but not its name. */
function refusalOf(error: NodeJS.ErrnoException): Refusal {
  const code = error.code ?? '';
  return new Refusal(Object.hasOwn(ERRNOS, code) ? (code as ErrnoName) : 'EHOSTUNREACH');
}
