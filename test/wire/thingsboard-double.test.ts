import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const NOW = 1_700_000_000_000;
const T = "v1/gateway/telemetry";
const A = "v1/gateway/attributes";
const D = "v1/devices/me/telemetry";

let clock: FakeClock;
let server: ThingsBoardDouble;
let clients: DisposableStack;

beforeEach(async () => {
  clock = new FakeClock(NOW);
  server = await ThingsBoardDouble.listen({ clock });
  server.createGateway("GW", "gw-token");
  server.createDevice("Plain", "default", "plain-token");
  clients = new DisposableStack();
});

afterEach(async () => {
  clients.dispose();
  await server[Symbol.asyncDispose]();
});

async function connect(level: 3 | 4 | 5, username = "gw-token"): Promise<RawMqttClient> {
  return clients.use(await RawMqttClient.connect(server.port, { level, username }));
}

/** One publish on a fresh gateway connection and what comes of it. */
async function outcome(
  level: 4 | 5,
  topic: string,
  payload: string,
  qos: 0 | 1 | 2 = 1,
): Promise<string> {
  const client = await connect(level);
  return client.outcome({ topic, payload, qos });
}

describe("publish outcomes", () => {
  const cases: readonly {
    readonly name: string;
    readonly topic: string;
    readonly payload: string;
    /** MQTT 3.1.1 and MQTT 5 at QoS 1, then the same at QoS 0. */
    readonly expected: readonly [string, string, string, string];
  }[] = [
    {
      name: "accepted gateway telemetry",
      topic: T,
      payload: '{"A":[{"ts":1,"values":{"k":1}}]}',
      expected: ["puback 1", "puback 1 0x00", "", ""],
    },
    {
      name: "a payload that is not JSON",
      topic: T,
      payload: '{"A":[',
      expected: ["closed", "puback 1 0x99", "closed", "disconnect 0x99, closed"],
    },
    {
      name: "device telemetry of the wrong shape",
      topic: D,
      payload: "[1]",
      expected: ["closed", "puback 1 0x99", "closed", "disconnect 0x99, closed"],
    },
    {
      name: "a gateway message that is no object",
      topic: T,
      payload: "[]",
      expected: [
        "puback 1, closed",
        "puback 1 0x83, disconnect 0x83, closed",
        "closed",
        "disconnect 0x83, closed",
      ],
    },
    {
      name: "a gateway message without a usable device",
      topic: T,
      payload: '{"A":{"k":1}}',
      expected: [
        "puback 1, closed",
        "puback 1 0x83, disconnect 0x83, closed",
        "closed",
        "disconnect 0x83, closed",
      ],
    },
    {
      name: "connect without a device name",
      topic: "v1/gateway/connect",
      payload: '{"device":""}',
      expected: [
        "puback 1, closed",
        "puback 1 0x83, disconnect 0x83, closed",
        "closed",
        "disconnect 0x83, closed",
      ],
    },
    {
      name: "a child part that cannot be read",
      topic: T,
      payload: '{"A":[{"ts":"x","values":{"k":1}}]}',
      expected: ["closed", "puback 1 0x99", "closed", ""],
    },
    {
      name: "a device ts that is null",
      topic: D,
      payload: '{"ts":null,"values":{"k":1}}',
      expected: ["closed", "disconnect 0x8b, closed", "closed", "disconnect 0x8b, closed"],
    },
    {
      name: "an unknown topic",
      topic: "v1/gateway/metrics",
      payload: "{}",
      expected: ["puback 1", "puback 1 0x90", "", ""],
    },
    {
      name: "an empty list",
      topic: T,
      payload: '{"A":[]}',
      expected: ["", "", "", ""],
    },
    {
      name: "attributes without a value",
      topic: A,
      payload: '{"A":{}}',
      expected: ["puback 1", "puback 1 0x00", "", ""],
    },
    {
      name: "a bad claim of a child",
      topic: "v1/gateway/claim",
      payload: '{"A":{"durationMs":"soon"}}',
      expected: ["closed", "puback 1 0x99", "closed", ""],
    },
    {
      name: "an attribute request without client flag",
      topic: "v1/gateway/attributes/request",
      payload: '{"id":1,"device":"A","key":"k"}',
      expected: [
        "puback 1, closed",
        "puback 1 0x83, disconnect 0x83, closed",
        "closed",
        "disconnect 0x83, closed",
      ],
    },
  ];

  for (const { name, topic, payload, expected } of cases) {
    test(`${name} ends as the server ends it`, async () => {
      expect([
        await outcome(4, topic, payload),
        await outcome(5, topic, payload),
        await outcome(4, topic, payload, 0),
        await outcome(5, topic, payload, 0),
      ]).toEqual([...expected]);
    });
  }

  test("a gateway topic from a plain device gets no answer and no close", async () => {
    for (const level of [4, 5] as const) {
      const client = await connect(level, "plain-token");
      expect(await client.outcome({ topic: T, payload: '{"A":[{"k":1}]}' })).toBe("");
    }
    expect(server.devices()).toEqual(["GW", "Plain"]);
  });

  test("QoS 2 is answered with PUBACK", async () => {
    expect(await outcome(4, T, '{"A":[{"k":1}]}', 2)).toBe("puback 1");
    expect(await outcome(5, T, '{"A":[{"k":1}]}', 2)).toBe("puback 1 0x00");
  });

  test("QoS 0 with several devices is stored and noticed under MQTT 5", async () => {
    const payload = '{"A":[{"k":1}],"B":[{"k":2}]}';
    expect(await outcome(5, T, payload, 0)).toBe(
      'v1/gateway/disconnect {"device":"B","reason":129}',
    );
    expect(server.latest("B", "k")?.value).toBe(2);
  });

  test("sendAckOnValidationException acknowledges bad JSON under MQTT 3.1.1", async () => {
    server.setProfile("default", { sendAckOnValidationException: true });
    expect(await outcome(4, T, "{")).toBe("puback 1");
  });

  test("one unreadable device leaves the data of the others", async () => {
    const payload = '{"A":[{"k":1}],"B":[{"ts":null,"values":{"k":2}}],"C":[{"k":3}]}';
    expect(await outcome(4, T, payload)).toBe("closed");
    expect(server.latest("A", "k")?.value).toBe(1);
    expect(server.latest("C", "k")?.value).toBe(3);
    expect(server.latest("B", "k")).toBeUndefined();
    expect(await outcome(5, T, payload)).toBe("puback 1 0x99");
  });

  test("an empty list beside data stores the data and is never acknowledged", async () => {
    const client = await connect(5);
    expect(await client.outcome({ topic: T, payload: '{"A":[],"B":[{"k":1}]}' })).toBe("");
    expect(server.latest("B", "k")?.value).toBe(1);
  });

  test("custom topics of the profile replace the default ones", async () => {
    server.setProfile("default", { telemetryTopic: "plant/+/data" });
    const client = await connect(5, "plain-token");
    expect(await client.outcome({ topic: "plant/7/data", payload: '{"k":1}' })).toBe(
      "puback 1 0x00",
    );
    expect(await client.outcome({ topic: D, payload: '{"k":2}' })).toBe("puback 2 0x90");
    expect(server.series("Plain", "k").map((point) => point.value)).toEqual([1]);
  });
});

describe("storage", () => {
  test("the worked example is stored as documented", async () => {
    const payload =
      '{"Pump":[{"ts":1700000000000,"values":{"p":1.50,"s":"007"}}],"Fan":{"rpm":3},"Valve":[{"pos":55}]}';
    expect(await outcome(5, T, payload)).toBe("puback 1 0x00");
    const point = { ts: NOW, type: "DOUBLE", value: 1.5, text: "1.50", key: "p" };
    expect(server.latest("Pump", "p")).toMatchObject(point);
    expect(server.latest("Pump", "s")).toMatchObject({ type: "LONG", value: 7, text: '"007"' });
    expect(server.latest("Valve", "pos")).toMatchObject({ ts: NOW, value: 55 });
    expect(server.devices()).toEqual(["GW", "Plain", "Pump", "Valve"]);
  });

  test("a message sent again is stored again and overwrites by ts", async () => {
    const client = await connect(4);
    const payload = '{"A":[{"ts":5,"values":{"k":1}}]}';
    await client.outcome({ topic: T, payload });
    await client.outcome({ topic: T, payload, id: 1, dup: true });
    await client.outcome({ topic: T, payload: '{"A":[{"ts":5,"values":{"k":2}}]}' });
    expect(server.series("A", "k").map((point) => point.value)).toEqual([1, 1, 2]);
    expect(server.stored("A", "k").map((point) => point.value)).toEqual([2]);
  });

  test("a key the database refuses costs its entry after the PUBACK", async () => {
    const payload = '{"A":[{"ts":1,"values":{"<b>x</b>":1,"k":1}},{"ts":2,"values":{"k":2}}]}';
    expect(await outcome(4, T, payload)).toBe("puback 1");
    expect(server.series("A", "k").map((point) => Number(point.ts))).toEqual([2]);
    expect(server.counters().lost).toBe(2);
  });

  test("retainSeries keeps the newest points and counts all", async () => {
    await using small = await ThingsBoardDouble.listen({ clock, retainSeries: 3 });
    small.createGateway("GW", "t");
    const client = clients.use(await RawMqttClient.connect(small.port, { username: "t" }));
    for (let value = 0; value < 20; value += 1) {
      client.publish({ topic: T, payload: `{"A":[{"ts":${value},"values":{"k":${value}}}]}` });
    }
    await client.drain();
    expect(small.series("A", "k").map((point) => point.value)).toEqual([17, 18, 19]);
    expect(small.valueCount("A", "k")).toBe(20);
    expect(small.transcript()).toEqual([]);
  });

  test("device telemetry takes one entry or an array of entries", async () => {
    const client = await connect(4, "plain-token");
    await client.outcome({ topic: D, payload: '{"ts":1,"values":{"a":"5","b":null,"c":{"x":1}}}' });
    await client.outcome({ topic: "v2/t", payload: '[{"a":6},{"ts":"3","values":{"a":7}}]' });
    const stored = server.stored("Plain", "a").map(({ ts, text }) => `${ts} ${text}`);
    expect(stored).toEqual(['1 "5"', "3 7", `${NOW} 6`]);
    expect(server.latest("Plain", "b")).toBeUndefined();
    expect(server.latest("Plain", "c")).toMatchObject({ type: "JSON", value: '{"x":1}' });
  });

  test("attributes of a child are stored in client scope", async () => {
    await outcome(4, A, '{"A":{"model":"X1","on":true,"none":null}}');
    expect(server.getClient("A")).toMatchObject({
      model: { type: "STRING", value: "X1" },
      on: { type: "BOOLEAN", value: true },
    });
    expect(Object.keys(server.getClient("A"))).toEqual(["model", "on"]);
  });

  test("onPublish and onValue show what arrives", async () => {
    const seen: string[] = [];
    using _publishes = server.onPublish(({ topic, text }) => seen.push(`${topic} ${text}`));
    using _values = server.onValue(({ device, point }) => seen.push(`${device} ${point.text}`));
    await outcome(4, T, '{"A":[{"k":1.0}]}');
    expect(seen).toEqual([`${T} {"A":[{"k":1.0}]}`, "A 1.0"]);
  });
});
