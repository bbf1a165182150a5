import { join } from "node:path";
import mqtt from "mqtt";
import type { IPublishPacket } from "mqtt-packet";
import { BatchWriter } from "../../src/sdk/batch.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { GatewayProcess } from "../../test/support/gateway-process.ts";
import { memoryLog } from "../../test/support/memory-log.ts";
import { Mosquitto } from "../../test/support/mosquitto.ts";
import { until } from "../../test/support/until.ts";
import { AckingPeer } from "./acking-peer.ts";
import { processStats } from "./process-stats.ts";

const OLD_DEVICES = 100;
const LIVE_DEVICES = 50;
const VALUES_PER_RECORD = 2;
const LIVE_VALUES_PER_SECOND = 1000;
const TICK_MS = 100;
const FOREVER = new AbortController().signal;

/** A backlog as an hour without a link leaves it, oldest first. */
async function fillStore(dataDir: string, values: number): Promise<void> {
  const settings = {
    kind: "sqlite",
    maxRecords: 0,
    maxBytes: undefined,
    ttlMs: 0,
    whenFull: "drop-oldest",
    durability: "relaxed",
    commitIntervalMs: 250,
    drain: "fifo",
  } as const;
  const deps = { clock: systemClock, log: memoryLog().log, dataDir };
  await using store = await openEventStore(settings, deps);
  const records = values / VALUES_PER_RECORD;
  const firstTs = systemClock.now() - 3_600_000;
  for (let index = 0; index < records; ) {
    const writer = new BatchWriter();
    for (let count = 0; count < 1000 && index < records; count += 1, index += 1) {
      const seq = Math.floor(index / OLD_DEVICES);
      const ts = firstTs + Math.floor((index / records) * 3_500_000);
      const device = `old-${String(index % OLD_DEVICES).padStart(3, "0")}`;
      const json = `{"ts":${ts},"values":{"seq":${seq},"value":${seq % 500}.25}}`;
      writer.add({ kind: "telemetry", device, deviceType: "sensor", json, values: 2 });
    }
    const { records: count, values: held } = writer;
    await store.append(writer.take(), count, { urgent: true, values: held }, FOREVER);
  }
}

/** Calls `callback` again and again until it is disposed. */
function every(periodMs: number, callback: () => void): Disposable {
  let timer: Disposable;
  const tick = (): void => {
    callback();
    timer = systemClock.timer(periodMs, tick);
  };
  timer = systemClock.timer(periodMs, tick);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

/** Publishes live data to the gateway's broker until it is disposed. */
function liveLoad(client: mqtt.MqttClient): Disposable {
  let seq = 0;
  const perTick = (LIVE_VALUES_PER_SECOND / VALUES_PER_RECORD / 1000) * TICK_MS;
  return every(TICK_MS, () => {
    for (let count = 0; count < perTick; count += 1) {
      const device = `live-${seq % LIVE_DEVICES}`;
      client.publish(`plant/${device}/data`, `{"seq":${seq},"value":0.25}`, { qos: 1 });
      seq += 1;
    }
  });
}

/** What the peer has seen. */
class Seen {
  values = 0;
  publishes = 0;
  bytes = 0;
  oldValues = 0;
  /** Age in ms of the oldest live value of each second since the link came back, at its arrival. */
  maxLiveAgeMs = 0;
  lastLiveAgeMs = 0;

  take(packet: IPublishPacket): void {
    if (packet.topic !== "v1/gateway/telemetry") {
      return;
    }
    const text = packet.payload.toString();
    const records = text.split('"ts":').length - 1;
    this.publishes += 1;
    this.bytes += packet.payload.length;
    this.values += records * VALUES_PER_RECORD;
    // Live devices are few and come after the others in a publish, if they do.
    const live = text.includes('"live-') ? liveTimes(text) : [];
    this.oldValues += (records - live.length) * VALUES_PER_RECORD;
    const nowMs = systemClock.now();
    for (const ts of live) {
      this.lastLiveAgeMs = nowMs - ts;
      this.maxLiveAgeMs = Math.max(this.maxLiveAgeMs, this.lastLiveAgeMs);
    }
  }
}

function liveTimes(text: string): readonly number[] {
  const message = JSON.parse(text) as Record<string, readonly { readonly ts: number }[]>;
  return Object.entries(message).flatMap(([device, entries]) =>
    device.startsWith("live-") ? entries.map(({ ts }) => ts) : [],
  );
}

/** Peak of the resident memory until it is disposed, in MB. */
class Peak implements Disposable {
  rssMb = 0;
  readonly #timer: Disposable;

  constructor(pid: number) {
    const look = (): void => {
      this.rssMb = Math.max(this.rssMb, processStats(pid).rssMb);
    };
    look();
    this.#timer = every(100, look);
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}

/**
 * An hour's backlog of `values`, then the link returns while live data goes on at 1,000 values/s: how fast it drains to a peer
 * that only acknowledges, how much memory that takes, how old live values become, and how long bare mqtt.js takes for the same
 * bytes.
 */
export async function drain(values: number): Promise<object> {
  const seen = new Seen();
  using reserved = new AckingPeer(() => undefined);
  const port = await reserved.listen(0);
  reserved[Symbol.dispose]();
  await using broker = await Mosquitto.start();
  await using gateway = await GatewayProcess.create({
    platformPort: port,
    brokerPort: broker.port,
  });
  await fillStore(join(gateway.dir, "data"), values);
  gateway.start();
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`);
  using _live = liveLoad(client);
  await systemClock.sleep(5000, FOREVER);
  const before = processStats(gateway.pid);
  const peak = new Peak(gateway.pid);
  using peer = new AckingPeer((packet) => seen.take(packet));
  await peer.listen(port);
  await until("the first value", () => seen.values > 0, 60_000);
  const startMs = performance.now();
  await until("the backlog is through", () => seen.oldValues >= values, 600_000);
  const seconds = (performance.now() - startMs) / 1000;
  const after = processStats(gateway.pid);
  peak[Symbol.dispose]();
  const { publishes, bytes, values: sent } = seen;
  await systemClock.sleep(3000, FOREVER);
  await client.endAsync(true);
  await gateway.stop();
  const bare = await runBare(port, publishes, Math.round(bytes / publishes));
  return {
    values,
    drainSeconds: Number(seconds.toFixed(2)),
    valuesPerSecond: Math.round(sent / seconds),
    bareSeconds: Number(bare.toFixed(2)),
    ratioToBareMqttJs: Number((bare / seconds).toFixed(2)),
    publishes,
    bytesPerPublish: Math.round(bytes / publishes),
    cpuSeconds: Number((after.cpuSeconds - before.cpuSeconds).toFixed(2)),
    rssBeforeMb: Math.round(before.rssMb),
    rssGrowthMb: Math.round(peak.rssMb - before.rssMb),
    oldestLiveValueMs: seen.maxLiveAgeMs,
    liveValueAfterwardsMs: seen.lastLiveAgeMs,
  };
}

/** Seconds that mqtt.js takes for as many messages of that size. */
async function runBare(port: number, messages: number, size: number): Promise<number> {
  const file = join(import.meta.dir, "bare-publisher.ts");
  const args = [port, messages, size, 32].map(String);
  const child = Bun.spawn([process.execPath, file, ...args], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return (JSON.parse(text) as { readonly seconds: number }).seconds;
}
