import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import {
  entries,
  field,
  formatPath,
  metadataOf,
  optional,
  parseConfig,
  required,
} from "#sdk/config";

const doc = "x";
const device = v.looseObject({
  name: required(v.string(), { doc }),
  period: field(v.pipe(v.number(), v.integer(), v.minValue(1)), 1000, { doc, unit: "ms" }),
});
const config = v.looseObject({
  host: required(v.string(), { doc }),
  port: field(v.number(), 1883, { doc }),
  token: optional(v.string(), { doc, secret: true }),
  mode: field(v.picklist(["fast", "slow"]), "fast", { doc }),
  devices: field(entries(device), [], { doc }),
  limits: field(v.looseObject({ low: field(v.number(), 1, { doc }) }), {}, { doc }),
});

function lines(schema: v.GenericSchema, input: unknown): readonly string[] {
  return parseConfig(schema, input).issues.map(
    ({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`,
  );
}

describe("parseConfig", () => {
  test("a complete object passes with its values and no issues", () => {
    const input = { host: "a", port: 1, token: "t", mode: "slow", devices: [], limits: { low: 2 } };
    const parsed: unknown = parseConfig(config, input);
    expect(parsed).toEqual({ value: input, issues: [] });
  });

  test("missing optional fields get their defaults, nested ones too", () => {
    expect(parseConfig(config, { host: "a" }).value).toEqual({
      host: "a",
      port: 1883,
      mode: "fast",
      devices: [],
      limits: { low: 1 },
    });
  });

  test("null counts as missing for an optional field and is wrong for a required one", () => {
    expect(parseConfig(config, { host: "a", port: null, limits: null }).value?.port).toBe(1883);
    expect(lines(config, { host: null })).toEqual(["error host: must be text, but is null"]);
  });

  test("a wrong type is an error with its path, and the default is used", () => {
    const { value } = parseConfig(config, { host: "a", port: "1", limits: { low: {} } });
    expect(value).toMatchObject({ port: 1883, limits: { low: 1 } });
    expect(lines(config, { host: "a", port: "1", limits: { low: {} } })).toEqual([
      'error port: must be a number, but is "1"',
      "error limits.low: must be a number, but is an object",
    ]);
  });

  test("a missing required field leaves no value and names the misspelt key", () => {
    expect(parseConfig(config, { hots: "a" }).value).toBeUndefined();
    expect(lines(config, { hots: "a" })).toEqual([
      'error host: "host" is missing; is "hots" meant to be it?',
      'warning hots: "hots" is not known here and has no effect; did you mean "host"?',
    ]);
  });

  test("an unknown key is a warning and stays in the value", () => {
    const { value, issues } = parseConfig(config, { host: "a", zebra: 1 });
    expect(value).toMatchObject({ zebra: 1 });
    expect(issues.map(({ severity }) => severity)).toEqual(["warning"]);
  });

  test("a list in place of an object is an error, at the root too", () => {
    expect(lines(config, { host: "a", limits: [] })).toEqual([
      "error limits: must be an object, but is a list",
    ]);
    expect(parseConfig(config, []).value).toBeUndefined();
  });

  test("a choice that is nearly right says which one was meant", () => {
    expect(lines(config, { host: "a", mode: "fats" })).toEqual([
      'error mode: must be "fast" or "slow", but is "fats"; did you mean "fast"?',
    ]);
  });

  test("the value of a secret field is never in a message", () => {
    const text = lines(config, { host: "a", token: 987_654 }).join();
    expect(text).toBe("error token: must be text, but is a number");
  });

  test("a secret inside an element that is checked as a whole is not in a message", () => {
    const pair = v.pipe(
      v.looseObject({ key: required(v.pipe(v.string(), v.minLength(9)), { doc, secret: true }) }),
      v.forward(
        v.check(() => false, "never"),
        ["key"],
      ),
    );
    expect(lines(pair, { key: "hunter2" }).join()).not.toContain("hunter2");
  });

  test("a variant is read by the option its discriminator chooses", () => {
    const schema = v.variant("type", [
      v.looseObject({ type: v.literal("a"), x: field(v.number(), 1, { doc }) }),
      v.looseObject({ type: v.literal("b"), y: field(v.number(), 2, { doc }) }),
    ]);
    expect(parseConfig(schema, { type: "b", y: "?" }).value).toEqual({ type: "b", y: 2 });
    expect(parseConfig(schema, { type: "c" }).value).toBeUndefined();
  });

  test("a rule over a whole object takes only that object's default", () => {
    const range = v.pipe(
      v.looseObject({ min: field(v.number(), 0, { doc }), max: field(v.number(), 9, { doc }) }),
      v.check(({ min, max }) => min <= max, "min is above max"),
    );
    const schema = v.looseObject({ range: field(range, { max: 5 }, { doc }), ok: v.string() });
    const { value, issues } = parseConfig(schema, { range: { min: 9, max: 1 }, ok: "yes" });
    expect(value).toEqual({ range: { min: 0, max: 5 }, ok: "yes" });
    expect(issues).toEqual([{ severity: "error", path: ["range"], message: "min is above max" }]);
  });

  test("what cannot be used of a table by name is left out alone", () => {
    const schema = v.looseObject({ by: field(v.record(v.string(), v.number()), {}, { doc }) });
    const { value, issues } = parseConfig(schema, { by: { a: 1, b: "x", c: 3 } });
    expect(value).toEqual({ by: { a: 1, c: 3 } });
    expect(issues.map(({ path }) => formatPath(path))).toEqual(["by.b"]);
  });
});

describe("entries", () => {
  test("an invalid element is left out with its path, the others stay", () => {
    const input = {
      host: "a",
      devices: [{ name: "A" }, { name: 5 }, "x", { name: "D", period: 0 }],
    };
    expect(parseConfig(config, input).value?.devices).toEqual([
      { name: "A", period: 1000 },
      { name: "D", period: 1000 },
    ]);
    expect(lines(config, input)).toEqual([
      "error devices[1].name: must be text, but is 5",
      'error devices[2]: must be an object, but is "x"',
      "error devices[3].period: must be at least 1, but is 0",
    ]);
  });

  test("an empty object stands for an empty list", () => {
    expect(parseConfig(config, { host: "a", devices: {} })).toMatchObject({
      value: { devices: [] },
      issues: [],
    });
  });

  test("anything else in place of the list is an error and the default is used", () => {
    expect(lines(config, { host: "a", devices: { a: 1 } })).toEqual([
      "error devices: must be a list, but is an object",
    ]);
    expect(parseConfig(config, { host: "a", devices: "A" }).value?.devices).toEqual([]);
  });

  test("entries at the root and inside entries keep the places of the input", () => {
    const nested = entries(v.looseObject({ tags: required(entries(v.number()), { doc }) }));
    const { value, issues } = parseConfig(nested, [{ tags: ["x", 1] }, {}, { tags: [2, null] }]);
    expect(value).toEqual([{ tags: [1] }, { tags: [2] }]);
    expect(issues.map(({ path }) => formatPath(path))).toEqual([
      "[0].tags[0]",
      "[1].tags",
      "[2].tags[1]",
    ]);
  });
});

describe("field metadata", () => {
  test("metadataOf() gives what field() wrote, the default included", () => {
    expect(metadataOf(config.entries.port)).toMatchObject({ doc, fallback: 1883 });
    expect(metadataOf(device.entries.period)).toMatchObject({ unit: "ms" });
  });
});

describe("formatPath", () => {
  test("writes keys, indexes, and keys that are no words", () => {
    expect(formatPath([])).toBe("$");
    expect(formatPath(["mapping", 2, "converter", "type"])).toBe("mapping[2].converter.type");
    expect(formatPath(["deny", "MQTT Broker", 0])).toBe('deny["MQTT Broker"][0]');
  });
});
