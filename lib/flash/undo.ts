/** Steps that are undone together, the last one first. */
export class Undo {
  readonly #steps: (() => Promise<unknown>)[] = [];

  /** What undoes a step that has succeeded. */
  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /** Undoes all steps, also when one fails. @throws the first error */
  async run(): Promise<void> {
    let failed = false;
    let failure: unknown;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
    if (failed) throw failure;
  }
}
