/** An AFU file whose batches of events the test gives. */
import type { EventSink } from '../../dist/binding';
import type { CxlEvent } from '../../dist/events/events';
import type { PendingEvents } from '../../dist/events/pending';
import { ERRNOS } from '../../dist/shared/errno';

/** Interrupts as the kernel lays them out. */
export function bytesOf(...irqs: number[]): Uint8Array {
  return Buffer.concat(
    irqs.map((irq) => new Uint8Array(Uint16Array.of(1, 16, 0, 0, 0, irq, 0, 0).buffer)),
  );
}

export const findAny = (pending: PendingEvents) => pending.first(['afu-interrupt']);
export const irqOf = (event: CxlEvent | undefined) =>
  event?.type === 'afu-interrupt' ? event.irq : undefined;

/** What one call of readSync() brings: a batch, or the answer alone, after some milliseconds. */
type Read = { bytes: Uint8Array; errno?: number } | { answer: number; after: number } | number;

/** An AFU file that has the calls the queue makes. */
export class ScriptedFile {
  readonly calls: string[] = [];
  /** What the next calls of readSync() bring; then -EAGAIN. */
  readonly reads: Read[] = [];
  armErrno = 0;
  #sink: EventSink = () => {};

  onEvents(sink: EventSink): void {
    this.#sink = sink;
  }

  arm(): number {
    this.calls.push('arm');
    return this.armErrno;
  }

  disarm(): void {
    this.calls.push('disarm');
  }

  readSync(milliseconds: number, spin: number): number {
    this.calls.push(`readSync ${Math.round(milliseconds)} ${Math.round(spin)}`);
    const read = this.reads.shift() ?? -ERRNOS.EAGAIN;
    if (typeof read === 'number') return read;
    if ('answer' in read) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, read.after);
      return read.answer;
    }
    this.deliver(read.bytes, read.errno);
    return 0;
  }

  deliver(bytes: Uint8Array, errno = 0): void {
    this.#sink(bytes, bytes.length, errno);
  }

  /** The calls since the last time. */
  taken(): string[] {
    return this.calls.splice(0);
  }
}
