import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const T = "v1/gateway/telemetry";
const ONE = '{"A":[{"k":1}]}';

let clock: FakeClock;
let server: ThingsBoardDouble;
let clients: DisposableStack;

beforeEach(async () => {
  clock = new FakeClock();
  clients = new DisposableStack();
  await start("4.3");
});

afterEach(async () => {
  clients.dispose();
  await server[Symbol.asyncDispose]();
});

async function start(version: "3.7" | "3.8" | "4.2.1" | "4.3"): Promise<void> {
  if (server !== undefined) {
    await server[Symbol.asyncDispose]();
  }
  server = await ThingsBoardDouble.listen({ clock, version });
  server.createGateway("GW", "token");
  server.createDevice("Direct", "default", "direct");
}

async function connect(level: 4 | 5 = 5, username = "token"): Promise<RawMqttClient> {
  return clients.use(await RawMqttClient.connect(server.port, { level, username }));
}

describe("rate limits", () => {
  test("each device of a message costs one telemetry message", async () => {
    server.setLimits({ transportGatewayTelemetryMsgRateLimit: "3:60" });
    const client = await connect(4);
    const payload = '{"A":[{"k":1},{"k":2}],"B":[{"k":1}]}';
    expect(await client.outcome({ topic: T, payload })).toBe("puback 1");
    expect(await client.outcome({ topic: T, payload })).toBe("puback 2, closed");
    expect(server.counters().values).toBe(5);
    await clock.advance(20_000);
    const again = await connect(5);
    expect(await again.outcome({ topic: T, payload: ONE })).toBe("puback 1 0x00");
    expect(await again.outcome({ topic: T, payload: ONE })).toBe("puback 2 0x97, closed");
  });

  test("QoS 0 above the limit is dropped under MQTT 5 and closes MQTT 3.1.1", async () => {
    server.setLimits({ transportGatewayTelemetryDataPointsRateLimit: "1:60" });
    const payload = '{"A":[{"k":1,"l":2}]}';
    expect(await (await connect(5)).outcome({ topic: T, payload, qos: 0 })).toBe("");
    expect(await (await connect(4)).outcome({ topic: T, payload, qos: 0 })).toBe("closed");
    expect(server.counters().values).toBe(0);
  });

  test("a device topic above the limit is closed without PUBACK", async () => {
    server.setLimits({ transportDeviceTelemetryDataPointsRateLimit: "1:60" });
    const publish = { topic: "v1/devices/me/telemetry", payload: '{"k":1,"l":2}' };
    expect(await (await connect(4, "direct")).outcome(publish)).toBe("closed");
    expect(await (await connect(5, "direct")).outcome(publish)).toBe("disconnect 0x83, closed");
  });

  test("the first opening costs two tokens: create, then session with subscriptions", async () => {
    server.setLimits({ transportGatewayMsgRateLimit: "3:600" });
    const client = await connect(5);
    const open = (device: string): Promise<string> =>
      client.outcome({ topic: "v1/gateway/connect", payload: `{"device":"${device}"}` });
    expect(await open("A")).toBe("puback 1 0x00");
    expect(await open("A")).toBe("puback 2 0x00");
    expect(await open("B")).toBe("puback 3 0x00");
    server.setShared("A", { k: 1 });
    server.setShared("B", { k: 1 });
    expect(await client.drain()).toEqual(['v1/gateway/attributes {"device":"A","data":{"k":1}}']);
    expect(await open("C")).toBe("disconnect 0x8b, closed");
  });

  test("CONNECT above the limit is refused and SUBSCRIBE is granted without effect", async () => {
    server.setLimits({ transportDeviceMsgRateLimit: "1:600" });
    const client = await connect(5, "direct");
    expect(await client.subscribe(["v1/devices/me/attributes"])).toEqual([1]);
    server.setShared("Direct", { k: 1 });
    expect(await client.drain()).toEqual([]);
    for (const [level, expected] of [
      [4, ["connack 3", "closed"]],
      [5, ["connack 0x9f", "disconnect 0x96", "closed"]],
    ] as const) {
      const refused = clients.use(await RawMqttClient.open(server.port, level));
      refused.sendConnect({ username: "direct" });
      expect(await refused.drain()).toEqual([...expected]);
    }
  });

  test("getSessionLimits tells a gateway two sets and a device one", async () => {
    server.setLimits({
      transportGatewayDeviceMsgRateLimit: "20:600",
      transportGatewayTelemetryDataPointsRateLimit: "200:600",
      transportDeviceMsgRateLimit: "7:1",
    });
    const ask = async (client: RawMqttClient): Promise<unknown> => {
      const topic = "v1/devices/me/rpc/request/1";
      client.publish({ topic, payload: '{"method":"getSessionLimits","params":{}}' });
      const [puback, reply] = await client.drain();
      expect(puback).toBe("puback 1 0x00");
      return JSON.parse(reply?.replace("v1/devices/me/rpc/response/1 ", "") ?? "");
    };
    const none = { messages: null, telemetryMessages: null, telemetryDataPoints: null };
    const sizes = { maxPayloadSize: 65_536, maxInflightMessages: 100 };
    expect(await ask(await connect())).toEqual({
      ...sizes,
      rateLimits: { ...none, messages: "20:600" },
      gatewayRateLimits: { ...none, telemetryDataPoints: "200:600" },
    });
    expect(await ask(await connect(5, "direct"))).toEqual({
      ...sizes,
      rateLimits: { ...none, messages: "7:1" },
    });
  });
});

describe("children", () => {
  test("a slow opening lets later messages overtake", async () => {
    const client = await connect();
    await client.outcome({ topic: T, payload: ONE });
    server.faults.openDelayMs = 500;
    client.publish({ topic: T, payload: '{"A":[{"k":2}],"New":[{"k":1}]}', id: 10 });
    client.publish({ topic: T, payload: '{"New":[{"k":2}]}', id: 11 });
    client.publish({ topic: T, payload: '{"A":[{"k":3}]}', id: 12 });
    expect(await client.drain()).toEqual(["puback 12 0x00"]);
    await clock.advance(500);
    expect(await client.drain()).toEqual(["puback 10 0x00", "puback 11 0x00"]);
    expect(server.series("New", "k").map((point) => point.value)).toEqual([1, 2]);
  });

  test("a child that cannot be opened is acknowledged and its data dropped", async () => {
    const client = await connect();
    server.setMaxDevices(2);
    expect(await client.outcome({ topic: T, payload: ONE })).toBe("puback 1 0x97");
    server.setMaxDevices(9);
    server.faults.failOpen("error", { device: "A", times: 1 });
    const payload = '{"A":[{"k":1}],"B":[{"k":1}]}';
    expect(await client.outcome({ topic: T, payload })).toBe("puback 2 0x80");
    expect(server.latest("B", "k")?.value).toBe(1);
    server.faults.failOpen("error", { times: 1 });
    const request = '{"id":1,"device":"A","client":true,"key":"k"}';
    const topic = "v1/gateway/attributes/request";
    expect(await client.outcome({ topic, payload: request })).toBe("puback 3 0x83");
    expect(await client.outcome({ topic: T, payload: ONE })).toBe("puback 4 0x00");
  });

  test("a name the server refuses fails after 10 s", async () => {
    const client = await connect(4);
    for (const device of ["x".repeat(256), " ", "<b>bold</b>"]) {
      const payload = JSON.stringify({ [device]: [{ k: 1 }] });
      expect(await client.outcome({ topic: T, payload, id: 1 })).toBe("");
      await clock.advance(10_000);
      expect(await client.next()).toBe("puback 1");
    }
    expect(server.devices()).toEqual(["GW", "Direct"]);
  });

  test("an idle child loses its session in silence and overwriteActivityTime keeps it", async () => {
    const client = await connect();
    await client.outcome({ topic: T, payload: ONE });
    await clock.advance(300_000);
    await client.outcome({ topic: "v1/gateway/connect", payload: '{"device":"A"}' });
    await clock.advance(306_000);
    expect(server.sessions()[0]?.children).toEqual([]);
    expect(await client.drain()).toEqual([]);
    server.setOverwriteActivityTime("GW", true);
    await client.outcome({ topic: T, payload: ONE });
    for (let round = 0; round < 5; round += 1) {
      await clock.advance(300_000);
      await client.drain();
    }
    expect(server.sessions()[0]?.children).toEqual(["A"]);
  });

  test("another gateway takes a child over in silence", async () => {
    server.createGateway("GW2", "token2");
    const first = await connect();
    const second = await connect(5, "token2");
    await first.outcome({ topic: T, payload: ONE });
    await second.outcome({ topic: T, payload: ONE });
    expect(server.sessions().map((session) => session.children)).toEqual([[], ["A"]]);
    expect(await first.drain()).toEqual([]);
    await first.outcome({ topic: T, payload: ONE });
    expect(server.sessions().map((session) => session.children)).toEqual([["A"], []]);
  });

  test("connect honours the type only when it creates the device", async () => {
    const client = await connect();
    const topic = "v1/gateway/connect";
    await client.outcome({ topic, payload: '{"device":"T","type":"Thermo"}' });
    await client.outcome({ topic, payload: '{"device":"T","type":"Other"}' });
    await client.outcome({ topic, payload: '{"device":7,"type":null}' });
    expect(server.device("T")?.profile).toBe("Thermo");
    expect(server.device("7")?.profile).toBe("default");
    expect(
      await client.outcome({ topic: "v1/gateway/disconnect", payload: '{"device":"T"}' }),
    ).toBe("puback 4 0x00");
    expect(server.sessions()[0]?.children).toEqual(["7"]);
  });
});

describe("metrics", () => {
  test("latencies are stored on the gateway every 60 s", async () => {
    const client = await connect();
    const entry = (receivedTs: number, publishedTs: number): string =>
      `{"A":[{"ts":1,"values":{"k":1},"metadata":{"connector":"M","receivedTs":${receivedTs},"publishedTs":${publishedTs}}}]}`;
    const now = 1_700_000_000_000;
    await client.outcome({ topic: T, payload: entry(now - 50, now - 10) });
    await client.outcome({ topic: T, payload: entry(now, now + 5) });
    const bad = '{"A":[{"k":2,"metadata":{"connector":"M","receivedTs":1}}]}';
    expect(await client.outcome({ topic: T, payload: bad })).toBe("puback 3 0x99");
    await clock.advance(60_000);
    expect(server.latest("GW", "gatewayMetrics")).toMatchObject({
      ts: now + 60_000,
      value:
        '{"M":{"avgGwLatency":22,"minGwLatency":5,"maxGwLatency":40,"avgTransportLatency":2,"minTransportLatency":-5,"maxTransportLatency":10}}',
    });
    expect(server.keys("A")).toEqual(["k"]);
  });
});

describe("releases", () => {
  const two = '{"A":[{"k":1}],"B":[{"k":1}]}';

  test("up to 4.2 every device of a message is acknowledged", async () => {
    for (const [version, expected] of [
      ["3.7", "puback 1, puback 1"],
      ["3.8", "puback 1, puback 1"],
      ["4.2.1", "puback 1"],
    ] as const) {
      await start(version);
      expect(await (await connect(4)).outcome({ topic: T, payload: two })).toBe(expected);
    }
  });

  test("old releases stay silent where later ones refuse", async () => {
    for (const [version, unusable, quota, connecting] of [
      ["3.8", "", "", ""],
      ["4.2.1", "puback 1 0x83, disconnect 0x83, closed", "puback 1 0x97", ""],
      ["4.3", "puback 1 0x83, disconnect 0x83, closed", "puback 1 0x97", "puback 1 0x97"],
    ] as const) {
      await start(version);
      server.setMaxDevices(2);
      expect(await (await connect()).outcome({ topic: T, payload: "{}" })).toBe(unusable);
      expect(await (await connect()).outcome({ topic: T, payload: ONE })).toBe(quota);
      const open = { topic: "v1/gateway/connect", payload: '{"device":"A"}' };
      expect(await (await connect()).outcome(open)).toBe(connecting);
    }
  });

  test("a rate limit closes without PUBACK up to 4.2, after a notice under MQTT 5", async () => {
    await start("3.8");
    server.setLimits({ transportGatewayTelemetryDataPointsRateLimit: "1:60" });
    const publish = { topic: T, payload: '{"A":[{"k":1,"l":1}]}' };
    expect(await (await connect(4)).outcome(publish)).toBe("closed");
    expect(await (await connect(5)).outcome(publish)).toBe(
      'v1/gateway/disconnect {"device":"A","reason":150}, closed',
    );
  });

  test("3.7 answers getSessionLimits like any other call", async () => {
    await start("3.7");
    const client = await connect(4);
    const payload = '{"method":"getSessionLimits","params":{}}';
    const topic = "v1/devices/me/rpc/request/1";
    expect(await client.outcome({ topic, payload })).toBe("puback 1");
    await clock.advance(60_000);
    expect(await client.next()).toBe('v1/devices/me/rpc/response/1 {"error":"timeout"}');
  });
});
