/** Lets one loop wait for something to change; a change while nobody waits is not missed. */
export class Changes {
  #next = Promise.withResolvers<void>();

  notify(): void {
    this.#next.resolve();
  }

  /** Resolves at the next change, or at once when there was one since the last call. Rejects with `signal.reason`. */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([this.#next.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    this.#next = Promise.withResolvers<void>();
  }
}
