/** Where a thing was made, for assertions that it is gone. */

/** A thing that a program made and must end. */
export interface Traced {
  /** What it is, for people. */
  readonly what: string;
  /** An Error for its stack. */
  readonly origin: Error;
}

/** An Error whose stack begins at the caller of `above`. */
export function originOf(
  above: ((...args: never[]) => unknown) | { readonly prototype: object },
): Error {
  const error = new Error();
  Error.captureStackTrace(error, above as () => unknown);
  // Until the text is made, V8 keeps the objects whose methods are in the stack: the context of
  // an allocation, and by that the memory, which could never be collected.
  void error.stack;
  return error;
}
