import type { ConnectorHost } from "#sdk/connector";
import { type Logger, rateLimited } from "#sdk/logger";
import { epochMs } from "#sdk/model";
import { Outbox } from "#sdk/outbox";
import type { Item, Target } from "./device.ts";
import { type Status, statusText } from "./failures.ts";
import type { ServerConfig } from "./server-config.ts";
import { ReadResult, type UplinkNotes, type UplinkSettings } from "./uplink.ts";

/** At the end: time for what was read already to become durable. */
const DRAIN_MS = 500;
/** Moments may be so much later than the clock; further, the clock was set back. */
const MOST_AHEAD_MS = 1000;

/** What the server sent, on its way to the store; says and counts what no value came out of. */
export class Intake implements AsyncDisposable {
  readonly #host: ConnectorHost;
  readonly #outbox: Outbox;
  readonly #settings: UplinkSettings;
  readonly #queueSize: number;
  readonly #rareLog: Logger;
  readonly #notes: UplinkNotes;
  #waiting = 0;
  #lastTs = 0;

  constructor(server: ServerConfig, host: ConnectorHost) {
    this.#host = host;
    this.#outbox = new Outbox(host);
    this.#queueSize = server.subQueueSize;
    this.#settings = { format: { python: server.pythonValueFormat }, badStatus: server.badStatus };
    this.#rareLog = rateLimited(host.converterLog, host.clock);
    this.#notes = {
      skipped: (reason) => host.metrics.rejected(reason),
      turned: (target, item, status) => this.#sayTurned(target, item, status),
      implausible: (item, ts) => this.#sayImplausible(item, ts),
    };
  }

  /** An empty result of this moment: no two have the same, because values of one key and time replace each other on the platform. */
  result(): ReadResult {
    const { clock, metrics } = this.#host;
    metrics.count("connectorMsgsReceived");
    const now = clock.now();
    const isAhead = this.#lastTs >= now && this.#lastTs < now + MOST_AHEAD_MS;
    this.#lastTs = isAhead ? this.#lastTs + 1 : now;
    return new ReadResult(epochMs(this.#lastTs), this.#settings, this.#notes);
  }

  /** Whether the store is behind, so that the server should keep what it has. */
  get isBehind(): boolean {
    return this.#waiting > 0;
  }

  /** Hands the records on; they are on their way when this returns. Resolves when more may follow. @throws what the store threw */
  async put(result: ReadResult, signal: AbortSignal): Promise<void> {
    this.#waiting += 1;
    try {
      this.#sayOverflows(result.overflows);
      await this.#outbox.put(result.records(), signal);
    } finally {
      this.#waiting -= 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outbox.flush(DRAIN_MS);
    await this.#outbox[Symbol.asyncDispose]();
  }

  #sayTurned({ device, key, isBad }: Target, item: Item, status: Status): void {
    const fields = { device: device.name, key, node: item.key };
    if (isBad) {
      this.#host.devices.failed(device.name, `${key}: ${statusText(status)}`);
      this.#rareLog.warn("A node has no good value", { ...fields, status: statusText(status) });
    } else {
      this.#rareLog.info("A node has a good value again", fields);
    }
  }

  #sayOverflows(overflows: number): void {
    if (overflows > 0) {
      this.#host.metrics.count("serverQueueOverflows", overflows);
      this.#rareLog.warn(
        "The server has left out changes: it had more of a node than its queue holds",
        {
          overflows,
          queueSize: this.#queueSize,
        },
      );
    }
  }

  #sayImplausible(item: Item, ts: number): void {
    this.#rareLog.warn("A timestamp cannot be meant; the arrival takes its place", {
      node: item.key,
      timestamp: new Date(ts).toISOString(),
    });
  }
}
