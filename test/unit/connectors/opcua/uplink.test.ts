import { describe, expect, test } from "bun:test";
import { BUILTIN } from "../../../../connectors/opcua/codec.ts";
import type { Device, Item, Target } from "../../../../connectors/opcua/device.ts";
import { compileMappings } from "../../../../connectors/opcua/mappings.ts";
import {
  ReadResult,
  type Sample,
  spaceBack,
  type UplinkSettings,
} from "../../../../connectors/opcua/uplink.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { epochMs, type Json } from "../../../../src/sdk/model.ts";
import { readOpcuaConfig } from "../../../support/opcua-connector.ts";

const T = 1_772_359_201_000;
const GOOD = { value: 0, name: "Good", description: "ok" };
const UNKNOWN = {
  value: 0x8034_0000,
  name: "BadNodeIdUnknown",
  description: "The node id refers to a node that does not exist in the server address space.",
};

function device(): Device {
  const { config } = readOpcuaConfig({
    server: { url: "a" },
    mapping: [{ deviceNodePattern: "i=85", deviceInfo: { deviceNameExpression: "Boiler SN-001" } }],
  });
  const [mapping] = compileMappings(config.mapping);
  if (mapping === undefined) {
    throw new Error("no mapping");
  }
  return {
    name: "Boiler SN-001",
    profile: "default",
    mapping,
    converter: undefined,
    keyStrategies: undefined,
    // Only the session uses it.
    base: Object.create(null),
    baseKey: "i=85",
  };
}

const boiler = device();

function item(key: string, rest: Partial<Target> = {}): Item {
  const target = {
    device: boiler,
    key,
    section: "telemetry",
    stamp: "source",
    isBad: false,
  } as const;
  return {
    id: boiler.base,
    key: `ns=2;s=${key}`,
    targets: [{ ...target, ...rest }],
    isGone: false,
  };
}

function sample(value: unknown, dataType: number, sourceMs?: number, statusCode = GOOD): Sample {
  return {
    dataType,
    arrayType: 0,
    dimensions: null,
    value,
    statusCode,
    sourceMs,
    serverMs: undefined,
  };
}

function result(settings: Partial<UplinkSettings> = {}) {
  const notes: string[] = [];
  const read = new ReadResult(
    epochMs(T),
    { format: { python: false }, badStatus: "skip", ...settings },
    {
      skipped: (reason, { key }) => notes.push(`${key} ${reason}`),
      turned: ({ key, isBad }) => notes.push(`${key} ${isBad ? "bad" : "good"}`),
      implausible: ({ key }) => notes.push(`${key} implausible`),
    },
  );
  const sent = (): Json => JSON.parse(encodeJson(toJson(read.records())));
  return { read, notes, sent };
}

function toJson(value: unknown): Json {
  // Records are plain data; encodeJson takes them as such.
  return value as Json;
}

test("points of one time share an entry, in the order of their first appearance", () => {
  const { read, sent } = result();
  read.add(item("model", { section: "attributes" }), sample("BX", BUILTIN.String, T));
  read.add(item("t"), sample(81.5, BUILTIN.Double, 1_772_359_200_250));
  read.add(item("run"), sample(true, BUILTIN.Boolean, 1_772_359_200_000));
  read.add(item("zone", { stamp: "gateway" }), sample(7, BUILTIN.Int32, 5));
  read.add(item("t2"), sample(1, BUILTIN.Int32, 1_772_359_200_250));
  expect(sent()).toEqual([
    {
      deviceName: "Boiler SN-001",
      deviceType: "default",
      receivedTs: T,
      attributes: { model: "BX" },
      telemetry: [
        { ts: 1_772_359_200_250, values: { t: 81.5, t2: 1 } },
        { ts: 1_772_359_200_000, values: { run: true } },
        { values: { zone: 7 } },
      ],
    },
  ]);
});

test("samples that arrive together keep their distances", () => {
  const { read, sent } = result();
  read.addAll(item("n", { stamp: "gateway" }), [
    sample(5, BUILTIN.Int32, T - 1000),
    sample(6, BUILTIN.Int32, T - 950),
    sample(7, BUILTIN.Int32, T - 900),
  ]);
  const [record] = sent() as { telemetry: Json }[];
  expect(record?.telemetry).toEqual([
    { ts: T - 100, values: { n: 5 } },
    { ts: T - 50, values: { n: 6 } },
    { values: { n: 7 } },
  ]);
});

test("a key's older samples come before those of the arrival, whoever was read first", () => {
  const { read, sent } = result();
  read.add(item("one", { stamp: "gateway" }), sample(1, BUILTIN.Int32, T));
  read.addAll(item("two", { stamp: "gateway" }), [
    sample(3, BUILTIN.Int32, T - 1000),
    sample(4, BUILTIN.Int32, T),
  ]);
  const [record] = sent() as { telemetry: Json }[];
  expect(record?.telemetry).toEqual([
    { ts: T - 1000, values: { two: 3 } },
    { values: { one: 1, two: 4 } },
  ]);
});

test("a sample before which the server had no room for others is counted", () => {
  const { read } = result();
  const overflow = { value: 0x0480, name: "GoodWithOverflowBit", description: "" };
  read.add(item("a"), sample(1, BUILTIN.Int32, T, overflow));
  read.add(item("b"), sample(1, BUILTIN.Int32, T));
  expect(read.overflows).toBe(1);
});

test.each([
  [
    [undefined, undefined, undefined],
    [T - 2, T - 1, T],
  ],
  [
    [5, 5, 5],
    [T - 2, T - 1, T],
  ],
  [
    [9, 5, 8],
    [T - 4, T - 3, T],
  ],
])("stamps of %p", (sources, expected) => {
  expect(spaceBack(T, sources)).toEqual(expected);
});

describe("a bad status", () => {
  const bad = sample(81.5, BUILTIN.Double, T, UNKNOWN);
  test.each<[UplinkSettings["badStatus"], Sample, unknown]>([
    ["skip", bad, undefined],
    ["value", bad, 81.5],
    [
      "text",
      bad,
      "Bad status code: BadNodeIdUnknown for node: ns=2;s=t with description The node id refers to a node that does not exist in the server address space.",
    ],
    ["value", sample(null, BUILTIN.Null, T, UNKNOWN), undefined],
  ])("%s", (badStatus, one, expected) => {
    const { read, sent } = result({ badStatus });
    read.add(item("t", { section: "attributes" }), one);
    const [record] = sent() as { attributes: { t: Json } }[];
    expect(record?.attributes.t).toEqual(expected as Json);
  });

  test("is told once, and so is its end", () => {
    const { read, notes } = result();
    const one = item("t");
    read.add(one, bad);
    expect(one.isGone).toBe(true);
    read.add(one, bad);
    read.add(one, sample(1, BUILTIN.Int32, T));
    expect(one.isGone).toBe(false);
    expect(notes).toEqual(["t bad", "t bad-status", "t bad-status", "t good"]);
  });
});

test.each([-11_644_473_600_000, T + 2 * 86_400_000])("the time %d is not meant", (ms) => {
  const { read, notes, sent } = result();
  read.add(item("t"), sample(1, BUILTIN.Int32, ms));
  const [record] = sent() as { telemetry: Json }[];
  expect(record?.telemetry).toEqual([{ values: { t: 1 } }]);
  expect(notes).toEqual(["ns=2;s=t implausible"]);
});

test("no value, no record", () => {
  const { read, notes } = result();
  read.add(item("t"), sample(null, BUILTIN.String, T));
  expect(read.records()).toEqual([]);
  expect(notes).toEqual(["t no-value"]);
});
