// The compiled gateway between a real broker and the ThingsBoard stand-in.
import { describe, expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

const DEVICES = 200;
const MESSAGES = 20_000;
const PER_DEVICE = MESSAGES / DEVICES;
const TIMEOUT_MS = 120_000;

const deviceName = (index: number): string => `dev-${String(index).padStart(3, "0")}`;

async function startPlatform(): Promise<ThingsBoardDouble> {
  const platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  return platform;
}

/** Publishes the whole load with QoS 1, a bounded number at a time; `after` is called with the count so far. */
async function publishAll(port: number, after: (count: number) => Promise<void>): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "load" });
  let count = 0;
  for (let seq = 0; seq < PER_DEVICE; seq += 1) {
    const group: Promise<unknown>[] = [];
    for (let index = 0; index < DEVICES; index += 1) {
      const payload = `{"seq":${seq},"value":${seq}.25}`;
      group.push(client.publishAsync(`plant/${deviceName(index)}/data`, payload, { qos: 1 }));
    }
    await Promise.all(group);
    count += DEVICES;
    await after(count);
  }
  await client.endAsync();
}

/** What arrived of each device: how many of the sequence are missing, repeats, and whether first arrivals are in order. */
function inspect(platform: ThingsBoardDouble): {
  missing: number;
  repeats: number;
  disorder: number;
} {
  const result = { missing: 0, repeats: 0, disorder: 0 };
  for (let index = 0; index < DEVICES; index += 1) {
    const seen = new Set<string>();
    let highest = -1;
    for (const point of platform.series(deviceName(index), "seq")) {
      if (seen.has(point.text)) {
        result.repeats += 1;
      } else {
        seen.add(point.text);
        result.disorder += Number(point.text) < highest ? 1 : 0;
        highest = Math.max(highest, Number(point.text));
      }
    }
    result.missing += PER_DEVICE - seen.size;
  }
  return result;
}

/** Adds the sequence numbers of one telemetry publish by device, in order. */
function collect(arrived: Map<string, number[]>, payload: string): void {
  const body: Record<string, { values: { seq: number } }[]> = JSON.parse(payload);
  for (const [device, entries] of Object.entries(body)) {
    const list = arrived.get(device) ?? [];
    list.push(...entries.map(({ values }) => values.seq));
    arrived.set(device, list);
  }
}

/** Resolves when every sequence number has arrived. */
async function complete(platform: ThingsBoardDouble): Promise<void> {
  await until("every value has arrived", () => inspect(platform).missing === 0, TIMEOUT_MS);
}

/** A gateway between the two that has subscribed: QoS 1 messages are kept for its persistent session from then on. */
async function runBetween(
  broker: Mosquitto,
  platform: { readonly port: number },
  storage?: object,
): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.create({
    platformPort: platform.port,
    brokerPort: broker.port,
    ...(storage === undefined ? {} : { storage }),
  });
  gateway.start();
  await until(
    "the gateway reached its broker",
    () => /Link is up.*broker/.test(gateway.output),
    15_000,
  );
  return gateway;
}

describe("tbgw run", () => {
  test(
    "20,000 messages of 200 devices arrive exactly as sent, in order, none missing",
    async () => {
      await using platform = await startPlatform();
      await using broker = await Mosquitto.start();
      const storage = { type: "file", data_folder_path: "./data/", max_file_count: 10 };
      await using gateway = await runBetween(broker, platform, storage);
      await publishAll(broker.port, async () => undefined);
      await complete(platform);
      expect(inspect(platform)).toEqual({ missing: 0, repeats: 0, disorder: 0 });
      const [point] = platform.series(deviceName(7), "value");
      expect(point?.text).toBe("0.25");
      expect(await gateway.stop("SIGINT")).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "a plain broker as the platform gets the same, none missing",
    async () => {
      await using sink = await Mosquitto.start();
      await using broker = await Mosquitto.start();
      const arrived = new Map<string, number[]>();
      const listener = await connectAsync({ host: "127.0.0.1", port: sink.port });
      listener.on("message", (_topic, payload) => collect(arrived, payload.toString()));
      await listener.subscribeAsync("v1/gateway/telemetry", { qos: 1 });
      await using gateway = await runBetween(broker, sink);
      await publishAll(broker.port, async () => undefined);
      const expected = Array.from({ length: PER_DEVICE }, (_, seq) => seq);
      const total = (): number => [...arrived.values()].reduce((sum, list) => sum + list.length, 0);
      await until("every value has arrived", () => total() >= MESSAGES, TIMEOUT_MS);
      for (let index = 0; index < DEVICES; index += 1) {
        expect(arrived.get(deviceName(index))).toEqual(expected);
      }
      await listener.endAsync();
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "nothing is missing after five kill -9 during the run",
    async () => {
      await using platform = await startPlatform();
      await using broker = await Mosquitto.start();
      await using gateway = await runBetween(broker, platform);
      let kills = 0;
      await publishAll(broker.port, async (count) => {
        if (count % (MESSAGES / 5) === MESSAGES / 10) {
          kills += 1;
          await gateway.stop("SIGKILL");
          gateway.start();
        }
      });
      await complete(platform);
      const { missing, repeats } = inspect(platform);
      console.log(`kill -9 × ${kills}: ${missing} missing, ${repeats} repeats`);
      expect(kills).toBe(5);
      expect(missing).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "nothing is missing and order is kept after the platform was away",
    async () => {
      await using platform = await startPlatform();
      await using broker = await Mosquitto.start();
      await using _gateway = await runBetween(broker, platform);
      const outageMs = Number(process.env["TBGW_OUTAGE_MS"] ?? 5000);
      await publishAll(broker.port, async (count) => {
        if (count === MESSAGES / 2) {
          await platform.down();
        }
      });
      await systemClock.sleep(outageMs, new AbortController().signal);
      expect(inspect(platform).missing).toBeGreaterThan(0);
      await platform.up();
      await complete(platform);
      const { missing, disorder, repeats } = inspect(platform);
      console.log(`platform away ${outageMs} ms: ${missing} missing, ${repeats} repeats`);
      expect({ missing, disorder }).toEqual({ missing: 0, disorder: 0 });
    },
    TIMEOUT_MS + 120_000,
  );

  test(
    "SIGTERM under load ends with 0 within 10 s and loses nothing",
    async () => {
      await using platform = await startPlatform();
      await using broker = await Mosquitto.start();
      await using gateway = await runBetween(broker, platform);
      let stopMs = 0;
      let code = -1;
      await publishAll(broker.port, async (count) => {
        if (count === MESSAGES / 2) {
          const startMs = performance.now();
          code = await gateway.stop("SIGTERM");
          stopMs = performance.now() - startMs;
        }
      });
      gateway.start();
      await complete(platform);
      console.log(`SIGTERM under load: exit ${code} after ${Math.round(stopMs)} ms`);
      expect(code).toBe(0);
      expect(stopMs).toBeLessThan(10_000);
      expect(inspect(platform).missing).toBe(0);
    },
    TIMEOUT_MS,
  );
});
