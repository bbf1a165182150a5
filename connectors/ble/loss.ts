import type { TransientError } from "#sdk/errors";

/**
 * The end of something that may go on for months while others wait on it again and again. Who stops waiting is forgotten; a promise
 * would remember each of them.
 */
export class Loss {
  readonly #listeners = new Set<(cause: TransientError) => void>();
  #cause: TransientError | undefined;

  /** Why it ended; `undefined`: it goes on. */
  get cause(): TransientError | undefined {
    return this.#cause;
  }

  /** How many wait. */
  get size(): number {
    return this.#listeners.size;
  }

  /** The first call counts. */
  happen(cause: TransientError): void {
    if (this.#cause !== undefined) {
      return;
    }
    this.#cause = cause;
    for (const listener of this.#listeners) {
      this.#listeners.delete(listener);
      listener(cause);
    }
  }

  /** Calls `listener` when it happens, at once when it has. Must not throw. Disposing forgets it. */
  listen(listener: (cause: TransientError) => void): Disposable {
    if (this.#cause !== undefined) {
      listener(this.#cause);
    } else {
      this.#listeners.add(listener);
    }
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Resolves when it happens. Rejects with `signal.reason`. */
  async wait(signal: AbortSignal): Promise<TransientError> {
    const { promise, resolve, reject } = Promise.withResolvers<TransientError>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    using _listening = this.listen(resolve);
    try {
      signal.throwIfAborted();
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
