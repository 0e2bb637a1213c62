/** The contexts of a flash adapter: the driver's record of each, and its part of the AFU. */
import type { FlashContextRecord } from './context-record';
import type { LocalLun } from './lun';
import type { Caller, StartedContext } from './platform';
import type { SisliteAfu } from './sislite-afu';

export interface FindOptions {
  /** Only if the context is attached to this LUN. */
  readonly lun?: LocalLun | undefined;
  /** Also a context in error. Default false. */
  readonly inError?: boolean;
  /** The context of the caller's parent rather than the caller's own. Default false. */
  readonly ofParent?: boolean;
}

export class FlashContexts {
  readonly #afus = new Map<FlashContextRecord, SisliteAfu>();

  /** Adds a record, or replaces the AFU of one that is recovered. */
  bind(record: FlashContextRecord, afu: SisliteAfu): void {
    afu.record = record;
    this.#afus.set(record, afu);
  }

  remove(record: FlashContextRecord): void {
    const afu = this.#afus.get(record);
    if (afu !== undefined) afu.record = undefined;
    this.#afus.delete(record);
  }

  withDescriptor(fd: number): FlashContextRecord | undefined {
    return [...this.#afus.keys()].find(({ started }) => started.fd === fd);
  }

  get count(): number {
    return this.#afus.size;
  }

  /** The record that has this context now. */
  withStarted(started: StartedContext | undefined): FlashContextRecord | undefined {
    return [...this.#afus.keys()].find((record) => record.started === started);
  }

  /** The context with that id, whichever process has it. */
  withId(id: bigint, inError = false): FlashContextRecord | undefined {
    return [...this.#afus.keys()].find(
      (record) => record.id === id && (inError || !record.inError),
    );
  }

  /** The context with that id if the caller may use it (get_context() in superpipe.c). */
  find(id: bigint, caller: Caller, options: FindOptions = {}): FlashContextRecord | undefined {
    const { lun, inError = false, ofParent = false } = options;
    const record = this.withId(id, inError);
    if (record?.processId !== (ofParent ? caller.parentId : caller.processId)) return undefined;
    return lun === undefined || record.reaches(lun) ? record : undefined;
  }

  /**
   * A reset of the adapter detaches every context from the AFU until it is recovered. Those that
   * were not in error before.
   */
  markAllInError(): FlashContextRecord[] {
    const marked: FlashContextRecord[] = [];
    for (const [record, afu] of this.#afus) {
      if (!record.inError) marked.push(record);
      record.inError = true;
      afu.dead = true;
      afu.record = undefined;
    }
    return marked;
  }
}
