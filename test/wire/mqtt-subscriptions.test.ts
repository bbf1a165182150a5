// What the MQTT connector subscribes to, and what it does when the broker says no.
import { describe, expect, test } from "bun:test";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt, simpleMapping } from "../support/mqtt-connector.ts";
import { ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";

const fastHost = (): TestHost => new TestHost({ clock: fastClock(20) });

const filtersOf = (peer: ScriptedPeer): readonly (readonly string[])[] =>
  peer.of("subscribe").map(({ subscriptions }) => subscriptions.map(({ topic }) => topic));

const devices = (host: TestHost): string[] => host.accepted.map(({ deviceName }) => deviceName);

describe("subscriptions", () => {
  test("all filters go into one packet, each once with its highest QoS, and are sent after each CONNACK", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 5 },
      {
        mapping: [
          simpleMapping("a/+/x", { subscriptionQos: 0 }),
          simpleMapping("b/+/x"),
          simpleMapping("a/+/x", { subscriptionQos: "2" }),
          simpleMapping("$share/g/c/#", { subscriptionQos: 0 }),
        ],
      },
      fastHost(),
    );
    const first = await broker.peer();
    const packet = await first.packet("subscribe");
    expect(packet.subscriptions.map(({ topic, qos, rh }) => ({ topic, qos, rh }))).toEqual([
      { topic: "a/+/x", qos: 2, rh: 1 },
      { topic: "b/+/x", qos: 1, rh: 1 },
      { topic: "$share/g/c/#", qos: 0, rh: 1 },
    ]);
    expect(packet.properties?.subscriptionIdentifier).toBeUndefined();
    await connector.host.status("connected");
    first.socket.destroy();
    const second = await broker.peer(2);
    await second.packet("subscribe");
    expect(filtersOf(second)).toEqual(filtersOf(first));
  });

  test("more than 100 filters are split", async () => {
    await using broker = await ScriptedBroker.listen();
    await using _connector = await RunningMqtt.start(
      { port: broker.port, version: 4 },
      { mapping: Array.from({ length: 205 }, (_, index) => simpleMapping(`t${index}/+`)) },
    );
    const peer = await broker.peer();
    await peer.packet("subscribe", 3);
    expect(filtersOf(peer).map((list) => list.length)).toEqual([100, 100, 5]);
  });

  test("under MQTT 5 overlapping filters get identifiers, and each delivery runs only its own mappings", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 5 },
      {
        mapping: [
          namedMapping("plant/#", "all"),
          namedMapping("plant/+/data", "data"),
          namedMapping("plant/+/data", "data2"),
        ],
      },
    );
    const peer = await broker.peer();
    const all = await peer.packet("subscribe", 1);
    const data = await peer.packet("subscribe", 2);
    const allId = Number(all.properties?.subscriptionIdentifier);
    const dataId = Number(data.properties?.subscriptionIdentifier);
    expect(filtersOf(peer)).toEqual([["plant/#"], ["plant/+/data"]]);
    expect(allId).toBeGreaterThan(0);
    expect(dataId).not.toBe(allId);
    await connector.host.status("connected");
    const send = (messageId: number, subscriptionIdentifier?: number | number[]): void =>
      peer.publish("plant/d/data", '{"n":1}', {
        qos: 1,
        messageId,
        ...(subscriptionIdentifier === undefined ? {} : { properties: { subscriptionIdentifier } }),
      });
    send(1, allId);
    send(2, dataId);
    await peer.packet("puback", 2);
    expect(devices(connector.host)).toEqual(["all", "data", "data2"]);
    // One copy for both subscriptions, one without any identifier, and one of a subscription from an earlier run.
    send(3, [allId, dataId]);
    send(4);
    send(5, 77);
    await peer.packet("puback", 5);
    expect(devices(connector.host).slice(3)).toEqual([
      "all",
      "data",
      "data2",
      "all",
      "data",
      "data2",
      "all",
      "data",
      "data2",
    ]);
  });

  test("before MQTT 5 a filter that another one covers is not subscribed, and both mappings run", async () => {
    await using broker = await ScriptedBroker.listen();
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 4 },
      { mapping: [namedMapping("plant/+/data", "data"), namedMapping("plant/#", "all")] },
    );
    const peer = await broker.peer();
    await peer.packet("subscribe");
    expect(filtersOf(peer)).toEqual([["plant/#"]]);
    peer.publish("plant/d/data", '{"n":1}', { qos: 1, messageId: 1 });
    await peer.packet("puback");
    expect(devices(connector.host)).toEqual(["data", "all"]);
  });
});

describe("a refused subscription", () => {
  test("makes the connector degraded, costs only itself, and is tried again until it is granted", async () => {
    await using broker = await ScriptedBroker.listen(() => ({
      suback: (filter, qos, count) => (filter === "secret/+" && count < 3 ? 0x87 : qos),
    }));
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 5 },
      { mapping: [simpleMapping("plant/+"), simpleMapping("secret/+")] },
      fastHost(),
    );
    const peer = await broker.peer();
    await connector.host.status("degraded");
    expect(connector.host.statuses.at(-1)?.detail).toBe("secret/+: not authorized (0x87)");
    await connector.host.status("connected");
    expect(filtersOf(peer)).toEqual([["plant/+", "secret/+"], ["secret/+"], ["secret/+"]]);
    const errors = connector.host.lines.filter(({ level }) => level === "error");
    expect(errors).toHaveLength(1);
  });

  test("before MQTT 5 makes the filters it covered be subscribed themselves", async () => {
    await using broker = await ScriptedBroker.listen(() => ({
      suback: (filter, qos) => (filter === "#" ? 0x80 : qos),
    }));
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 4 },
      { mapping: [simpleMapping("#"), simpleMapping("plant/+/data")] },
    );
    const peer = await broker.peer();
    await connector.host.status("degraded");
    expect(filtersOf(peer)).toEqual([["#"], ["plant/+/data"]]);
  });

  test("is not even sent when the broker says that it has no such feature", async () => {
    await using broker = await ScriptedBroker.listen(() => ({
      connack: { properties: { sharedSubscriptionAvailable: false } },
    }));
    await using connector = await RunningMqtt.start(
      { port: broker.port, version: 5 },
      { mapping: [simpleMapping("plant/+"), simpleMapping("$share/g/plant/+")] },
    );
    const peer = await broker.peer();
    await connector.host.status("degraded");
    expect(filtersOf(peer)).toEqual([["plant/+"]]);
    expect(connector.host.statuses.at(-1)?.detail).toContain("shared subscriptions");
    expect(connector.host.lines.some(({ level }) => level === "error")).toBe(true);
  });
});

describe("a persistent session", () => {
  test("loses the filters that are no longer configured, also after a restart", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost();
    const options = { port: broker.port, version: 5, cleanStart: false, sessionExpiryInterval: 60 };
    const first = await RunningMqtt.start(
      options,
      { mapping: [simpleMapping("old/+"), simpleMapping("kept/+")] },
      host,
    );
    await host.status("connected");
    await first.stop();
    await using _second = await RunningMqtt.start(
      options,
      { mapping: [simpleMapping("kept/+"), simpleMapping("young/+")] },
      host,
    );
    const peer = await broker.peer(2);
    const { unsubscriptions } = await peer.packet("unsubscribe");
    expect(unsubscriptions).toEqual(["old/+"]);
    await peer.packet("subscribe");
    const [connect] = peer.of("connect");
    expect(connect?.clean).toBe(false);
    expect(connect?.properties?.sessionExpiryInterval).toBe(60);
    expect(connect?.clientId).toBe((await broker.peer(1)).of("connect")[0]?.clientId ?? "");
  });
});

/** A mapping whose device has a name of its own. */
function namedMapping(topicFilter: string, deviceName: string): object & { [key: string]: never } {
  return {
    topicFilter,
    converter: {
      type: "json",
      deviceInfo: {
        deviceNameExpressionSource: "constant",
        deviceNameExpression: deviceName,
      },
      timeseries: [{ type: "long", key: "n", value: "${n}" }],
    },
  } as never;
}
