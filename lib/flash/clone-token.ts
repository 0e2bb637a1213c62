/** What a parent process hands to a child that is to clone one of its contexts. */
import { stateError, typeError } from '../shared/errors';
import type { ResourceDescription } from './resource';

/** What a child process needs to clone a context: plain data, to be sent by IPC. */
export interface CloneToken {
  /** The cookie, in hexadecimal. */
  readonly contextId: string;
  /** Of the process that made it: the child's parent. */
  readonly processId: number;
  /** What the context had at the time. */
  readonly resources: readonly ResourceDescription[];
}

/** @internal The cookie in a token that the parent of this process made. */
export function sourceOf(token: CloneToken, parentProcessId: number): bigint {
  const { contextId, processId, resources } = token ?? {};
  const made = typeof contextId === 'string' && /^[0-9a-f]{1,16}$/.test(contextId);
  if (!made || !Array.isArray(resources)) {
    throw typeError('token', 'what cloneToken() made', token);
  }
  if (processId !== parentProcessId) {
    throw stateError(
      `process ${processId} made this token, and only its direct child can clone from it; the parent here is ${parentProcessId}`,
    );
  }
  return BigInt(`0x${contextId}`);
}
