// The MQTT connector against a scripted broker: what goes over the wire, and when.
import { describe, expect, test } from "bun:test";
import { InvariantError, TransientError } from "../../src/sdk/errors.ts";
import { TestHost } from "../support/connector-host.ts";
import { RunningMqtt, simpleMapping } from "../support/mqtt-connector.ts";
import { ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

/** Publishes `{"n":n}` for device `d` with QoS 1 and packet identifier `n`. */
function publish(
  peer: ScriptedPeer,
  n: number,
  options: { qos?: 0 | 1 | 2; dup?: boolean } = {},
): void {
  const { qos = 1, dup = false } = options;
  peer.publish("plant/d/data", `{"n":${n}}`, { qos, dup, ...(qos === 0 ? {} : { messageId: n }) });
}

const numbers = (host: TestHost): unknown[] =>
  host.accepted.flatMap(({ telemetry }) => telemetry?.map(({ values }) => values["n"]) ?? []);

describe.each([3, 4, 5] as const)("MQTT version %i", (version) => {
  test("PUBACK is held until accept has resolved, and sent in the order of arrival", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost();
    host.hold = true;
    await using connector = await RunningMqtt.start({ port: broker.port, version }, {}, host);
    const peer = await broker.peer();
    await peer.packet("subscribe");
    for (const n of [11, 12, 13, 14]) {
      publish(peer, n);
    }
    // mqtt.js reads on while nothing is acknowledged.
    await until("four messages wait", () => connector.host.pending.length === 4);
    expect(connector.host.pending.every(({ urgent }) => urgent)).toBe(true);
    const [first, second, third, fourth] = connector.host.pending;
    second?.resolve();
    third?.resolve();
    await peer.roundTrip();
    expect(peer.ids("puback")).toEqual([]);
    first?.resolve();
    await peer.packet("puback", 3);
    expect(peer.ids("puback")).toEqual([11, 12, 13]);
    fourth?.resolve();
    await peer.packet("puback", 4);
    expect(peer.ids("puback")).toEqual([11, 12, 13, 14]);
  });

  test("QoS 2 is accepted at PUBLISH, once, and PUBREC is held until then", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost();
    host.hold = true;
    await using connector = await RunningMqtt.start({ port: broker.port, version }, {}, host);
    const peer = await broker.peer();
    await peer.packet("subscribe");
    publish(peer, 21, { qos: 2 });
    publish(peer, 22, { qos: 1 });
    await until("both wait", () => connector.host.pending.length === 2);
    connector.host.pending[1]?.resolve();
    await peer.roundTrip();
    expect([...peer.ids("pubrec"), ...peer.ids("puback")]).toEqual([]);
    connector.host.pending[0]?.resolve();
    await peer.packet("puback");
    expect(peer.ids("pubrec")).toEqual([21]);
    // A repeat before PUBREL is answered, and not stored again.
    publish(peer, 21, { qos: 2, dup: true });
    await peer.packet("pubrec", 2);
    peer.send({ cmd: "pubrel", messageId: 21 });
    await peer.packet("pubcomp");
    expect(numbers(connector.host)).toEqual([22, 21]);
    // The identifier is free again.
    connector.host.hold = false;
    peer.publish("plant/d/data", '{"n":23}', { qos: 2, messageId: 21 });
    await peer.packet("pubrec", 3);
    expect(numbers(connector.host)).toEqual([22, 21, 23]);
  });

  test("a message of no use is acknowledged and counted once", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start(
      { port: broker.port, version },
      { maxPayloadBytes: 50 },
    );
    const peer = await broker.peer();
    await peer.packet("subscribe");
    peer.publish("plant/d/data", "{oops", { qos: 1, messageId: 1 });
    peer.publish("plant/d/data", "x".repeat(51), { qos: 1, messageId: 2 });
    peer.publish("other", "{}", { qos: 1, messageId: 3 });
    peer.publish("plant/d/data", "{}", { qos: 2, messageId: 4 });
    peer.publish("plant/d/data", '{"n":"abc"}', { qos: 1, messageId: 5 });
    publish(peer, 6);
    await peer.packet("puback", 5);
    expect(peer.ids("puback")).toEqual([1, 2, 3, 5, 6]);
    expect(peer.ids("pubrec")).toEqual([4]);
    expect(Object.fromEntries(connector.host.rejections)).toEqual({
      "not-json": 1,
      "too-large": 1,
      "no-mapping": 1,
      "no-value": 1,
      "bad-value": 1,
    });
    expect(numbers(connector.host)).toEqual([6]);
    expect(connector.host.counters.get("connectorMsgsReceived")).toBe(6);
  });
});

describe("a lost connection", () => {
  test("held acknowledgements are discarded, and the redelivery is acknowledged without storing twice", async () => {
    await using broker = await ScriptedBroker.listen((count) => ({
      connack: { sessionPresent: count > 1 },
    }));
    const host = new TestHost();
    host.hold = true;
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 4, cleanSession: false },
      {},
      host,
    );
    const first = await broker.peer();
    await first.packet("subscribe");
    publish(first, 1);
    publish(first, 2);
    await until("two wait", () => host.pending.length === 2);
    first.socket.destroy();
    const second = await broker.peer(2);
    await second.packet("subscribe");
    host.releaseAll();
    publish(second, 1, { dup: true });
    publish(second, 2, { dup: true });
    publish(second, 3);
    await second.packet("puback", 3);
    expect(second.ids("puback")).toEqual([1, 2, 3]);
    expect(numbers(host)).toEqual([1, 2, 3]);
    expect(first.ids("puback")).toEqual([]);
    expect(connector.host.statuses.map(({ status }) => status)).toContain("disconnected");
  });

  test("without a session at the broker a known identifier is a message of its own", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost();
    host.hold = true;
    await using _connector = await RunningMqtt.start({ port: broker.port, version: 5 }, {}, host);
    const first = await broker.peer();
    await first.packet("subscribe");
    publish(first, 1);
    await until("one waits", () => host.pending.length === 1);
    first.socket.destroy();
    const second = await broker.peer(2);
    await second.packet("subscribe");
    host.releaseAll();
    publish(second, 1, { dup: true });
    await second.packet("puback");
    expect(numbers(host)).toEqual([1, 1]);
  });
});

describe("a store that fails for a while", () => {
  test("no message is lost, none is acknowledged early, and order is kept", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start({ port: broker.port, version: 4 });
    const { host } = connector;
    const peer = await broker.peer();
    await peer.packet("subscribe");
    let failures = 0;
    host.failWith = () => {
      failures += 1;
      return new TransientError("the store restarts");
    };
    publish(peer, 1);
    publish(peer, 2);
    publish(peer, 3, { qos: 0 });
    await until("the store was asked", () => failures >= 2);
    expect(peer.ids("puback")).toEqual([]);
    host.failWith = undefined;
    publish(peer, 4);
    await peer.packet("puback", 3);
    expect(peer.ids("puback")).toEqual([1, 2, 4]);
    expect(numbers(host)).toEqual([1, 2, 3, 4]);
    expect(peer.isClosed).toBe(false);
  });

  test("a defect of the program ends run, so that a fresh instance takes over", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start({ port: broker.port, version: 4 });
    const peer = await broker.peer();
    await peer.packet("subscribe");
    connector.host.failWith = () => new InvariantError("impossible");
    publish(peer, 1);
    expect(await connector.ended).toBeInstanceOf(InvariantError);
    expect(peer.ids("puback")).toEqual([]);
  });
});

describe("a mapping of an extension that is not there", () => {
  test("is switched off with its path, and the others work", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start(
      { port: broker.port },
      {
        mapping: [
          { topicFilter: "tank/+", converter: { type: "custom", extension: "TankConverter" } },
          simpleMapping("plant/+/data"),
        ],
      },
    );
    const peer = await broker.peer();
    const { subscriptions } = await peer.packet("subscribe");
    expect(subscriptions.map(({ topic }) => topic)).toEqual(["plant/+/data"]);
    const error = connector.host.lines.find(({ level }) => level === "error");
    expect(error?.fields["mapping"]).toBe("mapping[0]");
    expect(String(error?.fields["error"])).toContain("TankConverter");
  });
});
