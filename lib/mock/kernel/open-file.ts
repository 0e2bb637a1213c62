/**
 * An open file (struct file). The descriptor and every mapping have a reference to it. When the
 * last reference is put, the context is detached and freed; so a mapping keeps a context attached
 * after close().
 */

import { originOf, type Traced } from '../../emulation/origin';
import type { CardImage } from './card-image';
import type { CxlContext } from './context';

export class OpenFile implements Traced {
  readonly origin = originOf(OpenFile);
  readonly context: CxlContext | undefined;
  readonly card: CardImage | undefined;
  /** Made by cxl_get_fd() on the driver's anonymous file system, not by open() of a node. */
  readonly anonymous: boolean;
  readonly #release: () => void;
  #references = 1;

  private constructor(
    context: CxlContext | undefined,
    card: CardImage | undefined,
    anonymous: boolean,
    release: () => void,
  ) {
    this.context = context;
    this.card = card;
    this.anonymous = anonymous;
    this.#release = release;
  }

  static ofContext(context: CxlContext, anonymous: boolean): OpenFile {
    return new OpenFile(context, undefined, anonymous, () => {
      context.detach();
      context.afu.free(context);
    });
  }

  static ofCard(card: CardImage): OpenFile {
    return new OpenFile(undefined, card, false, () => card.close());
  }

  get what(): string {
    if (this.context === undefined) return `an open card: card${this.card?.adapter.number}`;
    const { afu, processElement, status } = this.context;
    return `an open context: ${afu.name}, process element ${processElement}, ${status}`;
  }

  get(): void {
    this.#references += 1;
  }

  put(): void {
    this.#references -= 1;
    if (this.#references === 0) this.#release();
  }
}
