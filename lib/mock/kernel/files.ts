/**
 * Open files. A file is released (its context detached and freed) when its last reference
 * goes: the descriptor's, or that of a mapping, which keeps the context attached after close().
 */
import type { CardImage } from './card-image';
import type { Context } from './context';

export class OpenFile {
  readonly context: Context | undefined;
  readonly card: CardImage | undefined;
  /** On the driver's own file system, as what another driver hands out, and not a node's. */
  readonly anonymous: boolean;
  readonly #release: () => void;
  #references = 1;

  private constructor(
    context: Context | undefined,
    card: CardImage | undefined,
    anonymous: boolean,
    release: () => void,
  ) {
    this.context = context;
    this.card = card;
    this.anonymous = anonymous;
    this.#release = release;
  }

  static ofContext(context: Context, anonymous: boolean): OpenFile {
    return new OpenFile(context, undefined, anonymous, () => {
      context.detach();
      context.afu.free(context);
    });
  }

  static ofCard(card: CardImage): OpenFile {
    return new OpenFile(undefined, card, false, () => card.close());
  }

  get(): void {
    this.#references += 1;
  }

  put(): void {
    this.#references -= 1;
    if (this.#references === 0) this.#release();
  }
}
