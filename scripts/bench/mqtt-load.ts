import mqtt from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../../test/support/gateway-process.ts";
import { Mosquitto } from "../../test/support/mosquitto.ts";
import { until } from "../../test/support/until.ts";

const DEVICES = 1000;
const PAYLOAD_BYTES = 200;
/** Keys `seq` and `value` of each message. */
const VALUES_PER_MESSAGE = 2;
const MAPPINGS = 100;
const LATENCY_PER_SECOND = 1000;
const LATENCY_SECONDS = 10;
const TICK_MS = 20;
const FOREVER = new AbortController().signal;

/** A message of 200 bytes. */
function payloadOf(seq: number): string {
  const head = `{"seq":${seq},"value":${seq % 500}.25,"padding":"`;
  return `${head}${"x".repeat(Math.max(0, PAYLOAD_BYTES - head.length - 2))}"}`;
}

const topicOf = (index: number): string => `plant/dev-${String(index).padStart(4, "0")}/data`;

/** The mapping that reads the load, and others that match nothing of it. */
function mappings(count: number): readonly object[] {
  const others = Array.from({ length: count - 1 }, (_, index) => ({
    ...SEQUENCE_MAPPING,
    topicFilter: `plant-${index}/+/data`,
  }));
  return [...others, SEQUENCE_MAPPING];
}

interface Line extends AsyncDisposable {
  readonly broker: Mosquitto;
  readonly platform: ThingsBoardDouble;
  readonly gateway: GatewayProcess;
}

async function openLine(mappingCount: number): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await Mosquitto.start());
  const platform = stack.use(
    await ThingsBoardDouble.listen({ clock: systemClock, store: "count" }),
  );
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      mqtt: { mapping: mappings(mappingCount) },
    }),
  );
  const kept = stack.move();
  return { broker, platform, gateway, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Messages a second through a gateway whose messages wait in the broker. */
async function rate(mappingCount: number, messages: number): Promise<number> {
  await using line = await openLine(mappingCount);
  const { broker, platform, gateway } = line;
  gateway.start();
  await until("subscribed", () => gateway.output.includes("Plant broker: Link is up"));
  await gateway.stop();
  const load = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`);
  for (let sent = 0; sent < messages; sent += DEVICES) {
    const group = Array.from({ length: DEVICES }, (_, index) =>
      load.publishAsync(topicOf(index), payloadOf(sent / DEVICES), { qos: 1 }),
    );
    await Promise.all(group);
  }
  await load.endAsync();
  gateway.start();
  const first = platform.counters().values;
  await until("the first value", () => platform.counters().values > first, 30_000);
  const startMs = performance.now();
  const wanted = messages * VALUES_PER_MESSAGE;
  await until("every value", () => platform.counters().values >= wanted, 300_000);
  return Math.round(messages / ((performance.now() - startMs) / 1000));
}

/** Milliseconds from the publish of a device to the platform having its value, under a steady load. */
async function latencies(): Promise<readonly number[]> {
  await using line = await openLine(1);
  const { broker, platform, gateway } = line;
  const sentMs = new Map<string, number>();
  const found: number[] = [];
  platform.onValue(({ device, point }) => {
    const atMs = point.key === "seq" ? sentMs.get(`${device}/${point.text}`) : undefined;
    if (atMs !== undefined) {
      found.push(performance.now() - atMs);
    }
  });
  gateway.start();
  await until("subscribed", () => gateway.output.includes("Plant broker: Link is up"));
  const load = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`);
  const total = LATENCY_PER_SECOND * LATENCY_SECONDS;
  const startMs = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, ((performance.now() - startMs) / 1000) * LATENCY_PER_SECOND);
    for (; sent < due; sent += 1) {
      const [index, seq] = [sent % DEVICES, Math.floor(sent / DEVICES)];
      sentMs.set(`dev-${String(index).padStart(4, "0")}/${seq}`, performance.now());
      load.publish(topicOf(index), payloadOf(seq), { qos: 1 });
    }
    await systemClock.sleep(TICK_MS, FOREVER);
  }
  await until("every value", () => found.length >= total, 60_000);
  await load.endAsync();
  return found.toSorted((a, b) => a - b);
}

/** 1,000 devices with JSON of 200 bytes: the rate with one mapping and with 100, and the latency at 1,000 messages/s. */
export async function mqttLoad(messages: number): Promise<object> {
  const one = await rate(1, messages);
  const many = await rate(MAPPINGS, messages);
  const sorted = await latencies();
  const at = (part: number): number =>
    Number((sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(1));
  return {
    messages,
    devices: DEVICES,
    messagesPerSecond: one,
    messagesPerSecondWith100Mappings: many,
    costOf100Mappings: Number((one / many).toFixed(2)),
    latencyMs: { p50: at(0.5), p99: at(0.99), at: `${LATENCY_PER_SECOND}/s` },
  };
}
