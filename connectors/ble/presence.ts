import { Alarm } from "#sdk/alarm";
import type { ConnectorHost } from "#sdk/connector";
import type { DeviceConfig } from "./device-config.ts";

const MIN_ABSENCE_MS = 60_000;

/** Tells the platform that a device is there, and that it is gone when it stays away for three cycles and at least a minute. */
export class Presence implements Disposable {
  readonly #config: Pick<DeviceConfig, "name" | "deviceType">;
  readonly #host: Pick<ConnectorHost, "clock" | "devices" | "log">;
  readonly #limitMs: number;
  readonly #changed: () => void;
  readonly #alarm: Alarm;
  #goneAtMs = Number.POSITIVE_INFINITY;
  #isTold = false;

  constructor(
    config: Pick<DeviceConfig, "name" | "deviceType" | "pollPeriod">,
    host: Pick<ConnectorHost, "clock" | "devices" | "log">,
    changed: () => void,
  ) {
    this.#changed = changed;
    this.#config = config;
    this.#host = host;
    this.#limitMs = Math.max(3 * config.pollPeriod, MIN_ABSENCE_MS);
    this.#alarm = new Alarm(host.clock, () => this.#look());
  }

  /** Whether it counts as there. `changed` is called when that changes. */
  get isTold(): boolean {
    return this.#isTold;
  }

  /** It works. Resolves when the platform will be told. */
  async here(): Promise<void> {
    this.#goneAtMs = Number.POSITIVE_INFINITY;
    if (!this.#isTold) {
      this.#isTold = true;
      this.#changed();
      await this.#host.devices.connect(this.#config.name, this.#config.deviceType);
    }
  }

  /** From now on it counts as away, until `here`. */
  lost(): void {
    if (this.#isTold) {
      this.#goneAtMs = this.#host.clock.monotonicMs() + this.#limitMs;
      this.#alarm.at(this.#goneAtMs);
    }
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
  }

  #look(): void {
    const { clock, devices, log } = this.#host;
    if (clock.monotonicMs() < this.#goneAtMs) {
      if (this.#goneAtMs !== Number.POSITIVE_INFINITY) {
        this.#alarm.at(this.#goneAtMs);
      }
      return;
    }
    this.#isTold = false;
    this.#goneAtMs = Number.POSITIVE_INFINITY;
    this.#changed();
    log.warn("The peripheral is away", { device: this.#config.name });
    devices.disconnect(this.#config.name).catch((error: unknown) => {
      log.warn("Cannot report the peripheral as away", { device: this.#config.name, error });
    });
  }
}
