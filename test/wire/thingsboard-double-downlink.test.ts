import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { Float } from "../../src/sdk/model.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const RPC = "v1/devices/me/rpc/request/+";
const ATTRIBUTES = "v1/devices/me/attributes";

let clock: FakeClock;
let server: ThingsBoardDouble;
let clients: DisposableStack;

beforeEach(async () => {
  clock = new FakeClock();
  server = await ThingsBoardDouble.listen({ clock });
  server.createGateway("GW", "token");
  server.createDevice("Direct", "default", "direct");
  clients = new DisposableStack();
});

afterEach(async () => {
  clients.dispose();
  await server[Symbol.asyncDispose]();
});

async function connect(username = "token", level: 4 | 5 = 5): Promise<RawMqttClient> {
  return clients.use(await RawMqttClient.connect(server.port, { level, username }));
}

/** Opens a child and takes the PUBACK. */
async function open(client: RawMqttClient, device: string): Promise<readonly string[]> {
  client.publish({ topic: "v1/gateway/connect", payload: JSON.stringify({ device }) });
  return (await client.drain()).filter((text) => !text.startsWith("puback"));
}

describe("subscriptions", () => {
  test("filters are compared as text and refused ones leave the session open", async () => {
    const filters = [
      "v1/devices/me/attributes",
      "v1/gateway/rpc",
      "v2/fw/response/+/chunk/+",
      "v1/gateway/#",
      "v2/fw/response/+",
      "v1/gateway/disconnect",
    ];
    const v5 = await connect("token", 5);
    expect(await v5.subscribe(filters, 2)).toEqual([1, 1, 1, 0x8f, 0x8f, 0x8f]);
    const v3 = await connect("token", 4);
    expect(await v3.subscribe(filters, 0)).toEqual([0, 0, 0, 0x80, 0x80, 0x80]);
    expect(await v3.drain()).toEqual([]);
  });

  test("UNSUBSCRIBE names unknown filters under MQTT 5 and ends the registration", async () => {
    const client = await connect();
    await client.subscribe([ATTRIBUTES]);
    client.send({ cmd: "unsubscribe", messageId: 5, unsubscriptions: [ATTRIBUTES, "x"] });
    expect(await client.nextPacket()).toMatchObject({ cmd: "unsuback", granted: [0, 0x11] });
    server.setShared("GW", { k: 1 });
    expect(await client.drain()).toEqual([]);
  });

  test("subscriptions are gone after a reconnect", async () => {
    await (await connect()).subscribe([ATTRIBUTES]);
    const again = await connect();
    server.setShared("GW", { k: 1 });
    expect(await again.drain()).toEqual([]);
  });

  test("child messages arrive without a subscription at QoS 1, otherwise as granted", async () => {
    const client = await connect();
    await open(client, "A");
    server.setShared("A", { k: 1 });
    expect(await client.nextPacket()).toMatchObject({ topic: "v1/gateway/attributes", qos: 1 });
    await client.subscribe(["v1/gateway/attributes"], 0);
    server.setShared("A", { k: 2 });
    expect(await client.nextPacket()).toMatchObject({ topic: "v1/gateway/attributes", qos: 0 });
  });

  test("the last flavour decides the topics", async () => {
    const client = await connect("direct");
    await client.subscribe([ATTRIBUTES, "v2/a", RPC, "v2/r/req/+"]);
    server.setShared("Direct", { k: 1 });
    await server.rpc("Direct", "m", null, { oneWay: true });
    expect(await client.drain()).toEqual([
      'v2/a {"k":1}',
      'v2/r/req/0 {"method":"m","params":null}',
    ]);
  });
});

describe("attributes", () => {
  test("updates and deletions keep the type of every value", async () => {
    const client = await connect();
    await open(client, "A");
    server.setShared("A", {
      f: new Float(5),
      big: 1311738468603649775n,
      s: "x",
      j: { a: [1, null] },
    });
    server.setShared("A", '{"text":"4661","big2":"1311738468603649775","e":1e7,"h":2.5e7}');
    server.deleteShared("A", ["f"]);
    const head = 'v1/gateway/attributes {"device":"A","data":';
    expect(await client.drain()).toEqual([
      `${head}{"f":5.0,"big":1311738468603649775,"s":"x","j":{"a":[1,null]}}}`,
      `${head}{"text":4661,"big2":1311738468603649775,"e":10000000,"h":25000000}}`,
      `${head}{"deleted":["f"]}}`,
    ]);
    expect(server.getShared("A")["f"]).toBeUndefined();
  });

  test("a direct device gets updates after it subscribed", async () => {
    const client = await connect("direct");
    server.setShared("Direct", { k: 1 });
    await client.subscribe([ATTRIBUTES]);
    server.setShared("Direct", { k: 2 });
    server.deleteShared("Direct", ["k"]);
    expect(await client.drain()).toEqual([
      `${ATTRIBUTES} {"k":2}`,
      `${ATTRIBUTES} {"deleted":["k"]}`,
    ]);
  });

  test("a gateway request is answered with value, values or neither", async () => {
    const client = await connect();
    await open(client, "A");
    server.setShared("A", { s1: 1, s2: new Float(2) });
    await client.drain();
    client.publish({ topic: "v1/gateway/attributes", payload: '{"A":{"c":true}}' });
    await client.drain();
    const reply = async (body: string): Promise<string | undefined> => {
      client.publish({
        topic: "v1/gateway/attributes/request",
        payload: `{"id":7,"device":"A",${body}}`,
      });
      const [puback, answer] = await client.drain();
      expect(puback).toStartWith("puback");
      return answer?.replace("v1/gateway/attributes/response ", "");
    };
    expect(await reply('"client":false,"key":"s2"')).toBe('{"id":7,"device":"A","value":2.0}');
    expect(await reply('"client":false,"keys":["s1"]')).toBe('{"id":7,"device":"A","value":1}');
    expect(await reply('"client":false,"keys":["s1","x"]')).toBe(
      '{"id":7,"device":"A","values":{"s1":1}}',
    );
    expect(await reply('"client":true,"keys":["s1"]')).toBe('{"id":7,"device":"A"}');
    expect(await reply('"client":true,"key":"c","keys":[]')).toBe(
      '{"id":7,"device":"A","value":true}',
    );
    expect(await reply('"client":true,"keys":[]')).toBe(
      '{"id":7,"device":"A","value":true,"values":{"s1":1,"s2":2.0}}',
    );
  });

  test("replyBeforePuback turns the order of reply and PUBACK round", async () => {
    const client = await connect();
    await open(client, "A");
    server.faults.replyBeforePuback = true;
    const payload = '{"id":1,"device":"A","client":false,"key":"k"}';
    const outcome = await client.outcome({ topic: "v1/gateway/attributes/request", payload });
    expect(outcome).toBe('v1/gateway/attributes/response {"id":1,"device":"A"}, puback 2 0x00');
  });

  test("a device request is answered by scope with exact key names", async () => {
    const client = await connect("direct");
    client.publish({ topic: ATTRIBUTES, payload: '{"c1":1,"c2":2}' });
    server.setShared("Direct", { s: 3 });
    await client.drain();
    const reply = async (body: string, id = "1"): Promise<string> => {
      const topic = `v1/devices/me/attributes/request/${id}`;
      return client.outcome({ topic, payload: body, id: 9 });
    };
    const head = "puback 9 0x00, v1/devices/me/attributes/response/1 ";
    expect(await reply('{"clientKeys":"c1,c2"}')).toBe(`${head}{"client":{"c1":1,"c2":2}}`);
    expect(await reply('{"clientKeys":"c1, c2","sharedKeys":"s"}')).toBe(
      `${head}{"client":{"c1":1},"shared":{"s":3}}`,
    );
    expect(await reply("{}")).toBe(`${head}{"client":{"c1":1,"c2":2},"shared":{"s":3}}`);
    expect(await reply('{"sharedKeys":"none"}')).toBe(`${head}{}`);
    expect(await reply("{}", "x")).toBe("puback 9 0x99");
    expect(await reply("")).toBe("puback 9 0x99");
  });
});

describe("calls", () => {
  test("ids count per device from 0 and the reply keeps its text", async () => {
    const client = await connect();
    await open(client, "A");
    await open(client, "B");
    const first = server.rpc("A", "get", { x: new Float(1) });
    const other = server.rpc("B", "get", "text");
    expect(await client.drain()).toEqual([
      'v1/gateway/rpc {"device":"A","data":{"id":0,"method":"get","params":{"x":1.0}}}',
      'v1/gateway/rpc {"device":"B","data":{"id":0,"method":"get","params":"text"}}',
    ]);
    client.publish({ topic: "v1/gateway/rpc", payload: '{"device":"A","id":0,"data":{"v": 5.0}}' });
    expect(await first).toBe('{"v": 5.0}');
    client.publish({ topic: "v1/gateway/rpc", payload: '{"device":"A","id":0,"data":1}' });
    client.publish({ topic: "v1/gateway/rpc", payload: '{"device":"B","id":0,"data":null}' });
    expect(await other).toBe("null");
    expect(server.counters().staleReplies).toBe(1);
  });

  test("every opening sends pending calls again with the same id", async () => {
    const call = server.rpc("Direct", "m", 1);
    expect(server.pendingRpc("Direct")).toMatchObject([{ id: 0, status: "QUEUED" }]);
    for (let round = 0; round < 2; round += 1) {
      const client = await connect("direct");
      await client.subscribe([RPC]);
      expect(await client.next()).toBe('v1/devices/me/rpc/request/0 {"method":"m","params":1}');
    }
    const last = await connect("direct");
    last.publish({ topic: "v1/devices/me/rpc/response/0", payload: '"done"' });
    expect(await call).toBe('"done"');
    expect(server.pendingRpc("Direct")).toEqual([]);
  });

  test("a call times out after at least 5 s and a reply must be JSON", async () => {
    const slow = server.rpc("Direct", "m", null, { timeoutMs: 10 }).catch(String);
    await clock.advance(4_999);
    expect(server.pendingRpc("Direct").length).toBe(1);
    await clock.advance(1);
    expect(await slow).toContain("No reply");
    const bad = server.rpc("Direct", "m", null).catch(String);
    const client = await connect("direct");
    client.publish({ topic: "v1/devices/me/rpc/response/1", payload: "{" });
    expect(await bad).toContain("Cannot take the reply");
  });

  test("a call to the gateway itself is delivered by its PUBACK or marked after 10 s", async () => {
    const client = await connect();
    await client.subscribe([RPC]);
    for (const [status, act] of [
      [
        "DELIVERED",
        async (id: number) => client.send({ cmd: "puback", messageId: id, reasonCode: 0 }),
      ],
      ["TIMEOUT", async () => clock.advance(10_000)],
    ] as const) {
      const call = server.rpc("GW", "m", null, { timeoutMs: 60_000 }).catch(() => "");
      const packet = await client.nextPacket();
      await act(packet?.messageId ?? 0);
      await client.drain();
      const [pending] = server.pendingRpc("GW").filter((each) => each.status === status);
      expect(pending?.status).toBe(status);
      client.publish({ topic: `v1/devices/me/rpc/response/${pending?.id}`, payload: "1" });
      expect(await call).toBe("1");
    }
  });

  test("packet ids wrap to 0 on the wire", async () => {
    server.faults.firstPacketId = 65_535;
    const client = await connect("direct");
    await client.subscribe([RPC], 1);
    await server.rpc("Direct", "a", null, { oneWay: true });
    await server.rpc("Direct", "b", null, { oneWay: true });
    expect((await client.nextPacket())?.messageId).toBe(65_535);
    expect((await client.nextPacket())?.messageId).toBe(0);
  });

  test("ids start again after the server restarted", async () => {
    const waiting = server.rpc("Direct", "m", null).catch(String);
    await server.down();
    expect(await waiting).toContain("restarted");
    await server.up();
    const again = server.rpc("Direct", "m", null).catch(String);
    expect(server.pendingRpc("Direct").map((call) => call.id)).toEqual([0]);
    await clock.advance(10_000);
    expect(await again).toContain("No reply");
  });

  test("calls from the device are answered or time out", async () => {
    const client = await connect("direct");
    server.onClientRpc((_device, method, params) => (method === "echo" ? params : undefined));
    const topic = "v1/devices/me/rpc/request/3";
    expect(await client.outcome({ topic, payload: '{"method":"echo","params":{"a":1.0}}' })).toBe(
      'puback 1 0x00, v1/devices/me/rpc/response/3 {"a":1.0}',
    );
    expect(await client.outcome({ topic, payload: '{"method":"none"}' })).toBe("puback 2 0x00");
    await clock.advance(60_000);
    expect(await client.next()).toBe('v1/devices/me/rpc/response/3 {"error":"timeout"}');
    expect(await client.outcome({ topic, payload: "[]" })).toBe("puback 3 0x99");
    expect(await client.outcome({ topic, payload: "{}" })).toBe("disconnect 0x8b, closed");
  });
});

describe("notices", () => {
  test("a deleted child is told to its gateway until the gateway acknowledges it", async () => {
    const client = await connect();
    await open(client, "A");
    const { id } = server.device("A") ?? {};
    server.deleteDevice("A");
    expect(server.sessions()[0]?.children).toEqual([]);
    const notice = 'v1/devices/me/rpc/request/0 {"method":"gateway_device_deleted","params":"A"}';
    for (let round = 0; round < 2; round += 1) {
      const again = await connect();
      await again.subscribe([RPC]);
      expect(await again.next()).toBe(notice);
    }
    const last = await connect();
    await last.subscribe([RPC]);
    const packet = await last.nextPacket();
    last.send({ cmd: "puback", messageId: packet?.messageId ?? 0, reasonCode: 0 });
    await open(last, "A");
    expect(server.pendingRpc("GW")).toEqual([]);
    expect(server.device("A")?.id).not.toBe(id);
  });

  test("a renamed child keeps its old name in the open session", async () => {
    const client = await connect();
    await client.subscribe([RPC], 0);
    await open(client, "A");
    server.renameDevice("A", "B");
    expect(await client.next()).toBe(
      'v1/devices/me/rpc/request/0 {"method":"gateway_device_renamed","params":{"A":"B"}}',
    );
    expect(server.pendingRpc("GW")).toEqual([]);
    client.publish({ topic: "v1/gateway/telemetry", payload: '{"A":[{"k":1}]}' });
    await client.drain();
    expect(server.latest("B", "k")?.value).toBe(1);
    server.setShared("B", { s: 1 });
    expect(await client.next()).toBe('v1/gateway/attributes {"device":"A","data":{"s":1}}');
    await open(client, "B");
    expect(server.sessions()[0]?.children).toEqual(["B"]);
    await open(client, "A");
    expect(server.devices()).toEqual(["GW", "Direct", "B", "A"]);
  });

  test("data under the old name of a renamed and deleted child is acknowledged and lost", async () => {
    const client = await connect();
    await open(client, "A");
    server.renameDevice("A", "B");
    server.deleteDevice("B");
    const outcome = await client.outcome({
      topic: "v1/gateway/telemetry",
      payload: '{"A":[{"k":1}]}',
    });
    expect(outcome).toBe("puback 2 0x00");
    expect(server.devices()).toEqual(["GW", "Direct"]);
    expect(server.counters().lost).toBe(1);
  });
});

describe("packages", () => {
  test("chunks are served until an empty one and errors end the session", async () => {
    server.setPackage("Direct", "fw", { title: "t", version: "1", data: Buffer.from("abcde") });
    const client = await connect("direct", 4);
    const chunk = (n: number, payload: string): Promise<string> =>
      client.outcome({ topic: `v2/fw/request/7/chunk/${n}`, payload, id: 1 });
    expect(await chunk(0, "3")).toBe("puback 1, v2/fw/response/7/chunk/0 abc");
    expect(await chunk(1, "")).toBe("puback 1, v2/fw/response/7/chunk/1 de");
    expect(await chunk(2, "")).toBe("puback 1, v2/fw/response/7/chunk/2 ");
    expect(server.getShared("Direct")).toMatchObject({
      fw_title: { value: "t" },
      fw_size: { value: 5 },
    });
    const missing = await client.outcome({ topic: "v2/sw/request/1/chunk/0", payload: "", id: 2 });
    expect(missing).toBe("puback 2, v2/fw/error NOT_FOUND, closed");
  });
});
