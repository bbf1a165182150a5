import type { Device } from "./model.ts";
import { quote } from "./values.ts";

/** Minimum, maximum and sum of one latency, in ms. */
class Latency {
  #sum = 0;
  #count = 0;
  #min = 0;
  #max = 0;

  add(latencyMs: number): void {
    this.#sum += latencyMs;
    this.#count += 1;
    // Zero means "not set" to the server: a minimum of 0 gives way to the next sample.
    this.#min = this.#min === 0 ? latencyMs : Math.min(this.#min, latencyMs);
    // It starts at 0, so a clock that is ahead never gives a negative maximum.
    this.#max = Math.max(this.#max, latencyMs);
  }

  text(name: string): string {
    const average = Math.trunc(this.#sum / this.#count);
    return `"avg${name}":${average},"min${name}":${this.#min},"max${name}":${this.#max}`;
  }
}

/** What a gateway says about a telemetry entry. Times in ms since 1970. */
export interface EntryMetadata {
  readonly connector: string;
  readonly receivedTs: number;
  readonly publishedTs: number;
}

type Connectors = Map<string, { readonly gateway: Latency; readonly transport: Latency }>;

/** Latencies of telemetry through gateways, by gateway and connector. */
export class GatewayMetrics {
  #gateways = new Map<Device, Connectors>();

  /** Takes the times of one entry that arrived at `nowMs`. */
  record(gateway: Device, metadata: EntryMetadata, nowMs: number): void {
    const connectors: Connectors = this.#gateways.get(gateway) ?? new Map();
    this.#gateways.set(gateway, connectors);
    const known = connectors.get(metadata.connector) ?? {
      gateway: new Latency(),
      transport: new Latency(),
    };
    connectors.set(metadata.connector, known);
    known.gateway.add(metadata.publishedTs - metadata.receivedTs);
    known.transport.add(nowMs - metadata.publishedTs);
  }

  /** The value of `gatewayMetrics` for each gateway that sent something since the last call. */
  take(): ReadonlyMap<Device, string> {
    const texts = new Map<Device, string>();
    for (const [device, connectors] of this.#gateways) {
      const parts: string[] = [];
      for (const [connector, { gateway, transport }] of connectors) {
        const latencies = `${gateway.text("GwLatency")},${transport.text("TransportLatency")}`;
        parts.push(`${quote(connector)}:{${latencies}}`);
      }
      texts.set(device, `{${parts.join(",")}}`);
    }
    this.#gateways = new Map();
    return texts;
  }
}
