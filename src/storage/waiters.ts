/** Those who wait for one kind of event, in the order they came. */
export class Waiters {
  readonly #waiting = new Set<{ resolve(): void; reject(reason: unknown): void }>();

  get count(): number {
    return this.#waiting.size;
  }

  /** Resolves at the next `wake`. Rejects with `signal.reason`, or with the reason of `fail`. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { resolve, reject };
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(waiter);
    try {
      await promise;
    } finally {
      this.#waiting.delete(waiter);
      signal.removeEventListener("abort", onAbort);
    }
  }

  wake(): void {
    for (const waiter of this.#waiting) {
      waiter.resolve();
    }
    this.#waiting.clear();
  }

  fail(reason: unknown): void {
    for (const waiter of this.#waiting) {
      waiter.reject(reason);
    }
    this.#waiting.clear();
  }
}
