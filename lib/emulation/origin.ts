/** Where a thing was made, for assertions that it is gone. */

/** A thing that a program made and must end. */
export interface Traced {
  /** What it is, for people. */
  readonly what: string;
  /** The frames of the stack that made it. */
  readonly origin: string;
}

/** The stack of the caller of `above`, as an Error whose text is made when it is read. */
export function stackAbove(
  above: ((...args: never[]) => unknown) | { readonly prototype: object },
): Error {
  const error = new Error();
  Error.captureStackTrace(error, above as () => unknown);
  return error;
}

/**
 * The stack of the caller of `above` as text. Until its text is made, V8 keeps the objects whose
 * methods are in a stack: the context of an allocation, and by that the memory, which could never
 * be collected.
 */
export function originOf(
  above: ((...args: never[]) => unknown) | { readonly prototype: object },
): string {
  return stackAbove(above).stack ?? '';
}
