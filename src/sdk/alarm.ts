import type { Clock } from "./clock.ts";

/** One timer for the earliest of many due times. */
export class Alarm implements Disposable {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: Disposable | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  /** `ring` is called at the earliest due time; whoever still waits then asks again. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at this monotonic time or before. */
  at(dueMs: number): void {
    if (dueMs >= this.#dueMs) {
      return;
    }
    this.#timer?.[Symbol.dispose]();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.timer(Math.max(1, dueMs - this.#clock.monotonicMs()), () => {
      this.#timer = undefined;
      this.#dueMs = Number.POSITIVE_INFINITY;
      this.#ring();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }
}
