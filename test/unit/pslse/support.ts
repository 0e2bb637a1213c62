/** Runs the fake daemon of a test, and asks it what its clients did. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Cxl } from 'node-cxl';
import { createPslseCxl, type PslseOptions } from 'node-cxl/pslse';

/** What the daemon does instead of sending a message: see fake-daemon.mjs. */
export interface Fault {
  at: string;
  kind: string;
}

export interface FakeOptions {
  psl?: 8 | 9;
  mode?: 'dedicated' | 'directed';
  area?: boolean;
  contexts?: number;
  dribble?: boolean;
  fault?: Fault | undefined;
}

export interface Status {
  violations: string[];
  log: string[];
  connections: number;
  /** Contexts that the daemon thinks are taken. */
  taken: number;
  attached: number;
}

export interface FakeDaemon {
  port: number;
  system: Cxl;
  status(): Promise<Status>;
  /** Fails in another way, or no more, from now on, and has no context taken. */
  fail(fault: Fault | undefined): Promise<void>;
  /** Ends every connection. */
  kill(): void;
  stop(): Promise<void>;
}

const FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'fake-daemon.mjs');

const daemons = new Set<Worker>();
const running = new Set<Worker>();
process.on('worker', (worker) => {
  running.add(worker);
  worker.once('exit', () => running.delete(worker));
});

/** The workers of backends that run in this process. */
export function workers(): Worker[] {
  return [...running].filter((worker) => !daemons.has(worker));
}

export async function fakeDaemon(
  options: FakeOptions = {},
  client: PslseOptions = {},
): Promise<FakeDaemon> {
  const worker = new Worker(FILE, { workerData: options });
  daemons.add(worker);
  const next = <T>() => new Promise<T>((resolve) => worker.once('message', resolve));
  const { port } = await next<{ port: number }>();
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return {
    port,
    system: createPslseCxl({ port, ...client }),
    async status() {
      worker.postMessage('status');
      return next<Status>();
    },
    async fail(fault) {
      worker.postMessage({ type: 'fail', fault });
      await next<string>();
    },
    kill: () => worker.postMessage('kill'),
    async stop() {
      worker.postMessage('stop');
      await ended;
    },
  };
}

/** The status once the client has left nothing behind: what stays after a while is in it. */
export async function settled(daemon: FakeDaemon): Promise<Status & { left: number }> {
  const end = Date.now() + 5000;
  for (;;) {
    const status = await daemon.status();
    const left = workers().length;
    if ((status.connections === 0 && left === 0) || Date.now() > end) return { ...status, left };
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A daemon that no client has harmed, and of which none has left a connection or a worker. */
export const UNHARMED = { violations: [], connections: 0, left: 0 };
