import type { Clock } from "#sdk/clock";
import type { DeliveryReport, SenderReport } from "../delivery/port.ts";

/** Counters of the sender that only grow while nothing is replaced. */
const COUNTERS = [
  "recordsRead",
  "recordsAcknowledged",
  "telemetryValuesAcknowledged",
  "attributeRecordsAcknowledged",
  "publishes",
  "bytesSent",
  "resends",
] as const satisfies readonly (keyof SenderReport)[];

/** What one report says nothing about: how long the uplink has been as it is, and how often it was lost. */
export interface UplinkSummary {
  /** Milliseconds since it was connected, or since it was lost. */
  readonly sinceMs: number;
  /** Connections after the first one, since the start of the process. */
  readonly reconnects: number;
}

/**
 * Follows the uplink over all reports. Counters of the delivery thread begin again when the thread or its session is replaced; here
 * they go on.
 */
export class UplinkHistory {
  readonly #clock: Clock;
  readonly #totals = new GrowingCounts();
  #connected = false;
  #changedMs: number;
  #connects = 0;
  #last: DeliveryReport | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#changedMs = clock.monotonicMs();
  }

  /** The newest report, with counters that go on; `undefined` before the first one. */
  get last(): DeliveryReport | undefined {
    return this.#last;
  }

  get summary(): UplinkSummary {
    return {
      sinceMs: Math.round(this.#clock.monotonicMs() - this.#changedMs),
      reconnects: Math.max(0, this.#connects - 1),
    };
  }

  /** To be told of every report, in order; gives the report with counters that go on. */
  update(report: DeliveryReport): DeliveryReport {
    const connected = report.link.state === "connected";
    if (connected !== this.#connected) {
      this.#connected = connected;
      this.#changedMs = this.#clock.monotonicMs();
      this.#connects += connected ? 1 : 0;
    }
    const counts = new Map<string, number>(COUNTERS.map((name) => [name, report.sender[name]]));
    counts.set("reconnects", report.watchdog.reconnects);
    counts.set("rebuilds", report.watchdog.rebuilds);
    const grown = this.#totals.update(counts);
    const of = (name: string): number => grown.get(name) ?? 0;
    this.#last = {
      ...report,
      sender: {
        ...report.sender,
        recordsRead: of("recordsRead"),
        recordsAcknowledged: of("recordsAcknowledged"),
        telemetryValuesAcknowledged: of("telemetryValuesAcknowledged"),
        attributeRecordsAcknowledged: of("attributeRecordsAcknowledged"),
        publishes: of("publishes"),
        bytesSent: of("bytesSent"),
        resends: of("resends"),
      },
      watchdog: { reconnects: of("reconnects"), rebuilds: of("rebuilds") },
    };
    return this.#last;
  }
}

/** Sums of counters that may begin again at 0. */
class GrowingCounts {
  readonly #seen = new Map<string, number>();
  readonly #totals = new Map<string, number>();

  update(counts: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    for (const [name, count] of counts) {
      const seen = this.#seen.get(name) ?? 0;
      const more = count < seen ? count : count - seen;
      this.#seen.set(name, count);
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + more);
    }
    return this.#totals;
  }
}
