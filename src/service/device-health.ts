import type { Clock } from "#sdk/clock";

/** Devices that are remembered; of more than that, those that came first are forgotten. */
const MAX_DEVICES = 20_000;
/** Longest text of an error that is kept. */
const MAX_ERROR_LENGTH = 300;

/** How one device is doing. Ages, not times: a machine may not know the time. */
export interface DeviceCondition {
  /** Milliseconds since data of it came last; `undefined`: none since the start. */
  readonly lastReadAgoMs: number | undefined;
  /** What went wrong last, in words, and how long ago. */
  readonly lastError: string | undefined;
  readonly lastErrorAgoMs: number | undefined;
  /** Errors since the start. */
  readonly errors: number;
}

interface Entry {
  readMs: number | undefined;
  error: string | undefined;
  errorMs: number | undefined;
  errors: number;
}

/** Remembers of each device when it was read last and what went wrong last. Bounded. */
export class DeviceHealth {
  readonly #clock: Clock;
  readonly #maxDevices: number;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, maxDevices = MAX_DEVICES) {
    this.#clock = clock;
    this.#maxDevices = maxDevices;
  }

  /** Data of the device has come. Called for every record: cheap. */
  read(deviceName: string): void {
    this.#entry(deviceName).readMs = this.#clock.monotonicMs();
  }

  /** The device did not answer, or said what cannot be used. */
  failed(deviceName: string, error: string): void {
    const entry = this.#entry(deviceName);
    entry.errorMs = this.#clock.monotonicMs();
    entry.error = error.slice(0, MAX_ERROR_LENGTH);
    entry.errors += 1;
  }

  /** Nothing is known any more of a device that was removed. */
  forget(deviceName: string): void {
    this.#entries.delete(deviceName);
  }

  of(deviceName: string): DeviceCondition {
    const entry = this.#entries.get(deviceName);
    const nowMs = this.#clock.monotonicMs();
    const ago = (ms: number | undefined): number | undefined =>
      ms === undefined ? undefined : Math.round(nowMs - ms);
    return {
      lastReadAgoMs: ago(entry?.readMs),
      lastError: entry?.error,
      lastErrorAgoMs: ago(entry?.errorMs),
      errors: entry?.errors ?? 0,
    };
  }

  #entry(deviceName: string): Entry {
    const known = this.#entries.get(deviceName);
    if (known !== undefined) {
      return known;
    }
    const [first] = this.#entries.keys();
    if (first !== undefined && this.#entries.size >= this.#maxDevices) {
      this.#entries.delete(first);
    }
    const entry = { readMs: undefined, error: undefined, errorMs: undefined, errors: 0 };
    this.#entries.set(deviceName, entry);
    return entry;
  }
}
