/** What a backend and its worker say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { AfuDescription, ContextLetter, Psl } from './protocol';

export interface WorkerData {
  readonly port: MessagePort;
  /** One Int32: counted up and notified at each message of the worker. */
  readonly signal: SharedArrayBuffer;
  readonly address: { readonly host: string; readonly port: number };
  /** Milliseconds from the connect to the answer to OPEN or to the last QUERY. */
  readonly connectTimeout: number;
}

/** What a connection is for: to ask about all AFUs and end, or to open and attach a context. */
export type Plan =
  | { readonly type: 'query'; readonly psl: Psl | undefined }
  | {
      readonly type: 'attach';
      readonly psl: Psl | undefined;
      /** card * 16 + slice. */
      readonly afu: number;
      readonly letter: ContextLetter;
      readonly wed: bigint;
    };

export type ToWorker =
  | { readonly type: 'open'; readonly id: number; readonly plan: Plan }
  | { readonly type: 'send'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'failed'; readonly id: number; readonly errno: number }
  | {
      readonly type: 'described';
      readonly id: number;
      readonly psl: Psl;
      readonly afus: readonly AfuDescription[];
    }
  /** OPEN was not answered in time. It may be yet. */
  | { readonly type: 'late'; readonly id: number }
  /** OPEN was answered, and ATTACH sent. */
  | { readonly type: 'opened'; readonly id: number; readonly psl: Psl; readonly context: number }
  | { readonly type: 'data'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'closed'; readonly id: number };
