/** Who can reach a Memory, and when its pages go back. */
import { checkBoolean, checkOptions, type OptionNames } from '../shared/checks';
import { systemError } from '../shared/errors';

/** Options of Memory.free() and MemoryPool.free(). */
export interface FreeOptions {
  /**
   * Free it even if an attached context holds it: the caller vouches that no AFU reaches the memory
   * any more. Default false.
   */
  force?: boolean | undefined;
}
const FREE_OPTIONS: OptionNames<FreeOptions> = { force: true };

/** What keeps a Memory from being freed: a context, or commands that transfer to or from it. */
export interface MemoryHolder {
  /** The device file, for the error of free(). */
  readonly path: string;
  /**
   * What holds the memory, for the error of free(), such as 'process element 3 of this context';
   * undefined while nothing reaches the memory through this holder, as before an attach.
   */
  readonly reason: string | undefined;
  /** Called when the memory was freed, so that the holder keeps no reference to it. */
  forget?(holders: MemoryHolders): void;
}

/**
 * Under this symbol a Memory, and the ArrayBuffer of its bytes, has its MemoryHolders. The symbol is
 * the same in every copy of the package that a program has loaded, so each knows the holders of all.
 */
export const MEMORY_HOLDERS = Symbol.for('node-cxl.memory-holders.1');

/** The holders of the Memory that `value` is, or whose bytes it is or is a view of. */
export function holdersOf(value: object): MemoryHolders | undefined {
  const bytes = ArrayBuffer.isView(value) ? value.buffer : value;
  return (bytes as { readonly [MEMORY_HOLDERS]?: MemoryHolders })[MEMORY_HOLDERS];
}

/** What a Memory is made of. */
export interface MemoryPages {
  /** Takes the bytes from JavaScript. The AFU still reaches them. Called once, before free(). */
  detach(): void;
  /** Called once. */
  free(): void;
}

/**
 * The holders of one Memory. The pages go when the program has given the Memory up and no holder
 * reaches it.
 */
export class MemoryHolders {
  /** How often each holder holds the memory. */
  readonly #counts = new Map<MemoryHolder, number>();
  readonly #pages: MemoryPages;
  #state: 'allocated' | 'disposed' | 'freed' = 'allocated';

  constructor(pages: MemoryPages) {
    this.#pages = pages;
  }

  /** `disposed`: given up by the program, which has no access any more, but held still. */
  get state(): 'allocated' | 'disposed' | 'freed' {
    return this.#state;
  }

  hold(holder: MemoryHolder): void {
    this.#counts.set(holder, (this.#counts.get(holder) ?? 0) + 1);
  }

  /** Undoes one hold(). */
  release(holder: MemoryHolder): void {
    const count = this.#counts.get(holder);
    if (count === undefined) return;
    if (count > 1) {
      this.#counts.set(holder, count - 1);
      return;
    }
    this.#counts.delete(holder);
    if (this.#state === 'disposed' && this.holding() === undefined) this.free();
  }

  /** A holder through which the memory can be reached, and how many others there are. */
  holding():
    | { readonly holder: MemoryHolder; readonly reason: string; others: number }
    | undefined {
    let found: { holder: MemoryHolder; reason: string; others: number } | undefined;
    for (const holder of this.#counts.keys()) {
      const { reason } = holder;
      if (reason === undefined) continue;
      if (found === undefined) found = { holder, reason, others: 0 };
      else found.others += 1;
    }
    return found;
  }

  /** Takes the bytes from the program. The pages go when no holder reaches them, which may be now. */
  dispose(): void {
    if (this.#state !== 'allocated') return;
    this.#state = 'disposed';
    this.#pages.detach();
    if (this.holding() === undefined) this.free();
  }

  /** Gives the pages back, whoever holds them. */
  free(): void {
    if (this.#state === 'freed') return;
    if (this.#state === 'allocated') this.#pages.detach();
    this.#state = 'freed';
    const holders = [...this.#counts.keys()];
    this.#counts.clear();
    for (const holder of holders) holder.forget?.(this);
    this.#pages.free();
  }
}

/** The free() of what has `holders`. The stack of its error starts at the caller of `above`. */
export function freeUnlessHeld(
  holders: MemoryHolders,
  options: FreeOptions,
  above: (...args: never[]) => unknown,
): void {
  const { force = false } = checkOptions(options, FREE_OPTIONS);
  checkBoolean('options.force', force);
  if (holders.state === 'freed') return;
  const found = force ? undefined : holders.holding();
  if (found === undefined) {
    holders.free();
    return;
  }
  const { holder, reason, others } = found;
  const more = others === 0 ? '' : ` and ${others} other${others === 1 ? '' : 's'}`;
  const hint = `held by ${reason}${more} until that ends or lets go of it; free({ force: true }) does not wait`;
  throw systemError('EBUSY', 'munmap', holder.path, hint, above);
}
