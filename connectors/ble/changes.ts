import { abortable } from "#sdk/abortable";

/** Lets one loop wait for something to change; a change while nobody waits is not missed. */
export class Changes {
  #next = Promise.withResolvers<void>();

  notify(): void {
    this.#next.resolve();
  }

  /** Resolves at the next change, or at once when there was one since the last call. Rejects with `signal.reason`. */
  async next(signal: AbortSignal): Promise<void> {
    await abortable(this.#next.promise, signal);
    this.#next = Promise.withResolvers<void>();
  }
}
