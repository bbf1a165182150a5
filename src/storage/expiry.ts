import type { Clock } from "#sdk/clock";
import { BUILD_MS } from "../version.ts";

/** How often age is looked at while something is held: the wall clock may jump. */
const MAX_CHECK_MS = 3_600_000;

/** Knows when held records are too old. One timer while something is held, none otherwise. */
export class Expiry implements Disposable {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #check: () => void;
  #timer: Disposable | undefined;
  #isDisposed = false;

  /** `ttlMs` 0: nothing grows too old. `check` is to drop what is, and to call `watch` again. */
  constructor(clock: Clock, ttlMs: number, check: () => void) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#check = check;
  }

  /**
   * Whether what was stored at `time` (epoch ms) is too old; `undefined` never is. A time before the build of the program was told by
   * a clock that nobody had set, and says nothing about age.
   */
  isExpired(time: number | undefined): boolean {
    return (
      this.#ttlMs > 0 &&
      time !== undefined &&
      time >= BUILD_MS &&
      time + this.#ttlMs < this.#clock.now()
    );
  }

  /** Sees to it that `check` is called when what was stored at `oldestTime` is too old. */
  watch(oldestTime: number | undefined): void {
    if (oldestTime === undefined || this.#ttlMs === 0 || this.#isDisposed) {
      this.#cancel();
      return;
    }
    if (this.#timer !== undefined) {
      return; // Due for something older: it will look again.
    }
    const dueMs = Math.max(1, oldestTime + this.#ttlMs + 1 - this.#clock.now());
    const isClear = oldestTime >= BUILD_MS;
    const delayMs = isClear ? Math.min(MAX_CHECK_MS, dueMs) : MAX_CHECK_MS;
    this.#timer = this.#clock.timer(delayMs, () => {
      this.#timer = undefined;
      this.#check();
    });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#cancel();
  }

  #cancel(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
