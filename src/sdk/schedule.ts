import type { Clock } from "./clock.ts";
import type { Metrics } from "./connector.ts";

/**
 * The schedule of every poll. Late: start at once, next due = that start + period, no catch-up. Counts `overruns` (polls
 * that began late) and `pollsSkipped` (whole periods that passed meanwhile).
 */
export class Schedule {
  readonly #periodMs: number;
  readonly #host: { readonly clock: Clock; readonly metrics: Metrics };
  #dueMs: number | undefined;

  constructor(periodMs: number, host: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#periodMs = Math.max(1, periodMs);
    this.#host = host;
  }

  /** The first call resolves at once, each later one when its start is due. Rejects with `signal.reason`. */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { clock, metrics } = this.#host;
    const nowMs = clock.monotonicMs();
    if (this.#dueMs === undefined) {
      this.#dueMs = nowMs + this.#periodMs;
      return;
    }
    if (nowMs < this.#dueMs) {
      await clock.sleep(this.#dueMs - nowMs, signal);
      this.#dueMs += this.#periodMs;
      return;
    }
    const lateMs = nowMs - this.#dueMs;
    if (lateMs > 0) {
      metrics.count("overruns");
      metrics.count("pollsSkipped", Math.floor(lateMs / this.#periodMs));
    }
    this.#dueMs = nowMs + this.#periodMs;
  }
}
