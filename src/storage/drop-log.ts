import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";

/** A drop is said at once, and while it goes on once in an hour. */
const REPEAT_MS = 3_600_000;

/** Says that values were dropped, without a line for each. */
export class DropLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #reasons = new Map<string, { saidMs: number; values: number }>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `values` by reason, as they were dropped by one commit. */
  count(values: Readonly<Record<string, number>>): void {
    for (const [reason, dropped] of Object.entries(values)) {
      if (dropped > 0) {
        this.#add(reason, dropped);
      }
    }
  }

  #add(reason: string, dropped: number): void {
    const nowMs = this.#clock.monotonicMs();
    const entry = this.#reasons.get(reason) ?? { saidMs: Number.NEGATIVE_INFINITY, values: 0 };
    this.#reasons.set(reason, entry);
    entry.values += dropped;
    if (nowMs - entry.saidMs >= REPEAT_MS) {
      this.#log.error("Dropped values from the event store", { reason, values: entry.values });
      entry.saidMs = nowMs;
      entry.values = 0;
    }
  }
}
