// Whatever bytes come on whatever topic: nothing throws, everything is accounted for, and no other message is lost.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import fc from "fast-check";
import { callTimeoutMs, compileRpc, planCall } from "../../../../connectors/mqtt/downlink.ts";
import { createMappings } from "../../../../connectors/mqtt/mappings.ts";
import { Routes } from "../../../../connectors/mqtt/routes.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { readJson } from "../../../../src/sdk/json-reader.ts";
import type { Json } from "../../../../src/sdk/model.ts";
import { TestHost } from "../../../support/connector-host.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { readMqttConfig, simpleMapping } from "../../../support/mqtt-connector.ts";
import { runs } from "../../../support/property-runs.ts";

const stock = readFileSync(
  resolve(import.meta.dir, "../../../cases/mqtt/stock-configuration/config.json"),
  "utf8",
);
const { config } = readMqttConfig(readJson(stock));

const GOOD = { topic: "sensor/good/data", payload: Buffer.from('{"temp":1,"hum":2}') };

/** Bytes; JSON of any form; JSON that nearly fits the mappings. */
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .dictionary(
      fc.constantFrom("serialNumber", "sensorType", "temp", "hum", "ts", "x"),
      fc.jsonValue(),
    )
    .map((body) => Buffer.from(JSON.stringify(body))),
);
const topics = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom("sensor/data", "sensor/raw_data", "custom/sensors/a", "sensor/x/data", "/", ""),
);

describe("any bytes on any topic", () => {
  test("never throw, are counted when they give nothing, and cost no other message", async () => {
    const host = new TestHost({ clock: new FakeClock() });
    const mappings = await createMappings(config, host.host);
    const routes = new Routes({
      routes: mappings.map(({ route }) => route),
      maxPayloadBytes: config.maxPayloadBytes,
      host: host.host,
    });
    const rejected = (): number => [...host.rejections.values()].reduce((a, b) => a + b, 0);
    const send = (topic: string, payload: Uint8Array, retain: boolean): number =>
      routes.convert({
        topic,
        payload,
        qos: 1,
        retain,
        dup: false,
        messageId: 1,
        subscriptionIds: [],
      }).length;
    fc.assert(
      fc.property(topics, payloads, fc.boolean(), (topic, payload, retain) => {
        const before = rejected();
        const records = send(topic, payload, retain);
        expect(records > 0 || rejected() > before).toBe(true);
        expect(send(GOOD.topic, GOOD.payload, false)).toBe(1);
      }),
      { numRuns: runs(5000) },
    );
  });
});

test("a pattern is not searched in a topic so long that it would hold up everything", async () => {
  const host = new TestHost({ clock: new FakeClock() });
  const file = { broker: { host: "h" }, mapping: [simpleMapping("plant/#")] };
  const mappings = await createMappings(readMqttConfig(file).config, host.host);
  const [route] = mappings.map((mapping) => mapping.route);
  const routes = new Routes({
    routes: route === undefined ? [] : [route],
    maxPayloadBytes: 1000,
    host: host.host,
  });
  const rest = { qos: 0, retain: false, dup: false, messageId: 0, subscriptionIds: [] } as const;
  const payload = Buffer.from('{"n":1}');
  const send = (level: string): number =>
    routes.convert({ topic: `plant/${level}`, payload, ...rest }).length;
  expect(send("a".repeat(200))).toBe(1);
  expect(send("a".repeat(65_000))).toBe(0);
  expect([...host.rejections]).toEqual([["topic-too-long", 1]]);
});

describe("any call of the platform", () => {
  const { serverSideRpc } = config.requestsMapping;
  const planRpc = compileRpc(serverSideRpc);

  test("has a plan, none, or a DataError", () => {
    const params = fc.oneof(
      fc.jsonValue(),
      fc.string(),
      fc.string().map((text) => `requestTopicExpression=${text};value=${text}`),
      fc.record({ requestTopicExpression: fc.jsonValue(), responseTimeout: fc.jsonValue() }),
    );
    const method = fc.oneof(fc.string(), fc.constantFrom("get", "set", "mqtt_set", "echo"));
    fc.assert(
      fc.property(fc.string(), method, params, (deviceName, name, value) => {
        // What fast-check makes as a JSON value is one of ours.
        const request = { deviceName, id: 0, method: name, params: value as Json, timeoutMs: 1 };
        for (const plan of [planRpc, planCall]) {
          try {
            const topic = plan(request)?.publication?.topic ?? "none";
            expect(topic).not.toMatch(/[+#]|^$/);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
          callTimeoutMs(plan, request);
        }
      }),
      { numRuns: runs(5000) },
    );
  });
});
