import type { Clock } from "#sdk/clock";

/** Says when to scan: `windowMs` long, one start every `periodMs`, without a pause where the window is the longer one. */
export class ScanWindows {
  readonly #windowMs: number;
  readonly #periodMs: number;
  readonly #clock: Clock;
  #isScanning = false;
  #startMs = Number.NEGATIVE_INFINITY;

  constructor(
    { windowMs, periodMs }: { readonly windowMs: number; readonly periodMs: number },
    clock: Clock,
  ) {
    this.#windowMs = windowMs;
    this.#periodMs = periodMs;
    this.#clock = clock;
  }

  /** What to do now; the caller does it. `wanted`: whether anybody needs a scan, and nobody connects. */
  next(wanted: boolean): "start" | "stop" | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (this.#isScanning) {
      const isOver = this.#periodMs > this.#windowMs && nowMs >= this.#startMs + this.#windowMs;
      if (wanted && !isOver) {
        return undefined;
      }
      this.#isScanning = false;
      if (!isOver) {
        // Cut short by a connection: the rest of it comes after.
        this.#startMs = Number.NEGATIVE_INFINITY;
      }
      return "stop";
    }
    if (!wanted || nowMs < this.#startMs + this.#periodMs) {
      return undefined;
    }
    this.#isScanning = true;
    this.#startMs = nowMs;
    return "start";
  }

  /** How long nothing changes here; `undefined`: until somebody needs something else. */
  pauseMs(wanted: boolean): number | undefined {
    if (!wanted || this.#periodMs <= this.#windowMs) {
      return undefined;
    }
    const dueMs = this.#startMs + (this.#isScanning ? this.#windowMs : this.#periodMs);
    return Math.max(1, dueMs - this.#clock.monotonicMs());
  }
}
