import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { describeFile, optionRows, questions } from "../../../src/config/describe.ts";
import { gatewayConfig } from "../../../src/config/gateway.ts";
import { entries, field, optional, required } from "../../../src/sdk/config.ts";
import { busConfig } from "../../support/config-connectors.ts";

describe("describeFile", () => {
  test("carries types, limits, defaults, descriptions and annotations", () => {
    const described: unknown = describeFile(busConfig, "Bus");
    expect(described).toEqual({
      $schema: "http://json-schema.org/draft-07/schema#",
      title: "Bus",
      type: "object",
      required: ["broker"],
      properties: {
        broker: {
          type: "object",
          description: "Where the bus is.",
          required: ["host"],
          properties: {
            host: { type: "string", description: "Host.", "x-reference": true },
            port: {
              anyOf: [{ type: "number" }, { type: "string", pattern: "\\$\\{(env|file):" }],
              default: 502,
              description: "Port.",
              "x-reference": true,
            },
            password: {
              type: "string",
              default: "",
              description: "Password.",
              "x-secret": true,
              "x-reference": true,
            },
          },
        },
        devices: {
          type: "array",
          default: [],
          description: "What to read.",
          items: {
            type: "object",
            required: ["name"],
            properties: {
              name: { type: "string", description: "Name." },
              period: {
                type: "number",
                default: 1000,
                description: "Poll period.",
                "x-unit": "ms",
              },
            },
          },
        },
      },
    });
  });

  test("a choice in any case lists its options, a variant its forms, a table its values", () => {
    const schema = v.looseObject({
      mode: required(v.pipe(v.string(), v.toUpperCase(), v.picklist(["A", "B"])), { doc: "m" }),
      as: required(
        v.variant("type", [
          v.looseObject({ type: v.literal("x") }),
          v.looseObject({ type: v.literal("y"), n: v.number() }),
        ]),
        { doc: "v" },
      ),
      by: optional(v.record(v.string(), v.number()), { doc: "t" }),
    });
    expect(describeFile(schema, "")).toMatchObject({
      properties: {
        mode: { enum: ["A", "B"] },
        as: { anyOf: [{ properties: { type: { const: "x" } } }, { required: ["type", "n"] }] },
        by: { type: "object", additionalProperties: { type: "number" } },
      },
      required: ["mode", "as"],
    });
  });

  test("every field of the main file has a description", () => {
    const missing = optionRows(gatewayConfig).filter(({ doc }) => doc === "");
    expect(missing).toEqual([]);
  });

  test("every default of the main file passes its own schema", () => {
    expect(v.safeParse(gatewayConfig, {}).success).toBe(true);
  });
});

describe("optionRows", () => {
  test("gives one row an option, with the path through lists", () => {
    const rows = optionRows(busConfig).map(({ path, type, fallback, unit, required: needed }) =>
      [path, type, fallback, unit, needed ? "needed" : ""].join("|"),
    );
    expect(rows).toEqual([
      "broker|object|||needed",
      "broker.host|text|||needed",
      "broker.port|number|502||",
      'broker.password|text|""||',
      "devices|list of object|||",
      "devices[].name|text|||needed",
      "devices[].period|number|1000|ms|",
    ]);
  });

  test("the forms of a choice share the rows of their common keys", () => {
    const form = (type: string, more: object) =>
      v.looseObject({ type: required(v.literal(type), { doc: "t" }), ...more });
    const schema = v.looseObject({
      as: required(
        v.variant("type", [form("x", {}), form("y", { n: field(v.number(), 1, { doc: "n" }) })]),
        { doc: "v" },
      ),
    });
    expect(optionRows(schema).map(({ path }) => path)).toEqual(["as", "as.type", "as.n"]);
  });

  test("of a list, gives the options of an element", () => {
    const list = entries(v.looseObject({ a: required(v.number(), { doc: "x" }) }));
    expect(optionRows(list).map(({ path }) => path)).toEqual(["a"]);
  });
});

describe("questions", () => {
  test("asks what the schema says, with the suggested answer", () => {
    expect(
      questions(gatewayConfig).map(({ path, fallback, secret }) => [
        path.join("."),
        fallback,
        secret,
      ]),
    ).toEqual([
      ["thingsboard.host", undefined, false],
      ["thingsboard.port", 1883, false],
      ["thingsboard.security.accessToken", undefined, true],
    ]);
    expect(questions(busConfig)).toMatchObject([{ text: "Host of the bus", required: true }]);
  });
});
