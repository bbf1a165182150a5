import type { Clock } from "#sdk/clock";

/** How long the collection thread may take. */
const WAIT_MS = 2000;

/** Waits until the other thread has handled everything that was posted before. */
export class Fence {
  readonly #clock: Clock;
  readonly #ask: (id: number) => void;
  readonly #waiting = new Map<number, () => void>();
  #nextId = 1;

  constructor(clock: Clock, ask: (id: number) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Resolves when the other thread has answered, after 2 s at the latest. */
  async pass(): Promise<void> {
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(id, resolve);
    using _timer = this.#clock.timer(WAIT_MS, resolve);
    this.#ask(id);
    await promise;
    this.#waiting.delete(id);
  }

  /** The other thread has answered. */
  passed(id: number): void {
    this.#waiting.get(id)?.();
  }
}
