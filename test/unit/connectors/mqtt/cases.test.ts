// Each folder of test/cases/mqtt: a connector file, messages, and what becomes of them.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { createMappings } from "../../../../connectors/mqtt/mappings.ts";
import { Routes } from "../../../../connectors/mqtt/routes.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { readJson } from "../../../../src/sdk/json-reader.ts";
import { epochMs, type Json } from "../../../../src/sdk/model.ts";
import { TestHost, toJson } from "../../../support/connector-host.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { readMqttConfig } from "../../../support/mqtt-connector.ts";

const root = resolve(import.meta.dir, "../../../cases/mqtt");

/** When every message arrives. */
const RECEIVED_TS = epochMs(1_700_000_000_500);

const inputSchema = v.array(
  v.strictObject({
    /** Default: `t`. */
    topic: v.optional(v.string(), "t"),
    /** Text as it is; a list or object as its JSON. */
    payload: v.optional(v.unknown()),
    /** Bytes that are no text. */
    hex: v.optional(v.string()),
    /** What the message becomes, as the JSON that is sent. */
    records: v.array(v.unknown()),
    /** What is counted as rejected, by reason. */
    rejected: v.optional(v.record(v.string(), v.number()), {}),
    note: v.optional(v.string()),
  }),
);

const read = (path: string): Json => readJson(readFileSync(join(root, path), "utf8"));

function bytesOf({
  payload,
  hex,
}: {
  readonly payload?: unknown;
  readonly hex?: string | undefined;
}): Buffer {
  if (hex !== undefined) {
    return Buffer.from(hex, "hex");
  }
  return Buffer.from(typeof payload === "string" ? payload : encodeJson(payload as Json));
}

describe.each(readdirSync(root))("%s", (name) => {
  const { config, issues } = readMqttConfig(read(`${name}/config.json`));
  const expected = v.parse(
    v.object({
      issues: v.optional(v.array(v.string()), []),
      messages: v.optional(inputSchema, []),
    }),
    read(`${name}/expected.json`),
  );

  test("the file is read with the expected complaints", () => {
    expect(issues).toEqual(expected.issues);
  });

  test.each(
    expected.messages.map((message, index) => [index, message.note ?? "", message] as const),
  )("message %i %s", async (_index, _note, message) => {
    const host = new TestHost({ clock: new FakeClock(RECEIVED_TS) });
    const mappings = await createMappings(config, host.host);
    const routes = new Routes({
      routes: mappings.map(({ route }) => route),
      maxPayloadBytes: config.maxPayloadBytes,
      host: host.host,
    });
    const records = routes.convert({
      topic: message.topic,
      payload: bytesOf(message),
      qos: 1,
      retain: false,
      dup: false,
      messageId: 1,
      subscriptionIds: [],
    });
    expect(records.map((record) => encodeJson(toJson(record)))).toEqual(
      message.records.map((record) => encodeJson(record as Json)),
    );
    expect(Object.fromEntries(host.rejections)).toEqual(message.rejected);
    expect(records.every(({ receivedTs }) => receivedTs === RECEIVED_TS)).toBe(true);
  });
});
