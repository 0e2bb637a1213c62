/** A negative errno as Linux numbers it (-5 is EIO), on every platform and backend. */
export type NegativeErrno = number;
