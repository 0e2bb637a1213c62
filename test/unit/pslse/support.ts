/** Runs the fake daemon of a test, and asks it what its clients did. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Cxl } from 'node-cxl';
import { createPslseCxl, type PslseOptions } from 'node-cxl/pslse';

export interface FakeOptions {
  psl?: 8 | 9;
  mode?: 'dedicated' | 'directed';
  area?: boolean;
  contexts?: number;
  dribble?: boolean;
  fault?: { at: string; kind: string } | undefined;
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
  /** Fails in another way from the next connection on. */
  fail(fault: { at: string; kind: string }): void;
  /** Ends every connection. */
  kill(): void;
  stop(): Promise<void>;
}

const FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'fake-daemon.mjs');

export async function fakeDaemon(
  options: FakeOptions = {},
  client: PslseOptions = {},
): Promise<FakeDaemon> {
  const worker = new Worker(FILE, { workerData: options });
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
    fail: (fault) => worker.postMessage({ fault }),
    kill: () => worker.postMessage('kill'),
    async stop() {
      worker.postMessage('stop');
      await ended;
    },
  };
}

/** The status once the client has left nothing behind: what stays after a while is in it. */
export async function settled(daemon: FakeDaemon, own: number): Promise<Status & { left: number }> {
  const end = Date.now() + 5000;
  for (;;) {
    const status = await daemon.status();
    // One is the daemon's.
    const left = workers() - own - 1;
    if ((status.connections === 0 && left === 0) || Date.now() > end) return { ...status, left };
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Workers that run in this process. */
export function workers(): number {
  const report = process.report.getReport() as unknown as { workers: unknown[] };
  return report.workers.length;
}
