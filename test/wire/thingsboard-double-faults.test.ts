import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import mqtt from "mqtt";
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
  server = await ThingsBoardDouble.listen({ clock });
  server.createGateway("GW", "token");
  server.createDevice("Direct", "default", "direct");
});

afterEach(async () => {
  clients.dispose();
  await server[Symbol.asyncDispose]();
});

async function connect(level: 4 | 5 = 5, username = "token"): Promise<RawMqttClient> {
  return clients.use(await RawMqttClient.connect(server.port, { level, username }));
}

describe("faults", () => {
  test("publish faults act on what they match and as often as told", async () => {
    const client = await connect();
    const { faults } = server;
    faults.publish({ action: "drop" }, { contains: "drop", times: 1 });
    faults.publish({ action: "duplicate" }, { contains: "twice" });
    faults.publish({ action: "lose" }, { when: ({ text }) => text.includes("lose") });
    faults.publish({ action: "ignore" }, { contains: "ignore" });
    faults.publish({ action: "refuse", code: 0x97 }, { contains: "refuse" });
    faults.publish({ action: "delay", ms: 100 }, { contains: "late" });
    const send = (key: string): Promise<string> =>
      client.outcome({ topic: T, payload: `{"A":[{"${key}":1}]}`, id: 1 });
    expect(await send("drop")).toBe("");
    expect(await send("drop")).toBe("puback 1 0x00");
    expect(await send("twice")).toBe("puback 1 0x00, puback 1 0x00");
    expect(await send("lose")).toBe("puback 1 0x00");
    expect(await send("ignore")).toBe("");
    expect(await send("refuse")).toBe("puback 1 0x97");
    expect(await send("late")).toBe("");
    await clock.advance(100);
    expect(await client.next()).toBe("puback 1 0x00");
    expect(server.keys("A")).toEqual(["drop", "twice", "late"]);
    expect(server.valueCount("A", "drop")).toBe(2);
    faults.clear();
    expect(await send("ignore")).toBe("puback 1 0x00");
  });

  test("a queue failure is class Q on gateway topics and closes device topics", async () => {
    server.faults.publish({ action: "fail-queue" });
    expect(await (await connect(4)).outcome({ topic: T, payload: ONE })).toBe("puback 1, closed");
    expect(await (await connect(5)).outcome({ topic: T, payload: ONE })).toBe(
      "puback 1 0x80, closed",
    );
    expect(await (await connect(5)).outcome({ topic: T, payload: ONE, qos: 0 })).toBe("");
    const device = { topic: "v1/devices/me/telemetry", payload: '{"k":1}' };
    expect(await (await connect(5)).outcome(device)).toBe("disconnect 0x83, closed");
    expect(server.counters().values).toBe(0);
  });

  test("PUBACKs can be held and reordered", async () => {
    const client = await connect();
    server.faults.publish({ action: "hold" }, { times: 2 });
    for (const id of [1, 2]) {
      client.publish({ topic: T, payload: ONE, id });
    }
    expect(await client.drain()).toEqual([]);
    expect(server.faults.releasePubacks()).toBe(2);
    expect(await client.drain()).toEqual(["puback 1 0x00", "puback 2 0x00"]);
    server.faults.reorderPubacks(3);
    for (const id of [3, 4, 5, 6]) {
      client.publish({ topic: T, payload: ONE, id });
    }
    expect(await client.drain()).toEqual(["puback 5 0x00", "puback 4 0x00", "puback 3 0x00"]);
    server.faults.reorderPubacks(0);
    expect(await client.drain()).toEqual(["puback 6 0x00"]);
  });

  test("a connection is cut after bytes, packets or publishes", async () => {
    const whole = await connect(4);
    server.faults.closeAfter({ publishes: 2 });
    whole.publish({ topic: T, payload: ONE });
    whole.publish({ topic: T, payload: ONE });
    expect(await whole.drain()).toEqual(["puback 1", "closed"]);
    expect(server.counters().values).toBe(2);
    const torn = await connect(4);
    server.faults.closeAfter({ bytes: 10 });
    expect(await torn.outcome({ topic: T, payload: ONE })).toBe("closed");
    const counted = await connect(4);
    server.faults.closeAfter({ packets: 1 });
    expect(await counted.drain()).toEqual(["closed"]);
    expect(server.counters().values).toBe(2);
    expect(await (await connect(4)).outcome({ topic: T, payload: ONE })).toBe("puback 1");
  });

  test("cut stores and ends without PUBACK, cut-after with it", async () => {
    server.faults.publish({ action: "cut" }, { times: 1 });
    expect(await (await connect(4)).outcome({ topic: T, payload: ONE })).toBe("closed");
    server.faults.publish({ action: "cut-after" });
    expect(await (await connect(4)).outcome({ topic: T, payload: ONE })).toBe("puback 1, closed");
    expect(server.counters().values).toBe(2);
  });

  test("a half-open connection answers when it is read again", async () => {
    const client = await connect(4);
    server.faults.reading.close();
    client.publish({ topic: T, payload: ONE });
    const other = clients.use(await RawMqttClient.open(server.port));
    other.sendConnect({ username: "direct" });
    expect(server.counters().publishes).toBe(0);
    server.faults.reading.open();
    expect(await other.next()).toBe("connack 0");
    expect(await client.next()).toBe("puback 1");
  });

  test("CONNACK can carry any code, TCP can be refused, and clocks differ", async () => {
    server.faults.refuseConnect(0x88, 1);
    const refused = clients.use(await RawMqttClient.open(server.port, 5));
    refused.sendConnect({ username: "token" });
    expect(await refused.next()).toBe("connack 0x88");
    server.faults.clockSkewMs = 5_000;
    await (await connect()).outcome({ topic: T, payload: ONE });
    expect(Number(server.latest("A", "k")?.ts)).toBe(1_700_000_005_000);
    server.faults.refuseTcp = true;
    const blocked = clients.use(await RawMqttClient.open(server.port));
    expect(await blocked.next()).toBe("closed");
  });

  test("down cuts everybody and up listens on the same port with the same data", async () => {
    const { port } = server;
    const client = await mqtt.connectAsync({
      host: "127.0.0.1",
      port,
      username: "token",
      reconnectPeriod: 20,
    });
    await client.publishAsync(T, ONE, { qos: 1 });
    const lost = Promise.withResolvers<void>();
    client.once("close", () => lost.resolve());
    await server.down();
    await lost.promise;
    const again = Promise.withResolvers<void>();
    client.once("connect", () => again.resolve());
    await server.up();
    await again.promise;
    expect(server.port).toBe(port);
    await client.publishAsync(T, ONE, { qos: 1 });
    expect(server.valueCount("A", "k")).toBe(2);
    await client.endAsync();
  });

  test("kick ends a connection with a code and the transcript shows it", async () => {
    const client = await connect();
    expect(server.kick("GW", 0x98)).toBe(true);
    expect(await client.next()).toBe("disconnect 0x98");
    expect(server.kick("GW", 0x98)).toBe(false);
    const seen = server.transcript().map(({ direction, packet }) => `${direction} ${packet}`);
    expect(seen).toEqual(["in connect", "out connack", "out disconnect"]);
  });
});
