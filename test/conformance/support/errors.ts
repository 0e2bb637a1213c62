import { expect } from 'vitest';

export interface Failure extends Error {
  code?: string;
  errno?: number;
  syscall?: string;
  path?: string;
  event?: { type: string };
}

/** The error that a call threw or rejected with. Fails the test if it did neither. */
export async function failure(call: () => unknown): Promise<Failure> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as Failure;
  }
  throw new Error('expected the call to fail');
}

/** The code of the error that a call fails with. */
export async function codeOf(call: () => unknown): Promise<string | undefined> {
  return (await failure(call)).code;
}
