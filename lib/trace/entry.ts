/** What a trace consists of: a recording's records, with names in the place of ids. */
import type { CxlEvent } from '../events/events';
import type { RecordingHeader, RecordPlace } from '../record';

/** A place in a memory of the recording, by the name that the trace gives it. */
export class MemoryPlace {
  /** `mem1` is the first memory of the file. */
  readonly memory: string;
  /** Bytes from its start. */
  readonly offset: number;

  constructor(memory: string, offset: number) {
    this.memory = memory;
    this.offset = offset;
  }

  toString(): string {
    return this.offset === 0 ? this.memory : `${this.memory}+0x${this.offset.toString(16)}`;
  }
}

/** The thread that a file of a recording is of. */
export interface TraceThread {
  /** From 0, in the order in which the files of the recording began. */
  readonly index: number;
  /** `1234`: the main thread of a process. `1234-1`: a worker thread of it. */
  readonly name: string;
  readonly header: RecordingHeader;
  /** The path; undefined for bytes. */
  readonly path: string | undefined;
}

/**
 * `call`: a call to the driver. `access`: to a register, memory or configuration space, perhaps
 * repeated. `block`: many registers. `events`: a batch came. `memory`: a memory has other contents.
 * `system`, `note` and `end` are about the recording.
 */
export type EntryKind =
  | 'call'
  | 'access'
  | 'block'
  | 'events'
  | 'memory'
  | 'system'
  | 'note'
  | 'end';

/** One line of a trace. */
export interface TraceEntry {
  readonly thread: TraceThread;
  readonly place: RecordPlace;
  readonly kind: EntryKind;
  /** Microseconds since the recording began (the first of its files). */
  readonly time: number;
  /** Microseconds. Undefined: not known, or the call was under way when the recording ended. */
  readonly duration: number | undefined;
  /** True: a call that had not returned when the recording ended. */
  readonly unfinished: boolean;
  /**
   * What the call is about: an open file (`afu0.0s#1`: the first opening of afu0.0s in this thread),
   * a device that is not open (`afu0.0s`), `memory`, `sysfs`, `pci`, or `recording`.
   */
  readonly context: string;
  /** The path of the context's device, where it has one. */
  readonly path: string | undefined;
  /** The call; `events`, `memory` and so on for what is none. */
  readonly name: string;
  /** By name. Addresses in recorded memory are MemoryPlaces. */
  readonly input: Readonly<Record<string, unknown>>;
  /** Undefined: it has none, or it failed. */
  readonly result: unknown;
  /** Why it failed: the errno's name. `SIGBUS`: an access that faulted. */
  readonly error: string | undefined;
  /** How often an access was made in succession; 1 otherwise. */
  readonly times: number;
  /** What the call moved between the program and the device or its memory. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Of a batch. */
  readonly events: readonly CxlEvent[];
}
