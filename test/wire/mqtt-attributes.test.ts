// Attribute updates and requests of the MQTT connector over a socket: what waits, what is sent again, what is given up.
import { describe, expect, test } from "bun:test";
import { TransientError } from "../../src/sdk/errors.ts";
import type { Json, Values } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt, simpleMapping } from "../support/mqtt-connector.ts";
import { ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

const UPDATES: Json = [
  {
    deviceNameFilter: ".*",
    attributeFilter: "level|mode",
    topicExpression: "set/${deviceName}",
    valueExpression: "${attributeKey}=${attributeValue}",
    qos: 1,
    retain: true,
    syncOnConnect: true,
  },
];

const REQUESTS: Json = [
  {
    topicFilter: "ask/+",
    deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "ask/(.+)" },
    attributeNameExpressionSource: "constant",
    attributeNameExpression: "level",
    topicExpression: "answer/${deviceName}",
    valueExpression: "${attributeValue}",
  },
];

const startConnector = (port: number, host: TestHost): Promise<RunningMqtt> =>
  RunningMqtt.start(
    { port },
    { requestsMapping: { attributeUpdates: UPDATES, attributeRequests: REQUESTS } },
    host,
  );

async function update({ connector }: RunningMqtt, values: Values): Promise<void> {
  await connector.handleAttributes?.(
    { deviceName: "d", values, removed: [] },
    new AbortController().signal,
  );
}

const payloads = (peer: ScriptedPeer): readonly string[] =>
  peer.of("publish").map(({ payload }) => payload.toString());

describe("attribute updates", () => {
  test("made while the broker is away are published when it is back: the latest of each attribute", async () => {
    const host = new TestHost({ clock: fastClock(20) });
    const broker = await ScriptedBroker.listen();
    const { port } = broker;
    await using running = await startConnector(port, host);
    await host.status("connected");
    await broker[Symbol.asyncDispose]();
    await host.status("disconnected");
    await update(running, { level: 1, mode: "a", other: 1 });
    await update(running, { level: 2 });
    await update(running, { level: 3 });
    await using again = await ScriptedBroker.listen(() => ({ acknowledges: true }), port);
    const peer = await again.peer();
    await peer.packet("publish", 2);
    await peer.roundTrip();
    expect(payloads(peer)).toEqual(["mode=a", "level=3"]);
    expect(peer.of("publish")[0]).toMatchObject({ topic: "set/d", qos: 1, retain: true });
  });

  test("one that is not acknowledged when the connection ends is sent again", async () => {
    const host = new TestHost({ clock: fastClock(20) });
    await using broker = await ScriptedBroker.listen((connection) => ({
      acknowledges: connection > 1,
    }));
    await using running = await startConnector(broker.port, host);
    const first = await broker.peer();
    await host.status("connected");
    await update(running, { level: 1 });
    await first.packet("publish");
    first.socket.destroy();
    const second = await broker.peer(2);
    await second.packet("publish");
    await second.roundTrip();
    expect(payloads(second)).toEqual(["level=1"]);
  });

  test("sharedAttributeKeys() names what syncOnConnect asks for", async () => {
    await using broker = await ScriptedBroker.listen();
    await using running = await startConnector(broker.port, new TestHost());
    expect(running.connector.sharedAttributeKeys?.("d")).toEqual(["level", "mode"]);
  });
});

describe("attribute requests", () => {
  test("a thousand at once are asked 32 at a time, and each is answered", async () => {
    const host = new TestHost();
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using _running = await startConnector(broker.port, host);
    await host.status("connected");
    const peer = await broker.peer();
    let open = 0;
    let most = 0;
    const answers: (() => void)[] = [];
    host.answerAttributes = async (deviceName) => {
      open += 1;
      most = Math.max(most, open);
      await new Promise<void>((resolve) => answers.push(resolve));
      open -= 1;
      return { shared: { level: deviceName }, client: {} };
    };
    for (let index = 1; index <= 1000; index += 1) {
      peer.publish(`ask/d${index}`, "", { qos: 1, messageId: index });
    }
    // The broker is acknowledged at once: nothing waits for the platform.
    await peer.packet("puback", 1000);
    expect(most).toBe(32);
    await until("all are answered", () => {
      for (const answer of answers.splice(0)) {
        answer();
      }
      return payloads(peer).length === 1000;
    });
    expect(most).toBe(32);
    expect(new Set(payloads(peer)).size).toBe(1000);
  });

  test("more than can wait are dropped and counted; data goes on", async () => {
    const host = new TestHost();
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using _running = await startConnector(broker.port, host);
    await host.status("connected");
    const peer = await broker.peer();
    host.answerAttributes = (_device, _keys, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    for (let index = 1; index <= 1100; index += 1) {
      peer.publish(`ask/d${index}`, "", { qos: 1, messageId: index });
    }
    peer.publish("plant/d/data", '{"n":1}', { qos: 1, messageId: 1101 });
    await peer.packet("puback", 1101);
    expect(host.counters.get("droppedAttributeRequests")).toBe(1100 - 1000 - 32);
    expect(host.accepted).toHaveLength(1);
  });

  test("one the platform does not answer is logged and counted, and the next is answered", async () => {
    const host = new TestHost();
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using _running = await startConnector(broker.port, host);
    await host.status("connected");
    const peer = await broker.peer();
    host.answerAttributes = async (deviceName) => {
      await Promise.resolve();
      if (deviceName === "silent") {
        throw new TransientError("No answer");
      }
      return { shared: { level: 5 }, client: {} };
    };
    peer.publish("ask/silent", "");
    peer.publish("ask/d", "");
    const { topic, payload } = await peer.packet("publish");
    expect([topic, payload.toString()]).toEqual(["answer/d", "5"]);
    expect(host.counters.get("unansweredAttributeRequests")).toBe(1);
    expect(host.lines.some(({ message }) => message === "Attribute request is not answered")).toBe(
      true,
    );
  });
});

describe("a mapping whose filter covers a request", () => {
  test.each([4, 5])("version %i: both see the message once", async (version) => {
    const host = new TestHost();
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using _running = await RunningMqtt.start(
      { port: broker.port, version },
      {
        mapping: [simpleMapping("plant/#")],
        requestsMapping: {
          connectRequests: [
            {
              topicFilter: "plant/+/connect",
              deviceInfo: {
                deviceNameExpressionSource: "topic",
                deviceNameExpression: "plant/([^/]+)",
              },
            },
          ],
        },
      },
      host,
    );
    await host.status("connected");
    const peer = await broker.peer();
    const ids = peer.of("subscribe").map(({ properties }) => properties?.subscriptionIdentifier);
    expect(ids).toHaveLength(version === 5 ? 2 : 1);
    for (const [index, id] of ids.entries()) {
      peer.publish("plant/d/connect", '{"n":1}', {
        qos: 1,
        messageId: index + 1,
        ...(id === undefined ? {} : { properties: { subscriptionIdentifier: id } }),
      });
    }
    await peer.packet("puback", ids.length);
    expect(host.accepted).toHaveLength(1);
    expect(host.counters.get("requestsProcessed")).toBe(1);
    expect([...host.devices.keys()]).toEqual(["d"]);
  });
});
