import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { createConverters, type UplinkTable } from "../../../src/connector/converters.ts";
import type { UplinkDefinition } from "../../../src/connector/registry.ts";
import { systemClock } from "../../../src/sdk/clock.ts";
import { defineUplink, type MqttMessage } from "../../../src/sdk/converter.ts";
import { DataError } from "../../../src/sdk/errors.ts";
import { rateLimited } from "../../../src/sdk/logger.ts";
import { epochMs } from "../../../src/sdk/model.ts";
import { TestHost } from "../../support/connector-host.ts";

const schema = v.looseObject({ gain: v.optional(v.number(), 1) });

/** A converter whose result a test chooses. */
const giving = (result: (raw: MqttMessage) => unknown): UplinkDefinition =>
  defineUplink({
    name: "Giving",
    type: "mqtt",
    schema,
    // A converter of a user may return anything.
    create: () => (raw) => result(raw) as null,
  });

const message = (payload = "{}"): MqttMessage => ({
  payload: Buffer.from(payload),
  topic: "t",
  qos: 1,
  retain: false,
  receivedTs: epochMs(1_700_000_000_000),
});

function convertersWith(definition: UplinkDefinition): {
  readonly host: TestHost;
  readonly converters: ReturnType<typeof createConverters>;
} {
  const host = new TestHost();
  const uplinks: UplinkTable = {
    Giving: async () => await Promise.resolve({ default: definition }),
  };
  const { log, metrics } = host.host;
  const converters = createConverters({
    connector: { id: "1", name: "Plant", type: "mqtt" },
    log,
    rareLog: rateLimited(log, systemClock),
    metrics,
    uplinks,
  });
  return { host, converters };
}

async function run(
  result: (raw: MqttMessage) => unknown,
): Promise<{ readonly records: readonly unknown[]; readonly rejected: Record<string, number> }> {
  const { host, converters } = convertersWith(giving(result));
  const convert = await converters.uplink<MqttMessage>("Giving", {});
  return { records: convert(message()), rejected: Object.fromEntries(host.rejections) };
}

const record = { deviceName: "d", telemetry: [{ values: { a: 1 } }] };
const arrived = { ...record, receivedTs: epochMs(1_700_000_000_000) };

/** What a converter gives, the records that are left of it, and what is counted. */
type Row = readonly [
  what: string,
  result: () => unknown,
  records: readonly unknown[],
  rejected: Readonly<Record<string, number>>,
];

describe("createConverters()", () => {
  test.each<Row>([
    ["one record", () => record, [arrived], {}],
    ["a list", () => [record, record], [arrived, arrived], {}],
    [
      "its own time of arrival",
      () => ({ ...record, receivedTs: 5 }),
      [{ ...record, receivedTs: 5 }],
      {},
    ],
    ["null", () => null, [], { "no-value": 1 }],
    ["nothing", () => undefined, [], { "no-value": 1 }],
    ["an empty list", () => [], [], { "no-value": 1 }],
    ["a record without values", () => ({ deviceName: "d" }), [], { "no-value": 1 }],
    ["no device name", () => ({ telemetry: [{ values: { a: 1 } }] }), [], { "converter-error": 1 }],
    [
      "a bad one among good ones",
      () => [record, 5, record],
      [arrived, arrived],
      { "converter-error": 1 },
    ],
    ["a promise", async () => await Promise.resolve(record), [], { "converter-error": 1 }],
    [
      "telemetry that is no list",
      () => ({ deviceName: "d", telemetry: { values: { a: 1 } } }),
      [],
      { "converter-error": 1 },
    ],
    [
      "a time that is none",
      () => ({ deviceName: "d", telemetry: [{ ts: "now", values: { a: 1 } }] }),
      [],
      { "converter-error": 1 },
    ],
    [
      "a throw",
      () => {
        throw new TypeError("oops");
      },
      [],
      { "converter-error": 1 },
    ],
  ])("a converter that gives %s", async (_what, result, records, rejected) => {
    expect(await run(result)).toEqual({ records: [...records], rejected });
  });

  test("a bad point is counted by its reason, once, and costs only itself", async () => {
    const { host, converters } = convertersWith(
      defineUplink({
        name: "Giving",
        type: "mqtt",
        schema,
        create: () => (_raw, onBadPoint) => {
          onBadPoint(new DataError("no number", { reason: "bad-value" }));
          return null;
        },
      }),
    );
    const convert = await converters.uplink<MqttMessage>("Giving", {});
    expect(convert(message())).toEqual([]);
    expect(Object.fromEntries(host.rejections)).toEqual({ "bad-value": 1 });
  });

  test("a throw is logged with its input at DEBUG, at most 1 KiB of it", async () => {
    const { host, converters } = convertersWith(
      giving(() => {
        throw new Error("oops");
      }),
    );
    const convert = await converters.uplink<MqttMessage>("Giving", {});
    convert(message("x".repeat(5000)));
    const line = host.lines.find(({ level }) => level === "debug");
    expect(Buffer.from(String(line?.fields["input"]), "base64").toString()).toBe("x".repeat(1024));
    expect(host.lines.some(({ level }) => level === "warn")).toBe(true);
  });

  test("a converter of decoded input gets the JSON value", async () => {
    const seen: unknown[] = [];
    const decoding = defineUplink({
      name: "Giving",
      type: "mqtt",
      input: "decoded",
      schema,
      create: () => (raw) => {
        seen.push(raw.payload);
        return null;
      },
    });
    const { converters } = convertersWith(decoding);
    const convert = await converters.uplink<MqttMessage>("Giving", {});
    convert(message('{"a":[1]}'));
    convert(message("text"));
    expect(seen).toEqual([{ a: [1] }, "text"]);
  });

  test.each([
    ["a name nobody has", "Givng", {}, 'did you mean "Giving"?'],
    ["a name of Object", "toString", {}, "there is no uplink converter"],
    ["a configuration it refuses", "Giving", { gain: "x" }, "gain"],
  ])("%s is a ConfigError", async (_what, name, config, text) => {
    const { converters } = convertersWith(giving(() => null));
    const error = await converters.uplink(name, config).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "ConfigError" });
    expect(String(error)).toContain(text);
  });

  test("create() that throws, and a schema that waits, are ConfigErrors", async () => {
    const failing = defineUplink({
      name: "Giving",
      type: "mqtt",
      schema,
      create: () => {
        throw new Error("no table");
      },
    });
    const waiting = defineUplink({
      name: "Giving",
      type: "mqtt",
      schema: {
        "~standard": {
          version: 1 as const,
          vendor: "test",
          validate: async (value: unknown) => await Promise.resolve({ value }),
        },
      },
      create: () => () => null,
    });
    for (const [definition, text] of [
      [failing, "no table"],
      [waiting, "asynchronous"],
    ] as const) {
      const error = await convertersWith(definition)
        .converters.uplink("Giving", {})
        .catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: "ConfigError" });
      expect(String(error)).toContain(text);
    }
  });

  test("there is no downlink converter", async () => {
    const { converters } = convertersWith(giving(() => null));
    const error = await converters.downlink("Any", {}).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "ConfigError" });
  });
});
