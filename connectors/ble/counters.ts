import type { ConnectorHost, Metrics } from "#sdk/connector";

/** Counters of one device. What is counted here counts for the connector too. */
export class DeviceCounters implements Metrics {
  readonly #metrics: Metrics;
  readonly #counts = new Map<string, number>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** By name, those above zero. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  count(name: string, by = 1): void {
    this.#add(name, by);
    this.#metrics.count(name, by);
  }

  rejected(reason: string, count = 1): void {
    this.#add(`rejected-${reason}`, count);
    this.#metrics.rejected(reason, count);
  }

  #add(name: string, by: number): void {
    if (by > 0) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
    }
  }
}

/** What a device uses of its host. */
export type DeviceHost = Pick<
  ConnectorHost,
  "clock" | "log" | "converterLog" | "metrics" | "uplink" | "devices"
>;

/** The part of a host that a device uses, with counters of its own. */
export function hostOfDevice(host: ConnectorHost, metrics: Metrics): DeviceHost {
  const { clock, log, converterLog, uplink, devices } = host;
  return { clock, log, converterLog, metrics, uplink, devices };
}
