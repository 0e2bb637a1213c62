/** What a parent process sends to a child that clones one of its contexts. */
import { stateError, typeError } from '../shared/errors';
import type { ResourceDescription } from './resource';

/** What a child process needs to clone a context: plain data, which IPC can send. */
export interface CloneToken {
  /** FlashContext.id in hexadecimal. */
  readonly contextId: string;
  /** Id of the process that made the token: the child's parent. */
  readonly processId: number;
  /** The resources of the context when the token was made. */
  readonly resources: readonly ResourceDescription[];
}

/** @internal The context id in a token that the parent of this process made. */
export function sourceContextId(token: CloneToken, parentProcessId: number): bigint {
  const { contextId, processId, resources } = token ?? {};
  const valid = typeof contextId === 'string' && /^[0-9a-f]{1,16}$/.test(contextId);
  if (!valid || !Array.isArray(resources)) {
    throw typeError('token', 'what cloneToken() made', token);
  }
  if (processId !== parentProcessId) {
    throw stateError(
      `process ${processId} made this token, and only its direct child can clone from it; the parent of this process is ${parentProcessId}`,
    );
  }
  return BigInt(`0x${contextId}`);
}
