/** The seam's device files: an open descriptor, its ioctls by name, and for a context its events. */
import type { AfuIoctls } from './cxl-ioctls';
import type { NegativeErrno } from './errno';
import type { ProblemStateMapping } from './problem-state';

/** One ioctl: the fields that go in and those that come out. */
export interface Ioctl {
  readonly input: object;
  readonly answer: object;
}

/** Ioctls by their names in the kernel's header. */
export type IoctlMap<Ioctls> = { [Name in keyof Ioctls]: Ioctl };

/** An open device file. */
export interface DeviceFile<Ioctls extends IoctlMap<Ioctls>> {
  /** The file descriptor; -1 once close() was called. */
  readonly fd: number;
  /**
   * One ioctl, on another thread: it can block for seconds. The answer's fields, or -errno;
   * -EBADF after close(). Fields of the input that are left out are 0.
   */
  ioctl<Name extends keyof Ioctls>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer'] | NegativeErrno>;
  /**
   * Closes on another thread (the kernel waits for the hardware), after the ioctls under way.
   * 0 or -errno. Idempotent: the same promise again.
   */
  close(): Promise<number>;
}

/**
 * Receives one batch of events: `length` bytes of whole events at the start of `bytes`
 * (reused by the next batch: copy what must stay), then `errno`, 0 or the negative errno
 * that read() gave after them. The file can be armed again: -EIO comes again from a context that is
 * detached, and ends with the link's error from one that is not.
 */
export type EventSink = (bytes: Uint8Array, length: number, errno: number) => void;

/**
 * An open AFU file: a context. Its ioctls run in order, one at a time. close() also takes it out
 * of the wait set and unmaps; an adopted descriptor that is not owned stays open.
 */
export interface AfuFile extends DeviceFile<AfuIoctls> {
  /** As ioctl(), on the calling thread, which it blocks. */
  ioctlSync<Name extends keyof AfuIoctls>(
    name: Name,
    input: AfuIoctls[Name]['input'],
  ): AfuIoctls[Name]['answer'] | NegativeErrno;
  /** mmap, shared, read and write, from `offset` of the area (bytes). */
  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno;
  /** Where batches go. Set once, before the first arm(). */
  onEvents(sink: EventSink): void;
  /**
   * Asks for one batch: whatever is pending, else the next event. The sink is called once,
   * never from within arm(). Keeps the process alive until then. Idempotent while armed.
   * 0, or -errno: there will be no batch.
   */
  arm(): number;
  /**
   * When a worker ends, this file is closed before memory that exists now goes back, also that of
   * another copy of the package. allocate() does the same for the memory that it makes.
   */
  closeBeforeMemory(): void;
  /** Takes the request back. */
  disarm(): void;
  /**
   * Reads one batch on the calling thread, which waits for it up to so many milliseconds, and calls
   * the sink from within; not while armed. For the first `spin` microseconds the thread does not
   * sleep. 0; -EAGAIN: nothing came; -EINTR: to be called again for the rest of the time. Between
   * two calls JavaScript ends a worker that is being terminated.
   */
  readSync(milliseconds: number, spin: number): number;
  /**
   * Suspends the calling thread until `word` (one element) is not 0; without it, until the AFU
   * wakes the thread, or an interrupt of the machine does. 0; -EAGAIN when so many milliseconds
   * have passed; -EOPNOTSUPP where the processor has no such wait.
   */
  waitForWakeup(word: BigUint64Array | undefined, milliseconds: number): number;
}
