import { describe, expect, test } from "bun:test";
import type { EncodedRecord } from "../../src/sdk/batch.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const T = "v1/gateway/telemetry";

function range(count: number): number[] {
  return Array.from({ length: count }, (_none, index) => index);
}

/** One record with `count` values. */
function wide(device: string, ts: number, count: number): EncodedRecord {
  const values = range(count).map((key) => `"k${key}":${key}`);
  const json = `{"ts":${ts},"values":{${values.join(",")}}}`;
  return { kind: "telemetry", device, deviceType: "pump", json, values: count };
}

/** Counts devices in the data publishes from here on: the server takes a message token for each. */
function countDeviceMessages(rig: UplinkRig): () => number {
  let count = 0;
  rig.server.onPublish(({ topic, text }) => {
    count += topic === T ? Object.keys(JSON.parse(text)).length : 0;
  });
  return () => count;
}

describe("rate limits of the devices behind the gateway", () => {
  test("10:1 messages: at least 7.6 device messages a second, and no refusal", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({
      transportGatewayTelemetryMsgRateLimit: "10:1",
      transportGatewayTelemetryDataPointsRateLimit: "500:1",
    });
    const messages = countDeviceMessages(rig);
    for (const n of range(5)) {
      await rig.put(range(40).map((device) => telemetry(`D${device}`, TS + n, n)));
    }
    rig.start();
    await rig.until("the first burst is over", () => messages() >= 8);
    const [before, startMs] = [messages(), performance.now()];
    await rig.until("all devices had their turn", () => rig.store.stats().records === 0);
    const perSecond = (messages() - before) / ((performance.now() - startMs) / 1000);
    expect(perSecond).toBeGreaterThanOrEqual(7.6);
    expect(rig.server.counters().refusals).toBe(0);
    // All moments of a device in one message: packing devices together saves nothing.
    expect(messages()).toBe(40);
    expect(rig.session.state.connects).toBe(1);
  }, 15_000);

  test("500:1 data points: at least 380 a second, a record over the capacity in parts, and no refusal", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({
      transportGatewayTelemetryMsgRateLimit: "100:1",
      transportGatewayTelemetryDataPointsRateLimit: "500:1",
    });
    await rig.put([wide("Wide", TS, 1300)]);
    for (const n of range(60)) {
      await rig.put(range(3).map((device) => wide(`D${device}`, TS + n, 7)));
    }
    rig.start();
    await rig.until("the first burst is over", () => rig.server.counters().values >= 400);
    const [before, startMs] = [rig.server.counters().values, performance.now()];
    await rig.emptied(12_000);
    const perSecond =
      (rig.server.counters().values - before) / ((performance.now() - startMs) / 1000);
    expect(perSecond).toBeGreaterThanOrEqual(380);
    expect(rig.server.counters().refusals).toBe(0);
    expect(rig.server.counters().values).toBe(1300 + 3 * 60 * 7);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 2560, quarantined: 0 });
  }, 15_000);

  test("announcements keep to the limit of regular messages", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({ transportGatewayMsgRateLimit: "20:1" });
    await rig.put(range(30).map((device) => telemetry(`D${device}`, TS, 1)));
    rig.start();
    await rig.emptied();
    expect(rig.server.counters().refusals).toBe(0);
    expect(rig.session.state.connects).toBe(1);
  }, 15_000);

  test("null and absent limits are none", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    rig.server.setLimits({
      transportGatewayTelemetryMsgRateLimit: null,
      transportGatewayDeviceTelemetryMsgRateLimit: "",
    });
    const messages = countDeviceMessages(rig);
    await rig.put(range(200).map((n) => telemetry(`D${n}`, TS, n)));
    rig.start();
    await rig.emptied();
    expect(messages()).toBe(200);
    expect(rig.session.rates.devices.available.messages).toBe(Number.POSITIVE_INFINITY);
  });

  test("limits of the own device hold back its data alone", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({ transportGatewayDeviceTelemetryDataPointsRateLimit: "10:1" });
    const own = (n: number): EncodedRecord => ({
      kind: "gateway-telemetry",
      device: "",
      deviceType: "",
      json: `{"ts":${TS + n},"values":{"cpu":${n}}}`,
      values: 1,
    });
    await rig.put([...range(12).map(own), ...range(500).map((n) => telemetry("A", TS + n, n))]);
    rig.start();
    await rig.until("the device is through", () => rig.server.valueCount("A", "n") === 500);
    expect(rig.server.valueCount("GW", "cpu")).toBeLessThan(12);
    await rig.emptied();
    expect(rig.server.valueCount("GW", "cpu")).toBe(12);
    expect(rig.session.state.connects).toBe(1);
  }, 15_000);
});

describe("rate limits that are not the server's", () => {
  const none = { messages: "", telemetryMessages: "", telemetryDataPoints: "" };

  test("a configured limit stays an upper bound", async () => {
    const bound = { own: none, devices: { ...none, telemetryDataPoints: "100:1" } };
    await using rig = await UplinkRig.open({
      idle: true,
      speed: 1,
      settings: { rates: { percentage: 50, initial: bound, bounds: bound } },
    });
    rig.server.setLimits({ transportGatewayTelemetryDataPointsRateLimit: "100000:1" });
    await rig.put(range(100).map((n) => telemetry("A", TS + n, n)));
    rig.start();
    const startMs = performance.now();
    await rig.emptied();
    // 50 at once, 50 more at 50 a second.
    expect(performance.now() - startMs).toBeGreaterThan(850);
  });

  test("a default limit gives way to what the server says", async () => {
    const initial = { own: none, devices: { ...none, telemetryDataPoints: "1:3600" } };
    await using rig = await UplinkRig.open({
      settings: { rates: { percentage: 80, initial, bounds: { own: none, devices: none } } },
    });
    await rig.put(range(100).map((n) => telemetry("A", TS + n, n)));
    await rig.emptied();
  });

  test("limits the server does not tell: a refusal pauses, and nothing is lost or set aside", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 20, server: { version: "4.3" } });
    rig.server.setLimits({ transportTenantTelemetryDataPointsRateLimit: "40:1" });
    for (const n of range(10)) {
      await rig.put([wide("A", TS + n, 20)]);
    }
    rig.start();
    await rig.emptied(14_000);
    expect(rig.server.counters().refusals).toBeGreaterThan(0);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 200, quarantined: 0 });
  }, 15_000);

  test("a release that closes without a PUBACK tells by its notice, and no record is suspected", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 20, server: { version: "3.8" } });
    rig.server.setLimits({ transportTenantTelemetryDataPointsRateLimit: "40:1" });
    for (const n of range(10)) {
      await rig.put([wide("A", TS + n, 20)]);
    }
    rig.start();
    await rig.emptied(14_000);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 200, quarantined: 0 });
  }, 15_000);

  test("answers to calls go out ahead of data within their own limit", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({ transportGatewayMsgRateLimit: "10:1" });
    rig.start();
    await rig.until("it is connected", () => rig.session.state.link === "connected");
    const { signal } = new AbortController();
    const startMs = performance.now();
    const codes = await Promise.all(
      range(16).map((id) =>
        rig.session.publish("v1/gateway/rpc", `{"device":"A","id":${id},"data":1}`, signal),
      ),
    );
    expect(codes.every((code) => code === 0)).toBe(true);
    expect(performance.now() - startMs).toBeGreaterThan(700);
  }, 15_000);
});
