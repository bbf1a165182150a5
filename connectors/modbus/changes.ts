import { abortable } from "#sdk/abortable";

/** Wakes those who wait for something to change; they look for themselves at what it is. */
export class Changes {
  #next = Promise.withResolvers<void>();

  /** Wakes everybody who waits at this moment. */
  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Resolves at the next change. Rejects with `signal.reason`. */
  async next(signal: AbortSignal): Promise<void> {
    await abortable(this.#next.promise, signal);
  }

  /** Resolves when `condition` holds, looking again after each change. Rejects with `signal.reason`. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!condition()) {
      await this.next(signal);
    }
  }
}
