import type { AfuInterruptEvent, CxlEvent, EventType } from './events';

/** An event that no wait has taken yet. */
export interface PendingEvent<Event extends CxlEvent = CxlEvent> {
  /** Counts the context's events in the order of their arrival. */
  readonly order: number;
  readonly event: Event;
}

/**
 * How many events of these types stay pending when waits pass over them. The kernel has no number
 * for them: an AFU driver has its own queue.
 */
const MAX_PASSED_OVER = 1024;

/**
 * The events that were read and that no wait has taken. Finding one takes the same time however
 * many there are, and their number is bounded: an interrupt is listed once, as in the kernel; a data
 * storage fault or an AFU error ends every wait, so that none is passed over; of other events
 * MAX_PASSED_OVER stay, and later ones are dropped and counted.
 */
export class PendingEvents {
  /** AFU-driver events, and those of unknown type, that were dropped. */
  dropped = 0;
  #order = 0;
  /** How many more events that are not bounded by their type are kept. */
  #room = 0;
  readonly #interrupts = new Map<number, PendingEvent<AfuInterruptEvent>>();
  readonly #lists: Record<Exclude<EventType, 'afu-interrupt'>, PendingEvent[]> = {
    'data-storage': [],
    'afu-error': [],
    'afu-driver': [],
    unknown: [],
  };

  /** Before the events of a batch are added. What a batch brings while none are pending is kept. */
  beginBatch(): void {
    const passedOver = this.#lists['afu-driver'].length + this.#lists.unknown.length;
    this.#room = passedOver === 0 ? Number.POSITIVE_INFINITY : MAX_PASSED_OVER - passedOver;
  }

  add(event: CxlEvent): void {
    this.#order += 1;
    const order = this.#order;
    if (event.type === 'afu-interrupt') {
      if (!this.#interrupts.has(event.irq)) this.#interrupts.set(event.irq, { order, event });
      return;
    }
    if (event.type === 'afu-driver' || event.type === 'unknown') {
      if (this.#room <= 0) {
        this.dropped += 1;
        return;
      }
      this.#room -= 1;
    }
    this.#lists[event.type].push({ order, event });
  }

  /** The first event of these types. */
  first(types: readonly EventType[]): PendingEvent | undefined {
    let first: PendingEvent | undefined;
    for (const type of types) {
      const head = type === 'afu-interrupt' ? this.#firstInterrupt() : this.#lists[type][0];
      if (head !== undefined && (first === undefined || head.order < first.order)) first = head;
    }
    return first;
  }

  /** Interrupt `irq`, or the first event of these types if it came before. */
  interrupt(irq: number, unless: readonly EventType[]): PendingEvent | undefined {
    const other = this.first(unless);
    const interrupt = this.#interrupts.get(irq);
    if (interrupt === undefined || (other !== undefined && other.order < interrupt.order)) {
      return other;
    }
    return interrupt;
  }

  /** Removes what first() or interrupt() returned. */
  remove({ event }: PendingEvent): void {
    if (event.type === 'afu-interrupt') this.#interrupts.delete(event.irq);
    else this.#lists[event.type].shift();
  }

  #firstInterrupt(): PendingEvent | undefined {
    return this.#interrupts.size === 0 ? undefined : this.#interrupts.values().next().value;
  }
}
