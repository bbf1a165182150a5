import { statSync } from "node:fs";
import { join } from "node:path";
import mqtt from "mqtt";
import type { Ledger } from "../../src/sdk/ledger.ts";
import { StoreInspector } from "../../src/storage/inspect.ts";
import { GatewayProcess } from "../../test/support/gateway-process.ts";
import { Mosquitto } from "../../test/support/mosquitto.ts";
import { until } from "../../test/support/until.ts";
import { processStats } from "./process-stats.ts";

const DEVICES = 200;
/** Keys `seq` and `value` of each message. */
const VALUES_PER_MESSAGE = 2;
/** Publishes of the source without a PUBACK; the gateway acknowledges what is durable, so this is its pressure too. */
const IN_FLIGHT = 2000;
/** The run is looked at in so many parts. */
const PARTS = 20;
/** Nobody listens there. */
const NO_PLATFORM_PORT = 9;

/** One part of the run. */
interface Part {
  readonly seconds: number;
  readonly rssMb: number;
  readonly cpuSeconds: number;
}

/**
 * A backlog that grows while the platform is away: what memory, an append and a value on the disk cost as it does, and how soon
 * the program is at work again with all of it on the disk.
 */
export async function backlog(values: number): Promise<object> {
  await using broker = await Mosquitto.start();
  await using gateway = await GatewayProcess.create({
    platformPort: NO_PLATFORM_PORT,
    brokerPort: broker.port,
    storage: { type: "sqlite", data_file_path: "./data/", maxBytes: 4 * 1024 ** 3 },
  });
  gateway.start();
  await linksUp(gateway, 1);
  const parts = await grow(gateway, broker.port, values);
  await gateway.stop("SIGKILL");
  const startMs = performance.now();
  gateway.start();
  await linksUp(gateway, 2);
  const restartMs = performance.now() - startMs;
  await gateway.stop();
  const path = join(gateway.dir, "data/events.db");
  const ledger = ledgerIn(path);
  const quarter = PARTS / 4;
  return {
    values,
    queued: ledger.queued,
    dropped: ledger.dropped,
    rssMedianSecondQuarterMb: median(parts.slice(quarter, 2 * quarter), ({ rssMb }) => rssMb),
    rssMedianLastQuarterMb: median(parts.slice(-quarter), ({ rssMb }) => rssMb),
    cpuMicrosPerValueSecondQuarter: cpuMicros(parts.slice(quarter, 2 * quarter), values),
    cpuMicrosPerValueLastQuarter: cpuMicros(parts.slice(-quarter), values),
    valuesPerSecond: Math.round(values / parts.reduce((sum, { seconds }) => sum + seconds, 0)),
    fileBytesPerValue: Number((statSync(path).size / ledger.queued).toFixed(2)),
    restartToSubscribedMs: Math.round(restartMs),
  };
}

/** Resolves when the link to the broker has come up `times` times over all starts. */
async function linksUp(gateway: GatewayProcess, times: number): Promise<void> {
  await until("the gateway has subscribed", () => {
    return gateway.output.split("Plant broker: Link is up").length > times;
  });
}

/** Publishes `values` values, each message acknowledged by the gateway's broker; what each part of it cost. */
async function grow(gateway: GatewayProcess, port: number, values: number): Promise<Part[]> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "load" });
  const path = join(gateway.dir, "data/events.db");
  const perPart = Math.ceil(values / VALUES_PER_MESSAGE / PARTS);
  const parts: Part[] = [];
  let sent = 0;
  for (let part = 0; part < PARTS; part += 1) {
    const startMs = performance.now();
    const before = processStats(gateway.pid).cpuSeconds;
    for (const end = sent + perPart; sent < end; ) {
      const group: Promise<unknown>[] = [];
      for (let count = 0; count < IN_FLIGHT && sent < end; count += 1, sent += 1) {
        const seq = Math.floor(sent / DEVICES);
        const topic = `plant/dev-${String(sent % DEVICES).padStart(3, "0")}/data`;
        group.push(
          client.publishAsync(topic, `{"seq":${seq},"value":${seq % 500}.25}`, { qos: 1 }),
        );
      }
      await Promise.all(group);
    }
    const wanted = sent * VALUES_PER_MESSAGE;
    await until("all of it is stored", () => ledgerIn(path).stored >= wanted, 120_000);
    const { rssMb, cpuSeconds } = processStats(gateway.pid);
    const seconds = (performance.now() - startMs) / 1000;
    parts.push({ seconds, rssMb, cpuSeconds: cpuSeconds - before });
  }
  await client.endAsync();
  return parts;
}

function ledgerIn(path: string): Ledger {
  using store = new StoreInspector(path);
  return store.info().ledger;
}

function median(parts: readonly Part[], of: (part: Part) => number): number {
  const sorted = parts.map(of).toSorted((a, b) => a - b);
  return Number((sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(1));
}

/** CPU of the gateway for one value of these parts, in microseconds. */
function cpuMicros(parts: readonly Part[], values: number): number {
  const seconds = parts.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  return Number(((seconds * 1e6) / ((values / PARTS) * parts.length)).toFixed(2));
}
