// The compiled gateway under the rate limits of the platform: close to the share it may use, and never refused.
import { describe, expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

/** What counts as a message of each device in it: its values, and once the connector it belongs to. */
const TOPICS = ["v1/gateway/telemetry", "v1/gateway/attributes"];
const KEYS = Array.from({ length: 10 }, (_, index) => `k${index}`);
/** How long the steady rate is measured: several refills of every bucket. */
const MEASURED_MS = 8000;

const MAPPING = {
  topicFilter: "plant/+/data",
  subscriptionQos: 1,
  converter: {
    type: "json",
    deviceInfo: {
      deviceNameExpressionSource: "topic",
      deviceNameExpression: "plant/([^/]+)/data",
      deviceProfileExpressionSource: "constant",
      deviceProfileExpression: "sensor",
    },
    timeseries: KEYS.map((key) => ({ type: "long", key, value: `\${${key}}` })),
  },
};

/** Counts what the platform takes: one message for each device in a publish, and each value. */
function meter(platform: ThingsBoardDouble): { deviceMessages: number; points: number } {
  const count = { deviceMessages: 0, points: 0 };
  platform.onPublish(({ topic, text }) => {
    count.deviceMessages += TOPICS.includes(topic) ? Object.keys(JSON.parse(text)).length : 0;
  });
  platform.onValue(({ device }) => {
    count.points += device.startsWith("dev-") ? 1 : 0;
  });
  return count;
}

/** One message of ten values for each device and round. */
async function load(port: number, devices: number, rounds: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  const messages = Array.from({ length: devices * rounds }, (_, index) => {
    const round = Math.floor(index / devices);
    const payload = JSON.stringify(Object.fromEntries(KEYS.map((key) => [key, round])));
    return client.publishAsync(`plant/dev-${index % devices}/data`, payload, { qos: 1 });
  });
  await Promise.all(messages);
  await client.endAsync();
}

describe("limits 10:1 messages and 500:1 data points for the devices", () => {
  test.each([
    { name: "many devices with little data: messages bind", devices: 150, rounds: 1 },
    { name: "few devices with much data: data points bind", devices: 3, rounds: 400 },
  ])(
    "$name: at least 95 % of the share of 80 %, no refusal",
    async ({ devices, rounds }) => {
      await using platform = await ThingsBoardDouble.listen({ clock: systemClock, store: "count" });
      platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
      platform.setLimits({
        transportGatewayTelemetryMsgRateLimit: "10:1",
        transportGatewayTelemetryDataPointsRateLimit: "500:1",
      });
      const count = meter(platform);
      await using broker = await Mosquitto.start();
      await using gateway = await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        mqtt: { mapping: [MAPPING] },
      });
      gateway.start();
      await until("the gateway has subscribed", () =>
        gateway.output.includes("Plant broker: Link is up"),
      );
      await load(broker.port, devices, rounds);
      await until("the buckets are empty", () => count.points >= 400 || count.deviceMessages >= 8);
      const [before, startMs] = [{ ...count }, performance.now()];
      await systemClock.sleep(MEASURED_MS, new AbortController().signal);
      const seconds = (performance.now() - startMs) / 1000;
      const rates = {
        deviceMessages: (count.deviceMessages - before.deviceMessages) / seconds,
        points: (count.points - before.points) / seconds,
      };
      console.log(`${devices} devices: ${JSON.stringify(rates)}`);
      expect(rates.deviceMessages >= 7.6 || rates.points >= 380).toBe(true);
      expect(platform.counters().refusals).toBe(0);
      expect(await gateway.stop()).toBe(0);
    },
    60_000,
  );
});
