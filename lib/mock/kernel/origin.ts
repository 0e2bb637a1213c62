/** Where a thing was made, for assertions that it is gone. */

/** A thing that a program made and must end. */
export interface Traced {
  /** What it is, for people. */
  readonly what: string;
  /** An Error for its stack. */
  readonly origin: Error;
}

/** An Error whose stack begins at the caller of `above`. Its text is made only when it is read. */
export function originOf(
  above: ((...args: never[]) => unknown) | { readonly prototype: object },
): Error {
  const error = new Error();
  Error.captureStackTrace(error, above as () => unknown);
  return error;
}
