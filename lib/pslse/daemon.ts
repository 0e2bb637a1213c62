/** What a daemon tells of its AFUs. */
import { ERRNOS } from '../shared/errno';
import { Answer, awaited, type Call } from './answer';
import type { PslseSetup } from './options';
import type { AfuDescription, Psl } from './protocol';
import type { Pump } from './pump';

export interface Description {
  readonly psl: Psl;
  readonly afus: readonly AfuDescription[];
}

export class Daemon {
  readonly #pump: Pump;
  readonly #setup: PslseSetup;
  #known: Description | undefined;
  /** Once known, it is tried first. */
  #psl: Psl | undefined;
  #asking: Answer<Description | number> | undefined;

  constructor(pump: Pump, setup: PslseSetup) {
    this.#pump = pump;
    this.#setup = setup;
  }

  get psl(): Psl | undefined {
    return this.#psl;
  }

  /** It may have been ended, and another started. */
  forget(): void {
    this.#known = undefined;
  }

  /** What it told last, or -errno. Each question is a connection, which keeps other clients waiting. */
  *describe(): Call<Description | number> {
    if (this.#known !== undefined) return this.#known;
    this.#asking ??= this.#ask();
    return yield* awaited(this.#asking);
  }

  #ask(): Answer<Description | number> {
    const late = () => -ERRNOS.ETIMEDOUT;
    const answer = new Answer<Description | number>(2 * this.#setup.connectTimeout + 1000, late);
    answer.onSettle(() => {
      void this.#pump.end(id);
      this.#asking = undefined;
      if (typeof answer.value === 'number') return;
      this.#known = answer.value;
      this.#psl = answer.value.psl;
    });
    const id = this.#pump.open({ type: 'query', psl: this.#psl }, (message) => {
      if (message.type === 'described') answer.settle({ psl: message.psl, afus: message.afus });
      if (message.type === 'failed') answer.settle(message.errno);
    });
    return answer;
  }
}
