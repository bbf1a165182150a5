/** Requests that may be on their way at the same time. */
const MAX_IN_FLIGHT = 2;

interface Waiting<I, O> {
  readonly item: I;
  resolve(result: O): void;
  reject(error: unknown): void;
}

/** Puts single questions together: those that come while requests are on their way go with the next one. */
export class Batcher<I, O> {
  readonly #run: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #size: () => number;
  #waiting: Waiting<I, O>[] = [];
  #inFlight = 0;

  /** `run` answers each item, in order; `size` is how many it may get. */
  constructor(run: (items: readonly I[]) => Promise<readonly O[]>, size: () => number) {
    this.#run = run;
    this.#size = size;
  }

  /** The answer to one question. Rejects as the request did. */
  async ask(item: I): Promise<O> {
    const { promise, resolve, reject } = Promise.withResolvers<O>();
    this.#waiting.push({ item, resolve, reject });
    if (this.#waiting.length === 1) {
      // After this turn, so that questions of the same moment go together.
      queueMicrotask(() => queueMicrotask(() => this.#start()));
    }
    return await promise;
  }

  #start(): void {
    while (this.#inFlight < MAX_IN_FLIGHT && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, Math.max(1, this.#size()));
      this.#inFlight += 1;
      this.#send(batch).catch((error: unknown) => {
        for (const one of batch) {
          one.reject(error);
        }
      });
    }
  }

  async #send(batch: readonly Waiting<I, O>[]): Promise<void> {
    try {
      const results = await this.#run(batch.map(({ item }) => item));
      for (const [index, one] of batch.entries()) {
        const result = results[index];
        if (result === undefined) {
          one.reject(new Error("The answer is shorter than the request"));
        } else {
          one.resolve(result);
        }
      }
    } finally {
      this.#inFlight -= 1;
      this.#start();
    }
  }
}
