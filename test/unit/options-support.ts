/** What the tests of options share. */
import { expect } from 'vitest';

/** The error that a call throws or rejects with. */
export async function failure(call: () => unknown): Promise<Error & { code?: string }> {
  try {
    await call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('the call did not fail');
}

/** Passes each misspelled option to the call; the error names the one that was meant. */
export async function refuses(
  call: (options: never) => unknown,
  misspelled: Record<string, string>,
): Promise<void> {
  for (const [given, meant] of Object.entries(misspelled)) {
    for (const value of [1, undefined]) {
      const error = await failure(() => call({ [given]: value } as never));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
      expect(error.message).toContain(`options.${given} is not an option; did you mean ${meant}?`);
    }
  }
  const foreign = await failure(() => call({ constructor: 1 } as never));
  expect(foreign.message).toMatch(/options\.constructor is not an option \(options: /);
  for (const value of [null, 5, 'timeout', [], () => {}]) {
    const error = await failure(() => call(value as never));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_ARG_TYPE');
    expect(error.message).toMatch(/^options must be an object/);
  }
}
