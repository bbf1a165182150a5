import type { Clock } from "#sdk/clock";
import type { Metrics } from "#sdk/connector";
import type { Logger } from "#sdk/logger";

/** A converter that takes longer has delayed everything else of its thread. */
export const SLOW_MS = 250;

/** What the watch needs of its surroundings. */
export interface ConverterWatchOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** For what each message can cause again. */
  readonly rareLog: Logger;
  readonly metrics: Metrics;
  /** Notes which converter is at work, to be named if it never comes back; `undefined` for none. */
  readonly at: (converter: string | undefined) => void;
}

/** Runs converters of one connector and charges to each the time for which nothing else could run. */
export class ConverterWatch {
  readonly #options: ConverterWatchOptions;

  constructor(options: ConverterWatchOptions) {
    this.#options = options;
  }

  /** @throws what `work` throws */
  run<Result>(converter: string, work: () => Result): Result {
    const { at, clock } = this.#options;
    at(converter);
    const startMs = clock.monotonicMs();
    try {
      return work();
    } finally {
      const tookMs = clock.monotonicMs() - startMs;
      at(undefined);
      if (tookMs > SLOW_MS) {
        this.#slow(converter, tookMs);
      }
    }
  }

  #slow(converter: string, tookMs: number): void {
    const { metrics, rareLog } = this.#options;
    metrics.count("slowConverter");
    rareLog.warn("A converter is slow: nothing else could run meanwhile", {
      converter,
      ms: Math.round(tookMs),
    });
  }
}
