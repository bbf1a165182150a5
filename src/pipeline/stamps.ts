import { type EpochMs, epochMs } from "#sdk/model";

/** Devices remembered at one time; beyond that the one seen longest ago is forgotten. */
const MAX_DEVICES = 20_000;

/** The last stamp of a device and the keys that have it. */
interface Last {
  ts: number;
  keys: Set<string>;
}

/**
 * Stamps values that come without a time. ThingsBoard keeps one value per key and millisecond, so two values of a key in
 * one millisecond get successive ones: stamps given here strictly increase per device and key.
 */
export class Stamps {
  readonly #last = new Map<string, Last>();

  /** The stamp of values with these keys that arrived at `arrivedMs`. */
  stamp(deviceName: string, keys: readonly string[], arrivedMs: EpochMs): EpochMs {
    const last = this.#last.get(deviceName);
    if (last === undefined) {
      this.#remember(deviceName, { ts: arrivedMs, keys: new Set(keys) });
      return arrivedMs;
    }
    if (arrivedMs > last.ts) {
      last.ts = arrivedMs;
      last.keys = new Set(keys);
      return arrivedMs;
    }
    if (keys.some((key) => last.keys.has(key))) {
      last.ts += 1;
      last.keys = new Set(keys);
    } else {
      for (const key of keys) {
        last.keys.add(key);
      }
    }
    return epochMs(last.ts);
  }

  #remember(deviceName: string, last: Last): void {
    if (this.#last.size >= MAX_DEVICES) {
      const [oldest] = this.#last.keys();
      if (oldest !== undefined) {
        this.#last.delete(oldest);
      }
    }
    this.#last.set(deviceName, last);
  }
}
