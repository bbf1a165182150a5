import type { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";

/** The same stored record arrived once more. Times are monotonic, in ms. */
export interface Repeat {
  readonly device: string;
  readonly seq: number;
  /** When it arrived the time before. */
  readonly previousAtMs: number;
}

/** How many values a publish carried, and when it arrived. */
interface Publish {
  readonly atMs: number;
  values: number;
}

interface Arrival {
  /** The first time. */
  readonly atMs: number;
  /** Every `ts` with which the number has arrived, and when it last did: the gateway stamps once, so another one is another reception. */
  readonly times: Map<number, number>;
}

const TOPIC = "v1/gateway/telemetry";

/** Watches the numbered values of the key `seq` as they reach the platform, over all connections. */
export class Arrivals implements Disposable {
  readonly #devices = new Map<string, Map<number, Arrival>>();
  readonly #highest = new Map<string, number>();
  readonly #publishes: Publish[] = [];
  readonly #watched = new DisposableStack();
  readonly repeats: Repeat[] = [];
  /** Values the source delivered again after the gateway had stored them without acknowledging. */
  redeliveries = 0;
  /** Numbers that first arrived after a higher one of their device. */
  disorder = 0;
  #count = 0;
  #lastAtMs = systemClock.monotonicMs();
  #longestGapMs = 0;
  #watchedSinceMs = this.#lastAtMs;
  readonly #lastByDevice = new Map<string, number>();
  #longestDeviceGapMs = 0;

  constructor(platform: ThingsBoardDouble) {
    this.#watched.use(
      platform.onPublish(({ topic }) => {
        if (topic === TOPIC) {
          this.#publishes.push({ atMs: systemClock.monotonicMs(), values: 0 });
        }
      }),
    );
    this.#watched.use(
      platform.onValue(({ device, point }) => {
        if (point.key === "seq") {
          this.#add(device, Number(point.text), point.ts);
        }
      }),
    );
  }

  /** Distinct numbers that have arrived. */
  get count(): number {
    return this.#count;
  }

  /** When the last number that had not been there before arrived, monotonic; the start before the first. */
  get lastAtMs(): number {
    return this.#lastAtMs;
  }

  /** Longest time that ended with a number that had not been there before, of any device, since `watchGaps`. */
  get longestGapMs(): number {
    return this.#longestGapMs;
  }

  /** The same for the device that had the longest. */
  get longestDeviceGapMs(): number {
    return this.#longestDeviceGapMs;
  }

  /** Begins to measure the longest gaps from this moment. */
  watchGaps(): void {
    this.#lastAtMs = systemClock.monotonicMs();
    this.#longestGapMs = 0;
    this.#watchedSinceMs = this.#lastAtMs;
    this.#lastByDevice.clear();
    this.#longestDeviceGapMs = 0;
  }

  has(device: string, seq: number): boolean {
    return this.#devices.get(device)?.has(seq) === true;
  }

  /** Numbers of `expected` that have not arrived, as `device/seq`. */
  missing(expected: ReadonlyMap<string, ReadonlySet<number>>): readonly string[] {
    const missing: string[] = [];
    for (const [device, seqs] of expected) {
      const arrived = this.#devices.get(device);
      for (const seq of seqs) {
        if (arrived?.has(seq) !== true) {
          missing.push(`${device}/${seq}`);
        }
      }
    }
    return missing;
  }

  /** Values in the last `size` of the publishes so far. */
  inLastPublishes(size: number): number {
    return this.#publishes.slice(-size).reduce((sum, { values }) => sum + values, 0);
  }

  /** Values that arrived in publishes since a moment, repeats included. */
  valuesSince(atMs: number): number {
    return this.#publishes
      .filter((publish) => publish.atMs >= atMs)
      .reduce((sum, { values }) => sum + values, 0);
  }

  [Symbol.dispose](): void {
    this.#watched.dispose();
  }

  #add(device: string, seq: number, ts: number): void {
    const nowMs = systemClock.monotonicMs();
    const publish = this.#publishes.at(-1);
    if (publish !== undefined) {
      publish.values += 1;
    }
    let arrived = this.#devices.get(device);
    if (arrived === undefined) {
      arrived = new Map();
      this.#devices.set(device, arrived);
    }
    const known = arrived.get(seq);
    if (known === undefined) {
      arrived.set(seq, { atMs: nowMs, times: new Map([[ts, nowMs]]) });
      this.#arrived(device, seq, nowMs);
      return;
    }
    const previousAtMs = known.times.get(ts);
    if (previousAtMs === undefined) {
      this.redeliveries += 1;
    } else {
      this.repeats.push({ device, seq, previousAtMs });
    }
    known.times.set(ts, nowMs);
  }

  #arrived(device: string, seq: number, nowMs: number): void {
    this.#count += 1;
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
    const beforeMs = this.#lastByDevice.get(device) ?? this.#watchedSinceMs;
    this.#longestDeviceGapMs = Math.max(this.#longestDeviceGapMs, nowMs - beforeMs);
    this.#lastByDevice.set(device, nowMs);
    const highest = this.#highest.get(device) ?? -1;
    this.disorder += seq < highest ? 1 : 0;
    this.#highest.set(device, Math.max(seq, highest));
  }
}
