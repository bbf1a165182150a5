import { type EpochMs, epochMs } from "#sdk/model";

/** Devices remembered at one time; beyond that the one seen longest ago is forgotten. */
const MAX_DEVICES = 20_000;

/** An arrival that is this much earlier than the one before: the wall clock was set back. */
const SET_BACK_MS = 1000;

/** The last stamp of a device and the keys that have it: a list, and a set once a second call asks for the same millisecond. */
interface Last {
  ts: number;
  /** When the values it was given for arrived. */
  arrivedMs: number;
  keys: readonly string[];
  known: Set<string> | undefined;
}

/**
 * Stamps values that come without a time. ThingsBoard keeps one value per key and millisecond, so two values of a key in
 * one millisecond get successive ones: stamps given here strictly increase per device and key, until the clock is set back. Then
 * they follow it: values of a whole day at one moment of a wrong future would be worse than two at one time.
 */
export class Stamps {
  readonly #last = new Map<string, Last>();

  /** The stamp of values with these keys that arrived at `arrivedMs`. Keeps the list: nobody changes it afterwards. */
  stamp(deviceName: string, keys: readonly string[], arrivedMs: EpochMs): EpochMs {
    const last = this.#last.get(deviceName);
    if (last === undefined) {
      this.#remember(deviceName, { ts: arrivedMs, arrivedMs, keys, known: undefined });
      return arrivedMs;
    }
    const isSetBack = arrivedMs < last.arrivedMs - SET_BACK_MS;
    last.arrivedMs = arrivedMs;
    if (arrivedMs > last.ts || isSetBack) {
      last.ts = arrivedMs;
      last.keys = keys;
      last.known = undefined;
      return arrivedMs;
    }
    const known = last.known ?? new Set(last.keys);
    if (keys.some((key) => known.has(key))) {
      last.ts += 1;
      last.keys = keys;
      last.known = undefined;
    } else {
      for (const key of keys) {
        known.add(key);
      }
      last.known = known;
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
