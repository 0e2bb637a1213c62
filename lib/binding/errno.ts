/**
 * A negative errno as Linux numbers it (-5 is EIO), on every platform and backend. Where the thread
 * that a call was for could not be started, the errno of pthread_create() less NO_THREAD.
 */
export type NegativeErrno = number;
