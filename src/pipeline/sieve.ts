import { encodeValue, ValuesWriter } from "#sdk/encode";
import type { DeviceData, Values } from "#sdk/model";
import type { DeviceStates, KeyKind } from "./device-states.ts";
import type { Passed, ReportCache } from "./report-cache.ts";
import { completed, passesAll, remembered, type Strategy } from "./report-strategy.ts";

/** What went through the sieve, as a JSON object, and what did not. */
export interface Sifted {
  readonly text: string;
  readonly count: number;
  /** Values without a JSON form. */
  readonly rejected: number;
  /** Equal values under ON_CHANGE. */
  readonly unchanged: number;
  /** Values that wait for the end of a period. */
  readonly held: number;
}

/** Puts the values of one device in one call through its report strategies. */
export class Sieve {
  readonly #cache: ReportCache;
  readonly #open: () => DeviceStates;
  readonly #base: Strategy;
  readonly #keyStrategies: DeviceData["keyStrategies"];
  readonly #nowMs: number;
  /** What was let through. */
  readonly #passed: Passed[];

  constructor(
    cache: ReportCache,
    options: {
      /** The states of the device; asked for at the first value that is remembered. */
      readonly open: () => DeviceStates;
      /** For the keys without a strategy of their own. */
      readonly base: Strategy;
      readonly keyStrategies: DeviceData["keyStrategies"];
      readonly nowMs: number;
      readonly passed: Passed[];
    },
  ) {
    this.#cache = cache;
    this.#open = options.open;
    this.#base = options.base;
    this.#keyStrategies = options.keyStrategies;
    this.#nowMs = options.nowMs;
    this.#passed = options.passed;
  }

  /** Sifts the values of one moment. `ts` is `undefined` for attributes. */
  sift(values: Values, kind: KeyKind, ts: number | undefined): Sifted {
    const writer = new ValuesWriter();
    const counts = { rejected: 0, unchanged: 0, held: 0 };
    for (const key of Object.keys(values)) {
      const value = values[key];
      if (value === null || value === undefined) {
        continue;
      }
      const strategy = this.#strategyOf(key);
      const known = passesAll(strategy.type) ? true : remembered(value);
      const json = known === undefined ? undefined : encodeValue(value);
      if (known === undefined || json === undefined) {
        counts.rejected += 1;
        continue;
      }
      if (passesAll(strategy.type)) {
        writer.add(key, json);
        continue;
      }
      const device = this.#open();
      const sample = { device, kind, key, json, remembered: known, strategy, ts };
      const result = this.#cache.offer(sample, this.#nowMs);
      if (result === "drop") {
        counts.unchanged += 1;
      } else if (result === "hold") {
        counts.held += 1;
      } else {
        this.#passed.push(result);
        writer.add(key, json);
      }
    }
    return { text: writer.text, count: writer.count, ...counts };
  }

  #strategyOf(key: string): Strategy {
    const own = this.#keyStrategies;
    return own !== undefined && Object.hasOwn(own, key)
      ? completed(own[key], this.#base)
      : this.#base;
  }
}
