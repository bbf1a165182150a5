// The MQTT connector against aedes, a real broker for MQTT 3.1 and 3.1.1.
import { describe, expect, test } from "bun:test";
import type { Client } from "aedes";
import { AedesBroker } from "../support/aedes.ts";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt } from "../support/mqtt-connector.ts";
import { until } from "../support/until.ts";

const numbers = (host: TestHost): unknown[] =>
  host.accepted.flatMap(({ telemetry }) => telemetry?.map(({ values }) => values["n"]) ?? []);

const fastHost = (): TestHost => new TestHost({ clock: fastClock(20) });

/** Publishes 1 to `count`; resolves when the broker has taken them. */
async function publishAll(broker: AedesBroker, count: number, qos: 0 | 1 | 2): Promise<void> {
  for (let n = 1; n <= count; n += 1) {
    await broker.publish(`plant/d${n % 3}/data`, `{"n":${n}}`, qos);
  }
}

describe.each([3, 4] as const)("MQTT version %i", (version) => {
  test("calls reach a device and are answered, updates are kept for it", async () => {
    await using broker = await AedesBroker.listen();
    await using running = await RunningMqtt.start(
      { port: broker.port, version },
      {
        requestsMapping: {
          serverSideRpc: [
            {
              deviceNameFilter: ".*",
              methodFilter: "echo",
              requestTopicExpression: "req/${deviceName}/${requestId}",
              responseTopicExpression: "res/${deviceName}/${requestId}",
              responseTimeout: 5000,
              valueExpression: "${params}",
              qos: 2,
            },
          ],
          attributeUpdates: [
            {
              deviceNameFilter: ".*",
              attributeFilter: "level",
              topicExpression: "set/${deviceName}",
              valueExpression: "${attributeValue}",
              retain: true,
              qos: 1,
            },
          ],
        },
      },
      fastHost(),
    );
    await running.host.status("connected");
    const kept: string[] = [];
    const answers: Promise<void>[] = [];
    broker.aedes.on("publish", ({ topic, payload, retain }) => {
      if (topic.startsWith("req/")) {
        answers.push(broker.publish(topic.replace("req", "res"), payload.toString()));
      } else if (topic.startsWith("set/") && retain) {
        kept.push(`${topic} ${payload.toString()}`);
      }
    });
    const { signal } = new AbortController();
    const request = { deviceName: "d", method: "echo", timeoutMs: 10_000 };
    const { connector } = running;
    for (const id of [1, 2, 3]) {
      const params = { n: id };
      expect(await connector.handleRpc?.({ ...request, id, params }, signal)).toEqual({ n: id });
    }
    await connector.handleAttributes?.(
      { deviceName: "d", values: { level: 5 }, removed: [] },
      signal,
    );
    await until("the update is kept", () => kept.length === 1);
    expect(kept).toEqual(["set/d 5"]);
    await Promise.all(answers);
  });

  test.each([0, 1, 2] as const)(
    "1,000 messages with QoS %i arrive once each, in order",
    async (qos) => {
      await using broker = await AedesBroker.listen();
      await using connector = await RunningMqtt.start(
        { port: broker.port, version },
        { mapping: [mapping(qos)] },
        fastHost(),
      );
      await connector.host.status("connected");
      await publishAll(broker, 1000, qos);
      await until("all are accepted", () => connector.host.accepted.length >= 1000);
      expect(numbers(connector.host)).toEqual(
        Array.from({ length: 1000 }, (_, index) => index + 1),
      );
      if (qos > 0) {
        await until("all are acknowledged", () => broker.acks.length >= 1000);
      }
      expect(broker.acks).toHaveLength(qos === 0 ? 0 : 1000);
    },
  );

  test("what was not acknowledged is delivered again after the connection was cut, and acknowledged then", async () => {
    await using broker = await AedesBroker.listen();
    const clients: Client[] = [];
    broker.aedes.on("clientReady", (client) => clients.push(client));
    const host = fastHost();
    host.hold = true;
    await using _connector = await RunningMqtt.start(
      { port: broker.port, version, cleanSession: false },
      {},
      host,
    );
    await host.status("connected");
    await publishAll(broker, 10, 1);
    await until("ten wait", () => host.pending.length === 10);
    expect(broker.acks).toEqual([]);
    const [client] = clients;
    if (client !== undefined) {
      await broker.kick(client);
    }
    await until("it is back", () => clients.length === 2);
    host.releaseAll();
    await until("all are acknowledged", () => broker.acks.length >= 10);
    // aedes gives a redelivery another identifier and does not mark it, so that it is a message of its own.
    expect(numbers(host)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("a gateway that ended before the data was durable gets them again at its next start", async () => {
    await using broker = await AedesBroker.listen();
    const options = { port: broker.port, version, cleanSession: false };
    const first = await RunningMqtt.start(options, {}, fastHost());
    first.host.hold = true;
    await first.host.status("connected");
    await publishAll(broker, 5, 1);
    await until("five wait", () => first.host.pending.length === 5);
    await first.stop();
    await broker.publish("plant/d0/data", '{"n":6}', 1);
    await using second = await RunningMqtt.start(options, {}, fastHost());
    await until("six are accepted", () => second.host.accepted.length >= 6);
    expect(numbers(second.host)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(numbers(first.host)).toEqual([]);
    await first.host[Symbol.asyncDispose]();
  });
});

describe("user name and password", () => {
  test("a wrong password is refused slowly, and works without a restart once it is right at the broker", async () => {
    let wanted = "other";
    let attempts = 0;
    await using broker = await AedesBroker.listen({
      authenticate: (_client, username, password, done) => {
        attempts += 1;
        done(null, username === "gateway" && String(password) === wanted);
      },
    });
    const host = new TestHost({ clock: fastClock(300) });
    await using _connector = await RunningMqtt.start(
      {
        port: broker.port,
        version: 4,
        security: { type: "basic", username: "gateway", password: "secret" },
      },
      {},
      host,
    );
    await host.status("disconnected");
    expect(host.statuses.at(-1)?.detail).toContain("not authorized (5)");
    await until("a second attempt", () => attempts === 2);
    wanted = "secret";
    await host.status("connected");
    expect(attempts).toBe(3);
    const errors = host.lines.filter(({ level }) => level === "error");
    expect(errors).toHaveLength(1);
    expect(JSON.stringify(host.lines)).not.toContain("secret");
  });

  test("a broker without MQTT 5 is told apart, and the advice names the key", async () => {
    await using broker = await AedesBroker.listen();
    await using connector = await RunningMqtt.start({ port: broker.port }, {}, fastHost());
    await connector.host.status("disconnected");
    expect(connector.host.statuses.at(-1)?.detail).toContain(
      'set "version" to another value than 5',
    );
  });
});

function mapping(subscriptionQos: number): { readonly [key: string]: never } {
  return {
    topicFilter: "plant/+/data",
    subscriptionQos,
    converter: {
      type: "json",
      deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "plant/([^/]+)" },
      timeseries: [{ type: "long", key: "n", value: "${n}" }],
    },
  } as never;
}
