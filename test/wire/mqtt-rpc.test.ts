// RPCs of the MQTT connector over a socket: time limits, lost connections, refusals, and exactly one answer each.
import { describe, expect, test } from "bun:test";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt, simpleMapping } from "../support/mqtt-connector.ts";
import { type Script, ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

const LIMIT_MS = 3000;

/** Two-way entries with and without a request in their topic, and a one-way one for each QoS. */
const RPCS: Json = [
  {
    deviceNameFilter: ".*",
    methodFilter: "^echo$",
    requestTopicExpression: "req/${deviceName}/${requestId}",
    responseTopicExpression: "res/${deviceName}/${requestId}",
    responseTimeout: LIMIT_MS,
    valueExpression: "${params}",
  },
  {
    deviceNameFilter: ".*",
    methodFilter: "^shared$",
    requestTopicExpression: "shared/req",
    responseTopicExpression: "shared/res/${deviceName}",
    responseTimeout: LIMIT_MS,
    valueExpression: "${params}",
    qos: 1,
  },
  {
    deviceNameFilter: ".*",
    methodFilter: "^go$",
    requestTopicExpression: "go/${deviceName}",
    valueExpression: "${params}",
  },
  {
    deviceNameFilter: ".*",
    methodFilter: "^sure$",
    requestTopicExpression: "sure/${deviceName}",
    valueExpression: "${params}",
    qos: 2,
    retain: true,
  },
];

const GET = "requestTopicExpression=g/req;responseTopicExpression=g/res;value=1";

/** What became of a call. */
type Outcome = { readonly reply: unknown } | { readonly error: unknown };

function call(
  { connector }: RunningMqtt,
  method: string,
  options: { readonly id?: number; readonly params?: Json; readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  const { id = 1, params = null, signal = new AbortController().signal } = options;
  const request = { deviceName: "d", id, method, params, timeoutMs: 10_000 };
  return Promise.resolve(connector.handleRpc?.(request, signal)).then(
    (reply) => ({ reply }),
    (error: unknown) => ({ error }),
  );
}

const failure = (code: number, message: string): Outcome => ({
  error: expect.objectContaining({
    name: "RpcError",
    code,
    message: expect.stringContaining(message),
  }),
});

interface Setup extends AsyncDisposable {
  readonly broker: ScriptedBroker;
  readonly running: RunningMqtt;
  readonly peer: ScriptedPeer;
}

async function start(
  options: {
    readonly version?: number;
    readonly script?: (connection: number) => Script;
    readonly host?: TestHost;
    readonly mapping?: readonly Json[];
  } = {},
): Promise<Setup> {
  const { version = 5, script = () => ({ acknowledges: true }) } = options;
  const broker = await ScriptedBroker.listen(script);
  const running = await RunningMqtt.start(
    { port: broker.port, version },
    { requestsMapping: { serverSideRpc: RPCS }, mapping: options.mapping ?? [] },
    options.host,
  );
  await running.host.status("connected");
  return {
    broker,
    running,
    peer: await broker.peer(),
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
    },
  };
}

describe("the time limit of a response", () => {
  test("before it, and at it when the response was first: the response", async () => {
    const clock = new FakeClock();
    await using one = await start({ host: new TestHost({ clock }) });
    for (const [id, waitMs] of [
      [1, 0],
      [2, LIMIT_MS - 1],
    ] as const) {
      const outcome = call(one.running, "echo", { id, params: { on: true } });
      const request = await one.peer.packet("publish", id);
      expect(request).toMatchObject({ topic: `req/d/${id}`, qos: 0, retain: false });
      expect(request.payload.toString()).toBe('{"on":true}');
      await clock.advance(waitMs);
      one.peer.publish(`res/d/${id}`, '{"on":true}');
      await one.peer.roundTrip();
      await clock.advance(1);
      expect(await outcome).toEqual({ reply: { on: true } });
    }
  });

  test("at it without a response, and after it: an error, and the late response is nobody's", async () => {
    const clock = new FakeClock();
    await using one = await start({ host: new TestHost({ clock }) });
    const outcome = call(one.running, "echo", { id: 1 });
    await one.peer.packet("publish");
    await clock.advance(LIMIT_MS);
    expect(await outcome).toEqual(failure(408, "no response on res/d/1 within 3000 ms"));
    one.peer.publish("res/d/1", "late");
    await one.peer.roundTrip();
    const next = call(one.running, "echo", { id: 2 });
    await one.peer.packet("publish", 2);
    one.peer.publish("res/d/2", "in time");
    expect(await next).toEqual({ reply: "in time" });
    expect(Object.fromEntries(one.running.host.rejections)).toEqual({});
    expect(clock.waiting).toBe(0);
  });

  test("one beyond what a call may usually take is told to the core", async () => {
    await using one = await start();
    const limitOf = (method: string, params: Json = null): unknown =>
      one.running.connector.rpcTimeoutMs?.({ deviceName: "d", method, params });
    expect(limitOf("echo")).toBeUndefined();
    expect(limitOf("go")).toBeUndefined();
    expect(limitOf("get", `${GET};responseTimeout=60000`)).toBe(61_000);
    expect(limitOf("get", `${GET};responseTimeout=soon`)).toBeUndefined();
    expect(limitOf("other")).toBeUndefined();
    const own = {
      requestTopicExpression: "a",
      responseTopicExpression: "b",
      responseTimeout: 20_000,
    };
    expect(one.running.connector.rpcTimeoutMs?.({ method: "x", params: own })).toBe(21_000);
  });

  test("an abort ends the wait at once", async () => {
    await using one = await start();
    const stop = new AbortController();
    const outcome = call(one.running, "echo", { signal: stop.signal });
    await one.peer.packet("publish");
    stop.abort("no more");
    expect(await outcome).toEqual({ error: "no more" });
  });
});

describe("responses", () => {
  test("one that the broker has retained is no answer", async () => {
    await using one = await start();
    const outcome = call(one.running, "echo");
    await one.peer.packet("publish");
    one.peer.publish("res/d/1", "old", { retain: true });
    one.peer.publish("res/d/1", "fresh");
    expect(await outcome).toEqual({ reply: "fresh" });
  });

  test("calls that share a topic are answered in their order, also before the PUBACK", async () => {
    await using one = await start({ script: () => ({}) });
    const first = call(one.running, "shared", { id: 1, params: 1 });
    await one.peer.packet("publish", 1);
    const second = call(one.running, "shared", { id: 2, params: 2 });
    await one.peer.packet("publish", 2);
    one.peer.publish("shared/res/d", "one");
    one.peer.publish("shared/res/d", "two");
    expect(await first).toEqual({ reply: "one" });
    expect(await second).toEqual({ reply: "two" });
  });

  test("one subscription serves all calls of an entry: nothing is subscribed at a call", async () => {
    await using one = await start();
    expect(one.peer.of("subscribe").flatMap(({ subscriptions }) => subscriptions)).toMatchObject([
      { topic: "res/+/+", qos: 1 },
      { topic: "shared/res/+", qos: 1 },
    ]);
    const outcome = call(one.running, "echo");
    await one.peer.packet("publish");
    one.peer.publish("res/d/1", "1");
    expect(await outcome).toEqual({ reply: 1 });
    await one.peer.roundTrip();
    expect(one.peer.of("subscribe")).toHaveLength(1);
    expect(one.peer.of("unsubscribe")).toHaveLength(0);
  });

  test("where the broker refuses that, each call subscribes its own topic for its time", async () => {
    await using one = await start({
      script: () => ({
        acknowledges: true,
        suback: (filter, qos) => (filter.includes("+") ? 0x87 : qos),
      }),
    });
    const outcome = call(one.running, "echo");
    await one.peer.packet("publish");
    expect(one.peer.of("subscribe").at(-1)?.subscriptions).toMatchObject([{ topic: "res/d/1" }]);
    one.peer.publish("res/d/1", "1");
    expect(await outcome).toEqual({ reply: 1 });
    const { unsubscriptions } = await one.peer.packet("unsubscribe");
    expect(unsubscriptions).toEqual(["res/d/1"]);
    expect(one.running.host.statuses.at(-1)?.status).toBe("connected");
  });

  test("a topic no entry covers is subscribed once for calls that wait for it together", async () => {
    await using one = await start();
    const first = call(one.running, "get", { params: GET });
    const second = call(one.running, "get", { params: GET });
    await one.peer.packet("publish", 2);
    expect(one.peer.of("subscribe")).toHaveLength(2);
    one.peer.publish("g/res", "1");
    expect(await first).toEqual({ reply: 1 });
    await one.peer.roundTrip();
    expect(one.peer.of("unsubscribe")).toHaveLength(0);
    one.peer.publish("g/res", "2");
    expect(await second).toEqual({ reply: 2 });
    await one.peer.packet("unsubscribe");
  });

  test("a refused subscription is the answer, and nothing is published", async () => {
    await using one = await start({
      script: () => ({ suback: (filter, qos) => (filter === "g/res" ? 0x87 : qos) }),
    });
    expect(await call(one.running, "get", { params: GET })).toEqual(
      failure(502, "The broker refuses the subscription to g/res: not authorized (0x87)"),
    );
    expect(one.peer.of("publish")).toHaveLength(0);
  });

  test.each([4, 5])(
    "version %i: a mapping # sees the response too, once, and does not keep it from the call",
    async (version) => {
      await using one = await start({ version, mapping: [simpleMapping("#")] });
      const outcome = call(one.running, "echo");
      await one.peer.packet("publish");
      // A broker of MQTT 5 delivers it once for each subscription, and says for which.
      const ids = one.peer
        .of("subscribe")
        .map(({ properties, subscriptions }) => ({
          id: properties?.subscriptionIdentifier,
          topics: subscriptions.map(({ topic }) => topic),
        }))
        .filter(({ topics }) => topics.includes("#") || topics.includes("res/+/+"));
      expect(ids).toHaveLength(version === 5 ? 2 : 1);
      for (const { id } of ids) {
        const properties = id === undefined ? {} : { properties: { subscriptionIdentifier: id } };
        one.peer.publish("res/d/1", '{"n":5}', properties);
      }
      expect(await outcome).toEqual({ reply: { n: 5 } });
      await one.peer.roundTrip();
      expect(one.running.host.accepted).toMatchObject([{ deviceName: "d" }]);
    },
  );
});

describe("a broker that is away", () => {
  test("one-way and two-way calls are errors at once, and again possible when it is back", async () => {
    const host = new TestHost({ clock: fastClock(20) });
    await using one = await start({ host });
    const { port } = one.broker;
    await one.broker[Symbol.asyncDispose]();
    await host.status("disconnected");
    for (const [method, params] of [
      ["go", null],
      ["sure", null],
      ["echo", null],
      ["get", GET],
    ] as const) {
      expect(await call(one.running, method, { params })).toEqual(
        failure(503, "broker not connected"),
      );
    }
    await using again = await ScriptedBroker.listen(() => ({ acknowledges: true }), port);
    await host.status("connected");
    expect(await call(one.running, "go", { params: 1 })).toEqual({ reply: undefined });
    const peer = await again.peer();
    expect((await peer.packet("publish")).topic).toBe("go/d");
  });

  test("a message that is not acknowledged when the connection ends is an error", async () => {
    const host = new TestHost({ clock: fastClock(20) });
    await using one = await start({ host, script: () => ({}) });
    const outcome = call(one.running, "sure");
    const request = await one.peer.packet("publish");
    expect(request).toMatchObject({ topic: "sure/d", qos: 2, retain: true });
    one.peer.socket.destroy();
    expect(await outcome).toEqual(failure(503, "The broker closed the connection"));
  });

  test("a response that comes after a reconnect answers the call", async () => {
    const host = new TestHost({ clock: fastClock(20) });
    await using one = await start({ host });
    const entry = call(one.running, "shared");
    await one.peer.packet("publish");
    const own = call(one.running, "get", { params: `${GET};responseTimeout=60000` });
    await one.peer.packet("publish", 2);
    one.peer.socket.destroy();
    const peer = await one.broker.peer(2);
    await until("both are subscribed again", () =>
      ["shared/res/+", "g/res"].every((wanted) =>
        peer
          .of("subscribe")
          .some(({ subscriptions }) => subscriptions.some(({ topic }) => topic === wanted)),
      ),
    );
    peer.publish("g/res", "2");
    peer.publish("shared/res/d", "1");
    expect(await own).toEqual({ reply: 2 });
    expect(await entry).toEqual({ reply: 1 });
  });
});

describe("what the broker allows", () => {
  test("a message it refuses is an error with its reason", async () => {
    await using one = await start({ script: () => ({}) });
    const outcome = call(one.running, "sure");
    const { messageId = 0 } = await one.peer.packet("publish");
    one.peer.send({ cmd: "pubrec", messageId, reasonCode: 0x87 });
    expect(await outcome).toEqual(failure(502, "not authorized (0x87)"));
  });

  test("QoS and retain are lowered to what it can, a message above its size is refused", async () => {
    await using one = await start({
      script: () => ({
        connack: { properties: { maximumQoS: 0, retainAvailable: false, maximumPacketSize: 100 } },
      }),
    });
    expect(await call(one.running, "sure", { params: 1 })).toEqual({ reply: undefined });
    expect(await one.peer.packet("publish")).toMatchObject({ qos: 0, retain: false });
    expect(await call(one.running, "sure", { params: "x".repeat(100) })).toEqual(
      failure(502, "at most 100"),
    );
    expect(one.peer.isClosed).toBe(false);
  });
});
