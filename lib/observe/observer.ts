/** What an observed backend tells. */
import type { CxlEvent } from '../events/events';
import type { AccessName, Call, CallName } from './call';

/** The file or memory that a call is made on. */
export interface Subject {
  readonly path?: string;
  readonly fd?: number;
}

/** Gets the calls of an observed backend. */
export interface Observer {
  /** Whether accesses to registers and memory are wanted. Asked at each access. */
  readonly wantsAccesses: boolean;
  /** A call begins. What it returns is passed to end(). */
  begin(name: CallName, subject: Subject, input: Readonly<Record<string, unknown>>): Call;
  /** The call ended: with its answer, or (a negative number) with an errno. */
  end(call: Call, answer: unknown): void;
  /** An access was made. `answer` undefined: a store; 'SIGBUS': it faulted. */
  access(
    name: AccessName,
    subject: Subject,
    input: Readonly<Record<string, unknown>>,
    answer: unknown,
  ): void;
  /** A batch of events was read. `errno` as an EventSink gets it. */
  events(subject: Subject, events: readonly CxlEvent[], errno: number): void;
}
