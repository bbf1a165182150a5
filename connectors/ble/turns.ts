/** Jobs of one link, one at a time; an urgent one goes before those that wait. */
export class Turns {
  readonly #urgent: (() => void)[] = [];
  readonly #others: (() => void)[] = [];
  #isBusy = false;

  /** Runs `job` when it is its turn; it settles as the job does. */
  async run<T>(job: () => Promise<T>, isUrgent: boolean): Promise<T> {
    if (this.#isBusy) {
      const turn = Promise.withResolvers<void>();
      (isUrgent ? this.#urgent : this.#others).push(turn.resolve);
      await turn.promise;
    }
    this.#isBusy = true;
    try {
      return await job();
    } finally {
      const next = this.#urgent.shift() ?? this.#others.shift();
      if (next === undefined) {
        this.#isBusy = false;
      } else {
        next();
      }
    }
  }
}
